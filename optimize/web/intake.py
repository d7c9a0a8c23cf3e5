"""What happens to an upload, in a process of its own: refused, or unpacked to an instance folder and validated.

    python -m optimize.web.intake receive FILE FOLDER     an upload becomes FOLDER, or is refused and nothing is left
    python -m optimize.web.intake check FOLDER            an instance folder is validated again
    python -m optimize.web.intake scenarios FOLDER FILE   scenarios are laid over an instance folder and validated

Each prints one JSON object (`Intake`).
"""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from optimize.city.reading import holds_city, read_city
from optimize.city.schema import SCHEMA as CITY_SCHEMA
from optimize.errors import Fault, InputFaults, OptimizeError, UsageError
from optimize.io.instance_folder import LoadedInstance, read_instance
from optimize.io.shapes import shape_faults
from optimize.io.tables import decode
from optimize.io.validation import TOML
from optimize.io.workbook import open_workbook, unpack_workbook
from optimize.io.workbook_headings import cell_name
from optimize.io.workbook_safety import Limits, refuse_unsafe_workbook, refuse_unsafe_zip
from optimize.io.workbook_settings import PARAMETERS
from optimize.names import CITY
from optimize.registry import PROGRAMMES
from optimize.studies.scenario_checks import scenario_faults
from optimize.studies.scenarios import Scenario
from optimize.web import cells
from optimize.web.instances import ORIGIN
from optimize.web.scenario_table import FILE as SCENARIOS
from optimize.web.scenario_table import read_sound, scenarios_of
from optimize.web.toml_files import read_tree, refuse_outside_files

_SCHEMAS = (*(programme.schema for programme in PROGRAMMES), CITY_SCHEMA)
_TOLD = 5
_MIB = 1 << 20
# What an office's instance may hold; the command line takes more.
LIMITS = Limits(
    file_bytes=64 * _MIB, unpacked_bytes=512 * _MIB, entries=500, ratio=150.0, ratio_from_bytes=4 * _MIB,
    grid_cells=8_000_000,
)  # fmt: skip
# Files that packing leaves behind, and those that explain: they are not unpacked.
_LEFT_ASIDE = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_EXPLAINING = (".md", ".txt")
_ROOT_ENDINGS = (".csv", ".epw", ".json", ".geojson")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Intake:
    """What became of an upload or a check.

    Attributes
    ----------
    status : valid, faulty (kept, to be mended) or refused (nothing was kept).
    error : why it was refused.
    programmes : name, tables, rows of each.
    is_city : whether it says something about the city as a whole.
    faults, warnings : table, row, column, expected, found, mend, cell of each.
    """

    status: str
    error: str = ""
    name_zh: str = ""
    name_en: str = ""
    programmes: Sequence[Mapping[str, Any]] = ()
    is_city: bool = False
    faults: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[Mapping[str, Any]] = field(default_factory=list)


def receive(upload: Path, folder: Path) -> Intake:
    """Make an instance folder of an uploaded .xlsx or .zip, or leave nothing.

    Raises
    ------
    UsageError : the upload is refused.
    """
    try:
        if upload.suffix == ".xlsx":
            refuse_unsafe_workbook(upload, LIMITS)
            _unpack_workbook(upload, folder)
        elif upload.suffix == ".zip":
            refuse_unsafe_zip(upload, LIMITS)
            _unpack_zip(upload, folder)
        else:
            raise UsageError(
                f"{upload.name} is neither an Excel workbook (.xlsx) nor a zip archive of CSV tables (.zip)"
            )
        return check(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check(folder: Path) -> Intake:
    """Validate an instance folder as every command does.

    Raises
    ------
    UsageError : it is no instance, or names files outside of itself.
    """
    tree = read_tree(folder / TOML)
    if not isinstance(tree, Fault):
        refuse_outside_files(tree)
    unreadable = [fault for fault in shape_faults(folder, None) if fault.column == "(file)"]
    if unreadable:
        raise UsageError(str(unreadable[0]))
    present = [programme for programme in PROGRAMMES if (folder / programme.name).is_dir()]
    is_city = holds_city(folder)
    facts: dict[str, Any] = {
        "is_city": is_city,
        "programmes": [{"name": programme.name, "tables": 0, "rows": 0} for programme in present],
    }
    name_zh, name_en = _names(tree)
    instance: LoadedInstance | None = None
    faults: list[dict[str, Any]] = []
    try:
        instance = read_city(folder, PROGRAMMES)[0] if is_city else read_instance(folder, PROGRAMMES)
    except InputFaults as error:
        faults = [fault.record() for fault in error.faults]
    faults = _with_cells(folder, faults)
    if instance is None or faults:
        return Intake("faulty", name_zh=name_zh, name_en=name_en, faults=faults, **facts)
    return Intake(
        "valid",
        name_zh=instance.name_zh,
        name_en=instance.name_en,
        warnings=_with_cells(folder, [fault.record() for fault in _warnings(folder, instance)]),
        **facts | {"programmes": _counts(instance)},
    )


def _counts(instance: LoadedInstance) -> list[dict[str, Any]]:
    return [
        {"name": part.programme.name, "tables": part.num_tables, "rows": part.num_rows}
        for part in instance.programmes
    ]


def _warnings(folder: Path, instance: LoadedInstance) -> list[Fault]:
    """What is suspicious, and what is wrong with outlines: maps are drawn without them, and plans need none."""
    warnings = [warning for part in instance.programmes for warning in part.warnings]
    return [*warnings, *shape_faults(folder, instance.districts)]


def _names(tree: Mapping[str, Any] | Fault) -> tuple[str, str]:
    """What the instance calls itself, as far as that can be read."""
    name = {} if isinstance(tree, Fault) else tree.get("name", {})
    if isinstance(name, str):
        return name, name
    if isinstance(name, Mapping):
        return str(name.get("zh", "")), str(name.get("en", ""))
    return "", ""


# --- zip archives --------------------------------------------------------------------------------------


def _unpack_zip(upload: Path, folder: Path) -> None:
    """The instance of an archive, wherever in it that lies; every other file is refused by name."""
    with zipfile.ZipFile(upload) as archive:
        files = [info for info in archive.infolist() if not info.is_dir() and not _left_aside(info.filename)]
        homes = [
            PurePosixPath(info.filename).parent for info in files if PurePosixPath(info.filename).name == TOML
        ]
        if len(homes) != 1:
            found = "none" if not homes else f"{len(homes)} of them"
            raise UsageError(f"{upload.name}: expected one {TOML} with the tables beside it, found {found}")
        wanted: dict[PurePosixPath, zipfile.ZipInfo] = {}
        for info in files:
            place = PurePosixPath(info.filename)
            if place.suffix.lower() in _EXPLAINING:
                continue
            if not place.is_relative_to(homes[0]) or not _belongs(place.relative_to(homes[0])):
                raise UsageError(
                    f"{upload.name}: {info.filename!r} is no table of an instance; it may hold {TOML}, {SCENARIOS} and "
                    f"CSV tables in folders named {', '.join(p.name for p in PROGRAMMES)} or {CITY}"
                )
            wanted[place.relative_to(homes[0])] = info
        folder.mkdir()
        for place, info in wanted.items():
            target = folder / place
            target.parent.mkdir(exist_ok=True)
            with archive.open(info) as source, target.open("xb") as sink:
                shutil.copyfileobj(source, sink)
            _refuse_no_text(upload.name, info.filename, target)


def _left_aside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part in _LEFT_ASIDE or part.startswith("._") for part in parts)


def _belongs(place: PurePosixPath) -> bool:
    """Whether a file has its place in an instance folder."""
    if len(place.name) > _LONGEST_NAME or not place.name.isprintable():
        return False
    if len(place.parts) == 1:
        return place.name in (TOML, SCENARIOS) or place.suffix.lower() in _ROOT_ENDINGS
    known = {*(programme.name for programme in PROGRAMMES), CITY}
    return len(place.parts) == 2 and place.parts[0] in known and place.suffix == ".csv"


def _refuse_no_text(upload: str, shown: str, path: Path) -> None:
    with path.open("rb") as stream:
        start = stream.read(4096)
    # a character may be cut in two at the end of what was read
    if all(decode(start[: len(start) - cut]) is None for cut in range(min(4, len(start) + 1))):
        raise UsageError(f"{upload}: {shown!r} is no text; save tables as CSV in UTF-8")


# --- workbooks -----------------------------------------------------------------------------------------


def _unpack_workbook(upload: Path, folder: Path) -> None:
    """The sheets as the files they stand for, and beside the folder where each of their cells came from.

    Cells without a value of their own (errors, formulas never calculated) are told as long as nobody has written
    anything else there.
    """
    folder.mkdir()
    origins, found = unpack_workbook(upload, folder, _SCHEMAS)
    if not (folder / TOML).is_file():
        raise UsageError(
            f"{upload.name}: no sheet of parameters (`{PARAMETERS}`) was found; begin with the template"
        )
    book = open_workbook(upload)
    sheets = [
        sheet
        for schema in _SCHEMAS
        for table in schema.tables
        if (sheet := book.table(schema, table)) is not None and sheet.file in origins
    ]
    files = {sheet.title: sheet for sheet in sheets}
    whole = [fault for fault in found if fault.line is None or fault.table not in files]
    if whole:
        raise UsageError(f"{upload.name}: {'; '.join(str(fault) for fault in whole[:_TOLD])}")
    flaws = []
    for fault in found:
        assert fault.line is not None
        sheet = files[fault.table]
        record = {**fault.record(), "table": sheet.file, "row": fault.line - sheet.first_row + 1}
        flaws.append(record | {"text": _cell_text(folder, record)})
    origin = {
        "sheets": {
            s.file: {"title": s.title, "first_row": s.first_row, "columns": dict(s.columns)} for s in sheets
        },
        "settings": dict(book.settings.cells),
        "flaws": flaws,
    }
    (folder.parent / ORIGIN).write_text(json.dumps(origin, ensure_ascii=False), encoding="utf-8")


def _with_cells(folder: Path, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Faults with the cells of the workbook the instance came as, and those of cells that still hold no value."""
    path = folder.parent / ORIGIN
    if not path.is_file():
        return records
    origin = json.loads(path.read_text(encoding="utf-8"))
    for record in records:
        sheet = origin["sheets"].get(record["table"])
        if record["table"] == TOML:
            record["cell"] = origin["settings"].get(record["column"], "")
        elif sheet is not None and record["row"] is not None and record["column"] in sheet["columns"]:
            place = cell_name(record["row"] + sheet["first_row"] - 1, sheet["columns"][record["column"]])
            record["cell"] = f"{sheet['title']}!{place}"
    known = {(record["table"], record["row"], record["column"]) for record in records}
    flaws = [
        flaw
        for flaw in origin["flaws"]
        if (flaw["table"], flaw["row"], flaw["column"]) not in known
        and _cell_text(folder, flaw) == flaw["text"]
    ]
    return [*({key: flaw[key] for key in flaw if key != "text"} for flaw in flaws), *records]


def _cell_text(folder: Path, record: Mapping[str, Any]) -> str | None:
    place = next((place for place in cells.places(folder) if place.path == record["table"]), None)
    return None if place is None else cells.read_cell(folder, place, record["row"], record["column"])


# --- scenarios -----------------------------------------------------------------------------------------


def check_scenarios(folder: Path, file: Path) -> Intake:
    """Validate a file of scenarios that is to be an instance's: its settings, and tables where they are new or changed.

    Faults name the section and what of it is wrong: ``less.set.budgets.scale``.
    """
    try:
        scenarios = read_sound(file)
    except InputFaults as error:
        return Intake("faulty", faults=[fault.record() for fault in error.faults])
    before = {scenario.name: scenario for scenario in _present_scenarios(folder)}
    firsts = {_section(scenario): scenario for scenario in reversed(scenarios)}
    closely = [scenario.name for scenario in firsts.values() if before.get(scenario.name) != scenario]
    found = scenario_faults(folder, scenarios, closely)
    faults = [
        replace(fault, table=SCENARIOS, column=f"{_section(scenario)}.{_within(fault)}", line=None, row=None)
        for scenario in scenarios
        for fault in found.get(scenario.name, ())[:_TOLD]
    ]
    return Intake("faulty" if faults else "valid", faults=[fault.record() for fault in dict.fromkeys(faults)])


def _present_scenarios(folder: Path) -> list[Scenario]:
    try:
        return scenarios_of(folder)
    except (InputFaults, UsageError):
        return []


def _section(scenario: Scenario) -> str:
    """The section a scenario comes from: of grids and samples, without its number."""
    return scenario.name.rpartition("-")[0] if scenario.varies else scenario.name


def _within(fault: Fault) -> str:
    """What of a scenario is wrong."""
    if fault.table == TOML:
        return f"set.{fault.column}"
    if fault.table.startswith("scenario "):  # no table of an instance
        return f"change.{fault.column}"
    place = fault.table if fault.line is None else f"{fault.table}:{fault.line}"
    return f"change.{place} {fault.column}"


def answer(arguments: Sequence[str]) -> Intake | None:
    """What becomes of it; a refusal is an answer, not an error.  None: the arguments say nothing."""
    try:
        match arguments:
            case ["receive", upload, folder]:
                return receive(Path(upload), Path(folder))
            case ["check", folder]:
                return check(Path(folder))
            case ["scenarios", folder, file]:
                return check_scenarios(Path(folder), Path(file))
    except OptimizeError as error:
        return Intake("refused", error=str(error))
    return None


def main(arguments: Sequence[str]) -> int:
    """Print what became of it."""
    found = answer(arguments)
    if found is None:
        print(__doc__, file=sys.stderr)
        return 2
    print(json.dumps(asdict(found), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
