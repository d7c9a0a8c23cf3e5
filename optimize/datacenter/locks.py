"""Locks as filters on options, and the funding mixes open to each centre."""

from __future__ import annotations

import numpy as np

from optimize.datacenter.instance import Instance, rows_of
from optimize.datacenter.kinds import CLOSE, NONE, NOTHING, OFFER, PACKAGE, STAGED
from optimize.datacenter.measures import BoolArray, IntArray
from optimize.datacenter.packages import Packages
from optimize.datacenter.schema import CLOSING
from optimize.funding import mixes_of


class Locks:
    """Locks as filters on options; `together` and `not_together` are rows (`linking`)."""

    def __init__(self, instance: Instance) -> None:
        names = list(instance.measures["measure"])
        self._positions = {name: i for i, name in enumerate(instance.centres["centre"])}
        self.locks = instance.locks
        self.may_do_nothing = ~instance.centres["must_choose"].to_numpy(np.bool_)
        self.in_pair = np.zeros(len(self._positions), dtype=np.bool_)
        self.fixed_mask: dict[int, int] = {}
        for row in rows_of(self.locks):
            centre = self._positions[row.id]
            if row.kind in ("together", "not_together"):
                self.in_pair[[centre, self._positions[row.other]]] = True
            elif row.kind == "force_in" or (row.kind == "fix" and row.value != "nothing"):
                self.may_do_nothing[centre] = False
            if row.kind == "fix" and all(part in names for part in row.value.split("+")):
                self.fixed_mask[centre] = sum(1 << names.index(m) for m in row.value.split("+"))

    def allows(self, columns: dict[str, IntArray], packages: Packages, instance: Instance) -> BoolArray:
        """Options that no lock forbids; shape (options,)."""
        kind, centre = columns["kind"], columns["centre"]
        nothing = kind == NOTHING
        allowed = ~nothing | self.may_do_nothing[centre]
        last_year = np.maximum(columns["year"], columns["second_year"]) + instance.base_year
        first_year = columns["year"] + instance.base_year
        for row in rows_of(self.locks):
            own = centre == self._positions[row.id]
            if row.kind == "force_out":
                allowed &= ~own | nothing
            elif row.kind == "earliest":
                allowed &= ~own | nothing | (first_year >= row.year)
            elif row.kind == "latest":
                allowed &= ~own | nothing | (last_year <= row.year)
            elif row.kind == "fix":
                allowed &= ~own | self._matches(row.value, columns, packages, instance)
                if row.year > 0 and row.value != "nothing":
                    allowed &= ~own | (first_year == row.year)
        return np.asarray(allowed)

    def _matches(
        self, value: str, columns: dict[str, IntArray], packages: Packages, instance: Instance
    ) -> BoolArray:
        """Options that are what a `fix` lock names (docs/formulations/datacenter.md)."""
        kind = columns["kind"]
        if value == "nothing":
            return np.asarray(kind == NOTHING)
        if value == "":
            return np.asarray(kind != NOTHING)
        if value == "retrofit":
            return np.isin(kind, (PACKAGE, STAGED))
        if value == CLOSING:
            return np.asarray(kind == CLOSE)
        if value.startswith(CLOSING + ":"):
            hosts = list(instance.hosts["host"])
            return np.asarray((kind == CLOSE) & (columns["host"] == hosts.index(value[6:])))
        offers = list(instance.offers["offer"])
        if value in offers:
            return np.asarray((kind == OFFER) & (columns["offer"] == offers.index(value)))
        names = list(instance.measures["measure"])
        mask = sum(1 << names.index(part) for part in value.split("+"))
        masks = np.append(packages.mask, 0)
        return np.asarray((kind == PACKAGE) & (masks[columns["first"]] == mask))


class Mixes:
    """Funding mixes open to each centre for retrofits and closures."""

    def __init__(self, instance: Instance) -> None:
        self.names = list(dict.fromkeys(instance.funding["mix"]))
        self._owner = instance.centres["owner_kind"].to_numpy()
        self._open = {
            (what, owner): np.array(
                [self.names.index(mix) for mix in mixes_of(instance.funding, f"{what}_{owner}")] or [NONE],
                dtype=np.int64,
            )
            for what in ("retrofit", "closing")
            for owner in np.unique(self._owner)
        }

    def spread(self, what: str, columns: dict[str, IntArray]) -> dict[str, IntArray]:
        """Each row of ``columns`` once per mix open to its centre."""
        owner = self._owner[columns["centre"]]
        rows: list[IntArray] = []
        mixes: list[IntArray] = []
        for (kind, name), open_mixes in self._open.items():
            if kind == what:
                of_owner = np.flatnonzero(owner == name)
                rows.append(np.repeat(of_owner, len(open_mixes)))
                mixes.append(np.tile(open_mixes, len(of_owner)))
        taken = np.concatenate(rows)
        order = np.argsort(taken, kind="stable")
        spread = {name: values[taken[order]] for name, values in columns.items()}
        spread["mix"] = np.concatenate(mixes)[order]
        return spread
