"""What a command loads before it works: help knows no programme, and a programme no solver."""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from optimize import names
from optimize.cli.calls import GROUPS
from optimize.datacenter import generator as datacenter
from optimize.deferred import Deferred
from optimize.programme import Programme
from optimize.pv_siting import generator as pv_siting
from optimize.registry import PROGRAMMES
from optimize.water import generator as water

_SOLVERS = {"highspy", "numba", "ortools", "pvlib", "pyomo"}
_GENERATED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "datacenter": ((*datacenter.SIZES, "shanghai"), datacenter.FAMILIES),
    "water": ((*water.SIZES, "shanghai"), water.FAMILIES),
    "pv_siting": (pv_siting.SIZES, pv_siting.FAMILIES),
}


def _loaded(statement: str) -> set[str]:
    """Packages that a fresh Python has loaded after ``statement``."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(told.stdout.splitlines()[-1].split())


def _functions_called(parser: argparse.ArgumentParser) -> Iterator[Any]:
    """What the commands below ``parser`` call."""
    if parser.get_default("run") is not None:
        yield parser.get_default("run")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _functions_called(command)


def test_help_and_wrong_calls_load_no_numbers() -> None:
    help_asked = "from optimize.cli import main; main(['solve', '--help']); main(['runs', '--newest', '0'])"
    assert not _loaded(help_asked) & (_SOLVERS | {"numpy", "pandas", "scipy", "duckdb", "rich"})


def test_the_work_of_every_command_is_there() -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for group in GROUPS:
        group.add_parsers(commands)
    functions = list(_functions_called(parser))
    assert len(functions) >= 24
    for function in functions:
        assert callable(function.function)


@pytest.mark.parametrize("module", ["registry", "cli.listing"])
def test_programmes_and_stores_are_known_without_solvers(module: str) -> None:
    assert not _loaded(f"import optimize.{module}") & _SOLVERS


def test_names_are_those_of_the_programmes() -> None:
    assert tuple(programme.name for programme in PROGRAMMES) == names.PROGRAMME_NAMES
    assert {p.name: (p.sizes, p.families) for p in PROGRAMMES} == _GENERATED


@pytest.mark.parametrize("programme", PROGRAMMES, ids=lambda p: p.name)
def test_every_function_of_a_programme_is_there(programme: Programme) -> None:
    functions = [getattr(programme, field.name) for field in dataclasses.fields(programme)]
    deferred = [function for function in functions if isinstance(function, Deferred)]
    assert len(deferred) >= 15
    for function in deferred:
        assert callable(function.function)
