"""From raw tables and ``instance.toml`` to validated data: every fault at once.

Each fault names table, line, column, what was expected, what was found and how to mend it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from optimize.clauses import Clause, ClauseTarget
from optimize.errors import Fault, InputFaults
from optimize.io.tables import NUM_KEPT, RawTable
from optimize.schema import REQUIRED, Column, InstanceData, InstanceDraft, Parameter, Schema, Table
from optimize.units import alternative_names

TOML = "instance.toml"
_TRUE = pa.array(["true", "1", "yes", "是"], pa.large_string())
_FALSE = pa.array(["false", "0", "no", "否"], pa.large_string())
# 1,234,567.8: commas that part thousands; any other single comma is taken for a decimal point.
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
_SUSPICIOUS_RATIO = 100.0
# More faults of one column than this are counted, not listed.
_LISTED_PER_COLUMN = 20
# Up to so many rows Python's own sets find repeated keys sooner than pandas does.
_COMPARED_AT_ONCE = 1000


def nearest(name: str, known: Iterable[str]) -> str:
    """ "did you mean …?" or an empty string."""
    known = list(known)
    if name.isdecimal():  # a spreadsheet takes the zeros off "007"
        padded = [other for other in known if other.isdecimal() and int(other) == int(name)]
        if padded:
            return f'did you mean "{padded[0]}"? format the column as text to keep its zeros'
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""


def typed_table(table: Table, raw: RawTable | None) -> tuple[pd.DataFrame, list[Fault], list[Fault]]:
    """Convert one table to its declared types and base units.

    Returns
    -------
    (frame, faults, warnings); the frame has every declared column, cells at fault hold a
    placeholder.
    """
    if raw is None:
        return _empty(table).copy(deep=False), [], []
    frame, faults, warnings = _typed_kept(table, raw) if raw.is_kept else _typed(table, raw)
    # whoever changes columns of a frame changes his own
    return frame.copy(deep=False), [*faults], [*warnings]


def _typed(table: Table, raw: RawTable) -> tuple[pd.DataFrame, list[Fault], list[Fault]]:
    faults: list[Fault] = []
    warnings: list[Fault] = []
    places = _select_columns(table, raw, faults)
    columns: dict[str, Any] = {}
    for column in table.columns:
        if column.name not in places:
            columns[column.name] = _filled(column, len(raw))
            continue
        position, factor = places[column.name]
        cells = raw.cells(position)
        if isinstance(cells, Fault):
            faults.append(cells)
            columns[column.name] = _filled(column, len(raw))
            continue
        values, found = _typed_column(column, cells, factor, raw)
        faults += found
        warnings += _suspicious(raw, column, values)
        columns[column.name] = values
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(raw)))
    faults += _duplicate_keys(table, frame, raw)
    return frame, faults, warnings


_typed_kept = lru_cache(maxsize=NUM_KEPT)(_typed)


def _select_columns(table: Table, raw: RawTable, faults: list[Fault]) -> dict[str, tuple[int, float]]:
    """Position of each declared column in the file, and the factor to its base unit."""
    places: dict[str, tuple[int, float]] = {}
    known: dict[str, tuple[str, float]] = {}
    for column in table.columns:
        known[column.name] = (column.name, 1.0)
        for other, factor in alternative_names(column.name).items():
            known.setdefault(other, (column.name, factor))
    seen: set[str] = set()
    for position, name in enumerate(raw.names):
        if name in seen:
            faults.append(Fault(raw.path, name, "each column once", "twice", "remove one"))
            continue
        seen.add(name)
        if name not in known:
            if name.startswith(("note", "Unnamed")) or name == "":
                continue
            mend = nearest(name, known) or "rename it, or start its name with 'note' to keep it"
            faults.append(Fault(raw.path, name, "a column of this table", "unknown column", mend))
            continue
        target, factor = known[name]
        if target in places:
            faults.append(Fault(raw.path, name, f"{target} once", "given twice", "remove one"))
            continue
        places[target] = (position, factor)
    for column in table.columns:
        if column.required and column.name not in places:
            about = f"{column.meaning} ({column.unit})" if column.unit else column.meaning
            faults.append(Fault(raw.path, column.name, f"a column: {about}", "missing", "add it"))
    return places


def _typed_column(column: Column, cells: pd.Series, factor: float, raw: RawTable) -> tuple[Any, list[Fault]]:
    if column.kind in ("float", "int"):
        return _numbers(column, cells, factor, raw)
    if column.kind == "bool":
        return _booleans(column, cells, raw)
    return _strings(column, cells, raw)


def _texts(cells: pd.Series) -> pa.Array:
    """Cells as stripped text, "" where there is nothing.

    By Arrow's own functions, as through pandas the same takes several times as long for a short table.
    """
    if isinstance(cells.dtype, pd.StringDtype):
        return pc.utf8_trim_whitespace(pc.fill_null(pa.array(cells, pa.large_string(), from_pandas=True), ""))
    found = cells.astype(object)
    return pa.array(
        ["" if missing else str(value).strip() for value, missing in zip(found, found.isna(), strict=True)],
        pa.large_string(),
    )


def _flags(found: pa.Array) -> np.ndarray[Any, Any]:
    return np.array(found.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _parsed(cells: pd.Series) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Numbers (NaN where there is none) and which cells are empty."""
    if is_numeric_dtype(cells.dtype):
        number = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        return number, np.isnan(number)
    text = _texts(cells)
    is_empty = pc.equal(text, "")
    text = pc.if_else(is_empty, None, text)
    try:
        # a whole column of plain numbers is read at once
        number = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        number = pd.to_numeric(text.to_pandas(), errors="coerce").to_numpy(dtype=np.float64)
    return number, _flags(is_empty)


def _numbers(
    column: Column, cells: pd.Series, factor: float, raw: RawTable
) -> tuple[np.ndarray[Any, Any], list[Fault]]:
    number, empty = _parsed(cells)
    if factor != 1.0:
        number = number * factor
    expected = expected_of(column)
    bad = ~empty & ~np.isfinite(number)
    faults = [
        _fault(raw, row, column, expected, f'"{cells.iloc[row]}"', _number_hint(str(cells.iloc[row])))
        for row in np.flatnonzero(bad)[:_LISTED_PER_COLUMN]
    ]
    if column.required:
        faults += [
            _fault(raw, row, column, expected, "empty", "fill it in")
            for row in np.flatnonzero(empty)[:_LISTED_PER_COLUMN]
        ]
        number = np.where(empty, 0.0, number)
    elif column.default is not None:
        number = np.where(empty, float(column.default), number)
    good = np.isfinite(number) & ~empty & ~bad
    low = -math.inf if column.minimum is None else column.minimum
    high = math.inf if column.maximum is None else column.maximum
    outside = good & ((number < low) | (number > high))
    faults += [
        _fault(raw, row, column, expected, _short(number[row]))
        for row in np.flatnonzero(outside)[:_LISTED_PER_COLUMN]
    ]
    if column.kind == "int":
        broken = good & (number != np.round(number))
        faults += [
            _fault(raw, row, column, "a whole number", _short(number[row]))
            for row in np.flatnonzero(broken)[:_LISTED_PER_COLUMN]
        ]
        return np.where(np.isfinite(number), np.round(number), 0).astype(np.int64), faults
    return np.where(bad, 0.0, number), faults


def _booleans(column: Column, cells: pd.Series, raw: RawTable) -> tuple[np.ndarray[Any, Any], list[Fault]]:
    if is_bool_dtype(cells.dtype) and not cells.hasnans:
        return cells.to_numpy(dtype=np.bool_), []
    text = pc.utf8_lower(_texts(cells))
    values = _flags(pc.is_in(text, _TRUE))
    known = values | _flags(pc.is_in(text, _FALSE))
    if not column.required:
        empty = _flags(pc.equal(text, ""))
        values[empty] = bool(column.default)
        known |= empty
    faults = [
        _fault(raw, int(row), column, "true or false", f'"{cells.iloc[row]}"')
        for row in np.flatnonzero(~known)[:_LISTED_PER_COLUMN]
    ]
    return values, faults


def _strings(column: Column, cells: pd.Series, raw: RawTable) -> tuple[Any, list[Fault]]:
    text = _texts(cells)
    is_empty = pc.equal(text, "")
    faults: list[Fault] = []
    if column.required:
        faults += [
            _fault(raw, int(row), column, expected_of(column), "empty", "fill it in")
            for row in np.flatnonzero(_flags(is_empty))[:_LISTED_PER_COLUMN]
        ]
    elif column.default:
        text = pc.if_else(is_empty, str(column.default), text)
    if column.choices:
        allowed = pa.array(["", *column.choices], text.type)
        wrong = np.flatnonzero(~_flags(pc.is_in(text, allowed)))
        faults += [
            _fault(
                raw,
                int(row),
                column,
                f"one of {', '.join(column.choices)}",
                f'"{text[row]}"',
                nearest(str(text[row]), column.choices),
            )
            for row in wrong[:_LISTED_PER_COLUMN]
        ]
    return text.to_pandas().array, faults


def _suspicious(raw: RawTable, column: Column, values: Any) -> list[Fault]:
    if column.kind != "float":
        return []
    numbers = np.asarray(values, dtype=np.float64)
    positive = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not len(positive):
        return []
    middle = float(np.median(positive))
    found = []
    # A whole column off by a factor shows against what is typical, a single cell against the median.
    if column.typical is not None and len(positive) > 2:
        ratio = middle / column.typical
        if ratio > _SUSPICIOUS_RATIO or ratio < 1 / _SUSPICIOUS_RATIO:
            found.append(
                Fault(
                    raw.path,
                    column.name,
                    f"about {_short(column.typical)} {column.unit}",
                    f"a median of {_short(middle)}",
                    _unit_question(column),
                )
            )
    if column.unit in ("", "deg", "share", "1") or len(positive) < 8 or column.typical is None:
        return found
    strange = numbers > 300 * middle
    for row in np.flatnonzero(strange)[:5]:
        times = numbers[row] / middle
        found.append(
            _fault(
                raw,
                int(row),
                column,
                f"a value near the median {_short(middle)}",
                f"{_short(numbers[row])}, {times:.0f} x the median",
                _unit_question(column),
            )
        )
    return found


def _unit_question(column: Column) -> str:
    other = list(alternative_names(column.name))
    unit = column.unit
    return (
        f"is it in {unit}? a column in another unit is named {' or '.join(other)}"
        if other
        else f"is it in {unit}?"
    )


def _duplicate_keys(table: Table, frame: pd.DataFrame, raw: RawTable) -> list[Fault]:
    if not table.key or frame.empty:
        return []
    keys = list(table.key)
    of_numbers = any(table.column(key).kind == "float" for key in keys)  # to a set no NaN is another's like
    if len(frame) <= _COMPARED_AT_ONCE and not of_numbers:
        found = list(zip(*(frame[key].tolist() for key in keys), strict=True))
        if len(set(found)) == len(found):
            return []
    repeated = np.flatnonzero(frame.duplicated(keys).to_numpy())
    faults = []
    for row in repeated[:_LISTED_PER_COLUMN]:
        value = ", ".join(str(frame.at[row, key]) for key in keys)
        same = np.flatnonzero((frame[keys] == frame.loc[row, keys]).all(axis=1).to_numpy())[0]
        faults.append(
            _fault(
                raw,
                int(row),
                table.column(keys[0]),
                f"{' + '.join(keys)} unique",
                f'"{value}", as in row {raw.lines[same]}',
                "rename or remove one",
            )
        )
    return faults


def reference_faults(
    schema: Schema, frames: Mapping[str, pd.DataFrame], raws: Mapping[str, RawTable | None]
) -> list[Fault]:
    """Cells that should name a row of another table and do not."""
    faults = []
    for table in schema.tables:
        raw = raws.get(table.name)
        if raw is None:
            continue
        for column in table.columns:
            if not column.references:
                continue
            known: list[str] = [""]
            for target in column.references.split("|"):
                other, _, field = target.strip().partition(".")
                known += list(frames[other][field].unique()) if field else [other]
            cells = frames[table.name][column.name]
            missing = np.flatnonzero(~cells.isin(known).to_numpy(dtype=np.bool_))
            faults += [
                _fault(
                    raw,
                    int(row),
                    column,
                    f"an entry of {column.references.replace('|', ' or ')}",
                    f'"{cells[row]}"',
                    nearest(cells[row], known),
                )
                for row in missing[:_LISTED_PER_COLUMN]
            ]
    return faults


def typed_parameters(
    schema: Schema, tree: Mapping[str, Any], other_roots: Iterable[str] = ()
) -> tuple[dict[str, Any], dict[str, ClauseTarget], list[Fault]]:
    """Parameters and clause targets of one programme from the parsed ``instance.toml``.

    ``other_roots`` are sections that belong to other programmes and are left to them.
    """
    flat = dict(_flatten(tree))
    faults: list[Fault] = []
    values: dict[str, Any] = {}
    known = {parameter.path: parameter for parameter in schema.parameters}
    for path, parameter in known.items():
        if path in flat:
            value, fault = _typed_parameter(parameter, flat[path])
            if fault is not None:
                faults.append(fault)
            values[path] = value
        elif parameter.default is REQUIRED:
            faults.append(
                Fault(TOML, path, expected_of(parameter), "missing", f"add it: {parameter.meaning}")
            )
        else:
            values[path] = parameter.default
    targets = _targets(schema, tree, faults)
    foreign = {"name", "description", "format", *other_roots}
    for path in flat:
        root = path.split(".")[0]
        if root in foreign or path in known or path.startswith(f"{schema.programme}.clauses."):
            continue
        faults.append(Fault(TOML, path, "a known parameter", "unknown", nearest(path, known)))
    return values, targets, faults


def _targets(schema: Schema, tree: Mapping[str, Any], faults: list[Fault]) -> dict[str, ClauseTarget]:
    section = tree.get(schema.programme, {})
    clauses = section.get("clauses", {}) if isinstance(section, Mapping) else {}
    allowed = {clause.id: clause for clause in schema.clauses}
    targets: dict[str, ClauseTarget] = {}
    if not isinstance(clauses, Mapping):
        faults.append(Fault(TOML, f"{schema.programme}.clauses", "a table per clause", repr(clauses)))
        return targets
    for clause_id, body in clauses.items():
        where = f"{schema.programme}.clauses.{clause_id}"
        if clause_id not in allowed:
            mend = nearest(clause_id, allowed) or f"known: {', '.join(allowed)}"
            faults.append(Fault(TOML, where, "a clause of this programme", "unknown", mend))
            continue
        target = _target(allowed[clause_id], where, body, faults)
        if target is not None:
            targets[clause_id] = target
    return targets


_TARGET_PARAMETERS = (
    Parameter("required", "float", "what the clause asks for", minimum=0),
    Parameter("hard", "bool", "hard, or soft with a penalty", default=True),
    Parameter("penalty_cny_per_unit", "float", "price of a missing unit", minimum=0, default=0.0),
    Parameter("deadline_year", "int", "calendar year", minimum=2000, maximum=2100, default=None),
)


def _target(clause: Clause, where: str, body: Any, faults: list[Fault]) -> ClauseTarget | None:
    if not isinstance(body, Mapping):
        faults.append(Fault(TOML, where, "required = …, hard = true|false", repr(body)))
        return None
    values: dict[str, Any] = {}
    before = len(faults)
    for parameter in _TARGET_PARAMETERS:
        if parameter.path in body:
            values[parameter.path], fault = _typed_parameter(parameter, body[parameter.path])
            if fault is not None:
                faults.append(Fault(TOML, f"{where}.{parameter.path}", fault.expected, fault.found))
        elif parameter.default is REQUIRED:
            faults.append(Fault(TOML, f"{where}.{parameter.path}", f"a number in {clause.unit}", "missing"))
        else:
            values[parameter.path] = parameter.default
    names = [parameter.path for parameter in _TARGET_PARAMETERS]
    for name in body:
        if name not in names:
            faults.append(Fault(TOML, f"{where}.{name}", "a known key", "unknown", nearest(name, names)))
    if len(faults) > before:
        return None
    return ClauseTarget(clause, **values)


def _typed_parameter(parameter: Parameter, value: Any) -> tuple[Any, Fault | None]:
    expected = expected_of(parameter)
    bad = Fault(TOML, parameter.path, expected, repr(value))
    if parameter.kind == "bool":
        return (value, None) if isinstance(value, bool) else (parameter.default, bad)
    if parameter.kind == "str":
        fits = isinstance(value, str) and (not parameter.choices or value in parameter.choices)
        return (value, None) if fits else (parameter.default, bad)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return parameter.default, bad
    low = -math.inf if parameter.minimum is None else parameter.minimum
    high = math.inf if parameter.maximum is None else parameter.maximum
    if not low <= value <= high or (parameter.kind == "int" and value != int(value)):
        return parameter.default, bad
    return (int(value) if parameter.kind == "int" else float(value)), None


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}.")
        else:
            yield path, value


def data_from_draft(schema: Schema, draft: InstanceDraft) -> InstanceData:
    """Validate a draft in memory and return its data.

    Raises
    ------
    InputFaults : with every fault, rows as positions counted from 2 (the header is line 1).
    """
    raws: dict[str, RawTable | None] = {}
    for table in schema.tables:
        frame = draft.tables.get(table.name)
        raws[table.name] = (
            None
            if frame is None
            else RawTable.of_frame(table.name, frame.reset_index(drop=True), np.arange(len(frame)) + 2)
        )
    tree = tree_of(draft)
    data, faults, _ = assemble(schema, raws, tree, draft.name_zh, draft.name_en)
    if faults:
        raise InputFaults(faults)
    return data


def tree_of(draft: InstanceDraft) -> dict[str, Any]:
    """The nested form of a draft's parameters and clause targets, as ``instance.toml`` holds them."""
    tree: dict[str, Any] = {}
    for path, value in draft.parameters.items():
        node = tree
        *parents, leaf = path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    if draft.targets:
        section = tree.setdefault(draft.programme, {}).setdefault("clauses", {})
        section.update({clause: dict(body) for clause, body in draft.targets.items()})
    return tree


def assemble(
    schema: Schema,
    raws: Mapping[str, RawTable | None],
    tree: Mapping[str, Any],
    name_zh: str,
    name_en: str,
    other_roots: Iterable[str] = (),
    fingerprint: str = "",
) -> tuple[InstanceData, list[Fault], list[Fault]]:
    """Everything but the programme's own cross-checks: data, faults, warnings."""
    faults: list[Fault] = []
    warnings: list[Fault] = []
    frames: dict[str, pd.DataFrame] = {}
    for table in schema.tables:
        raw = raws.get(table.name)
        if raw is None and not table.optional:
            where = table.name if table.shared else f"{schema.programme}/{table.name}"
            faults.append(
                Fault(f"{where}.csv", "(file)", table.meaning, "missing file", "see `optimize template`")
            )
        frame, found, suspicious = typed_table(table, raw)
        frames[table.name] = frame
        faults += found
        warnings += suspicious
        if raw is not None and not table.optional and not len(frame) and not found:
            faults.append(Fault(raw.path, "(rows)", "at least one row", "none"))
    faults += reference_faults(schema, frames, raws)
    parameters, targets, found = typed_parameters(schema, tree, other_roots)
    faults += found
    data = InstanceData(
        programme=schema.programme,
        name_zh=name_zh,
        name_en=name_en,
        parameters=parameters,
        targets=targets,
        tables=frames,
        fingerprint=fingerprint,
    )
    return data, faults, warnings


@lru_cache(maxsize=NUM_KEPT)
def _empty(table: Table) -> pd.DataFrame:
    return pd.DataFrame({column.name: _filled(column, 0) for column in table.columns})


def _filled(column: Column, rows: int) -> Any:
    default = None if column.required else column.default
    if column.kind == "float":
        return np.full(rows, np.nan if default is None else float(default))
    if column.kind == "int":
        return np.full(rows, 0 if default is None else int(default), dtype=np.int64)
    if column.kind == "bool":
        return np.full(rows, bool(default))
    return pd.array([default or ""] * rows, dtype="str")


def expected_of(item: Column | Parameter) -> str:
    """What a cell of a column, or a parameter, must be, in a few words."""
    if item.choices:
        return f"one of {', '.join(item.choices)}"
    words = {"float": "a number", "int": "a whole number", "str": "text", "bool": "true or false"}
    text = words[item.kind]
    if item.unit and item.kind in ("float", "int"):
        text = f"{item.unit}" if item.kind == "float" else f"a whole number ({item.unit})"
    if item.minimum is not None and item.maximum is not None:
        return f"{text} in {_short(item.minimum)}…{_short(item.maximum)}"
    if item.minimum is not None:
        return f"{text} from {_short(item.minimum)}"
    if item.maximum is not None:
        return f"{text} up to {_short(item.maximum)}"
    return text


def _number_hint(cell: str) -> str:
    cleaned = cell.replace(" ", "").replace("，", ",").rstrip("%")
    if not _THOUSANDS.fullmatch(cleaned) and cleaned.count(",") == 1:
        cleaned = cleaned.replace(",", ".")  # a decimal comma
    try:
        value = float(cleaned.replace(",", ""))
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        if cell.strip().endswith("%"):
            value /= 100
        return f"write {_short(value).replace(' ', '')}"  # as it can be typed
    return "write a plain number, the unit stands in the column name"


def _short(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", " ") if abs(value) >= 1e4 else str(int(value))
    return f"{value:.6g}"


def _fault(raw: RawTable, row: int, column: Column, expected: str, found: str, mend: str = "") -> Fault:
    return Fault(raw.path, column.name, expected, found, mend, row=int(row), line=int(raw.lines[row]))


def locate(faults: Sequence[Fault], raws: Mapping[str, RawTable | None]) -> list[Fault]:
    """Give faults of the programmes' own checks (table name and position) their file and line."""
    located = []
    for fault in faults:
        raw = raws.get(fault.table)
        if raw is None:
            located.append(fault)
            continue
        line = None if fault.row is None else int(raw.lines[fault.row])
        located.append(
            Fault(raw.path, fault.column, fault.expected, fault.found, fault.mend, fault.row, line)
        )
    return located
