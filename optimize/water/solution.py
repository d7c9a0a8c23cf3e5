"""A plan of the reclaimed-water programme, as frames keyed by the ids of the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from optimize.plan_columns import plan_columns
from optimize.revision import FROZEN_STATES
from optimize.water.instance import Instance

PIPE_COLUMNS = ("corridor", "quality", "diameter", "year")
MODULE_COLUMNS = ("plant", "quality", "step", "year")
CONNECTION_COLUMNS = ("user", "mode", "year")
BUILT_COLUMNS = ("kind", "id", "year")
REFUSAL_COLUMNS = ("user", "year")
FUNDING_COLUMNS = ("kind", "id", "mix", "year")
FLOW_COLUMNS = ("year", "corridor", "quality", "period", "flow_m3_per_d")
PRODUCTION_COLUMNS = ("year", "plant", "quality", "period", "product_m3_per_d")
REUSE_COLUMNS = ("year", "cascade", "period", "flow_m3_per_d")
DELIVERY_COLUMNS = ("year", "demand", "quality", "period", "mode", "delivered_m3_per_d")
STORAGE_COLUMNS = ("year", "site", "period", "inflow_m3_per_d", "outflow_m3_per_d", "level_m3")


@dataclass(frozen=True)
class Solution:
    """What is built, when, and how it runs.  Zero rows are left out of every frame.

    Years are calendar years.  An investment row says in which year it is built.  An operating row
    (`flows`, `production`, `reuse`, `deliveries`, `storage`) belongs to the *stage* of its year:
    the operation once everything built up to that year stands; where the instance is not phased
    the only stage is the base year.  Periods count from 0; the peak day, if any, is the last.

    Attributes
    ----------
    pipes : corridor, quality, diameter, year.
    modules : plant, quality, step, year.
    connections : user, mode (``pipe`` or ``tanker``), year.
    built : kind (``storage``, ``cascade``, ``zld`` or ``pilot``), id, year; for a pilot the year
        from which it counts.
    refusals : users refused growth, and from which year.
    funding : kind, id, mix, year for every investment of a kind that has more than one mix (id of
        a pipe is ``corridor:quality:diameter``, of a module ``plant:quality:step``).
    flows : signed m3/d, positive from ``from_node`` to ``to_node``.
    production : product m3/d.   reuse : m3/d taken from each cascade.
    deliveries : m3/d to each demand, by quality and mode.
    storage : m3/d in and out of each site and its level at the end of the period (m3; for the
        peak day the volume released).
    """

    pipes: pd.DataFrame
    modules: pd.DataFrame
    connections: pd.DataFrame
    built: pd.DataFrame
    refusals: pd.DataFrame
    funding: pd.DataFrame
    flows: pd.DataFrame
    production: pd.DataFrame
    reuse: pd.DataFrame
    deliveries: pd.DataFrame
    storage: pd.DataFrame
    reported: Mapping[str, float] = field(default_factory=dict)
    """Figures by goal name as the engine states them; the checker recomputes each."""


def empty_frame(columns: tuple[str, ...]) -> pd.DataFrame:
    """Frame without rows."""
    return pd.DataFrame(columns=list(columns), dtype=object)


def nothing_built() -> Solution:
    """The plan that builds nothing."""
    return Solution(
        pipes=empty_frame(PIPE_COLUMNS),
        modules=empty_frame(MODULE_COLUMNS),
        connections=empty_frame(CONNECTION_COLUMNS),
        built=empty_frame(BUILT_COLUMNS),
        refusals=empty_frame(REFUSAL_COLUMNS),
        funding=empty_frame(FUNDING_COLUMNS),
        flows=empty_frame(FLOW_COLUMNS),
        production=empty_frame(PRODUCTION_COLUMNS),
        reuse=empty_frame(REUSE_COLUMNS),
        deliveries=empty_frame(DELIVERY_COLUMNS),
        storage=empty_frame(STORAGE_COLUMNS),
    )


def plan_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """The plan as tables for a reader, with names, money, who pays, and yearly volumes."""
    plants, pipes = _plants_table(instance, solution), _pipes_table(instance, solution)
    users, pilots = _users_table(instance, solution), solution.built["kind"] == "pilot"
    works = solution.built[~pilots].reset_index(drop=True)
    connection = users["mode"].map({"pipe": "connection"}).fillna("tanker")
    return {
        "plants": _with_payer(
            instance, solution, plants, "module", _joined(plants, "plant", "quality", "step")
        ),
        "users": _with_payer(instance, solution, users, connection, users["user"]),
        "pipes": _with_payer(
            instance, solution, pipes, "pipe", _joined(pipes, "corridor", "quality", "diameter")
        ),
        "other_works": _with_payer(instance, solution, works, works["kind"], works["id"]),
        "pilots": solution.built[pilots].reset_index(drop=True),
        "refusals": solution.refusals,
        "funding": solution.funding,
        "flows": solution.flows,
        "production": solution.production,
        "deliveries": solution.deliveries,
        "reuse": solution.reuse,
        "storage": solution.storage,
    }


def read_plan(tables: Mapping[str, pd.DataFrame]) -> Solution:
    """The plan of stored tables (text cells); inverse of `plan_tables`."""

    def part(table: str, columns: tuple[str, ...]) -> pd.DataFrame:
        whole = tuple(name for name in columns if name in ("year", "period"))
        floats = tuple(name for name in columns if name.endswith(("_m3", "_m3_per_d")))
        texts = tuple(name for name in columns if name not in whole + floats)
        found = plan_columns(tables, table, texts=texts, whole=whole, floats=floats, order=columns)
        return found if len(found) else empty_frame(columns)

    return Solution(
        pipes=part("pipes", PIPE_COLUMNS),
        modules=part("plants", MODULE_COLUMNS),
        connections=part("users", CONNECTION_COLUMNS),
        built=_joined_rows(part("other_works", BUILT_COLUMNS), tables, part),
        refusals=part("refusals", REFUSAL_COLUMNS),
        funding=part("funding", FUNDING_COLUMNS),
        flows=part("flows", FLOW_COLUMNS),
        production=part("production", PRODUCTION_COLUMNS),
        reuse=part("reuse", REUSE_COLUMNS),
        deliveries=part("deliveries", DELIVERY_COLUMNS),
        storage=part("storage", STORAGE_COLUMNS),
    )


def _joined_rows(
    works: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    part: Callable[[str, tuple[str, ...]], pd.DataFrame],
) -> pd.DataFrame:
    """Other works and pilots; earlier versions stored them in one table."""
    if "pilots" not in tables:
        return works
    parts = [frame for frame in (works, part("pilots", BUILT_COLUMNS)) if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else works


def _joined(frame: pd.DataFrame, *columns: str) -> pd.Series:
    return frame[list(columns)].astype(str).agg(":".join, axis=1) if len(frame) else pd.Series(dtype=object)


def _with_payer(
    instance: Instance, solution: Solution, frame: pd.DataFrame, kind: pd.Series | str, name: pd.Series
) -> pd.DataFrame:
    """The funding mix of each work: the one chosen, or the only one; "" where no rule says who pays."""
    funding, rules = solution.funding, instance.funding
    chosen = dict(zip(zip(funding["kind"], funding["id"], strict=True), funding["mix"], strict=True))
    kinds = [kind] * len(frame) if isinstance(kind, str) else list(kind)

    def only(project_kind: str) -> str:
        own = rules[rules["project_kind"] == project_kind]
        mixes = set((own if len(own) else rules[rules["project_kind"] == "*"])["mix"])
        return str(next(iter(mixes))) if len(mixes) == 1 else ""

    single = {project_kind: only(project_kind) for project_kind in set(kinds)}
    mix = [chosen.get((k, str(n)), single[k]) for k, n in zip(kinds, name, strict=True)]
    return frame.assign(mix=pd.Series(mix, index=frame.index, dtype=object))


def _at_actual_cost(instance: Instance, frame: pd.DataFrame, table: str, *columns: str) -> pd.DataFrame:
    """Contracts at what they cost in fact; ``columns`` : of their id in the table."""
    plan = instance.plan_in_force
    own = plan[(plan["table"] == table) & plan["state"].isin(FROZEN_STATES)]
    actual = _joined(frame, *columns).map(dict(zip(own["project"], own["actual_capex_cny"], strict=True)))
    return frame.assign(capex_cny=actual.astype(float).fillna(frame["capex_cny"])) if len(frame) else frame


def _plants_table(instance: Instance, solution: Solution) -> pd.DataFrame:
    modules = solution.modules.merge(
        instance.modules[["plant", "quality", "step", "capacity_m3_per_d", "capex_cny"]],
        on=["plant", "quality", "step"],
        how="left",
    )
    modules = _at_actual_cost(instance, modules, "plants", "plant", "quality")
    return modules.merge(instance.plants[["plant", "name_zh", "name_en", "district"]], on="plant", how="left")


def _users_table(instance: Instance, solution: Solution) -> pd.DataFrame:
    deliveries = solution.deliveries.merge(instance.user_demands[["demand", "user"]], on="demand", how="left")
    peak = (
        deliveries.groupby(["user", "year", "period"])["delivered_m3_per_d"]
        .sum()
        .groupby("user")
        .max()
        .rename("largest_delivery_m3_per_d")
    )
    return (
        solution.connections.merge(
            instance.users[["user", "name_zh", "name_en", "district", "kind", "connection_capex_cny"]],
            on="user",
            how="left",
        )
        .merge(peak.reset_index(), on="user", how="left")
        .fillna({"largest_delivery_m3_per_d": 0.0})
    )


def _pipes_table(instance: Instance, solution: Solution) -> pd.DataFrame:
    corridors = instance.corridors[
        ["corridor", "from_node", "to_node", "length_m", "terrain_factor", "fixed_capex_cny", "district"]
    ]
    pipes = (
        solution.pipes.merge(corridors, on="corridor", how="left")
        .merge(
            instance.pipes[["diameter", "capacity_m3_per_d", "capex_cny_per_m"]], on="diameter", how="left"
        )
        .merge(instance.qualities[["quality", "pipe_capex_factor"]], on="quality", how="left")
    )
    pipes["capex_cny"] = pipes["fixed_capex_cny"] + (
        pipes["length_m"] * pipes["terrain_factor"] * pipes["capex_cny_per_m"] * pipes["pipe_capex_factor"]
    )
    pipes = _at_actual_cost(instance, pipes, "pipes", "corridor", "quality")
    return pipes.drop(columns=["terrain_factor", "fixed_capex_cny", "capex_cny_per_m", "pipe_capex_factor"])
