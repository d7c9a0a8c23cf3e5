"""The checker's own reading of the raw tables and of a plan, as dense arrays.

Nothing here is shared with `coefficients`: it is derived a second time, on purpose, so that a slip
there shows as a failed check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.water.instance import Instance
from optimize.water.solution import Solution

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=float)
_SEASON_OF_MONTH = (3, 3, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3)  # winter months belong to the last season


@dataclass(frozen=True)
class Axes:
    """Id lists in table order."""

    nodes: pd.Index
    plants: pd.Index
    users: pd.Index
    demands: pd.Index
    qualities: pd.Index
    corridors: pd.Index
    diameters: pd.Index
    sites: pd.Index
    cascades: pd.Index
    parks: pd.Index
    pilots: pd.Index
    modules: pd.Index
    years: pd.Index
    num_periods: int


@dataclass(frozen=True)
class Facts:
    """Quantities of the tables by period: days (T,), demand and growth (S, Q, T), effluent (P, T)."""

    axes: Axes
    days: FloatArray
    year_weight: FloatArray
    user_of_demand: IntArray
    demand: FloatArray
    growth: FloatArray
    effluent: FloatArray
    available: FloatArray
    accepts: NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """The plan as arrays; investments as "stands by stage s" (S, …), flows m3/d."""

    pipe: NDArray[np.bool_]  # (S, E, G, D)
    module: NDArray[np.bool_]  # (S, K)
    piped: NDArray[np.bool_]  # (S, U)
    tankered: NDArray[np.bool_]  # (S, U)
    storage: NDArray[np.bool_]  # (S, H)
    cascade: NDArray[np.bool_]  # (S, C)
    zld: NDArray[np.bool_]  # (S, parks)
    pilot: NDArray[np.bool_]  # (pilots,)
    refused: NDArray[np.bool_]  # (S, U)
    flow: FloatArray  # (S, E, G, T)
    product: FloatArray  # (S, P, G, T)
    delivered: FloatArray  # (S, Q, G, T)
    hauled: FloatArray  # (S, Q, G, T)
    reused: FloatArray  # (S, C, T)
    stored_in: FloatArray  # (S, H, T)
    stored_out: FloatArray  # (S, H, T)
    level: FloatArray  # (S, H, T)
    faults: tuple[tuple[str, str], ...]
    """Rows that cannot be read: (frame, what is wrong)."""


def annuity(rate: float, years: FloatArray | float) -> Any:
    """Present value of 1 CNY at the end of each of ``years`` years."""
    return years if rate == 0 else (1 - (1 + rate) ** (-np.asarray(years, dtype=float))) / rate


def recount_facts(instance: Instance) -> Facts:
    """Demand, effluent and weights from the raw tables."""
    p = instance.parameters
    stages = p.num_years if p.phased else 1
    factors = {"": np.ones(12)}
    for name, rows in instance.profiles.groupby("profile"):
        factors[str(name)] = rows.sort_values("month")["factor"].to_numpy(float)
    demands = instance.user_demands
    by_user = instance.users.set_index("user").loc[demands["user"]]
    shape = np.array([factors[name] for name in demands["profile"]]).reshape(len(demands), 12)
    base = demands["base_m3_per_d"].to_numpy(float)[:, None] * shape
    share = by_user["growth_share"].to_numpy(float)[:, None]
    grown = [base * (1 + share * (s + 1) / stages) for s in range(stages)]
    peak_month = int(np.argmax(grown[-1].sum(axis=0))) if len(base) else 0
    peak_factor = by_user["peak_day_factor"].to_numpy(float)
    effluent, ecological = _monthly_water(instance, factors)
    available = np.maximum(effluent - ecological, 0)

    def periods(monthly: FloatArray, factor: FloatArray | float = 1.0) -> FloatArray:
        return _to_periods(monthly, p.periods, peak_month if p.peak_day else None, factor)

    weights = np.array([(1 + p.discount_rate) ** -(s + 1.0) for s in range(stages)])
    later = np.arange(stages, p.horizon_years + 1)
    weights[-1] = ((1 + p.discount_rate) ** -later.astype(float)).sum()
    return Facts(
        axes=_axes(instance, stages),
        days=_days(p.periods, p.peak_day),
        year_weight=weights,
        user_of_demand=pd.Index(instance.users["user"])
        .get_indexer(pd.Index(demands["user"]))
        .astype(np.int64),
        demand=np.stack([periods(month, peak_factor) for month in grown]),
        growth=np.stack([periods(np.maximum(month - base, 0), peak_factor) for month in grown]),
        effluent=periods(effluent),
        available=periods(available),
        accepts=_accepted(instance),
    )


def _axes(instance: Instance, stages: int) -> Axes:
    p = instance.parameters
    return Axes(
        nodes=pd.Index(instance.nodes),
        plants=pd.Index(instance.plants["plant"]),
        users=pd.Index(instance.users["user"]),
        demands=pd.Index(instance.user_demands["demand"]),
        qualities=pd.Index(instance.qualities["quality"]),
        corridors=pd.Index(instance.corridors["corridor"]),
        diameters=pd.Index(instance.pipes["diameter"]),
        sites=pd.Index(instance.storage_sites["site"]),
        cascades=pd.Index(instance.cascades["cascade"]),
        parks=pd.Index(instance.parks["park"]),
        pilots=pd.Index(instance.pilots["pilot"]),
        modules=_joined(instance.modules, ("plant", "quality", "step")),
        years=pd.Index([p.base_year + s for s in range(stages)]),
        num_periods=p.periods + int(p.peak_day),
    )


def _joined(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Index:
    text = frame[columns[0]].astype(str)
    for column in columns[1:]:
        text = text + ":" + frame[column].astype(str)
    return pd.Index(text)


def _days(periods: int, peak_day: bool) -> FloatArray:
    season = np.array(_SEASON_OF_MONTH)
    days = {
        1: np.array([365.0]),
        4: np.array([_MONTH_DAYS[season == s].sum() for s in range(4)]),
        12: _MONTH_DAYS,
    }[periods]
    return np.append(days, 0.0) if peak_day else days


def _to_periods(
    monthly: FloatArray, periods: int, peak_month: int | None, factor: FloatArray | float
) -> FloatArray:
    volume = monthly * _MONTH_DAYS
    if periods == 12:
        means = monthly
    elif periods == 4:
        season = np.array(_SEASON_OF_MONTH)
        means = np.stack(
            [volume[:, season == s].sum(axis=1) / _MONTH_DAYS[season == s].sum() for s in range(4)], axis=1
        )
    else:
        means = volume.sum(axis=1, keepdims=True) / 365.0
    if peak_month is None:
        return means
    return np.column_stack([means, monthly[:, peak_month] * factor])


def _monthly_water(instance: Instance, factors: dict[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
    effluent, ecological = [], []
    measured = {str(name): rows.sort_values("month") for name, rows in instance.plant_months.groupby("plant")}
    plants = instance.plants
    for row in range(len(plants)):
        name = plants["plant"][row]
        if name in measured:
            effluent.append(measured[name]["effluent_m3_per_d"].to_numpy(float))
            ecological.append(measured[name]["ecological_m3_per_d"].to_numpy(float))
        else:
            effluent.append(plants["effluent_m3_per_d"][row] * factors[plants["effluent_profile"][row]])
            ecological.append(plants["ecological_m3_per_d"][row] * factors[plants["ecological_profile"][row]])
    shape = (len(plants), 12)
    return np.array(effluent, dtype=float).reshape(shape), np.array(ecological, dtype=float).reshape(shape)


def _accepted(instance: Instance) -> NDArray[np.bool_]:
    """(Q, G)."""
    pairs = set(zip(instance.accepts["need"], instance.accepts["quality"], strict=True))
    qualities = instance.qualities["quality"].tolist()
    needs = instance.user_demands["need"].tolist()
    table = {need: [need == q or (need, q) in pairs for q in qualities] for need in set(needs)}
    return np.array([table[need] for need in needs], dtype=bool).reshape(len(needs), len(qualities))


def read_plan(instance: Instance, facts: Facts, solution: Solution) -> Plan:
    """The plan's frames as arrays; what cannot be read is listed in ``faults``."""
    a = facts.axes
    reader = _Reader(a)
    connections, built = solution.connections, solution.built
    every = range(a.num_periods)

    def part(frame: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
        return frame[frame[column] == value]

    def flows(name: str, frame: pd.DataFrame, keys: dict[str, pd.Index], value: str) -> FloatArray:
        full = {"year": a.years, **keys, "period": pd.Index(every)}
        return reader.amounts(name, frame, full, value)

    known_modes = set(connections["mode"]) | set(solution.deliveries["mode"])
    if known_modes - {"pipe", "tanker"}:
        reader.faults.append(("connections", f"unknown modes {sorted(known_modes)}"))
    unknown = set(built["kind"]) - {"storage", "cascade", "zld", "pilot"}
    if unknown:
        reader.faults.append(("built", f"unknown kinds {sorted(unknown)}"))
    if connections["user"].duplicated().any():
        reader.faults.append(("connections", "a user twice"))
    modules = solution.modules.assign(
        module=_joined(solution.modules, ("plant", "quality", "step")).to_numpy()
    )
    pilots = part(built, "kind", "pilot").assign(year=a.years[0])
    by_quality = {"quality": a.qualities}
    return Plan(
        pipe=reader.stands(
            "pipes", solution.pipes, {"corridor": a.corridors, **by_quality, "diameter": a.diameters}
        ),
        module=reader.stands("modules", modules, {"module": a.modules}),
        piped=reader.stands("connections", part(connections, "mode", "pipe"), {"user": a.users}),
        tankered=reader.stands("connections", part(connections, "mode", "tanker"), {"user": a.users}),
        storage=reader.stands("built", part(built, "kind", "storage"), {"id": a.sites}),
        cascade=reader.stands("built", part(built, "kind", "cascade"), {"id": a.cascades}),
        zld=reader.stands("built", part(built, "kind", "zld"), {"id": a.parks}),
        pilot=reader.stands("built", pilots, {"id": a.pilots})[0],
        refused=reader.amounts(
            "refusals", solution.refusals.assign(one=1.0), {"year": a.years, "user": a.users}, "one"
        )
        > 0.5,
        flow=flows("flows", solution.flows, {"corridor": a.corridors, **by_quality}, "flow_m3_per_d"),
        product=flows(
            "production", solution.production, {"plant": a.plants, **by_quality}, "product_m3_per_d"
        ),
        delivered=flows(
            "deliveries",
            part(solution.deliveries, "mode", "pipe"),
            {"demand": a.demands, **by_quality},
            "delivered_m3_per_d",
        ),
        hauled=flows(
            "deliveries",
            part(solution.deliveries, "mode", "tanker"),
            {"demand": a.demands, **by_quality},
            "delivered_m3_per_d",
        ),
        reused=flows("reuse", solution.reuse, {"cascade": a.cascades}, "flow_m3_per_d"),
        stored_in=flows("storage", solution.storage, {"site": a.sites}, "inflow_m3_per_d"),
        stored_out=flows("storage", solution.storage, {"site": a.sites}, "outflow_m3_per_d"),
        level=flows("storage", solution.storage, {"site": a.sites}, "level_m3"),
        faults=tuple(dict.fromkeys(reader.faults)),
    )


class _Reader:
    """Frames to dense arrays; unknown ids, years, periods and repeated rows become faults."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.faults: list[tuple[str, str]] = []

    def positions(
        self, name: str, frame: pd.DataFrame, keys: dict[str, pd.Index]
    ) -> tuple[list[IntArray], Any]:
        found = [axis.get_indexer(pd.Index(frame[column])).astype(np.int64) for column, axis in keys.items()]
        known = np.ones(len(frame), dtype=bool)
        for (column, _), index in zip(keys.items(), found, strict=True):
            if (index < 0).any():
                wrong = frame[column].to_numpy()[index < 0]
                self.faults.append((name, f"unknown {column} {wrong[0]}"))
            known &= index >= 0
        if frame.duplicated(list(keys)).any():
            self.faults.append((name, "a row twice"))
        return [index[known] for index in found], known

    def amounts(self, name: str, frame: pd.DataFrame, keys: dict[str, pd.Index], value: str) -> FloatArray:
        found, known = self.positions(name, frame, keys)
        amounts = np.zeros([len(axis) for axis in keys.values()])
        values = frame[value].to_numpy(float)[known]
        if not np.isfinite(values).all():
            self.faults.append((name, f"{value} is not a number"))
        np.add.at(amounts, tuple(found), values)
        return amounts

    def stands(self, name: str, frame: pd.DataFrame, keys: dict[str, pd.Index]) -> NDArray[np.bool_]:
        found, _ = self.positions(name, frame, {**keys, "year": self.axes.years})
        stages = len(self.axes.years)
        built = np.zeros((stages, *(len(axis) for axis in keys.values())), dtype=bool)
        built[(found[-1], *found[:-1])] = True
        if frame.duplicated(list(keys)).any():
            self.faults.append((name, "built twice"))
        return np.logical_or.accumulate(built, axis=0)


def production_kwh_per_m3(instance: Instance, facts: Facts) -> FloatArray:
    """Electricity per m3 of product, (P, G)."""
    a, treatment = facts.axes, instance.treatment
    kwh = np.zeros((len(a.plants), len(a.qualities)))
    at = (
        a.plants.get_indexer(pd.Index(treatment["plant"])),
        a.qualities.get_indexer(pd.Index(treatment["quality"])),
    )
    kwh[at] = treatment["kwh_per_m3"].to_numpy(float)
    return kwh


def carriage_kwh_per_m3(instance: Instance) -> tuple[FloatArray, FloatArray]:
    """Pumping along and against each corridor, (E,): friction, and lift where it goes up."""
    p, corridors = instance.parameters, instance.corridors
    friction = p.pumping_kwh_per_m3_per_km * corridors["length_m"].to_numpy(float) / 1000.0
    head = corridors["static_head_m"].to_numpy(float)
    # 1000 kg x 9.80665 m/s2 x 1 m = 9806.65 J; 3.6e6 J are a kWh
    kwh_per_m = 9806.65 / 3.6e6 / p.pump_efficiency
    return friction + kwh_per_m * head.clip(min=0), friction + kwh_per_m * (-head).clip(min=0)


def carriage_cost_cny_per_m3(instance: Instance) -> tuple[FloatArray, FloatArray]:
    """Cost along and against each corridor, (E,)."""
    along, against = carriage_kwh_per_m3(instance)
    price, unit = instance.parameters.electricity_cny_per_kwh, instance.corridors["unit_cost_cny_per_m3"]
    other = unit.to_numpy(float)
    return other + price * along, other + price * against
