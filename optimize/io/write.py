"""Writing instances: drafts of generators and converters, and commented templates."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pandas as pd
import tomlkit
from tomlkit.items import Table as TomlTable

from optimize.errors import UsageError
from optimize.io.tables import PARQUET_FROM_ROWS
from optimize.io.validation import TOML, tree_of
from optimize.schema import REQUIRED, InstanceDraft, Parameter, Schema, Table


def write_instance(
    folder: Path, drafts: Sequence[tuple[Schema, InstanceDraft]], *, commented: bool = False
) -> None:
    """Write drafts of one or several programmes as one instance folder, all or nothing.

    Parameters
    ----------
    commented : explain every column above each table's header and every parameter in the toml,
        including those that keep their default.

    Raises
    ------
    UsageError : the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; choose another place")
    with _written_at_once(folder) as place:
        (place / TOML).write_text(_toml(drafts, commented), encoding="utf-8")
        for schema, draft in drafts:
            for table in schema.tables:
                frame = draft.tables.get(table.name)
                if frame is None and commented and not table.shared:
                    frame = pd.DataFrame(columns=[column.name for column in table.columns])
                if frame is None:
                    continue
                home = place if table.shared else place / schema.programme
                home.mkdir(parents=True, exist_ok=True)
                _write_table(home, table, frame, commented)


def write_tables(folder: Path, schema: Schema, draft: InstanceDraft, *, shared: bool = False) -> None:
    """Write the tables of one programme into an existing instance, leaving all else alone."""
    for table in schema.tables:
        frame = draft.tables.get(table.name)
        if frame is None or (table.shared and not shared):
            continue
        home = folder if table.shared else folder / schema.programme
        home.mkdir(parents=True, exist_ok=True)
        _write_table(home, table, frame, commented=False)


@contextmanager
def _written_at_once(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield place
        place.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        place.rename(folder)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _write_table(home: Path, table: Table, frame: pd.DataFrame, commented: bool) -> None:
    if len(frame) > PARQUET_FROM_ROWS:
        frame.to_parquet(home / f"{table.name}.parquet", index=False)
        return
    comments = _table_comments(table) if commented else ""
    shown = frame.copy()
    for name in shown.columns:
        if shown[name].dtype == bool:
            shown[name] = shown[name].map({True: "true", False: "false"})
    # Unquoted integers stay integers, floats lose the noise of binary fractions.
    body = shown.to_csv(index=False, lineterminator="\n", float_format=_plain_float)
    (home / f"{table.name}.csv").write_text(comments + body, encoding="utf-8")


def _plain_float(number: object) -> str:
    value = float(cast(float, number))
    text = f"{value:.10g}"
    return f"{value:.0f}" if "e" in text and abs(value) >= 1 else text


def _table_comments(table: Table) -> str:
    lines = [f"# {table.name}: {table.meaning}"]
    for column in table.columns:
        lines.append(f"#   {column.name}: {describe(column)}")
    return "\n".join(line.replace("\n", " ") for line in lines) + "\n"


def describe(item: Any) -> str:
    """One line on a column or parameter: meaning, unit, range, default, reference."""
    parts = [item.meaning]
    if item.unit:
        parts.append(f"[{item.unit}]")
    if item.choices:
        parts.append("one of " + ", ".join(item.choices))
    if item.minimum is not None or item.maximum is not None:
        low = "" if item.minimum is None else f"{item.minimum:g}"
        high = "" if item.maximum is None else f"{item.maximum:g}"
        parts.append(f"range {low}…{high}")
    references = getattr(item, "references", "")
    if references:
        parts.append("in " + references.replace("|", " or "))
    parts.append(_default_text(item))
    return "; ".join(parts)


def _default_text(item: Any) -> str:
    if item.default is REQUIRED:
        return "required"
    if item.default is None or item.default == "":
        return "may be empty"
    return f"default {str(item.default).lower() if isinstance(item.default, bool) else item.default}"


def _toml(drafts: Sequence[tuple[Schema, InstanceDraft]], commented: bool) -> str:
    document = tomlkit.document()
    first = drafts[0][1]
    for schema, draft in drafts:
        for line in draft.description.splitlines():
            document.add(tomlkit.comment(line if len(drafts) == 1 else f"{schema.programme}: {line}"))
    document.add("format", tomlkit.item(1))
    names = tomlkit.inline_table()
    names.update({"zh": first.name_zh, "en": first.name_en})
    document.add("name", names)
    tree: dict[str, Any] = {}
    for _, draft in drafts:
        _merge(tree, tree_of(draft))
    described = {p.path: p for schema, _ in drafts for p in schema.parameters}
    if commented:
        for path, parameter in described.items():
            if parameter.default is not REQUIRED and parameter.default is not None:
                _set_default(tree, path, parameter.default)
    _fill(document, tree, "", described if commented else {})
    return tomlkit.dumps(document)


def _fill(table: Any, tree: Mapping[str, Any], prefix: str, described: Mapping[str, Parameter]) -> None:
    ordered = sorted(tree.items(), key=lambda item: isinstance(item[1], Mapping))
    for key, value in ordered:
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            inner: TomlTable = tomlkit.table()
            _fill(inner, value, f"{path}.", described)
            table.add(key, inner)
            continue
        if path in described:
            table.add(tomlkit.comment(describe(described[path])))
        table.add(key, value)


def _merge(tree: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping):
            _merge(tree.setdefault(key, {}), value)
        elif tree.setdefault(key, value) != value:
            raise UsageError(f"the programmes set {key} to {tree[key]} and to {value}")


def _set_default(tree: dict[str, Any], path: str, value: Any) -> None:
    node = tree
    *parents, leaf = path.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
    node.setdefault(leaf, value)
