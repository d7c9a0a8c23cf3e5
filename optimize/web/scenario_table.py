"""``scenarios.toml`` as a table: a row a scenario, its settings one a line.  What a table cannot say stays in the file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.items import Table

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.table_changes import TableChange
from optimize.io.tables import decode
from optimize.studies.scenarios import Scenario, read_scenarios
from optimize.web.toml_files import MOST_BYTES, parse, refuse_outside_files

FILE = "scenarios.toml"
SECTION = "scenarios"
_MOST_ROWS = 200
_BEGINNING = (
    "# Scenarios of this instance, edited on the page; docs/scenarios.md says what else can stand here.\n"
)


@dataclass(frozen=True)
class ScenarioRow:
    """A scenario as the page edits it.

    Attributes
    ----------
    name, zh, en, base : as in the file; "" where there is none.
    settings : what it sets, "key = value" one a line, values as TOML.
    changes : changes of tables; they are kept, and edited in the file.
    was : its name before it was edited; "" : it is new.
    """

    name: str
    zh: str = ""
    en: str = ""
    base: str = ""
    settings: str = ""
    changes: tuple[TableChange, ...] = ()
    was: str = ""


def read_text(folder: Path) -> str:
    """The file as it stands; "" where there is none."""
    path = folder / FILE
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        return ""
    return decode(path.read_bytes()) or ""


def rows_of(text: str) -> list[ScenarioRow]:
    """The rows of a sound file."""
    entries = parse(text).get(SECTION, {})
    return [
        ScenarioRow(
            name=name,
            zh=entry.get("zh", ""),
            en=entry.get("en", ""),
            base=entry.get("base", ""),
            settings="\n".join(f"{key} = {_shown(value)}" for key, value in entry.get("set", {}).items()),
            changes=tuple(TableChange(**change) for change in entry.get("change", [])),
            was=name,
        )
        for name, entry in entries.items()
    ]


def with_rows(text: str, rows: Sequence[ScenarioRow]) -> str:
    """The file with these rows as its scenarios, in their order; all else in it stays.

    Raises
    ------
    InputFaults : rows that cannot be written: a name twice, a setting that is none.
    """
    faults = _faults(rows)
    if faults:
        raise InputFaults(faults)
    document = tomlkit.parse(text or _BEGINNING)
    before = cast(Mapping[str, Any], document.get(SECTION, {}))
    section = tomlkit.table(is_super_table=True)
    for row in rows:
        entry = cast(Table, before[row.was]) if row.was in before else tomlkit.table()
        _write_row(entry, row)
        section.append(row.name, entry)
    _replace(document, section)
    return tomlkit.dumps(document)


def _replace(document: TOMLDocument, section: Table) -> None:
    if SECTION in document:
        document[SECTION] = section
    else:
        document.append(SECTION, section)


def _write_row(entry: Table, row: ScenarioRow) -> None:
    for key, value in (("zh", row.zh), ("en", row.en), ("base", row.base)):
        if value.strip():
            entry[key] = value.strip()
        else:
            entry.pop(key, None)
    settings = _settings(row)[0]
    if settings:
        inline = tomlkit.inline_table()
        inline.update(settings)
        entry["set"] = inline
    else:
        entry.pop("set", None)


def _faults(rows: Sequence[ScenarioRow]) -> list[Fault]:
    faults = []
    if len(rows) > _MOST_ROWS:
        faults.append(Fault(FILE, "(file)", f"at most {_MOST_ROWS} scenarios", str(len(rows))))
    names = [row.name for row in rows]
    for row in rows:
        if not row.name.strip():
            faults.append(Fault(FILE, "name", "a name of letters, digits, - and _", "empty", "fill it in"))
        elif names.count(row.name) > 1:
            faults.append(Fault(FILE, f"{row.name}.name", "each name once", "twice", "rename one of them"))
        faults += _settings(row)[1]
    return list(dict.fromkeys(faults))


def _settings(row: ScenarioRow) -> tuple[dict[str, Any], list[Fault]]:
    """What the lines of a row set, and the lines that say nothing."""
    settings: dict[str, Any] = {}
    faults = []
    for line in row.settings.splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if not line.strip():
            continue
        if not equals or not key or not value:
            faults.append(_no_setting(row, line))
            continue
        try:
            settings[key.strip('"')] = parse(f"v = {value}")["v"]
        except UsageError:
            faults.append(_no_setting(row, line))
    return settings, faults


def _no_setting(row: ScenarioRow, line: str) -> Fault:
    return Fault(
        FILE, f"{row.name}.set", "key = value, e.g. budgets.scale = 0.8", line.strip(), "text in quotes"
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        json.dumps(value, ensure_ascii=False) if isinstance(value, str) else tomlkit.item(value).as_string()
    )


# --- checking and saving -------------------------------------------------------------------------------


def scenarios_of(folder: Path) -> list[Scenario]:
    """The scenarios of an instance folder, all expanded; none where there is no file.

    Raises
    ------
    InputFaults, UsageError : see `read_sound`.
    """
    path = folder / FILE
    return read_sound(path) if path.is_file() else []


def read_sound(path: Path) -> list[Scenario]:
    """The scenarios of a file, all expanded.

    Raises
    ------
    InputFaults, UsageError : the file is unsound, or a scenario names files outside the instance.
    """
    parse(read_text(path.parent))
    found = read_scenarios(path)
    for scenario in found:
        refuse_outside_files(_nested(scenario.overrides))
    return found


def save_text(folder: Path, text: str) -> None:
    """Replace the file at once by a sound one; an empty text removes it.

    Raises
    ------
    InputFaults, UsageError : the text is unsound; the file stays as it was.
    """
    if not text.strip():
        (folder / FILE).unlink(missing_ok=True)
        return
    parse(text)
    with tempfile.TemporaryDirectory(prefix=".scenarios-", dir=folder.parent) as place:
        written = Path(place) / FILE
        written.write_text(text, encoding="utf-8")
        read_sound(written)
        written.replace(folder / FILE)


def _nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides as the tree they make of an empty file."""
    tree: dict[str, Any] = {}
    for key, value in overrides.items():
        node = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            below = node.setdefault(parent, {})
            if not isinstance(below, dict):
                break
            node = below
        else:
            node[leaf] = value
    return tree
