"""A race as a table for people and as one JSON object for programs."""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from optimize.bench.child import Task
from optimize.bench.ingredients import change, share_of
from optimize.bench.marks import MARKS
from optimize.bench.race import NOT_RUN, Entry, Race
from optimize.bench.seeds import Standing
from optimize.programme import Goal, Programme
from optimize.report import text

CLOCK = "seconds from after the tables are read; deriving options and building the model count"
_BUSY = 1.25
"""Wall seconds per processor second from which a machine is called busy."""
_TITLES = (
    "contender", "first plan", *(f"to {100 * mark:g} %" for mark in MARKS), "gap", "of gross", "plan", "bound",
    "build", "processor", "peak memory", "ended",
)  # fmt: skip
_SHARE_TITLES = (
    "optimize", "first plan", "plan", "change", "bound", "change", "gap", "of gross", "closes", "by plan",
    "by bound", "ended",
)  # fmt: skip


def head_lines(programme: Programme, task: Task, case: str) -> list[str]:
    """What is raced and how."""
    goal = programme.goal(task.goal)
    plural = "" if task.threads == 1 else "s"
    engine = "" if task.engine == "auto" else f"{task.engine} engine, "
    return [
        f"{programme.en} · {programme.zh} · {case} · {goal.en} · {engine}{task.threads} thread{plural}, "
        f"limit {task.time_limit_s:g} s, gap {100 * task.gap:g} %, seed {task.seed}",
        f"{CLOCK}; each contender in its own process, one after the other",
    ]


def progress_line(entry: Entry) -> str:
    """One row as soon as it is known."""
    took = "" if entry.seconds is None else f" after {entry.seconds:.1f} s"
    gap = "" if entry.marks.gap is None else f", gap {_gap(entry.marks.gap)}"
    return f"{entry.contender}: {entry.status}{took}{gap}"


def table_lines(race: Race, goal: Goal) -> list[str]:
    """The table, then what is to be said about single rows."""
    first = race.entries[0].marks.time_to
    shown = [title != "of gross" or bool(goal.gross) for title in _TITLES]
    rows = [_TITLES, *(_cells(entry, first, goal) for entry in race.entries)]
    lines = _table([list(itertools.compress(row, shown)) for row in rows])
    lines.append("  (n×): times what optimize took")
    return lines + _busy_lines(race) + _remark_lines(race)


def share_lines(race: Race, goal: Goal, ingredients: Mapping[str, str]) -> list[str]:
    """The whole and what is reached without each ingredient, then what these are."""
    whole, *others = race.entries
    lines = _table([_SHARE_TITLES, *(_share_cells(entry, whole, goal) for entry in race.entries)])
    lines += [
        "  change: against the whole; closes: share of the gap open without it that the whole closes, by a better plan",
        "  and by a better bound; one run each, so that small differences are chance",
    ]
    left_out = dict.fromkeys(name for entry in others for name in entry.without)
    lines += [f"  {name}: {ingredients[name]}" for name in left_out]
    return lines + _busy_lines(race) + _remark_lines(race)


def standing_lines(found: Sequence[Standing], seeds: Sequence[int], goal: Goal) -> list[str]:
    """All seeds together."""
    titles = [
        "all seeds",
        *(f"gap, seed {seed}" for seed in seeds),
        "mean gap",
        "of gross",
        "slowest first plan",
    ]
    rows = [
        [one.contender, *map(_gap, one.gaps), _gap(one.mean_gap), _gap(one.mean_gap_of_gross),
         _seconds(one.first_plan_s), _change(one.closes), _gap(one.plans_apart)]
        for one in found
    ]  # fmt: skip
    shown = [True] * len(titles) + [
        any(one.closes is not None for one in found), any(one.plans_apart is not None for one in found)
    ]  # fmt: skip
    shown[-4] = bool(goal.gross)
    table = [[*titles, "closes", "plans apart"], *rows]
    return _table([list(itertools.compress(row, shown)) for row in table])


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of one width: the first in words to the left, an ``ended`` at the end likewise, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {0} | ({len(widths) - 1} if rows[0][-1] == "ended" else set())
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _remark_lines(race: Race) -> list[str]:
    """What is to be said about single rows, versions, and what cannot be true."""
    lines = []
    for entry in race.entries:
        said = [words for words in (entry.note, entry.remark) if words]
        if said and entry.status != NOT_RUN:
            lines.append(f"  {entry.contender}: {'; '.join(said)}")
    versions = {name: version for entry in race.entries for name, version in entry.versions.items()}
    lines.append(
        "  " + ", ".join(f"{name} {version}" for name, version in versions.items()) + f"; {_machine()}"
    )
    if race.contradictions:
        lines.append("  CONTRADICTION: a bound and a better plan cannot both be true")
        lines += [f"    {one}" for one in race.contradictions]
    return lines


def _busy_lines(race: Race) -> list[str]:
    """Times by the processor's clock, where the machine was too busy for the wall's to tell much."""
    ran = [entry for entry in race.entries if entry.seconds and entry.cpu_s]
    if not any((entry.seconds or 0.0) > _BUSY * (entry.cpu_s or 0.0) for entry in ran):
        return []
    lines = ["  The machine was busy with other work. Processor seconds to the first plan and the gaps:"]
    width = max(12, *(len(entry.contender) for entry in ran))
    for entry in ran:
        marks = entry.cpu_marks
        times = (marks.first_plan_s, *(marks.time_to[mark] for mark in MARKS))
        lines.append(f"    {entry.contender:<{width}}" + "  ".join(f"{_seconds(time):>8}" for time in times))
    return lines


def race_record(race: Race, programme: Programme, task: Task, case: str) -> dict[str, Any]:
    """The whole race as one JSON object."""
    return {
        "programme": programme.name,
        "case": case,
        "fingerprint": next((e.fingerprint for e in race.entries if e.fingerprint), None),
        "goal": task.goal,
        "unit": programme.goal(task.goal).unit,
        "maximise": programme.goal(task.goal).maximise,
        "threads": task.threads,
        "time_limit_s": task.time_limit_s,
        "gap": task.gap,
        "seed": task.seed,
        "clock": CLOCK,
        "machine": _machine(),
        "interrupted": race.interrupted,
        "contradictions": [str(one) for one in race.contradictions],
        "contenders": [_record(entry) for entry in race.entries],
    }


def _record(entry: Entry) -> dict[str, Any]:
    marks = entry.marks
    return {
        "contender": entry.contender,
        "time_to": {_key(mark): _rounded(marks.time_to[mark]) for mark in MARKS},
        "cpu_time_to": {_key(mark): _rounded(entry.cpu_marks.time_to[mark]) for mark in MARKS},
        "gap": marks.gap,
        "first_plan_s": _rounded(marks.first_plan_s),
        "build_s": _rounded(entry.build_s),
        "peak_mb": _rounded(entry.peak_mb),
        "start_mb": _rounded(entry.start_mb),
        "status": entry.status,
        "note": entry.note,
        "remark": entry.remark,
        "engine": entry.engine,
        "plan": entry.plan,
        "gross": entry.gross,
        "bound": entry.bound,
        "gap_of_gross": entry.gap_of_gross,
        "checked": entry.checked,
        "seconds": _rounded(entry.seconds),
        "cpu_s": _rounded(entry.cpu_s),
        "versions": dict(entry.versions),
    }


def _key(mark: float) -> str:
    return f"{mark:f}".rstrip("0")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _cells(entry: Entry, first: Any, goal: Goal) -> tuple[str, ...]:
    marks = entry.marks
    times = (_against(marks.time_to[mark], first[mark]) for mark in MARKS)
    took = "" if entry.seconds is None else f" {entry.seconds:.1f} s"
    return (
        entry.contender,
        _seconds(marks.first_plan_s),
        *times,
        _gap(marks.gap),
        _gap(entry.gap_of_gross),
        _amount(entry.plan, goal.unit),
        _amount(entry.bound, goal.unit),
        _seconds(entry.build_s),
        _seconds(entry.cpu_s),
        "–" if entry.peak_mb is None else f"{text.grouped(entry.peak_mb)} MB",
        f"{entry.status}{took}",
    )


def _share_cells(entry: Entry, whole: Entry, goal: Goal) -> tuple[str, ...]:
    share = None if entry is whole else share_of(whole, entry, goal.maximise)
    brought = (None, None, None) if share is None else (share.closed, share.by_plan, share.by_bound)
    moved = [
        None if entry is whole else change(own, reference)
        for own, reference in ((entry.plan, whole.plan), (entry.bound, whole.bound))
    ]
    took = "" if entry.seconds is None else f" {entry.seconds:.1f} s"
    return (
        entry.contender,
        _seconds(entry.marks.first_plan_s),
        _amount(entry.plan, goal.unit),
        _change(moved[0]),
        _amount(entry.bound, goal.unit),
        _change(moved[1]),
        _gap(entry.marks.gap),
        _gap(entry.gap_of_gross),
        *map(_change, brought),
        f"{entry.status}{took}",
    )


def _against(seconds: float | None, first: float | None) -> str:
    if seconds is None or not first or seconds == first:
        return _seconds(seconds)
    return (
        f"{_seconds(seconds)} ({seconds / first:.2g}×)"
        if seconds < 10 * first
        else (f"{_seconds(seconds)} ({seconds / first:.0f}×)")
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _gap(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3f} %" if value < 0.1 else text.percent(value)


def _change(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.2f} %"


def _amount(value: float | None, unit: str) -> str:
    return "–" if value is None else text.amount(value, unit)


def _machine() -> str:
    cores = os.cpu_count() or 1
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}"
