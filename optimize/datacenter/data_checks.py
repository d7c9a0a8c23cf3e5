"""What is wrong or suspicious in validated tables beyond what a schema can say."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from optimize.datacenter.heat import derive_heat_links
from optimize.datacenter.in_force import find_in_force_faults
from optimize.datacenter.instance import Instance, load, rows_of, split_list
from optimize.datacenter.measures import derive_eligibility, enumerate_masks
from optimize.datacenter.schema import CLOSING, COOLING_TYPES, OWNER_KINDS
from optimize.errors import Fault
from optimize.schema import InstanceData

MOST_KW_PER_RACK = 80.0
_FIX_WORDS = ("", "nothing", "retrofit", CLOSING)


def find_faults(data: InstanceData) -> list[Fault]:
    """Faults that make the instance meaningless; rows are positions in the table."""
    tables = data.tables
    return [
        *_unknown_parts(tables["measures"], "measures", "requires", set(tables["measures"]["measure"])),
        *_unknown_parts(tables["measures"], "measures", "cooling_types", set(COOLING_TYPES)),
        *_unknown_parts(tables["hosts"], "hosts", "accepts", set(OWNER_KINDS)),
        *_unknown_measures_of_trades(data),
        *_unknown_sources(data),
        *_years_outside(data),
        *_funding_faults(data),
        *_lock_faults(data),
        *find_in_force_faults(data),
    ]


def find_warnings(data: InstanceData) -> list[Fault]:
    """Suspicious facts: targets out of reach, zones nobody can work in, hosts that are full."""
    if find_faults(data):
        return []
    instance = load(data)
    return [
        *_implausible_loads(instance),
        *_inadmissible_fixes(instance),
        *_targets_out_of_reach(instance),
        *_zones_too_small(instance),
        *_full_hosts(instance),
        *_sinks_without_centre(instance),
    ]


# --- faults ------------------------------------------------------------------------------------


def _unknown_parts(frame: pd.DataFrame, table: str, column: str, known: set[str]) -> Iterable[Fault]:
    for row, text in enumerate(frame[column]):
        for part in split_list(text):
            if part not in known:
                expected = f"names of {', '.join(sorted(known)[:6])} … separated by |"
                yield Fault(table, column, expected, f"'{part}'", row=row)


def _unknown_measures_of_trades(data: InstanceData) -> Iterable[Fault]:
    known = {*data.tables["measures"]["measure"], CLOSING}
    for row, name in enumerate(data.tables["measure_trades"]["measure"]):
        if name not in known:
            yield Fault("measure_trades", "measure", f"a measure or `{CLOSING}`", f"'{name}'", row=row)


def _unknown_sources(data: InstanceData) -> Iterable[Fault]:
    known = {"municipal", "owner", *data.tables["districts"]["district"]}
    for table in ("budgets", "offer_payments"):
        for row, name in enumerate(data.tables[table]["source"]):
            if name not in known:
                yield Fault(table, "source", "`municipal`, `owner` or a district", f"'{name}'", row=row)


def _years_outside(data: InstanceData) -> Iterable[Fault]:
    first = int(data.parameters["base_year"])
    last = first + int(data.parameters["num_years"]) - 1
    expected = f"a year of {first}-{last}"
    for row, year in enumerate(data.tables["offer_payments"]["year"]):
        if not first <= year <= last:
            yield Fault("offer_payments", "year", expected, str(year), row=row)
    for row, year in enumerate(data.tables["offers"]["year"]):
        if year and not first <= year <= last:
            yield Fault("offers", "year", f"{expected}, or 0", str(year), row=row)


def _funding_faults(data: InstanceData) -> Iterable[Fault]:
    funding = data.tables["funding"]
    kinds = {f"{what}_{owner}" for what in ("retrofit", "closing") for owner in OWNER_KINDS} | {"*"}
    for row, kind in enumerate(funding["project_kind"]):
        if kind not in kinds:
            yield Fault("funding", "project_kind", ", ".join(sorted(kinds)), f"'{kind}'", row=row)
    total = funding.groupby(["project_kind", "mix"])["share"].transform("sum")
    for over in np.flatnonzero(total.to_numpy(np.float64) > 1.0 + 1e-9).tolist():
        yield Fault("funding", "share", "shares of a mix of at most 1", f"{total.iloc[over]:g}", row=over)


def _lock_faults(data: InstanceData) -> Iterable[Fault]:
    centres = set(data.tables["centres"]["centre"])
    measures = set(data.tables["measures"]["measure"])
    hosts = {f"{CLOSING}:{host}" for host in data.tables["hosts"]["host"]}
    offers = set(data.tables["offers"]["offer"])
    for row, lock in enumerate(rows_of(data.tables["locks"])):
        pair = lock.kind in ("together", "not_together")
        for column, name in (("id", lock.id), *([("other", lock.other)] if pair else [])):
            if name not in centres:
                yield Fault("locks", column, "a centre", f"'{name}'", row=row)
        if lock.kind == "fix":
            known = lock.value in _FIX_WORDS or lock.value in hosts | offers
            if not known and not set(lock.value.split("+")) <= measures:
                expected = "nothing, retrofit, close, close:HOST, an offer, or measures joined by +"
                yield Fault("locks", "value", expected, f"'{lock.value}'", row=row)
        if lock.kind in ("earliest", "latest") and lock.year == 0:
            yield Fault("locks", "year", "a calendar year", "none", row=row)


# --- warnings ------------------------------------------------------------------------------------


def _implausible_loads(instance: Instance) -> Iterable[Fault]:
    """W instead of kW shows in the load per rack (sizes of centres differ by thousands anyway)."""
    racks = instance.centres["rack_count"].to_numpy(np.float64)
    density = np.where(racks > 0, instance.it_load_kw / np.maximum(racks, 1.0), 0.0)
    for row in np.flatnonzero(density > MOST_KW_PER_RACK).tolist():
        expected = f"at most {MOST_KW_PER_RACK:g} kW per rack"
        found = f"{instance.it_load_kw[row]:g} for {racks[row]:g} racks: kW or W?"
        yield Fault("centres", "it_load_kw", expected, found, row=row)


def _inadmissible_fixes(instance: Instance) -> Iterable[Fault]:
    """A `fix` to a package that the centre may not have leaves no plan."""
    names = list(instance.measures["measure"])
    place = {name: position for position, name in enumerate(instance.centres["centre"])}
    eligible = derive_eligibility(instance) if len(instance.locks) else np.zeros(0, np.int64)
    for row, lock in enumerate(rows_of(instance.locks)):
        parts = lock.value.split("+")
        if lock.kind == "fix" and all(part in names for part in parts):
            mask = sum(1 << names.index(part) for part in parts)
            if mask not in enumerate_masks(instance.measures, int(eligible[place[lock.id]])):
                yield Fault(
                    "locks", "value", f"a package that {lock.id} may have", f"'{lock.value}'", row=row
                )


def _targets_out_of_reach(instance: Instance) -> Iterable[Fault]:
    """Counts that more centres are asked for than are eligible; money that does not exist."""
    centres = instance.centres
    most = {
        "DC-GREEN": int(centres["green_eligible"].sum()),
        "DC-BATT": int(centres["battery_eligible"].sum()),
        "DC-TECH": len(centres),
    }
    for clause, number in most.items():
        target = instance.targets.get(clause)
        if target is not None and target.required > number:
            yield Fault(
                "instance.toml", clause, f"at most the {number} eligible centres", f"{target.required:g}"
            )
    for clause, target in instance.targets.items():
        if target.clause.unit == "share" and target.required > 1:
            yield Fault("instance.toml", clause, "a share of at most 1", f"{target.required:g}")
    public = instance.budgets.loc[instance.budgets["source"] != "owner", "amount_cny"].sum()
    owners = (centres["owner_kind"] == "enterprise").sum()
    wanting = [t for t in instance.targets.values() if t.clause.sense == ">=" and t.required > 0]
    if wanting and public == 0 and not owners and not len(instance.offers):
        yield Fault("budgets", "amount_cny", "money for the targets", "0 for every public source")
    if "DC-HEAT" in instance.targets and instance.targets["DC-HEAT"].required > 0:
        capacity = instance.sink_months["capacity_kwh"].sum() / 1000.0
        if instance.targets["DC-HEAT"].required > capacity:
            found = f"{instance.targets['DC-HEAT'].required:g}"
            yield Fault("instance.toml", "DC-HEAT", f"at most the {capacity:g} MWh/a of all sinks", found)


def _zones_too_small(instance: Instance) -> Iterable[Fault]:
    by_zone = instance.centres.groupby("zone")["it_load_kw"]
    largest, total = by_zone.max(), by_zone.sum()
    for row, zone in enumerate(rows_of(instance.zones)):
        if zone.zone in total.index and largest[zone.zone] > zone.max_share_under_works * total[zone.zone]:
            need = largest[zone.zone] / total[zone.zone]
            yield Fault(
                "zones",
                "max_share_under_works",
                f"at least {need:.2f}, the share of its largest centre",
                f"{zone.max_share_under_works:g}: that centre can have no works that endanger operation",
                row=row,
            )


def _full_hosts(instance: Instance) -> Iterable[Fault]:
    top = instance.host_capacity.groupby("host")["capacity_kw"].max()
    for row, host in enumerate(rows_of(instance.hosts)):
        if top.get(host.host, 0.0) <= host.own_load_kw:
            yield Fault(
                "hosts",
                "own_load_kw",
                "less than its capacity",
                f"{host.own_load_kw:g}: it takes nobody",
                row=row,
            )


def _sinks_without_centre(instance: Instance) -> Iterable[Fault]:
    if not len(instance.heat_sinks):
        return
    reached = set(derive_heat_links(instance).sink.tolist())
    for row, sink in enumerate(rows_of(instance.heat_sinks)):
        if row not in reached:
            found = f"none within {sink.max_distance_km:g} km"
            yield Fault("heat_sinks", "max_distance_km", "a centre in reach", found, row=row)
