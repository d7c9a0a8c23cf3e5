"""An instance folder that is put together from several places: its tables by name, its parameters, all at once."""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from optimize.city.schema import SCHEMA as CITY_SCHEMA
from optimize.errors import ExitCode, OptimizeError, UsageError
from optimize.io.table_changes import table_path
from optimize.registry import PROGRAMMES
from optimize.schema import Schema

# All that an instance folder may hold tables for.
SCHEMAS: tuple[Schema, ...] = (*(programme.schema for programme in PROGRAMMES), CITY_SCHEMA)


class SourceUnavailable(OptimizeError):
    """The source cannot be reached now (a server, a network folder): worth another try, unlike wrong input."""

    exit_code = ExitCode.UNAVAILABLE


def known_tables() -> dict[str, Path]:
    """Every table there can be, as a change names it (``pv_siting/sites``), and its file in an instance."""
    paths = [table_path(schema, table) for schema in SCHEMAS for table in schema.tables]
    return {path: Path(f"{path}.csv") for path in paths}


def replace_table(place: Path, name: str) -> Path:
    """Where the file of a table goes; a Parquet file of that name gives way."""
    path = place / known_tables()[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".parquet").unlink(missing_ok=True)
    return path


@contextmanager
def written_at_once(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to be filled, which takes its name once it is whole."""
    if out.exists():
        raise UsageError(f"{out} exists already")
    out.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield place
        place.chmod(0o755)
        place.rename(out)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def set_parameter(document: Any, key: str, value: Any) -> bool:
    """Set ``a.b.c`` in a TOML document, whose comments stay; False where ``a.b`` is a value already."""
    node = document
    *parents, leaf = key.split(".")
    for parent in parents:
        if parent not in node:
            node[parent] = tomlkit.table(is_super_table=True)
        node = node[parent]
        if not hasattr(node, "items"):
            return False
    node[leaf] = value
    return True


def lay_over_toml(toml: Path, settings: Mapping[str, Any]) -> None:
    """Set parameters in an ``instance.toml``, None taking one out; its comments stay where its form allows it."""
    text = toml.read_text(encoding="utf-8-sig")
    wanted = tomllib.loads(text)
    _lay_over(wanted, settings)
    try:
        document = tomlkit.parse(text)
        _lay_over(document, settings)
        written = tomlkit.dumps(document)
        if tomllib.loads(written) != wanted:
            written = tomlkit.dumps(wanted)
    except (TOMLKitError, ValueError):  # a form (an inline table) that takes no sections
        written = tomlkit.dumps(wanted)
    toml.write_text(written, encoding="utf-8")


def _lay_over(document: Any, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if value is None:
            _take_out(document, key)
        else:
            set_parameter(document, key, value)


def _take_out(document: Any, key: str) -> None:
    node, (*parents, leaf) = document, key.split(".")
    for parent in parents:
        node = node.get(parent, {})
    node.pop(leaf, None)
    if not node and len(parents) > 1 and parents[-2] == "clauses":  # a clause that asks for nothing is none
        _take_out(document, ".".join(parents))
