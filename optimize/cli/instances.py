"""``optimize check | template | generate | docs``: instances before anything is solved."""

from __future__ import annotations

import argparse
import json

from optimize.city.reading import holds_city, read_city
from optimize.city.schema import SCHEMA as CITY_SCHEMA
from optimize.cli.arguments import overrides_of
from optimize.cli.output import fault_record, instance_line, print_warnings
from optimize.errors import ExitCode, UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.schema_docs import instances_page
from optimize.io.write import write_instance
from optimize.names import CITY
from optimize.registry import PROGRAMMES, find_programme


def run_check(call: argparse.Namespace) -> int:
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


def run_template(call: argparse.Namespace) -> int:
    if call.programme == CITY:
        from optimize.city.example import example_city  # draws on every programme's example

        write_instance(call.folder, example_city(), commented=True)
        print(f"{call.folder}: an example of a city; next: optimize solve {call.folder} --joint")
        return ExitCode.SOLVED
    programme = find_programme(call.programme)
    write_instance(call.folder, [(programme.schema, programme.example())], commented=True)
    print(f"{call.folder}: an example of {programme.name}; next: optimize solve {call.folder}")
    return ExitCode.SOLVED


def run_generate(call: argparse.Namespace) -> int:
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


def run_docs(call: argparse.Namespace) -> int:
    print(instances_page(PROGRAMMES, CITY_SCHEMA), end="")
    return ExitCode.SOLVED
