"""Stored runs of the templates, solved once for all tests of this folder (they run in one worker)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from optimize.cli import main
from optimize.publish.facts import RunFacts, read_run

_HOSTILE_NAME = '<b>医院</b> & "=1+1"'


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before each file is made a group of its own: a test of two groups would be in neither."""
    for item in items:
        if "tests/publish/" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("publish"))


@pytest.fixture(scope="session")
def hostile_name() -> str:
    """A name as nobody should have one: every page and table has to write it as it stands."""
    return _HOSTILE_NAME


@pytest.fixture(scope="session")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Solve an instance of a template and return its run; the same call is answered from memory."""
    home = tmp_path_factory.mktemp("published")
    known: dict[tuple[str, ...], Path] = {}

    def solve(programme: str, *options: str) -> Path:
        key = (programme, *options)
        if key not in known:
            instance = home / programme
            if not instance.is_dir():
                _quietly("template", programme, str(instance))
                _give_places(instance)
                if programme == "pv_siting":
                    _rename(instance / "pv_siting" / "sites.csv")
            before = set((home / "results").glob("*/*/*"))
            joint = ("--joint",) if programme == "city" else ()
            _quietly("solve", str(instance), *joint, "--results", str(home / "results"), *options)
            (known[key],) = set((home / "results").glob("*/*/*")) - before
        return known[key]

    return solve


@pytest.fixture(scope="session")
def pv(solved: Callable[..., Path]) -> RunFacts:
    """Public PV, with a hostile name among its sites."""
    return read_run(solved("pv_siting"))


@pytest.fixture(scope="session")
def less_pv(solved: Callable[..., Path]) -> RunFacts:
    """The same on seven tenths of the money."""
    return read_run(solved("pv_siting", "--set", "budgets.scale=0.7"))


@pytest.fixture(scope="session")
def city(solved: Callable[..., Path]) -> RunFacts:
    """All three programmes under one budget."""
    return read_run(solved("city"))


@pytest.fixture(scope="session")
def every_run(pv: RunFacts, less_pv: RunFacts, city: RunFacts) -> Mapping[str, RunFacts]:
    return {"pv": pv, "less_pv": less_pv, "city": city}


def _give_places(instance: Path) -> None:
    """Coordinates for everything that has a place: the templates leave them out."""
    for name in ("sites", "centres", "hosts", "heat_sinks", "plants", "users", "junctions"):
        for path in instance.glob(f"*/{name}.csv"):
            rows = pd.read_csv(path, dtype=str, keep_default_na=False, comment="#", encoding="utf-8-sig")
            number = range(len(rows))
            rows["lon"] = [f"{121.0 + 0.1 * (k % 5) + 0.01 * k:.3f}" for k in number]
            rows["lat"] = [f"{31.0 + 0.08 * (k // 5) + 0.02 * (k % 3):.3f}" for k in number]
            rows.to_csv(path, index=False, encoding="utf-8-sig")


def _rename(table: Path) -> None:
    text = table.read_text(encoding="utf-8-sig")
    assert "中心医院" in text
    quoted = _HOSTILE_NAME.replace('"', '""')
    table.write_text(text.replace("中心医院", f'"{quoted}"'), encoding="utf-8-sig")


def _quietly(*words: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as told:
        assert main(list(words)) == 0, told.getvalue()
