"""Pages of instances: upload, faults at their cells, tables, settings, scenarios, and what is to be solved."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Depends, File, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse, RedirectResponse, Response

from optimize.city.example import example_city
from optimize.errors import InputFaults, UsageError
from optimize.i18n.words import Words
from optimize.io.workbook_headings import heading
from optimize.io.write import write_instance
from optimize.names import CITY
from optimize.registry import PROGRAMMES, find_programme
from optimize.web import cells, scenario_table
from optimize.web.downloads import DOWNLOADS, instance_workbook, template
from optimize.web.instances import FOLDER, Record
from optimize.web.naming import (
    instance_name,
    job_state,
    place_of_fault,
    programme_name,
    scenario_name,
    table_name,
)
from optimize.web.receiving import receive_upload
from optimize.web.rendering import Form, Reader, Space, User, field, page
from optimize.web.workspace import FrontQuestion, SolveQuestion, Workspace, goals_of

router = APIRouter()

# Choices of the form; programs may ask for any.
GAPS = (0.0001, 0.001, 0.005, 0.01, 0.05)
SECONDS = (10, 60, 300, 900, 1800, 3600)
_XLSX = DOWNLOADS["plan.xlsx"].media_type
_SHOWN_FAULTS, _SHOWN_RUNS = 100, 20


def _record(name: str, space: Space) -> Record:
    record = space.instances.get(name)
    if record is None:
        raise HTTPException(404, "there is no such instance; perhaps it was deleted")
    return record


Instance = Annotated[Record, Depends(_record)]


def examples(words: Words) -> list[tuple[str, str]]:
    """What an instance can begin as: each programme, and all under one budget."""
    return [(name, programme_name(name, words)) for name in (*(p.name for p in PROGRAMMES), CITY)]


@router.get("/")
@router.get("/instances")
def instances_page(request: Request, space: Space, words: Reader) -> Response:
    return page(
        request,
        "instances.html",
        records=space.instances.listed(),
        examples=examples(words),
        upload_mb=space.settings.upload_mb,
        name_of=functools.partial(instance_name, words=words),
        programme_name=functools.partial(programme_name, words=words),
    )


@router.post("/instances")
async def upload(space: Space, user: User, form: Form, file: Annotated[UploadFile, File()]) -> Response:
    record = await receive_upload(space, file, user)
    return RedirectResponse(f"/instances/{record.id}", 303)


@router.post("/examples")
async def begin_with_example(space: Space, user: User, form: Form) -> Response:
    name = field(form, "programme")

    def make() -> Record:
        with space.instances.being_received() as place:
            if name == CITY:
                write_instance(place / FOLDER, example_city(), commented=True)
            else:
                programme = find_programme(name)
                write_instance(place / FOLDER, [(programme.schema, programme.example())], commented=True)
            return space.instances.adopt(place / FOLDER, f"{name}", user)

    record = await anyio.to_thread.run_sync(make, limiter=space.intake_limiter)
    return RedirectResponse(f"/instances/{record.id}", 303)


@router.get("/instances/{name}")
def instance_page(request: Request, record: Instance, space: Space, words: Reader) -> Response:
    jobs = space.queue.listed(instance=record.id, newest=_SHOWN_RUNS)
    return page(
        request,
        "instance.html",
        record=record,
        title=instance_name(record, words),
        tables=_tables(record, space, words),
        jobs=jobs,
        **_state(record, space, words),
        **(_questions(record, space, words) if record.is_valid else {}),
        programme_name=functools.partial(programme_name, words=words),
        scenario_name=functools.partial(scenario_name, words=words),
        job_state=functools.partial(job_state, words=words),
    )


def _state(record: Record, space: Workspace, words: Words) -> dict[str, Any]:
    """What is at fault, each with the cell it can be mended in."""
    folder = space.instances.folder_of(record)
    known = {place.path: place for place in cells.places(folder)}
    faults = []
    for fault in record.found["faults"][:_SHOWN_FAULTS]:
        place = known.get(fault["table"])
        value = (
            None
            if place is None or fault["row"] is None
            else cells.read_cell(folder, place, fault["row"], fault["column"])
        )
        faults.append(
            {**fault, "place": place_of_fault(fault), "key": place.key if place else "", "value": value}
        )
    return {"faults": faults, "num_faults": len(record.found["faults"]), "warnings": record.found["warnings"]}


def _tables(record: Record, space: Workspace, words: Words) -> list[dict[str, Any]]:
    folder = space.instances.folder_of(record)
    bad = [fault["table"] for fault in record.found["faults"]]
    return [
        {
            "key": place.key,
            "programme": "" if place.table.shared else programme_name(place.schema.programme, words),
            "name": table_name(place.table, words),
            "meaning": place.table.meaning,
            "faults": bad.count(place.path),
        }
        for place in cells.places(folder)
    ]


def _questions(record: Record, space: Workspace, words: Words) -> dict[str, Any]:
    """What can be asked of a sound instance."""
    subjects = [*record.programmes, *([CITY] if len(record.programmes) > 1 else [])]
    trouble = ""
    scenarios: list[tuple[str, str]] = []
    try:
        found = scenario_table.scenarios_of(space.instances.folder_of(record))
        scenarios = [(s.name, words.either(s.zh, s.en)) for s in found]
    except (InputFaults, UsageError) as error:
        trouble = str(error)
    goals = {
        name: [(goal.name, words.either(goal.zh, goal.en)) for goal in goals_of(record, name)]
        for name in subjects
    }
    return {
        "subjects": [
            {"name": name, "title": programme_name(name, words), "goals": goals[name]} for name in subjects
        ],
        # those of all programmes; what is chosen has to be known by each that is solved
        "goals": list(dict.fromkeys(goal for own in goals.values() for goal in own)),
        "scenarios": scenarios,
        "scenarios_trouble": trouble,
        "gaps": GAPS,
        "seconds": [s for s in SECONDS if s <= space.settings.job_time_s],
        "cores": space.settings.cores,
    }


@router.get("/templates/{programme}.xlsx")
async def take_template(space: Space, words: Reader, programme: str) -> Response:
    make = functools.partial(template, space, programme, words.language)
    path = await anyio.to_thread.run_sync(make, limiter=space.intake_limiter)
    return FileResponse(path, media_type=_XLSX, filename=path.name)


@router.get("/instances/{name}/instance.xlsx")
async def take_instance(record: Instance, space: Space, words: Reader) -> Response:
    """The instance as it is now, mended or not, as a workbook."""
    make = functools.partial(instance_workbook, space, record, words.language)
    path = await anyio.to_thread.run_sync(make, limiter=space.intake_limiter)
    return FileResponse(path, media_type=_XLSX, filename=path.name)


@router.post("/instances/{name}/delete")
def delete(record: Instance, space: Space, form: Form) -> Response:
    space.instances.delete(record)
    return RedirectResponse("/", 303)


# --- tables and cells ----------------------------------------------------------------------------------


@router.get("/instances/{name}/tables/{table}")
def table_page(
    request: Request, record: Instance, space: Space, words: Reader, table: str, first: int = 0, line: int = 0
) -> Response:
    folder = space.instances.folder_of(record)
    place = cells.find_place(folder, table)
    if line:
        first = cells.first_of_page_with(folder, place, line)
    shown = cells.read_page(folder, place, max(first, 0))
    faults = cells.faults_by_cell(record.found["faults"], place)
    columns = [_about(place, name, words) for name in shown.names]
    return page(
        request,
        "table.html",
        record=record,
        title=instance_name(record, words),
        place=place,
        name=table_name(place.table, words),
        rows=shown,
        columns=columns,
        lines=[(number, _line(number, row, columns, place, faults)) for number, row in shown.rows],
        empty=words.text("empty"),
        faults=faults,
        step=cells.ROWS_PER_PAGE,
    )


def _line(
    number: int,
    row: Sequence[str],
    columns: Sequence[Mapping[str, Any]],
    place: cells.Place,
    faults: Mapping[tuple[int, str], Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """The cells of a line; addresses are relative to the page, as there are many."""
    found = []
    for column, value in zip(columns, row, strict=True):
        fault = faults.get((number, column["name"]))
        classes = ("n " if column["is_number"] else "") + ("at-fault" if fault else "")
        address = f"{place.key}/cell?row={number}&column={column['address']}"
        found.append({"value": value, "fault": fault, "classes": classes.strip(), "address": address})
    return found


def _about(place: cells.Place, name: str, words: Words) -> dict[str, Any]:
    """A heading as the file has it, and what it means where it is a column of ours."""
    for column in place.table.columns:
        if column.name == name:
            shown = heading(column, words.language)
            is_number = column.kind in ("float", "int")
            return {"name": name, "heading": shown, "is_number": is_number, "address": quote(name)}
    return {"name": name, "heading": name, "is_number": False, "address": quote(name)}


@router.get("/instances/{name}/tables/{table}/cell")
def cell_form(
    request: Request, record: Instance, space: Space, table: str, row: int, column: str
) -> Response:
    """A cell as a field to write in, for a page that has scripts."""
    folder = space.instances.folder_of(record)
    value = cells.read_cell(folder, cells.find_place(folder, table), row, column)
    if value is None:
        raise HTTPException(404, "there is no such cell")
    return page(
        request,
        "cell_form.html",
        record=record,
        table=table,
        row=row,
        column=column,
        value=value,
        bare="hx-request" in request.headers,
    )


@router.post("/instances/{name}/tables/{table}/cell")
async def save_cell(
    request: Request, record: Instance, space: Space, words: Reader, form: Form, table: str
) -> Response:
    row, column = field(form, "row"), field(form, "column")

    def write() -> Record:
        with space.instances.being_changed(record) as folder:
            if not row.isdigit():
                raise UsageError("a cell has a row")
            cells.write_cell(folder, cells.find_place(folder, table), int(row), column, field(form, "value"))
        return space.instances.check(record)

    changed = await anyio.to_thread.run_sync(write, limiter=space.intake_limiter)
    if field(form, "from") == "faults":
        return RedirectResponse(f"/instances/{changed.id}#state", 303)
    return RedirectResponse(f"/instances/{changed.id}/tables/{table}?line={row}#r{row}", 303)


# --- asking for work -----------------------------------------------------------------------------------


@router.post("/instances/{name}/solve")
def ask_solve(record: Instance, space: Space, user: User, form: Form) -> Response:
    """A job for each programme and scenario chosen."""
    subjects, scenarios = form.get("programme", []), form.get("scenario", [])
    if not subjects or not scenarios:
        raise UsageError("choose at least one programme and one scenario")
    jobs = [
        space.solve(
            record,
            user,
            SolveQuestion(
                programme=subject,
                scenario=scenario,
                goals=[field(form, "goal", "npv")],
                gap=_number(form, "gap", 0.0, 1.0),
                time_limit_s=_number(form, "seconds", 1.0, 86_400.0),
                cores=int(_number(form, "cores", 1, space.settings.cores)),
            ),
        )
        for subject in dict.fromkeys(subjects)
        for scenario in dict.fromkeys(scenarios)
    ]
    return RedirectResponse(f"/jobs/{jobs[0].id}" if len(jobs) == 1 else "/jobs", 303)


@router.post("/instances/{name}/front")
def ask_front(record: Instance, space: Space, user: User, form: Form) -> Response:
    goals = [field(form, "first"), field(form, "second")]
    question = FrontQuestion(
        field(form, "programme"),
        goals,
        int(_number(form, "points", 2, 25)),
        0.001,
        _number(form, "seconds", 1.0, 86_400.0),
    )
    return RedirectResponse(f"/jobs/{space.front(record, user, question).id}", 303)


def _number(form: Any, name: str, least: float, most: float) -> float:
    try:
        value = float(field(form, name))
    except ValueError as error:
        raise UsageError(f"{name}: expected a number") from error
    if not least <= value <= most:
        raise UsageError(f"{name}: expected a number from {least:g} to {most:g}")
    return value
