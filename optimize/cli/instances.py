"""``optimize check | template | convert | generate | docs``: instances before anything is solved."""

from __future__ import annotations

import argparse
import json
import sys

from optimize.city.reading import holds_city, read_city
from optimize.city.schema import SCHEMA as CITY_SCHEMA
from optimize.cli.arguments import overrides_of
from optimize.cli.output import instance_line, print_warnings
from optimize.errors import ExitCode, InputFaults, UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.place import place_of
from optimize.io.schema_docs import instances_page
from optimize.io.shapes import shape_faults
from optimize.io.workbook import is_workbook
from optimize.io.write import write_instance
from optimize.names import CITY
from optimize.registry import PROGRAMMES, find_programme


def run_check(call: argparse.Namespace) -> int:
    overrides = overrides_of(call.settings)
    if call.marked is not None and not is_workbook(call.path):
        raise UsageError(f"--marked copies a workbook; {call.path} is none")
    try:
        if holds_city(call.path, overrides):
            instance, _ = read_city(call.path, PROGRAMMES, call.programme, overrides)
        else:
            instance = read_instance(call.path, PROGRAMMES, call.programme, overrides)
    except InputFaults as error:
        if call.marked is not None:
            from optimize.io.workbook_marks import write_marked_copy  # openpyxl is wanted here only

            number = write_marked_copy(call.path, error.faults, call.marked, call.lang)
            print(f"{call.marked}: a copy with {number} cells marked", file=sys.stderr)
        raise InputFaults([*error.faults, *shape_faults(call.path, None)]) from error
    faults = shape_faults(call.path, instance.districts)
    if faults:
        raise InputFaults(faults)
    if call.json:
        warnings = [w.record() for part in instance.programmes for w in part.warnings]
        print(json.dumps({"status": "valid", "faults": [], "warnings": warnings}, ensure_ascii=False))
        return ExitCode.SOLVED
    print(instance_line(instance, call.path))
    print_warnings(instance)
    return ExitCode.SOLVED


def run_template(call: argparse.Namespace) -> int:
    if call.programme == CITY:
        from optimize.city.example import example_city  # draws on every programme's example

        what, drafts, joint = "a city", example_city(), " --joint"
    else:
        programme = find_programme(call.programme)
        what, drafts, joint = programme.name, [(programme.schema, programme.example())], ""
    if is_workbook(call.out):
        from optimize.io.workbook_content import content_of_drafts
        from optimize.io.workbook_template import write_instance_workbook

        write_instance_workbook(call.out, content_of_drafts(drafts), call.lang)
    else:
        write_instance(call.out, drafts, commented=True)
    print(f"{call.out}: an example of {what}; next: optimize solve {call.out}{joint}")
    return ExitCode.SOLVED


def run_convert(call: argparse.Namespace) -> int:
    """Write what an instance holds in the other form, faulty cells and all."""
    from optimize.io.workbook import workbook_to_folder
    from optimize.io.workbook_content import content_of_place
    from optimize.io.workbook_template import write_instance_workbook

    schemas = [*(programme.schema for programme in PROGRAMMES), CITY_SCHEMA]
    if is_workbook(call.out):
        write_instance_workbook(call.out, content_of_place(place_of(call.instance), schemas), call.lang)
    elif is_workbook(call.instance):
        workbook_to_folder(call.instance, call.out, schemas)
    else:
        raise UsageError(f"{call.out}: a folder is converted into a workbook, whose name ends in .xlsx")
    print(f"{call.out}: what {call.instance} holds; next: optimize check {call.out}")
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
