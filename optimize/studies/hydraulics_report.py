"""A plan under pressure for the terminal, for programs, and as tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from optimize.report.text import amount, grouped, money, percent
from optimize.studies.hydraulics import Hydraulics, RepairedPlan
from optimize.studies.tables import aligned, plain_records
from optimize.water.hydraulics.assumptions import ASSUMPTIONS
from optimize.water.hydraulics.design import State
from optimize.water.hydraulics.network import LOADS, MEAN, PEAK

_MOST_VIOLATIONS, _MOST_WORKS, _MOST_NAMES = 8, 8, 4
_KINDS = {
    "low_pressure": ("place", "below the pressure needed"),
    "high_pressure": ("place", "above the largest pressure"),
    "velocity": ("pipe", "above the largest velocity"),
}


def hydraulics_tables(found: Hydraulics) -> dict[str, pd.DataFrame]:
    """Frames by the names of their files: the plan's violations, and pipes, nodes and pumps as they can be built."""
    state = found.final[-1]
    tables = {
        "violations": found.violations,
        "hydraulic_pipes": pipe_table(state),
        "pressures": pressure_table(state),
        "pumps": state.pumps(found.instance.parameters.pump_efficiency),
    }
    if found.repaired is not None:
        tables |= {
            "violations_left": found.repaired.violations,
            "larger_pipes": found.repaired.pipes,
            "pumping_stations": found.repaired.stations,
        }
    return tables


def pipe_table(state: State) -> pd.DataFrame:
    """Every pipe: flow, velocity and loss under both loads."""
    network, pipes = state.network, state.network.pipes
    own = network.lines.iloc[pipes["line"].to_numpy(int)].reset_index(drop=True)
    return pd.DataFrame(
        {
            "corridor": own["corridor"],
            "quality": own["quality"],
            "diameter": np.where(pipes["is_new"], own["diameter"], "existing"),
            "inner_diameter_mm": pipes["diameter_m"] * 1000.0,
            "roughness_c": pipes["roughness_c"],
            "length_m": own["length_m"],
            "peak_m3_per_h": state.flow_m3_per_s[PEAK] * 3600.0,
            "mean_m3_per_h": state.flow_m3_per_s[MEAN] * 3600.0,
            "peak_m_per_s": state.velocity_m_per_s[PEAK],
            "mean_m_per_s": state.velocity_m_per_s[MEAN],
            "peak_loss_m_per_km": state.loss_m_per_km[PEAK],
            "mean_loss_m_per_km": state.loss_m_per_km[MEAN],
        }
    )


def pressure_table(state: State) -> pd.DataFrame:
    """Every node of every quality: ground, use and pressure under both loads."""
    nodes = state.network.nodes
    return nodes[["node", "quality", "is_user", "system", "level_m", "least_m"]].assign(
        peak_use_m3_per_h=state.network.use[PEAK] * 3600.0,
        mean_use_m3_per_h=state.network.use[MEAN] * 3600.0,
        peak_pressure_m=state.pressure_m[PEAK],
        mean_pressure_m=state.pressure_m[MEAN],
    )


def hydraulics_json(found: Hydraulics, run: str, stored: str | None) -> dict[str, Any]:
    """The object ``hydraulics --json`` prints, and ``hydraulics.json`` of a stored plan."""
    network = found.states[-1].network
    return {
        "run": run,
        "programme": "water",
        "hydraulics": found.verdict,
        "standards": dataclasses.asdict(found.standards),
        "assumptions": [
            dataclasses.asdict(a) | {"value": getattr(found.standards, a.name)} for a in ASSUMPTIONS
        ],
        "network": {
            "pipes": len(network.pipes),
            "km": float(network.lines["length_m"].sum()) / 1000.0,
            "systems": network.num_systems,
            "sources": len(network.sources),
            "rings": found.layout.num_rings,
            "peak_m3_per_h": float(network.use[PEAK].sum()) * 3600.0,
            "mean_m3_per_h": float(network.use[MEAN].sum()) * 3600.0,
        },
        "violations": plain_records(found.violations),
        "slow_pipes": _num_slow(found.final[-1]),
        "terrain_disagreement_m": found.terrain_disagreement_m,
        "energy": {
            "model_kwh_per_a": found.model_kwh_per_a,
            "as_planned_kwh_per_a": found.kwh_per_a(found.states),
            "final_kwh_per_a": found.kwh_per_a(found.final),
            "beyond_the_model_present_cny": found.energy_cny,
        },
        "capex_cny": found.check.figures["capex_cny"],
        "npv_cny": found.check.figures["npv"],
        "repaired": None if found.repaired is None else _repaired_json(found, found.repaired),
        "layout": {
            "dry": plain_records(found.layout.dry),
            "oversized": plain_records(found.layout.oversized),
            "twins": plain_records(found.layout.twins),
            "crossing": plain_records(found.layout.crossing),
        },
        "stored": stored,
    }


def _repaired_json(found: Hydraulics, repaired: RepairedPlan) -> dict[str, Any]:
    before, after = found.check.figures, repaired.check.figures
    return {
        "objective": repaired.objective,
        "rounds": repaired.rounds,
        "works_paid_by_another_mix": repaired.num_refunded,
        "violations_left": plain_records(repaired.violations),
        "pipes": plain_records(repaired.pipes),
        "stations": plain_records(repaired.stations),
        "capex_cny": after["capex_cny"],
        "extra_capex_cny": after["capex_cny"] - before["capex_cny"],
        "extra_capex_share": (after["capex_cny"] - before["capex_cny"]) / max(before["capex_cny"], 1e-9),
        "npv_cny": after["npv"],
        "npv_lost_cny": before["npv"] - after["npv"],
        "checked": repaired.check.passed,
        "check_violations": [str(violation) for violation in repaired.check.violations],
    }


def _num_slow(state: State) -> int:
    flowing = np.abs(state.flow_m3_per_s[PEAK]) > 0
    return int((flowing & (state.velocity_m_per_s[PEAK] < state.network.standards.slow_m_per_s)).sum())


def hydraulics_lines(found: Hydraulics, run: str, stored: str | None) -> list[str]:
    """What a person asks: is it sound, what does it take, what does that cost."""
    network, standards = found.states[-1].network, found.standards
    daily = "peak day" if found.instance.parameters.peak_day else "users' peak days"
    lines = [
        f"{run}: pipes and pumps in the peak hour ({standards.peak_hour_factor:g} × the {daily}) and on the average day",
        f"  network     {len(network.pipes)} pipes, {grouped(network.lines['length_m'].sum() / 1000.0, 1)} km · "
        f"{network.num_systems} systems, {found.layout.num_rings} rings · {len(network.sources)} pumped sources · "
        f"{grouped(network.use[PEAK].sum() * 3600)} m3/h in the peak hour, {grouped(network.use[MEAN].sum() * 3600)} in the mean",
        f"  limits      users {standards.min_pressure_m:g} m at least · nowhere above {standards.max_pressure_m:g} m · "
        f"{standards.max_velocity_m_per_s:g} m/s at most",
        "  as planned  " + _counted(found.violations),
    ]
    lines += _violation_lines(found.violations)
    if found.repaired is not None:
        lines += _repair_lines(found, found.repaired)
    lines += _energy_lines(found)
    lines += _layout_lines(found)
    if found.terrain_disagreement_m > 0.5:
        lines.append(
            f"  ground      static heads and elevations disagree by up to {found.terrain_disagreement_m:.1f} m; "
            "they are fitted as well as can be"
        )
    lines.append("  verdict     " + _verdict(found))
    if stored is not None:
        lines.append(f"  tables      {stored}")
    return lines


def _counted(violations: pd.DataFrame) -> str:
    if violations.empty:
        return "nothing is broken"
    numbers = violations["kind"].value_counts()
    parts = [
        f"{_count(int(numbers[kind]), what)} {words}"
        for kind, (what, words) in _KINDS.items()
        if kind in numbers
    ]
    return f"{_count(len(violations), 'violation')}: {', '.join(parts)}"


def _count(number: int, what: str) -> str:
    return f"{grouped(number)} {what}{'' if number == 1 else 's'}"


def _violation_lines(violations: pd.DataFrame) -> list[str]:
    if violations.empty:
        return []
    rows = [
        [
            f"{r['where']} {r['quality']}", str(r["year"]), r["load"], f"{r['value']:.1f} {r['unit']}",
            f"{'at least' if r['kind'] == 'low_pressure' else 'at most'} {r['limit']:g}",
        ]
        for r in plain_records(violations.head(_MOST_VIOLATIONS))
    ]  # fmt: skip
    lines = [f"  {line}" for line in aligned(["where", "year", "load", "found", "wanted"], rows)]
    if len(violations) > _MOST_VIOLATIONS:
        lines.append(f"    … and {len(violations) - _MOST_VIOLATIONS} more; all with --csv FOLDER")
    return lines


def _repair_lines(found: Hydraulics, repaired: RepairedPlan) -> list[str]:
    pipes, stations = repaired.pipes, repaired.stations
    before, after = found.check.figures, repaired.check.figures
    left = "none left" if repaired.violations.empty else f"{len(repaired.violations)} left"
    lines = [
        f"  repaired    {left} after {_count(repaired.rounds, 'round')} ({repaired.objective}): "
        f"{_count(len(pipes), 'larger pipe')}, {_count(len(stations), 'pumping station')} on the way"
    ]
    lines += _violation_lines(repaired.violations)
    rows = [
        [f"{r['corridor']} {r['quality']}", f"{grouped(r['length_m'])} m", r["before"] or "none", r["after"],
         money(r["extra_capex_cny"], "CNY")]
        for r in plain_records(pipes.sort_values("extra_capex_cny", ascending=False, kind="stable").head(_MOST_WORKS))
    ]  # fmt: skip
    if rows:
        lines += [f"  {line}" for line in aligned(["pipe", "length", "before", "after", "more"], rows)]
    if len(pipes) > _MOST_WORKS:
        lines.append(f"    … and {len(pipes) - _MOST_WORKS} more")
    rows = [
        [f"{r['corridor']} {r['quality']}", f"{r['head_m']:.0f} m", f"{grouped(r['flow_m3_per_h'])} m3/h",
         f"{r['kw']:.0f} kW", money(r["capex_cny"], "CNY")]
        for r in plain_records(stations)
    ]  # fmt: skip
    if rows:
        lines += [f"  {line}" for line in aligned(["station", "head", "flow", "power", "CAPEX"], rows)]
    if repaired.num_refunded:
        lines.append(
            f"  funding     {_count(repaired.num_refunded, 'work')} paid by another mix, so that every purse holds"
        )
    extra = after["capex_cny"] - before["capex_cny"]
    lines.append(
        f"  cost        CAPEX {amount(before['capex_cny'], 'CNY')} → {amount(after['capex_cny'], 'CNY')} "
        f"(+{money(extra, 'CNY')}, {percent(extra / max(before['capex_cny'], 1e-9))}) · net present value "
        f"{amount(before['npv'], 'CNY')} → {amount(after['npv'], 'CNY')}"
    )
    return lines


def _energy_lines(found: Hydraulics) -> list[str]:
    def gwh(kwh: float) -> str:
        return f"{kwh / 1e6:.2f} GWh/a"

    now = f" · repaired {gwh(found.kwh_per_a(found.final))}" if found.repaired is not None else ""
    sign = "less" if found.energy_cny >= 0 else "more"
    return [
        f"  pumping     model {gwh(found.model_kwh_per_a)} · as planned {gwh(found.kwh_per_a(found.states))}{now} "
        f"→ {money(abs(found.energy_cny), 'CNY')} {sign} net present value than the model has"
    ]


def _layout_lines(found: Hydraulics) -> list[str]:
    layout, state = found.layout, found.final[-1]
    told = []
    if len(layout.dry):
        names = _names(
            [f"{c} {q}" for c, q in zip(layout.dry["corridor"], layout.dry["quality"], strict=True)]
        )
        told.append(
            f"{_count(len(layout.dry), 'pipe')} without water ({names}): {money(layout.dry['capex_cny'].sum(), 'CNY')}"
        )
    if len(layout.oversized):
        told.append(
            f"{_count(len(layout.oversized), 'pipe')} larger than the model asks for: {money(layout.oversized['saving_cny'].sum(), 'CNY')}"
        )
    for frame, words in (
        (layout.twins, "twins between the same nodes"),
        (layout.crossing, "crossings without a node"),
    ):
        if len(frame):
            pairs = [f"{a}/{b}" for a, b in zip(frame["corridor"], frame["other"], strict=True)]
            told.append(f"{_count(len(frame), words)} ({_names(pairs)})")
    slow = _num_slow(state)
    if slow:
        told.append(
            f"{_count(slow, 'slow pipe')} (below {state.network.standards.slow_m_per_s:g} m/s in the peak hour)"
        )
    return ["  remarks     " + " · ".join(told)] if told else []


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")


def _verdict(found: Hydraulics) -> str:
    if found.verdict == "clean":
        return f"sound as planned, under the {LOADS[PEAK]} and on the {LOADS[MEAN]}"
    if found.verdict == "repaired":
        return "sound once repaired; the repaired plan passed the independent check of all rows, stations counted"
    if found.verdict == "over its limits":
        assert found.repaired is not None
        broken = found.repaired.check.violations
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        told = "; ".join(str(violation) for violation in broken[:3])
        return f"sound once repaired, but no longer within its limits: {told}{more}{_way_out(found, found.repaired)}"
    if found.repaired is None:
        return "not sound as planned; leave out --no-repair to see what it takes"
    return "not sound: no diameter of the table, no more head and no pumping station repairs what is left"


def _way_out(found: Hydraulics, repaired: RepairedPlan) -> str:
    """Where only money is short: what leaves room for the repair."""
    if any(violation.equation != "W12" for violation in repaired.check.violations):
        return ""
    share = found.check.figures["capex_cny"] / repaired.check.figures["capex_cny"]
    scale = math.floor(100 * found.instance.parameters.budget_scale * share) / 100
    return f"; a plan solved with --set budgets.scale={scale:g} leaves room for its repair"
