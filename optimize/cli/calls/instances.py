"""Calls of ``optimize check | template | convert | generate | docs``: instances before anything is solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from optimize.cli.arguments import Commands, add_instance_arguments, add_language_argument, seed
from optimize.deferred import Deferred
from optimize.names import CITY, FAMILIES, PROGRAMME_NAMES, SIZES

_WORK = "optimize.cli.instances"


def add_parsers(commands: Commands) -> None:
    command = commands.add_parser("check", help="validate an instance; nothing is solved")
    command.set_defaults(run=Deferred(_WORK, "run_check"))
    add_instance_arguments(command)
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    command.add_argument(
        "--marked",
        type=Path,
        metavar="COPY.xlsx",
        help="of a workbook with faults, also write a copy with the cells at fault coloured and commented",
    )
    add_language_argument(command, "of the marked copy's comments")

    command = commands.add_parser("template", help="write a commented, solvable example")
    command.set_defaults(run=Deferred(_WORK, "run_template"))
    command.add_argument(
        "programme", choices=[*PROGRAMME_NAMES, CITY], help="city: all programmes with what ties them"
    )
    command.add_argument("out", type=Path, metavar="OUT", help="a folder, or an Excel workbook (OUT.xlsx)")
    add_language_argument(command, "of a workbook's headings and explanations")

    command = commands.add_parser(
        "convert", help="write an instance folder as an Excel workbook, or the other way"
    )
    command.set_defaults(run=Deferred(_WORK, "run_convert"))
    command.add_argument("instance", type=Path, help="instance folder or workbook")
    command.add_argument("out", type=Path, metavar="OUT", help="OUT.xlsx for a workbook, else a folder")
    add_language_argument(command, "of a workbook's headings and explanations")

    command = commands.add_parser("generate", help="write a synthetic instance of a given size")
    command.set_defaults(run=Deferred(_WORK, "run_generate"))
    command.add_argument(
        "programme", choices=[*PROGRAMME_NAMES, "all"], help="all: one instance of all programmes"
    )
    command.add_argument("--size", required=True, help=_of_each(SIZES))
    command.add_argument("--seed", type=seed, default=1)
    command.add_argument("--family", default="", help=_of_each(FAMILIES))
    command.add_argument("out", type=Path)

    command = commands.add_parser("docs", help="print a generated page of the documentation")
    command.set_defaults(run=Deferred(_WORK, "run_docs"))
    command.add_argument("page", choices=["instances"])


def _of_each(known: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{programme}: {' '.join(known[programme])}" for programme in PROGRAMME_NAMES)
