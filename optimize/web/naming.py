"""What instances, programmes, jobs and their states are called on pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optimize.i18n.catalogue import N_
from optimize.i18n.words import Words
from optimize.names import CITY
from optimize.registry import PROGRAMMES
from optimize.schema import Table
from optimize.web import cells
from optimize.web.instances import Record
from optimize.web.jobs import Job, Kind, Outcome, State

_STATES = {
    State.QUEUED: (N_("waiting"), "calm"),
    State.RUNNING: (N_("running"), "busy"),
    State.CANCELLED: (N_("cancelled"), "calm"),
    State.FAILED: (N_("failed"), "bad"),
    State.DONE: (N_("done"), "good"),
}
_OUTCOMES = {
    Outcome.SOLVED: (N_("done"), "good"),
    Outcome.INFEASIBLE: (N_("no plan is possible"), "warn"),
    Outcome.NO_PLAN: (N_("no plan in time"), "warn"),
    Outcome.FAILED_CHECK: (N_("failed its check"), "bad"),
    Outcome.BAD_INPUT: (N_("refused"), "bad"),
    Outcome.MEMORY: (N_("too much memory"), "bad"),
    Outcome.TIME: (N_("too much time"), "bad"),
    Outcome.LOST: (N_("lost"), "bad"),
    Outcome.ERROR: (N_("failed"), "bad"),
}
_CITY = N_("One budget for all programmes")
_INTERRUPTED = "interrupted"
_MOST_DISTRICTS = 1000


def programme_name(name: str, words: Words) -> str:
    """A programme, or all of them under one budget."""
    for programme in PROGRAMMES:
        if programme.name == name:
            return words.either(programme.zh, programme.en)
    return words.text(_CITY)


def instance_name(record: Record, words: Words) -> str:
    """What an instance calls itself; the file it came from where it does not say."""
    return words.either(str(record.found["name_zh"]), str(record.found["name_en"])) or record.source


def scenario_name(job: Job, words: Words) -> str:
    """The scenario of a solve; "" for an explanation."""
    title: Mapping[str, str] = job.spec.get("title", {})
    told = words.either(title.get("zh", ""), title.get("en", "")) or str(job.spec.get("scenario", ""))
    return told or ("" if job.kind is Kind.EXPLAIN else words.text("As it is"))


def district_name(folder: Path, district: str, words: Words) -> str:
    """A district of an instance folder; its id where its table does not name it."""
    place = next((place for place in cells.places(folder) if place.table.name == "districts"), None)
    rows = None if place is None else cells.read_page(folder, place, most=_MOST_DISTRICTS)
    for _, row in () if rows is None else rows.rows:
        told = dict(zip(rows.names, row, strict=True)) if rows else {}
        if told.get("district") == district:
            return words.name(told) or district
    return district


def table_name(table: Table, words: Words) -> str:
    """What a table of an instance is called."""
    return words.either(table.zh, table.name.replace("_", " ").capitalize())


def job_programme(job: Job) -> str:
    return CITY if job.spec.get("joint") else str(job.spec.get("programme", ""))


def job_name(job: Job, words: Words) -> str:
    """A job in a line."""
    if job.kind is Kind.EXPLAIN:
        return words.text("Why: {project}", project=job.spec["project"])
    parts = [programme_name(job_programme(job), words), scenario_name(job, words)]
    if job.kind is Kind.FRONT:
        parts[1] = words.text("front")
    return " · ".join(parts)


def job_state(job: Job, words: Words) -> tuple[str, str]:
    """How far a job is, in a word, and its kind of state: calm, busy, good, warn or bad."""
    if job.state is State.RUNNING and job.cancelling:
        return words.text("stopping"), "busy"
    if job.state in (State.DONE, State.FAILED) and job.outcome:
        text, kind = _OUTCOMES[Outcome(job.outcome)]
        if job.result.get("stop_reason") == _INTERRUPTED and job.has_plan:
            text = N_("stopped, plan kept")
        return words.text(text), kind
    text, kind = _STATES[job.state]
    return words.text(text), kind


def goal_name(job: Job, words: Words) -> str:
    """The goals of a job in words."""
    names = str(job.spec.get("goal") or job.spec.get("goals", "")).split(",")
    known = {
        goal.name: words.either(goal.zh, goal.en) for programme in PROGRAMMES for goal in programme.goals
    }
    return words.listed([known.get(name, name) for name in names])


def place_of_fault(fault: Mapping[str, Any]) -> str:
    """Where a fault is: the cell of the workbook, else table and line."""
    if fault.get("cell"):
        return str(fault["cell"])
    return f"{fault['table']}:{fault['row']}" if fault["row"] is not None else str(fault["table"])
