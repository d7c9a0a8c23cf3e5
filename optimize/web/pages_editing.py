"""Pages on which parameters, targets and scenarios of an instance are edited."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from optimize.errors import Fault, InputFaults, UsageError
from optimize.i18n.words import Words
from optimize.web import scenario_table
from optimize.web.instances import Record
from optimize.web.naming import instance_name
from optimize.web.pages_instances import Instance
from optimize.web.rendering import Form, Reader, Space, field, page
from optimize.web.scenario_table import ScenarioRow
from optimize.web.settings_table import settings_of, write_settings
from optimize.web.workspace import Workspace

router = APIRouter()


# --- settings ------------------------------------------------------------------------------------------


@router.get("/instances/{name}/settings")
def settings_page(request: Request, record: Instance, space: Space, words: Reader) -> Response:
    return _settings(request, record, space, words, {})


@router.post("/instances/{name}/settings")
async def save_settings(
    request: Request, record: Instance, space: Space, words: Reader, form: Form
) -> Response:
    given = {name: values[-1] for name, values in form.items() if name != "form_token"}

    def write() -> Record:
        with space.instances.being_changed(record) as folder:
            write_settings(folder, given)
        return space.instances.check(record)

    try:
        changed = await anyio.to_thread.run_sync(write, limiter=space.intake_limiter)
    except InputFaults as error:
        return _settings(request, record, space, words, given, error.faults)
    return RedirectResponse(f"/instances/{changed.id}#state", 303)


def _settings(
    request: Request, record: Record, space: Workspace, words: Words, given: dict[str, str], faults: Any = ()
) -> Response:
    return page(
        request,
        "settings.html",
        422 if faults else 200,
        record=record,
        title=instance_name(record, words),
        groups=settings_of(space.instances.folder_of(record), words, given),
        faults={fault.column: fault for fault in faults},
    )


# --- scenarios -----------------------------------------------------------------------------------------


@router.get("/instances/{name}/scenarios")
def scenarios_page(request: Request, record: Instance, space: Space, words: Reader) -> Response:
    text = scenario_table.read_text(space.instances.folder_of(record))
    return _scenarios(request, record, words, text, None, ())


@router.post("/instances/{name}/scenarios")
async def save_scenarios(
    request: Request, record: Instance, space: Space, words: Reader, form: Form
) -> Response:
    """The rows of the table; a row without a name is left out."""
    columns = [form.get(key, []) for key in ("name", "zh", "en", "base", "settings", "was")]
    if len({len(column) for column in columns}) > 1:
        raise UsageError("the table of scenarios is not whole; load the page again")
    rows = [
        ScenarioRow(name.strip(), zh, en, base, settings, (), was)
        for name, zh, en, base, settings, was in zip(*columns, strict=True)
        if any((name.strip(), zh.strip(), en.strip(), settings.strip())) and was not in form.get("remove", ())
    ]
    text = scenario_table.read_text(space.instances.folder_of(record))
    try:
        await _save(space, record, scenario_table.with_rows(text, rows))
    except InputFaults as error:
        return _scenarios(request, record, words, text, rows, error.faults)
    return RedirectResponse(f"/instances/{record.id}/scenarios", 303)


@router.post("/instances/{name}/scenarios/file")
async def save_scenarios_file(
    request: Request, record: Instance, space: Space, words: Reader, form: Form
) -> Response:
    """The whole file: grids, samples and changes of tables, too."""
    text = field(form, "text").replace("\r\n", "\n")
    try:
        await _save(space, record, text)
    except InputFaults as error:
        return _scenarios(request, record, words, text, None, error.faults)
    except UsageError as error:
        return _scenarios(
            request, record, words, text, None, [Fault(scenario_table.FILE, "(file)", "TOML", str(error))]
        )
    return RedirectResponse(f"/instances/{record.id}/scenarios", 303)


async def _save(space: Workspace, record: Record, text: str) -> None:
    save = functools.partial(space.save_scenarios, record, text)
    await anyio.to_thread.run_sync(save, limiter=space.intake_limiter)


def _scenarios(
    request: Request, record: Record, words: Words, text: str, rows: list[ScenarioRow] | None, faults: Any
) -> Response:
    if rows is None:
        try:
            rows = scenario_table.rows_of(text)
        except (UsageError, AttributeError, TypeError):
            rows = []  # the file is shown as it is, with what is wrong with it
    return page(
        request,
        "scenarios.html",
        422 if faults else 200,
        record=record,
        title=instance_name(record, words),
        rows=rows,
        text=text,
        faults=faults,
        at_rows=_by_row(faults, [row.name for row in rows]),
    )


def _by_row(faults: Sequence[Fault], names: Sequence[str]) -> dict[str, list[tuple[str, Fault]]]:
    """The faults of each row of the table, with what of the row they are about; those of no row under ""."""
    found: dict[str, list[tuple[str, Fault]]] = {}
    for fault in faults:
        what = fault.column.removeprefix(f"{scenario_table.SECTION}.")
        row = max((name for name in names if name and what.startswith(f"{name}.")), key=len, default="")
        found.setdefault(row, []).append((what[len(row) :].removeprefix("."), fault))
    return found
