"""What a batch looks like: a line for each case as it ends, a table at the end, or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from optimize.registry import find_programme
from optimize.report import text
from optimize.studies.batch_state import Finished

_SOLVED = "solved"
_TITLE_WIDTH = 46


def finished_line(finished: Finished) -> str:
    """One case in one line."""
    head = f"{finished.scenario} · {finished.programme}"
    if finished.status != _SOLVED:
        return f"{head}: {finished.status}: {finished.reason}"
    return (
        f"{head}: {text.amount(finished.objective, finished.unit)} · gap {text.percent(finished.gap)} · "
        f"{finished.seconds:.1f} s · {finished.run}"
    )


def finished_json(finished: Finished) -> dict[str, Any]:
    """The object that ``--json`` prints for one case."""
    record = asdict(finished)
    record.pop("key")
    return record


def summary_lines(ends: Sequence[Finished], number: int, results: str) -> list[str]:
    """A table for each programme, what failed and why, and what to do next."""
    lines: list[str] = []
    for programme in dict.fromkeys(end.programme for end in ends):
        lines += ["", *_table([end for end in ends if end.programme == programme], results)]
    bad = [end for end in ends if end.status != _SOLVED]
    if bad:
        lines += ["", f"{len(bad)} of {len(ends)} without a plan:"]
        lines += [f"  {end.scenario} · {end.programme} · {end.status}: {end.reason}" for end in bad]
    good = len(ends) - len(bad)
    left = number - len(ends)
    lines += ["", f"{good} solved and checked" + (f", {len(bad)} not" if bad else "")]
    runs = list(dict.fromkeys(f"{results}/{end.run}" for end in ends if end.run))
    if len(runs) > 1 and not left:
        lines.append(f"Next: optimize compare {runs[0]} {runs[1]}")
    if left:
        lines.append(f"{left} not begun; the same command goes on where this one stopped")
    return lines


def _table(ends: Sequence[Finished], results: str) -> list[str]:
    programme = find_programme(ends[0].programme)
    first = next((end for end in ends if end.status == _SOLVED), None)
    rows = [("scenario", "", "plan", "against the first", "gap", "run")]
    for end in ends:
        title = end.en if len(end.en) <= _TITLE_WIDTH else end.en[: _TITLE_WIDTH - 1] + "…"
        title = "" if title == end.scenario else title
        if end.status != _SOLVED:
            rows.append((end.scenario, title, end.status, "", "", ""))
            continue
        rows.append(
            (
                end.scenario,
                title,
                text.amount(end.objective, end.unit),
                "" if end is first or first is None else _against(end, first),
                text.percent(end.gap),
                f"{results}/{end.run}",
            )
        )
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    open_ended = any(row[3].endswith("?") for row in rows)
    note = ["  ? the gaps leave open which of the two has the better best plan; a smaller --gap tells"]
    return [
        f"{programme.en} · {programme.zh}",
        *(
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ),
        *(note if open_ended else []),
    ]


def _against(end: Finished, first: Finished) -> str:
    """Difference of the plans; with a question mark where the gaps leave open which optimum is better."""
    if not first.objective or end.objective is None:
        return ""
    difference = f"{100 * (end.objective - first.objective) / abs(first.objective):+.1f} %"
    return difference if _apart(end, first) else f"{difference} ?"


def _apart(a: Finished, b: Finished) -> bool:
    """Whether the best plans' values certainly lie in the order of the plans in hand."""
    if a.objective is None or b.objective is None or a.bound is None or b.bound is None:
        return False
    lowest_a, highest_a = sorted((a.objective, a.bound))
    lowest_b, highest_b = sorted((b.objective, b.bound))
    return lowest_a > highest_b or lowest_b > highest_a
