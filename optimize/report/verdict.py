"""What verifying a run has found, for the terminal and for programs."""

from __future__ import annotations

import math
from typing import Any

from optimize.report.text import amount, grouped, percent
from optimize.result import relative_gap
from optimize.verification.run import Verdict

# Gaps closer than this are the same for a reader.
_SAME_GAP = 1e-6
_WATER_WORD = "the solver's branch and cut or network bound"


def verdict_lines(verdict: Verdict) -> list[str]:
    """One run's verdict in plain words."""
    unit = verdict.goal_unit
    lines = [f"{verdict.run.as_posix()} · {verdict.programme} · {verdict.instance}"]
    lines.append(
        f"  files      {verdict.num_files} with their hashes"
        if not any(".csv" in text or ".json" in text for text in verdict.failures)
        else "  files      see below"
    )
    if verdict.objective is not None:
        lines.append(
            f"  plan       {verdict.goal} {amount(verdict.objective, unit)} recomputed · "
            f"{amount(verdict.objective_stated, unit)} stated · "
            f"{grouped(verdict.num_rows)} rows and figures from the tables"
        )
    lines += [f"  {label:<10} {line}" for label, line in _bound_lines(verdict)]
    lines += [f"  remark     {remark}" for remark in verdict.remarks]
    if verdict.verified:
        lines.append(f"  verdict    VERIFIED in {verdict.seconds:.1f} s")
    else:
        number = len(verdict.failures)
        lines.append(f"  verdict    FAILED: {number} thing{'' if number == 1 else 's'} not as stated")
        lines += [f"    ✘ {failure}" for failure in verdict.failures]
    return lines


def _bound_lines(verdict: Verdict) -> list[tuple[str, str]]:
    unit = verdict.goal_unit
    if verdict.bound_stated is None and verdict.bound_certified is None:
        return []
    stated = "none" if verdict.bound_stated is None else amount(verdict.bound_stated, unit)
    if verdict.bound_certified is None:
        return [("bound", f"{stated} stated · gap {percent(verdict.gap_stated)}")]
    parts = _parts_of(verdict)
    shown = amount(verdict.bound_certified, unit) if math.isfinite(verdict.bound_certified) else "nothing"
    lines = [("bound", f"{shown} certified · {stated} stated · from {parts}")]
    certified, told = verdict.gap_certified, verdict.gap_stated
    if certified is None or not math.isfinite(certified):
        return lines
    word = "the solver's branch and cut" if verdict.programme != "water" else _WATER_WORD
    if told is not None and certified - told > _SAME_GAP:
        lines.append(
            (
                "gap",
                f"{percent(certified)} certified by multipliers; the stated {percent(told)} is closer "
                f"by what rests on {word}",
            )
        )
    else:
        lines.append(("gap", f"{percent(certified)}, all of it certified by multipliers"))
    by_rows = relative_gap(verdict.objective, verdict.bound_by_rows)
    if verdict.bound_by_network is not None and by_rows is not None and math.isfinite(by_rows):
        lines.append(("", f"the linear relaxation alone certifies {percent(by_rows)}"))
    return lines


def _parts_of(verdict: Verdict) -> str:
    """What the certified bound was put together from."""
    parts = f"{grouped(verdict.num_multipliers)} multipliers"
    if verdict.num_seasons:
        seasons = f"{verdict.num_seasons} season{'' if verdict.num_seasons == 1 else 's'}"
        return f"{parts} of the network over {seasons}"
    parts += f", {grouped(verdict.num_groups)} choices"
    return f"{parts}, {grouped(verdict.num_blocks)} blocks" if verdict.num_blocks else parts


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The object ``verify --json`` prints for one run."""
    return {
        "run": verdict.run.as_posix(),
        "programme": verdict.programme,
        "instance": verdict.instance,
        "status": "verified" if verdict.verified else "failed",
        "failures": verdict.failures,
        "remarks": verdict.remarks,
        "goal": verdict.goal,
        "goal_unit": verdict.goal_unit,
        "objective_stated": verdict.objective_stated,
        "objective": _finite(verdict.objective),
        "bound_stated": verdict.bound_stated,
        "bound_certified": _finite(verdict.bound_certified),
        "bound_by_rows": _finite(verdict.bound_by_rows),
        "bound_by_network": _finite(verdict.bound_by_network),
        "gap_stated": _finite(verdict.gap_stated),
        "gap_certified": _finite(verdict.gap_certified),
        "certificate": verdict.kind,
        "num_files": verdict.num_files,
        "rows_checked": verdict.num_rows,
        "seconds": round(verdict.seconds, 3),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
