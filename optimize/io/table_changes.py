"""Changes to the tables of an instance, laid over its files before they are validated.

A change names a table, perhaps some of its rows, and what becomes of them: cells set, scaled or added
to, rows left out or added.  What comes of it is validated like the files themselves, so a changed
instance keeps every promise an instance makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.errors import Fault
from optimize.io.tables import RawTable
from optimize.io.validation import nearest
from optimize.schema import Schema, Table
from optimize.units import alternative_names

BoolArray = NDArray[np.bool_]
_NUMERIC = ("float", "int")


@dataclass(frozen=True)
class TableChange:
    """One change of one table.

    Attributes
    ----------
    table : ``programme/table``, or the name alone of a table that all programmes share.
    where : by column, the value, values or range (``min``, ``max``) of the rows meant; {}: all rows.
    set, scale, add : by column, what the cells of these rows become, are multiplied by, are raised by.
    drop, only : leave these rows out; leave all other rows out.
    rows : rows to append, each by column.
    """

    table: str
    where: Mapping[str, Any] = field(default_factory=dict)
    set: Mapping[str, Any] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    add: Mapping[str, float] = field(default_factory=dict)
    drop: bool = False
    only: bool = False
    rows: Sequence[Mapping[str, Any]] = ()

    def record(self) -> dict[str, Any]:
        """As plain data, without what is not said."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(v) if name == "rows" else v for name, v in said.items() if v}

    def words(self, tell: Callable[[str], str] = str) -> str:
        """In a line: the table, the rows meant, and what becomes of them; ``tell`` says it in another language."""
        meant = ", ".join(_condition(column, wanted) for column, wanted in self.where.items())
        said = [f"{column} = {_text(value)}" for column, value in self.set.items()]
        said += [f"{column} × {factor:g}" for column, factor in self.scale.items()]
        said += [f"{column} {'+' if by >= 0 else '−'} {abs(by):g}" for column, by in self.add.items()]
        said += [tell("left out")] * self.drop + [tell("only these")] * self.only
        if self.rows:
            said.append(tell(f"{len(self.rows)} row{'' if len(self.rows) == 1 else 's'} added"))
        return f"{self.table}{f' ({meant})' if meant else ''}: {', '.join(said)}"


def changes_of(records: Sequence[Mapping[str, Any]]) -> tuple[TableChange, ...]:
    """The inverse of `TableChange.record`."""
    return tuple(TableChange(**record) for record in records)


def table_path(schema: Schema, table: Table) -> str:
    """How a change names a table."""
    return table.name if table.shared else f"{schema.programme}/{table.name}"


def change_tables(
    schema: Schema, raws: Mapping[str, RawTable | None], changes: Sequence[TableChange]
) -> tuple[dict[str, RawTable | None], list[Fault]]:
    """The tables of ``schema`` with the changes that concern them, one after another."""
    changed, faults = dict(raws), list[Fault]()
    tables = {table_path(schema, table): table for table in schema.tables}
    for change in changes:
        table = tables.get(change.table)
        if table is None:
            continue
        raw = changed[table.name]
        if raw is None:
            raw = RawTable.of_frame(change.table, pd.DataFrame(), np.zeros(0, np.int64))
        work = _Work(table, raw, change.table)
        work.apply(change)
        faults += work.faults
        if not work.faults:
            changed[table.name] = work.table()
    return changed, faults


def concerned(schema: Schema, changes: Sequence[TableChange]) -> list[TableChange]:
    """The changes of tables that ``schema`` reads."""
    known = {table_path(schema, table) for table in schema.tables}
    return [change for change in changes if change.table in known]


class _Work:
    """One table on its way through a change; ``faults`` tell what cannot be done."""

    def __init__(self, table: Table, raw: RawTable, path: str) -> None:
        self._table, self._path = table, path
        self._lines = raw.lines
        self._names = list(raw.names)
        self._cells: list[pd.Series] = []
        self.faults: list[Fault] = []
        for position, name in enumerate(raw.names):
            cells = raw.cells(position)
            if isinstance(cells, Fault):
                self.faults.append(cells)
                cells = pd.Series([""] * len(raw))
            self._cells.append(cells.reset_index(drop=True).rename(name))

    def table(self) -> RawTable:
        cells = self._cells
        return RawTable(self._path, tuple(self._names), self._lines, lambda position: cells[position])

    def apply(self, change: TableChange) -> None:
        meant = self._rows_meant(change.where)
        if not self.faults and change.where and not meant.any():
            self._tell_no_match(change.where)
        if self.faults:  # what else is wrong is told at once; nothing is changed
            meant = np.zeros(len(self._lines), dtype=np.bool_)
        for column, value in change.set.items():
            self._set(column, value, meant)
        for column, factor in change.scale.items():
            self._move(column, meant, float(factor), 0.0)
        for column, amount in change.add.items():
            self._move(column, meant, 1.0, float(amount))
        if self.faults:
            return
        if change.drop:
            self._keep(~meant)
        if change.only:
            self._keep(meant)
        if change.rows:
            self._append(change.rows)

    def _fault(self, column: str, expected: str, found: str, mend: str = "", line: int | None = None) -> None:
        self.faults.append(Fault(self._path, column, expected, found, mend, line=line))

    def _tell_no_match(self, where: Mapping[str, Any]) -> None:
        """Which condition no row meets, with the nearest value there is; all of them where only together."""
        alone = [column for column, wanted in where.items() if not self._rows_meant({column: wanted}).any()]
        for column in alone:
            wanted, found = where[column], self._find(column)
            assert found is not None
            values = [str(cell).strip() for cell in self._cells[found[0]].unique()]
            words = _condition("", wanted).strip()
            self._fault(column, f"a value of {self._path}.{column}", words, nearest(words, values))
        if not alone:
            words = " and ".join(_condition(column, wanted) for column, wanted in where.items())
            self._fault("where", "a row that meets all of it", f"none with {words}")

    def _find(self, column: str) -> tuple[int, float] | None:
        """Place of a column in the file and what a value given for ``column`` is multiplied by there."""
        units: dict[str, tuple[str, float]] = {}
        for declared in self._table.columns:
            units[declared.name] = (declared.name, 1.0)
            for other, factor in alternative_names(declared.name).items():
                units.setdefault(other, (declared.name, factor))
        if column not in units:
            self._fault(column, f"a column of {self._path}", "no such column", nearest(column, units))
            return None
        base, factor = units[column]
        for place, name in enumerate(self._names):
            if units.get(name, ("", 1.0))[0] == base:
                return place, factor / units[name][1]
        self._names.append(base)
        default = next(declared.default for declared in self._table.columns if declared.name == base)
        text = "" if default is None or not isinstance(default, str | int | float) else _text(default)
        self._cells.append(pd.Series([text] * len(self._lines), dtype=object, name=base))
        return len(self._names) - 1, factor

    def _is_numeric(self, column: str) -> bool:
        for declared in self._table.columns:
            if column == declared.name or column in alternative_names(declared.name):
                return declared.kind in _NUMERIC
        return False

    def _rows_meant(self, where: Mapping[str, Any]) -> BoolArray:
        meant = np.ones(len(self._lines), dtype=np.bool_)
        for column, wanted in where.items():
            found = self._find(column)
            if found is None:
                continue
            place, factor = found
            cells = self._cells[place]
            if self._is_numeric(column):
                meant &= _among(pd.to_numeric(cells, errors="coerce").to_numpy(np.float64) / factor, wanted)
            else:
                values = wanted if isinstance(wanted, list) else [wanted]
                meant &= cells.astype(str).str.strip().isin([_text(v) for v in values]).to_numpy(np.bool_)
        return meant

    def _set(self, column: str, value: Any, meant: BoolArray) -> None:
        found = self._find(column)
        if found is None:
            return
        place, factor = found
        cells = self._cells[place].astype(object)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        cells[meant] = _text(value * factor if is_number and factor != 1.0 else value)
        self._cells[place] = cells

    def _move(self, column: str, meant: BoolArray, times: float, plus: float) -> None:
        if not self._is_numeric(column):
            known = [c.name for c in self._table.columns]
            self._fault(column, "a column of numbers", "no such column", nearest(column, known))
            return
        found = self._find(column)
        if found is None:
            return
        place, factor = found
        cells = self._cells[place].astype(object)
        text = cells.astype(str).str.strip()
        some = meant & (text != "").to_numpy(np.bool_) & cells.notna().to_numpy(np.bool_)
        number = pd.to_numeric(text[some], errors="coerce").to_numpy(np.float64)
        for row in np.flatnonzero(some)[~np.isfinite(number)][:20]:
            self._fault(column, "a number", f'"{text.iloc[row]}"', line=int(self._lines[row]))
        cells[some] = [_text(v) for v in (number * times + plus * factor).tolist()]
        self._cells[place] = cells

    def _keep(self, kept: BoolArray) -> None:
        self._cells = [cells[kept].reset_index(drop=True) for cells in self._cells]
        self._lines = self._lines[kept]

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        values: dict[int, list[str]] = {}
        for number, row in enumerate(rows):
            for column, value in row.items():
                found = self._find(column)
                if found is None:
                    continue
                place, factor = found
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                own = values.setdefault(place, [""] * len(rows))
                own[number] = _text(value * factor if is_number and factor != 1.0 else value)
        empty = [""] * len(rows)
        self._cells = [
            pd.Series([*cells.astype(object), *values.get(place, empty)], dtype=object, name=cells.name)
            for place, cells in enumerate(self._cells)
        ]
        # a row that stands in no file is counted on from the last one
        last = int(self._lines.max(initial=1))
        self._lines = np.append(self._lines, np.arange(last + 1, last + 1 + len(rows)))


def _among(number: NDArray[np.float64], wanted: Any) -> BoolArray:
    if isinstance(wanted, Mapping):
        low, high = wanted.get("min", -np.inf), wanted.get("max", np.inf)
        return np.asarray((number >= low) & (number <= high))
    values = wanted if isinstance(wanted, list) else [wanted]
    return np.isin(number, np.array(values, dtype=np.float64))


def _condition(column: str, wanted: Any) -> str:
    """A condition of ``where`` in words."""
    if isinstance(wanted, Mapping):
        ends = [f"{sign} {wanted[end]:g}" for sign, end in (("≥", "min"), ("≤", "max")) if end in wanted]
        return f"{column} {' and '.join(ends)}"
    return f"{column} {' or '.join(_text(value) for value in (wanted if isinstance(wanted, list) else [wanted]))}"


def _text(value: Any) -> str:
    """A cell as it would stand in a file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
