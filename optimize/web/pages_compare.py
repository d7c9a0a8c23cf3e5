"""The page on which two to six plans stand side by side."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from optimize.errors import UsageError
from optimize.i18n.words import Words
from optimize.names import CITY
from optimize.publish.charts_studies import Proven, scenario_chart
from optimize.studies.compare import NO_DISTRICT, REST, Comparison
from optimize.studies.tables import plain_records
from optimize.web.compare import MOST_RUNS, compared
from optimize.web.downloads import DOWNLOADS, download
from optimize.web.jobs import Job
from optimize.web.kept import Kept
from optimize.web.naming import job_programme, programme_name, scenario_name
from optimize.web.rendering import Reader, Space, page
from optimize.web.workspace import Workspace

router = APIRouter()
_KEPT = Kept(32)
_MOST_PROJECTS = 60
_DIFFERENT = 1e-9
_FILES = ("plan.xlsx", "report.html")

Chosen = Annotated[list[str], Query(default_factory=list)]


@router.get("/compare")
def compare_page(request: Request, space: Space, words: Reader, run: Chosen) -> Response:
    runs = _runs(space, run)
    shown = _KEPT.get((tuple(run), words.language), lambda: _shown(compared(space, runs), runs, words))
    return page(request, "compare.html", runs=runs, query="&".join(f"run={job.id}" for job in runs), **shown)


@router.get("/compare/{file}")
async def take_away(space: Space, words: Reader, file: str, run: Chosen) -> Response:
    """The plans in one workbook or report."""
    runs = _runs(space, run)
    if file not in _FILES:
        raise UsageError("there is no such file")
    path = await anyio.to_thread.run_sync(
        functools.partial(download, space, runs, file, words.language), limiter=space.intake_limiter
    )
    return FileResponse(path, media_type=DOWNLOADS[file].media_type, filename=path.name)


def _runs(space: Workspace, names: Sequence[str]) -> list[Job]:
    if not 2 <= len(set(names)) <= MOST_RUNS:
        raise UsageError(f"choose two to {MOST_RUNS} plans of the same programme")
    found = [space.queue.get(name) for name in dict.fromkeys(names)]
    runs = [job for job in found if job is not None and job.has_plan]
    if len(runs) < len(found):
        raise UsageError("one of these plans is not there any more; choose again")
    return runs


def _shown(comparison: Comparison, runs: Sequence[Job], words: Words) -> dict[str, Any]:
    labels = comparison.labels
    names = [scenario_name(job, words) for job in runs]
    first = comparison.sides[0]
    goal = first.main_goal
    plans = [
        Proven(f"{label} {name}", side.objective, side.bound)
        for label, name, side in zip(labels, names, comparison.sides, strict=True)
    ]
    same_goal = len({side.goal for side in comparison.sides}) == 1
    return {
        "labels": labels,
        "names": names,
        "programme": programme_name(job_programme(runs[0]) or CITY, words),
        "chart": scenario_chart(plans, goal.unit, words.either(goal.zh, goal.en), words)
        if same_goal
        else None,
        "inputs": [(label, comparison.inputs[label]) for label in labels if comparison.inputs[label]],
        "verdicts": comparison.verdicts,
        "figures": _figures(comparison, words),
        "clauses": _clauses(comparison, words),
        "money": [(by, _money(comparison, by, words)) for by in ("year", "source", "district")],
        "projects": _projects(comparison, words),
        "num_differ": len(comparison.projects),
        "num_same": comparison.num_same,
    }


def _figures(comparison: Comparison, words: Words) -> list[dict[str, Any]]:
    """The checkers' figures, the difference from the first beside each."""
    rows = []
    for row in plain_records(comparison.figures):
        values = [row[label] for label in comparison.labels]
        rows.append(
            {
                "name": words.figure_name(row["figure"]),
                "cells": [_cell(value, values[0], row["unit"], words) for value in values],
                "differ": any(_is_other(value, values[0]) for value in values),
            }
        )
    return rows


def _clauses(comparison: Comparison, words: Words) -> list[dict[str, Any]]:
    rows = []
    for row in plain_records(comparison.clauses):
        rows.append(
            {
                "id": row["clause"],
                "name": f"{words.either(row['zh'], row['en'])} {row['where']}".strip(),
                "sense": "≥" if row["sense"] == ">=" else "≤",
                "cells": [
                    {
                        "value": words.amount(row[label], row["unit"]),
                        "required": words.amount(row[f"required_{label}"], row["unit"]),
                        "met": row[f"met_{label}"],
                    }
                    for label in comparison.labels
                ],
            }
        )
    return rows


def _money(comparison: Comparison, by: str, words: Words) -> list[dict[str, Any]]:
    frame = comparison.money[comparison.money["by"].isin((by, "total"))]
    rows = []
    for row in plain_records(frame):
        values = [row[label] for label in comparison.labels]
        rows.append(
            {
                "name": _sum_name(str(row["name"]), by, words),
                "cells": [_cell(value, values[0], "CNY", words) for value in values],
                "total": row["by"] == "total",
            }
        )
    return rows


def _sum_name(name: str, by: str, words: Words) -> str:
    special = {"": words.text("total"), REST: words.text("(rest)"), NO_DISTRICT: words.text("(no district)")}
    return special.get(name) or (words.value("source", name) if by == "source" else name)


def _projects(comparison: Comparison, words: Words) -> list[dict[str, Any]]:
    """The dearest projects that differ: in which plans each is, and for how much."""
    return [
        {
            "id": row["id"],
            "name": words.name(row) or row["id"],
            "district": row["district"],
            "cells": [
                None if not row[f"decision_{label}"] else words.money(row[f"capex_{label}"])
                for label in comparison.labels
            ],
        }
        for row in plain_records(comparison.projects.head(_MOST_PROJECTS))
    ]


def _cell(value: float | None, first: float | None, unit: str, words: Words) -> dict[str, str]:
    differs = value is not None and first is not None and _is_other(value, first)
    return {
        "value": words.amount(value, unit),
        "change": words.amount(value - first, unit, signed=True)
        if differs and value is not None and first is not None
        else "",
    }


def _is_other(value: float | None, first: float | None) -> bool:
    if value is None or first is None:
        return value is not first
    return abs(value - first) > _DIFFERENT * max(abs(value), abs(first), 1.0)
