"""From the values of a solved model to the plan's frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from optimize.water import solution as names
from optimize.water.coefficients import Coefficients
from optimize.water.instance import Instance
from optimize.water.solution import Solution

Values = Mapping[Any, float]

_SMALLEST_FLOW_M3_PER_D = 1e-9


@dataclass(frozen=True)
class PlanValues:
    """Values by index (`optimize.water.formulation` names the axes; the stage stands last or last but one)."""

    pipe_built: Values
    module_built: Values
    user_connected: Values
    tanker_served: Values
    storage_built: Values
    cascade_built: Values
    zld_built: Values
    pilot_done: Values
    growth_refused: Values
    mix_used: Values
    flow: Values
    product: Values
    delivered: Values
    hauled: Values
    reused: Values
    stored_in: Values
    stored_out: Values
    level: Values


def plan_from_values(instance: Instance, c: Coefficients, v: PlanValues) -> Solution:
    """Frames of ids from values by position; of periods merged into one, each has its values."""
    v = _in_all_periods(c, v)
    year = instance.parameters.base_year
    modules = instance.modules
    sites, cascades = instance.storage_sites["site"], instance.cascades["cascade"]
    parks, pilots = instance.parks["park"], instance.pilots["pilot"]
    pipe_rows = [
        (c.corridor_ids[e], c.quality_ids[g], c.diameter_ids[d], year + s)
        for (e, g, d), s in _first_stage(v.pipe_built)
    ]
    module_rows = [
        (modules["plant"][k], modules["quality"][k], modules["step"][k], year + s)
        for (k,), s in _first_stage(v.module_built)
    ]
    connection_rows = [(c.user_ids[u], "pipe", year + s) for (u,), s in _first_stage(v.user_connected)]
    connection_rows += [(c.user_ids[u], "tanker", year + s) for (u,), s in _first_stage(v.tanker_served)]
    built_rows = [("storage", sites[h], year + s) for (h,), s in _first_stage(v.storage_built)]
    built_rows += [("cascade", cascades[i], year + s) for (i,), s in _first_stage(v.cascade_built)]
    built_rows += [("zld", parks[i], year + s) for (i,), s in _first_stage(v.zld_built)]
    built_rows += [("pilot", pilots[i], year) for i, value in v.pilot_done.items() if value > 0.5]
    refusal_rows = [(c.user_ids[u], year + s) for (u, s), value in v.growth_refused.items() if value > 0.5]
    return Solution(
        pipes=_frame(pipe_rows, names.PIPE_COLUMNS),
        modules=_frame(module_rows, names.MODULE_COLUMNS),
        connections=_frame(connection_rows, names.CONNECTION_COLUMNS),
        built=_frame(built_rows, names.BUILT_COLUMNS),
        refusals=_frame(refusal_rows, names.REFUSAL_COLUMNS),
        funding=_frame(_funding_rows(instance, c, v, year), names.FUNDING_COLUMNS),
        flows=_frame(_net_flow_rows(c, v, year), names.FLOW_COLUMNS),
        production=_frame(
            _flow_rows(v.product, lambda p, g, s, t: (year + s, c.plant_ids[p], c.quality_ids[g], t)),
            names.PRODUCTION_COLUMNS,
        ),
        reuse=_frame(_flow_rows(v.reused, lambda i, s, t: (year + s, cascades[i], t)), names.REUSE_COLUMNS),
        deliveries=_frame(_delivery_rows(c, v, year), names.DELIVERY_COLUMNS),
        storage=_frame(_storage_rows(sites, v, year), names.STORAGE_COLUMNS),
    )


def _in_all_periods(c: Coefficients, v: PlanValues) -> PlanValues:
    """Values by period of the whole network."""
    if c.reduction is None:
        return v
    originals: dict[int, list[int]] = {}
    for period, merged in enumerate(c.reduction.period_of.tolist()):
        originals.setdefault(merged, []).append(period)

    def spread(values: Values) -> Values:
        return {(*index, t): value for (*index, merged), value in values.items() for t in originals[merged]}

    by_period = ("flow", "product", "delivered", "hauled", "reused", "stored_in", "stored_out", "level")
    return replace(v, **{name: spread(getattr(v, name)) for name in by_period})


def _frame(rows: Sequence[tuple[Any, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(sorted(rows), columns=list(columns))


def _first_stage(built: Values) -> list[tuple[tuple[int, ...], int]]:
    """Index without stage, and the stage in which it is built."""
    first: dict[tuple[int, ...], int] = {}
    for (*index, s), value in sorted(built.items()):
        if value > 0.5:
            first.setdefault(tuple(index), s)
    return list(first.items())


def _flow_rows(values: Values, key: Callable[..., tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(*key(*index), value) for index, value in values.items() if abs(value) > _SMALLEST_FLOW_M3_PER_D]


def _net_flow_rows(c: Coefficients, v: PlanValues, year: int) -> list[tuple[Any, ...]]:
    net: dict[tuple[int, int, int, int], float] = {}
    for (e, a, g, s, t), value in v.flow.items():
        net[e, g, s, t] = net.get((e, g, s, t), 0.0) + (value if a == 0 else -value)
    return _flow_rows(net, lambda e, g, s, t: (year + s, c.corridor_ids[e], c.quality_ids[g], t))


def _delivery_rows(c: Coefficients, v: PlanValues, year: int) -> list[tuple[Any, ...]]:
    return [
        row
        for values, mode in ((v.delivered, "pipe"), (v.hauled, "tanker"))
        for row in _flow_rows(
            values, lambda q, g, s, t, mode=mode: (year + s, c.demand_ids[q], c.quality_ids[g], t, mode)
        )
    ]


def _storage_rows(sites: pd.Series, v: PlanValues, year: int) -> list[tuple[Any, ...]]:
    rows = []
    for (h, s, t), level in v.level.items():
        into, out = v.stored_in[h, s, t], v.stored_out[h, s, t]
        if max(level, into, out) > _SMALLEST_FLOW_M3_PER_D:
            rows.append((year + s, sites[h], t, into, out, level))
    return rows


def _funding_rows(instance: Instance, c: Coefficients, v: PlanValues, year: int) -> list[tuple[Any, ...]]:
    modules = instance.modules
    name_of: dict[str, Callable[..., str]] = {
        "module": lambda k: f"{modules['plant'][k]}:{modules['quality'][k]}:{modules['step'][k]}",
        "pipe": lambda e, g, d: f"{c.corridor_ids[e]}:{c.quality_ids[g]}:{c.diameter_ids[d]}",
        "connection": lambda u: c.user_ids[u],
        "tanker": lambda u: c.user_ids[u],
        "storage": lambda h: str(instance.storage_sites["site"][h]),
        "cascade": lambda i: str(instance.cascades["cascade"][i]),
        "zld": lambda i: str(instance.parks["park"][i]),
    }
    mixes = {
        kind: investments.mixes
        for kind, investments in {
            "module": c.modules, "pipe": c.pipes, "connection": c.connections, "tanker": c.tankers,
            "storage": c.storage, "cascade": c.cascades, "zld": c.zld,
        }.items()
    }  # fmt: skip
    first: dict[tuple[str, str, str], int] = {}
    for (kind, *index, s, mix), value in v.mix_used.items():
        if value > 0.5:
            row = c.pipe_row(*index) if kind == "pipe" else index[0]
            key = (kind, name_of[kind](*index), c.plan.agreed_mix(kind, row) or mixes[kind][mix])
            first[key] = min(s, first.get(key, s))
    return [(*key, year + s) for key, s in first.items()]
