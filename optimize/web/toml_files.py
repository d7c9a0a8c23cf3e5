"""TOML of people we do not know: read without being taken in, written with their comments kept."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from optimize.errors import Fault, UsageError
from optimize.io.tables import decode
from optimize.registry import PROGRAMMES

MOST_BYTES = 1 << 20
# Files that parameters name: they have to lie in the instance folder.
FILE_PARAMETERS = tuple(
    parameter.path
    for programme in PROGRAMMES
    for parameter in programme.schema.parameters
    if parameter.is_file
)


def parse(text: str) -> dict[str, Any]:
    """A TOML document.

    Raises
    ------
    UsageError : it is too long, nested too deeply, or no TOML.
    """
    if len(text.encode()) > MOST_BYTES:
        raise UsageError(f"more than {MOST_BYTES >> 20} MiB of TOML are not read")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"this is no TOML: {error}") from error
    except RecursionError as error:
        raise UsageError("this TOML is nested too deeply") from error


def read_tree(path: Path) -> dict[str, Any] | Fault:
    """What a file holds; a fault where it is no text or no TOML.

    Raises
    ------
    UsageError : it is not there, too long or nested too deeply.
    """
    if not path.is_file():
        raise UsageError(f"there is no {path.name}; an instance has one beside its tables")
    if path.stat().st_size > MOST_BYTES:
        raise UsageError(f"{path.name} has more than {MOST_BYTES >> 20} MiB")
    text = decode(path.read_bytes())
    if text is None:
        return Fault(path.name, "(file)", "text in UTF-8", "other bytes")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Fault(path.name, "(file)", "TOML", str(error))
    except RecursionError as error:
        raise UsageError(f"{path.name} is nested too deeply") from error


def refuse_outside_files(tree: Mapping[str, Any]) -> None:
    """Refuse parameters that name a file anywhere but in the instance folder.

    Raises
    ------
    UsageError : with the parameter.
    """
    for path in FILE_PARAMETERS:
        refuse_outside_file(path, _at(tree, path))


def refuse_outside_file(parameter: str, value: Any) -> None:
    """As `refuse_outside_files`, for one parameter; others may have any value."""
    if parameter not in FILE_PARAMETERS or value in (None, ""):
        return
    name = str(value)
    # as Windows reads it, both slashes part, and "C:" is no name
    if PureWindowsPath(name).name != name or name in (".", "..") or "\x00" in name:
        raise UsageError(f"{parameter} = {name!r}: expected the name of a file beside instance.toml")


def _at(tree: Mapping[str, Any], path: str) -> Any:
    node: Any = tree
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return None
        node = node[key]
    return node
