"""The parameters and targets of a workbook: two sheets that stand for ``instance.toml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit

from optimize.errors import Fault
from optimize.io.workbook_cells import Flaw, Sheet
from optimize.io.workbook_headings import PARAMETERS, TARGETS, cell_name, plain
from optimize.io.workbook_table import value_text

# What the columns may be called; of the others nothing is read.
KEY, VALUE = ("key", "参数", "parameter"), ("value", "值", "取值")
PROGRAMME, CLAUSE = ("programme", "专项"), ("clause", "条款", "clause id")
TARGET_KEYS: Mapping[str, tuple[str, ...]] = {
    "required": ("required", "要求值", "要求"),
    "hard": ("hard", "必须达到", "硬性"),
    "penalty_cny_per_unit": ("penalty_cny_per_unit", "未达标单价", "penalty"),
    "deadline_year": ("deadline_year", "期限", "deadline", "年限"),
}
_TRUTHS = {"true": True, "yes": True, "是": True, "false": False, "no": False, "否": False}


@dataclass(frozen=True)
class Settings:
    """What the two sheets say.

    Attributes
    ----------
    values : by dotted path (``budgets.scale``, ``pv_siting.clauses.PV-50MW.required``).
    cells : ``instance!B7`` by the same paths, and by the path of each clause.
    """

    values: Mapping[str, Any]
    cells: Mapping[str, str]
    faults: tuple[Fault, ...]

    def toml(self) -> bytes:
        """As ``instance.toml`` would hold it; the same settings in another order give the same bytes."""
        tree: dict[str, Any] = {"format": 1}
        for path in sorted(self.values):
            node = tree
            *parents, leaf = path.split(".")
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = self.values[path]
        return tomlkit.dumps(tree).encode("utf-8")

    def cell(self, path: str) -> str:
        """The cell of a setting, or of what it belongs to; "" where it is not in the workbook."""
        while path:
            if path in self.cells:
                return self.cells[path]
            path = path.rpartition(".")[0]
        return ""


def read_settings(parameters: Sheet | None, targets: Sheet | None) -> Settings:
    """Read both sheets, of which either may be missing."""
    values: dict[str, Any] = {}
    cells: dict[str, str] = {}
    faults: list[Fault] = []
    if parameters is not None:
        _read_parameters(parameters, values, cells, faults)
    if targets is not None:
        _read_targets(targets, values, cells, faults)
    return Settings(values, cells, tuple(faults))


def _read_parameters(
    sheet: Sheet, values: dict[str, Any], cells: dict[str, str], faults: list[Fault]
) -> None:
    top, places = _places(sheet, {"key": KEY, "value": VALUE}, ("key", "value"))
    if top is None:
        found = ", ".join(value_text(cell) for cell in (sheet.rows[0] if sheet.rows else []) if cell != "")
        faults.append(Fault(sheet.title, "(header)", f"columns {KEY[0]} and {VALUE[0]}", found or "nothing"))
        return
    for number, row in enumerate(sheet.rows[top + 1 :], start=top + 2):
        key = value_text(_cell(row, places["key"])).strip()
        cell = _cell(row, places["value"])
        # a line without a dot or a value may be a title of the sheet's own
        if not key or cell == "":
            continue
        where = f"{sheet.title}!{cell_name(number, places['value'] + 1)}"
        if key in values:
            faults.append(
                Fault(sheet.title, key, "each parameter once", "twice", "remove one", line=number, cell=where)
            )
            continue
        _set(sheet, key, cell, where, number, values, cells, faults)


def _read_targets(sheet: Sheet, values: dict[str, Any], cells: dict[str, str], faults: list[Fault]) -> None:
    wanted = {"programme": PROGRAMME, "clause": CLAUSE, **TARGET_KEYS}
    needed = ("programme", "clause", "required")
    top, places = _places(sheet, wanted, needed)
    if top is None:
        faults.append(Fault(sheet.title, "(header)", f"columns {', '.join(needed)}", "others"))
        return
    for number, row in enumerate(sheet.rows[top + 1 :], start=top + 2):
        programme = value_text(_cell(row, places["programme"])).strip()
        clause = value_text(_cell(row, places["clause"])).strip()
        given = {key: _cell(row, places[key]) for key in TARGET_KEYS if key in places}
        if all(cell == "" for cell in given.values()):
            continue
        first = f"{sheet.title}!{cell_name(number, places['required'] + 1)}"
        if not programme or not clause:
            expected = "a programme and a clause in every row that asks for something"
            faults.append(Fault(sheet.title, "clause", expected, "empty", line=number, cell=first))
            continue
        path = f"{programme}.clauses.{clause}"
        if path in cells:
            faults.append(
                Fault(sheet.title, path, "each clause once", "twice", "remove one", line=number, cell=first)
            )
            continue
        cells[path] = first
        for key, cell in given.items():
            if cell != "":
                where = f"{sheet.title}!{cell_name(number, places[key] + 1)}"
                _set(sheet, f"{path}.{key}", cell, where, number, values, cells, faults)


def _set(
    sheet: Sheet,
    path: str,
    cell: Any,
    where: str,
    row: int,
    values: dict[str, Any],
    cells: dict[str, str],
    faults: list[Fault],
) -> None:
    """Keep a setting unless its cell holds none, or another setting lies above or below it."""
    parents = [path[:k] for k, sign in enumerate(path) if sign == "."]
    if isinstance(cell, Flaw):
        faults.append(Fault(sheet.title, path, "a value", cell.found, cell.mend, line=row, cell=where))
        cells[path] = where
        return
    if any(parent in values for parent in parents) or any(other.startswith(f"{path}.") for other in values):
        found = f'"{path}" beside one that lies above or below it'
        faults.append(Fault(sheet.title, path, "a parameter", found, line=row, cell=where))
        return
    if not all(part for part in path.split(".")):
        faults.append(
            Fault(sheet.title, path, "a parameter such as budgets.scale", path, line=row, cell=where)
        )
        return
    values[path], cells[path] = _value(cell), where


def _value(cell: Any) -> Any:
    """A cell as TOML would have it: truth value, whole number, number, else text."""
    if isinstance(cell, bool):
        return cell
    text = value_text(cell)
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _places(
    sheet: Sheet, wanted: Mapping[str, Sequence[str]], needed: Sequence[str]
) -> tuple[int | None, dict[str, int]]:
    """The row of headings and the place of each column; None where a needed one is missing."""
    known = {plain(word): key for key, words in wanted.items() for word in words}
    for number, row in enumerate(sheet.rows[:30]):
        places: dict[str, int] = {}
        for place, cell in enumerate(row):
            key = known.get(plain(str(cell).partition("（")[0].partition("(")[0]))
            if key is not None:
                places.setdefault(key, place)
        if all(key in places for key in needed):
            return number, places
    return None, {}


def _cell(row: Sequence[Any], place: int) -> Any:
    cell = row[place] if place < len(row) else ""
    return "" if isinstance(cell, str) and not cell.strip() else cell


__all__ = ["PARAMETERS", "TARGETS", "TARGET_KEYS", "Settings", "read_settings"]
