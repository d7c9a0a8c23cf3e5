"""Tables and parameters of an instance from the sheets of one Excel workbook, laid over what is there."""

from __future__ import annotations

from pathlib import Path

from optimize.errors import InputFaults
from optimize.io.validation import TOML
from optimize.io.workbook import open_workbook, unpack_tables
from optimize.io.workbook_settings import PARAMETERS, TARGETS
from optimize.monthly.instance_files import SCHEMAS, lay_over_toml


def read_workbook(path: Path, place: Path) -> dict[str, str]:
    """Write each sheet as the table it is called after, below ``place``; by file, where it came from.

    Parameters and targets are laid over an ``instance.toml`` that is there.

    Raises
    ------
    UsageError : it is no workbook, or none that is safe to read.
    InputFaults : sheets of no table, cells that hold an error or a formula that was never calculated.
    """
    book = open_workbook(path)
    origins = unpack_tables(book, place, SCHEMAS)
    faults = book.faults_of(SCHEMAS)
    if faults:
        raise InputFaults(faults)
    if PARAMETERS in book.titles or TARGETS in book.titles:
        toml = place / TOML
        if toml.is_file():
            lay_over_toml(toml, book.settings.values)
        else:
            toml.write_bytes(book.settings.toml())
        origins[TOML] = book.titles.get(PARAMETERS, book.titles.get(TARGETS, ""))
    return {file: f"{path.as_posix()}, sheet {title}" for file, title in origins.items()}
