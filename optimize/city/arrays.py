"""The city's programme: its parts side by side, tied by the rows they share.

Numbers as in docs/formulations/city.md: (C1) money, (C2) targets, (C3) cross-links.  No solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optimize.city.instance import DATACENTER, WATER, City
from optimize.city.part import CityPart
from optimize.city.schema import CO2, ENERGY
from optimize.clauses import CLAUSES, REVISE, ClauseTarget
from optimize.funding import elastic_budgets
from optimize.milp import BlockNames, ElasticRows, FloatArray, IntArray, Milp, Objective
from optimize.programme import PricedRows, StatedArrays

MONEY_GOALS = ("npv", "cost")


@dataclass(frozen=True)
class CityArrays:
    """The parts and what ties them.

    Attributes
    ----------
    milp : all columns and rows; parts in order, then shares, then the city's own columns.
    objectives : by goal.
    elastic : rows that may give way.
    group : shape (n,), candidate of each column, -1: of none.
    first : shape (parts + 1,), first column of each part; the last: how many they have together.
    first_row : the same for rows.
    shares : shape (parts, sources, years), column of what a part gets of the pool, -1: it needs none.
    pool_rows : shape (sources, years), -1: nobody draws on it.
    """

    city: City
    parts: tuple[CityPart, ...]
    milp: Milp
    objectives: dict[str, Objective]
    elastic: tuple[ElasticRows, ...]
    group: IntArray
    first: IntArray
    first_row: IntArray
    shares: IntArray
    pool_rows: IntArray

    def of_part(self, number: int, x: FloatArray) -> FloatArray:
        """A part's own columns of a point."""
        return np.asarray(x[self.first[number] : self.first[number + 1]])

    def share_cny(self, x: FloatArray) -> FloatArray:
        """What each part gets of the pool, shape (parts, sources, years)."""
        return np.where(self.shares >= 0, np.maximum(x[np.maximum(self.shares, 0)], 0.0), 0.0)

    def stated(self) -> StatedArrays:
        """The arrays with what a planner knows of their rows; single projects are not named."""
        return StatedArrays(
            milp=self.milp,
            objectives=self.objectives,
            priced=tuple(PricedRows.of(group) for group in self.elastic),
            candidate=np.full(self.milp.num_columns, -1, dtype=np.int64),
            candidate_ids=(),
            candidate_kind="project",
            idle=np.zeros(0, dtype=np.int64),
            describe=lambda columns: pd.DataFrame(index=range(len(columns))),
        )

    def carried_from(self, old: CityArrays, x: FloatArray) -> FloatArray:
        """A point of ``old`` here, where some part has since got further columns (at its end)."""
        y = np.zeros(self.milp.num_columns)
        for k in range(len(old.parts)):
            own = old.of_part(k, x)
            y[self.first[k] : self.first[k] + len(own)] = own
        both = (old.shares >= 0) & (self.shares >= 0)
        y[self.shares[both]] = x[old.shares[both]]
        num_city = old.milp.num_columns - int(old.first[-1]) - int((old.shares >= 0).sum())
        if num_city:
            y[-num_city:] = x[-num_city:]
        return y

    def moved_m3(self, x: FloatArray) -> dict[str, float]:
        """Where a point's centres leave the linked demands: change of each, m3/a."""
        return {
            demand: float(change.amounts @ self.of_part(k, x)[change.columns])
            for k, part in enumerate(self.parts)
            for demand, change in part.water_m3.items()
        }

    def unbounded(self) -> Milp:
        """The same programme with any amount of money, to ask what would have to give way."""
        upper = np.where(~self.milp.integral & (self.milp.upper > 0), np.inf, self.milp.upper)
        return self.milp.with_bounds(self.milp.lower, upper)


def join_parts(
    city: City, parts: Sequence[CityPart], goals: Sequence[str], shares_cny: FloatArray | None = None
) -> CityArrays:
    """All rows of the parts and of the city.

    Parameters
    ----------
    shares_cny : shape (parts, sources, years): fix the split; None: it is decided.
    """
    draft = _Draft(parts)
    shares, pool_rows = _add_money(draft, city, parts, shares_cny)
    penalties: list[tuple[int, float]] = []
    elastic = _add_targets(draft, city, parts, penalties)
    _add_heat(draft, city, parts)
    _add_water(draft, city, parts)
    milp = draft.build()
    return CityArrays(
        city=city,
        parts=tuple(parts),
        milp=milp,
        objectives={goal: _objective(goal, parts, draft, penalties) for goal in goals},
        elastic=(*_elastic_of_parts(draft, parts), *elastic, *_elastic_money(city, pool_rows)),
        group=draft.groups(),
        first=draft.first,
        first_row=draft.first_row,
        shares=shares,
        pool_rows=pool_rows,
    )


class _Draft:
    """Parts one after the other, with columns, rows and entries added to them."""

    def __init__(self, parts: Sequence[CityPart]) -> None:
        self.parts = parts
        self.first = np.cumsum([0, *(part.milp.num_columns for part in parts)]).astype(np.int64)
        self.first_row = np.cumsum([0, *(part.milp.num_rows for part in parts)]).astype(np.int64)
        self.num_columns, self.num_rows = int(self.first[-1]), int(self.first_row[-1])
        self.row_upper = np.concatenate([part.milp.row_upper for part in parts])
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._row_lower: list[float] = []
        self._row_upper: list[float] = []
        self._names: list[tuple[str, int]] = []
        self._entries: list[tuple[IntArray, IntArray, FloatArray]] = []

    def place(self, name: str) -> int | None:
        """Position of the part called ``name``, None where it does not take part."""
        return next((k for k, part in enumerate(self.parts) if part.name == name), None)

    def add_column(self, upper: float, lower: float = 0.0) -> int:
        self._lower.append(lower)
        self._upper.append(upper)
        self.num_columns += 1
        return self.num_columns - 1

    def add_row(self, name: str, lower: float, upper: float) -> int:
        self._row_lower.append(lower)
        self._row_upper.append(upper)
        self._names.append((name, 1))
        self.num_rows += 1
        return self.num_rows - 1

    def add_entries(self, row: int, columns: IntArray | int, amounts: FloatArray | float) -> None:
        c, v = np.broadcast_arrays(np.atleast_1d(columns), np.asarray(amounts, np.float64))
        self._entries.append((np.full(len(c), row, dtype=np.int64), c.astype(np.int64), v))

    def groups(self) -> IntArray:
        group = np.full(self.num_columns, -1, dtype=np.int64)
        taken = 0
        for k, part in enumerate(self.parts):
            own = np.where(part.group >= 0, part.group + taken, -1)
            group[self.first[k] : self.first[k + 1]] = own
            taken = max(taken, int(own.max(initial=-1)) + 1)
        return group

    def build(self) -> Milp:
        milps = [part.milp for part in self.parts]
        inside = sp.block_diag([milp.matrix for milp in milps], format="coo")
        row, column, amount = inside.coords[0], inside.coords[1], inside.data
        if self._entries:
            extra = [np.concatenate(parts) for parts in zip(*self._entries, strict=True)]
            row, column, amount = (
                np.concatenate(pair) for pair in zip((row, column, amount), extra, strict=True)
            )
        matrix = sp.csr_array(sp.coo_array((amount, (row, column)), shape=(self.num_rows, self.num_columns)))
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        blocks = []
        for part in self.parts:
            assert isinstance(part.milp.row_names, BlockNames)
            blocks += part.milp.row_names.prefixed(f"{part.name}.")

        def join(name: str, added: list[float]) -> FloatArray:
            return np.concatenate([*(getattr(milp, name) for milp in milps), np.array(added, np.float64)])

        return Milp(
            cost=np.zeros(self.num_columns),
            matrix=matrix,
            row_lower=join("row_lower", self._row_lower),
            row_upper=np.concatenate([self.row_upper, np.array(self._row_upper, np.float64)]),
            lower=join("lower", self._lower),
            upper=join("upper", self._upper),
            integral=np.concatenate(
                [*(milp.integral for milp in milps), np.zeros(len(self._lower), np.bool_)]
            ),
            maximise=True,
            row_names=BlockNames([*blocks, *self._names]),
        )


def _add_money(
    draft: _Draft, city: City, parts: Sequence[CityPart], shares_cny: FloatArray | None
) -> tuple[IntArray, IntArray]:
    """(C1): a part's budget rows have its share as their side; shares add up to the pool at most."""
    shape = (len(parts), len(city.sources), len(city.years))
    shares = np.full(shape, -1, dtype=np.int64)
    for k, part in enumerate(parts):
        money = part.money
        rows = draft.first_row[k] + money.row
        draft.row_upper[rows] = 0.0
        for row, f, t, per_cny in zip(rows, money.source, money.year, money.per_cny, strict=True):
            if shares[k, f, t] < 0:
                most = float(city.pool_cny[f, t])
                fixed = most if shares_cny is None else float(shares_cny[k, f, t])
                shares[k, f, t] = draft.add_column(fixed, 0.0 if shares_cny is None else fixed)
            draft.add_entries(int(row), int(shares[k, f, t]), -float(per_cny))
    pool_rows = np.full(shape[1:], -1, dtype=np.int64)
    for f, t in np.argwhere((shares >= 0).any(axis=0)).tolist():
        name = f"CITY-BUDGET {city.sources[f]} {city.years[t]}"
        row = draft.add_row(name, -np.inf, float(city.pool_cny[f, t]))
        drawing = shares[:, f, t]
        draft.add_entries(row, drawing[drawing >= 0], 1.0)
        pool_rows[f, t] = row
    return shares, pool_rows


def _elastic_money(city: City, pool_rows: IntArray) -> list[ElasticRows]:
    at = np.argwhere(pool_rows >= 0)
    if not len(at):
        return []
    names = [f"{city.sources[f]} {city.years[t]}" for f, t in at]
    rows = pool_rows[tuple(at.T)]
    return elastic_budgets(names, city.pool_cny[tuple(at.T)], rows, np.full(len(rows), -1), 0.0)


def _elastic_of_parts(draft: _Draft, parts: Sequence[CityPart]) -> list[ElasticRows]:
    return [
        ElasticRows(
            clause=group.clause, where=_where(group, part), unit=group.unit,
            rows=draft.first_row[k] + group.rows, required=group.required, per_unit=group.per_unit,
            is_cap=group.is_cap, rank=group.rank,
        )
        for k, part in enumerate(parts)
        for group in part.elastic
    ]  # fmt: skip


def _where(group: ElasticRows, part: CityPart) -> str:
    """Clauses belong to one programme; what else gives way is told with its programme."""
    its_own = group.clause in CLAUSES and group.clause != REVISE
    return group.where if its_own else f"{group.where} ({part.name})".strip()


def _add_targets(
    draft: _Draft, city: City, parts: Sequence[CityPart], penalties: list[tuple[int, float]]
) -> list[ElasticRows]:
    """(C2): what public institutions use without any plan, less what the plan saves them, within the cap.

    And the changes of all programmes to their plans in force.
    """
    elastic = []
    for target in city.targets.values():
        if target.id == REVISE:
            elastic += _limit_changes(draft, target, parts, penalties)
            continue
        is_energy = target.id == ENERGY
        baseline = city.baseline_energy_tce if is_energy else city.baseline_co2_t
        per_saved = city.tce_per_mwh if is_energy else 1.0
        row = draft.add_row(target.id, -np.inf, target.required - baseline)
        for k, part in enumerate(parts):
            saved = part.energy_mwh if is_energy else part.co2_t
            if saved is not None:
                some = np.flatnonzero(saved)
                draft.add_entries(row, draft.first[k] + some, -per_saved * saved[some])
        if is_energy:
            _count_power_once(draft, city, parts, row, per_saved)
        if target.hard:
            elastic.append(
                ElasticRows(target.id, "", target.clause.unit, np.array([row]), target.required, is_cap=True)
            )
        else:
            short = draft.add_column(
                max(baseline - target.required, 0.0) + _most_added(parts, is_energy, per_saved)
            )
            draft.add_entries(row, short, -1.0)
            penalties.append((short, target.penalty_cny_per_unit))
    assert {ENERGY, CO2, REVISE} >= set(city.targets)
    return elastic


def _limit_changes(
    draft: _Draft, target: ClauseTarget, parts: Sequence[CityPart], penalties: list[tuple[int, float]]
) -> list[ElasticRows]:
    """(C5): the changes of all programmes together."""
    of_nothing = sum(part.changes_of_nothing for part in parts)
    row = draft.add_row(target.id, -np.inf, target.required - of_nothing)
    most = of_nothing
    for k, part in enumerate(parts):
        if part.changes is not None:
            some = np.flatnonzero(part.changes)
            draft.add_entries(row, draft.first[k] + some, part.changes[some])
            most += float(np.maximum(part.changes, 0.0).sum())
    if target.hard:
        return [ElasticRows(target.id, "", target.clause.unit, np.array([row]), target.required, is_cap=True)]
    short = draft.add_column(max(most - target.required, 0.0))
    draft.add_entries(row, short, -1.0)
    penalties.append((short, target.penalty_cny_per_unit))
    return []


def _most_added(parts: Sequence[CityPart], is_energy: bool, per_saved: float) -> float:
    """What plans could add to the use of public institutions at most (a heat pump draws power)."""
    saved = [part.energy_mwh if is_energy else part.co2_t for part in parts]
    return float(sum(per_saved * np.maximum(-s, 0.0).sum() for s in saved if s is not None))


def _count_power_once(
    draft: _Draft, city: City, parts: Sequence[CityPart], row: int, per_saved: float
) -> None:
    """(C3): PV at centres counts up to what they still draw: uncounted >= yields - drawn, and >= 0."""
    for centre, rows in city.pv_at_centres.groupby("centre", sort=False):
        uncounted = draft.add_column(_largest_yield(parts, list(rows["site"])))
        link = draft.add_row(f"power_counts_once {centre}", -np.inf, 0.0)
        draft.add_entries(link, uncounted, -1.0)
        for k, part in enumerate(parts):
            for name, sign in ((str(centre), -1.0), *((site, 1.0) for site in rows["site"])):
                entries = part.power_mwh.get(name)
                if entries is not None:
                    draft.add_entries(link, draft.first[k] + entries.columns, sign * entries.amounts)
        draft.add_entries(row, uncounted, per_saved)


def _largest_yield(parts: Sequence[CityPart], sites: list[str]) -> float:
    return float(
        sum(
            part.power_mwh[site].amounts.max(initial=0.0)
            for part in parts
            for site in sites
            if site in part.power_mwh
        )
    )


def _add_heat(draft: _Draft, city: City, parts: Sequence[CityPart]) -> None:
    """(C3): waste heat and the institutions' own systems serve a sink's hot water once, month by month."""
    if not len(city.shared_heat):
        return
    months = city.part(DATACENTER).data.tables["sink_months"]
    capacity = {
        (str(sink), int(month)): float(kwh)
        for sink, month, kwh in zip(months["sink"], months["month"], months["capacity_kwh"], strict=True)
    }
    for sink in dict.fromkeys(city.shared_heat["sink"]):
        for month in range(1, 13):
            row = draft.add_row(f"heat_serves_once {sink} {month}", -np.inf, capacity.get((sink, month), 0.0))
            for k, part in enumerate(parts):
                entries = part.heat_kwh.get((sink, month))
                if entries is not None:
                    draft.add_entries(row, draft.first[k] + entries.columns, entries.amounts)


def _add_water(draft: _Draft, city: City, parts: Sequence[CityPart]) -> None:
    """(C3): a linked demand is what its centres leave of it; [W-CAP] counts it as it then is."""
    water, centres = draft.place(WATER), draft.place(DATACENTER)
    if not len(city.cooling_water) or water is None or centres is None:
        return
    taking, centre_columns = parts[water], draft.first[centres]
    changes = parts[centres].water_m3
    for (demand, t), (per_year, stated) in taking.water_needed.items():
        taken, change = taking.water_taken[demand, t], changes[demand]
        row = draft.add_row(f"demand_left {demand} {t}", -np.inf, stated)
        draft.add_entries(row, draft.first[water] + taken.columns, taken.amounts)
        draft.add_entries(row, centre_columns + change.columns, -per_year * change.amounts)
    for own_row, demands in taking.intake_rows.items():
        for change in (changes[demand] for demand in demands):
            row = int(draft.first_row[water]) + own_row
            draft.add_entries(row, centre_columns + change.columns, change.amounts)


def _objective(
    goal: str, parts: Sequence[CityPart], draft: _Draft, penalties: list[tuple[int, float]]
) -> Objective:
    objectives = [part.objectives[goal] for part in parts]
    maximise = objectives[0].maximise
    cost = np.zeros(draft.num_columns)
    for k, objective in enumerate(objectives):
        cost[draft.first[k] : draft.first[k + 1]] = objective.cost
    if goal in MONEY_GOALS:
        for column, price in penalties:
            cost[column] = -price if maximise else price
    return Objective(goal, cost, maximise, sum(objective.offset for objective in objectives))
