"""Stored runs of the small templates that the studies are tried on."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from optimize.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def command() -> Command:
    """The command line in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(word) for word in arguments])
        return code, out.getvalue(), err.getvalue()

    return call


@pytest.fixture(scope="session")
def solve(command: Command) -> Callable[..., Path]:
    """Solve an instance and return the folder of its run."""

    def call(instance: Path, results: Path, *arguments: object) -> Path:
        code, out, err = command("solve", instance, "--json", "--results", results, *arguments)
        assert code == 0, out + err
        return Path(json.loads(out)["run"])

    return call


@pytest.fixture(scope="session")
def towns(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """A folder with the template of every programme."""
    home = tmp_path_factory.mktemp("studies")
    for name in ("datacenter", "water", "pv_siting"):
        assert command("template", name, home / name)[0] == 0
    return home


@pytest.fixture(scope="session")
def runs(
    towns: Path, solve: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Path]]:
    """Two runs with different plans for each programme; water's, which take longest, are the same."""
    results = tmp_path_factory.mktemp("results")

    def solved(name: str, *arguments: object) -> Path:
        return solve(towns / name, results, "--gap", "1e-6", *arguments)

    water = solved("water")
    return {
        "pv_siting": [solved("pv_siting"), solved("pv_siting", "--set", "budgets.scale=0.6")],
        "datacenter": [solved("datacenter"), solved("datacenter", "--goal", "cost")],
        "water": [water, water],
    }


@pytest.fixture(scope="session")
def city_runs(
    solve: Callable[..., Path], command: Command, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The example city: a joint run, and two of its programmes each by itself."""
    town, results = tmp_path_factory.mktemp("joint") / "town", tmp_path_factory.mktemp("joint_results")
    assert command("template", "city", town)[0] == 0
    found = {"city": solve(town, results, "--joint", "--gap", "1e-3")}
    for name in ("datacenter", "pv_siting"):
        found[name] = solve(town, results, "--programme", name, "--gap", "1e-3", "--engine", "fast")
    return found
