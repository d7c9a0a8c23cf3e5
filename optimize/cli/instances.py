"""``optimize check | template | generate | docs``: instances before anything is solved."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from optimize.city.example import example_city
from optimize.city.reading import holds_city, read_city
from optimize.city.schema import SCHEMA as CITY_SCHEMA
from optimize.cli.arguments import Commands, add_instance_arguments, overrides_of, seed
from optimize.cli.output import fault_record, instance_line, print_warnings
from optimize.errors import ExitCode, UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.schema_docs import instances_page
from optimize.io.write import write_instance
from optimize.names import CITY
from optimize.registry import PROGRAMMES, find_programme


def add_parsers(commands: Commands) -> None:
    names = [programme.name for programme in PROGRAMMES]
    command = commands.add_parser("check", help="validate an instance; nothing is solved")
    command.set_defaults(run=_check)
    add_instance_arguments(command)
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")

    command = commands.add_parser("template", help="write a commented, solvable example")
    command.set_defaults(run=_template)
    command.add_argument("programme", choices=[*names, CITY], help="city: all programmes with what ties them")
    command.add_argument("folder", type=Path)

    command = commands.add_parser("generate", help="write a synthetic instance of a given size")
    command.set_defaults(run=_generate)
    command.add_argument("programme", choices=[*names, "all"], help="all: one instance of all programmes")
    command.add_argument(
        "--size", required=True, help="; ".join(f"{p.name}: {' '.join(p.sizes)}" for p in PROGRAMMES)
    )
    command.add_argument("--seed", type=seed, default=1)
    command.add_argument(
        "--family", default="", help="; ".join(f"{p.name}: {' '.join(p.families)}" for p in PROGRAMMES)
    )
    command.add_argument("out", type=Path)

    command = commands.add_parser("docs", help="print a generated page of the documentation")
    command.set_defaults(run=_docs)
    command.add_argument("page", choices=["instances"])


def _check(call: argparse.Namespace) -> int:
    overrides = overrides_of(call.settings)
    if holds_city(call.path, overrides):
        instance, _ = read_city(call.path, PROGRAMMES, call.programme, overrides)
    else:
        instance = read_instance(call.path, PROGRAMMES, call.programme, overrides)
    if call.json:
        warnings = [fault_record(w) for part in instance.programmes for w in part.warnings]
        print(json.dumps({"status": "valid", "faults": [], "warnings": warnings}, ensure_ascii=False))
        return ExitCode.SOLVED
    print(instance_line(instance, call.path))
    print_warnings(instance)
    return ExitCode.SOLVED


def _template(call: argparse.Namespace) -> int:
    if call.programme == CITY:
        write_instance(call.folder, example_city(), commented=True)
        print(f"{call.folder}: an example of a city; next: optimize solve {call.folder} --joint")
        return ExitCode.SOLVED
    programme = find_programme(call.programme)
    write_instance(call.folder, [(programme.schema, programme.example())], commented=True)
    print(f"{call.folder}: an example of {programme.name}; next: optimize solve {call.folder}")
    return ExitCode.SOLVED


def _generate(call: argparse.Namespace) -> int:
    chosen = PROGRAMMES if call.programme == "all" else (find_programme(call.programme),)
    drafts = []
    for programme in chosen:
        family = call.family or programme.families[0]
        for given, known, word in (
            (call.size, programme.sizes, "--size"),
            (family, programme.families, "--family"),
        ):
            if given not in known:
                raise UsageError(f"{word} {given}: {programme.name} knows {', '.join(known)}")
        drafts.append((programme.schema, programme.generate(call.size, call.seed, family)))
    write_instance(call.out, drafts)
    print(f"{call.out}: {call.programme} {call.size}, seed {call.seed}; next: optimize solve {call.out}")
    return ExitCode.SOLVED


def _docs(call: argparse.Namespace) -> int:
    print(instances_page(PROGRAMMES, CITY_SCHEMA), end="")
    return ExitCode.SOLVED
