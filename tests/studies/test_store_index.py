"""`optimize runs`: the store as a table that is always what the folders say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimize.errors import UsageError
from optimize.studies import store_index
from optimize.studies.store_index import INDEX, RunQuery, query_runs


def write_run(store: Path, fingerprint: str, number: int, npv: float, programme: str = "pv_siting") -> Path:
    """As much of a run as a listing reads."""
    run = store / programme / fingerprint / f"{number:04d}"
    run.mkdir(parents=True)
    summary: dict[str, Any] = {
        "programme": programme, "instance_en": "Town", "status": "solved", "goal": ["npv"],
        "objective": npv, "bound": npv * 1.01, "gap": 0.01, "goal_unit": "CNY", "maximise": True,
        "stop_reason": "gap reached", "engine": "fast", "seconds": 1.5, "clauses": [{"met": False}],
        "money": [{"spent_cny": 2.0}, {"spent_cny": 3.0}], "figures": {"npv": npv, "co2": 7.0},
    }  # fmt: skip
    manifest = {
        "started_utc": f"2026-01-01T00:00:{number % 60:02d}+00:00", "options": {"threads": 1},
        "overrides": {"budgets.scale": number / 100}, "fingerprint": fingerprint,
    }  # fmt: skip
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for number, npv in enumerate((5e6, 6e6, 7e6), start=1):
        write_run(tmp_path, "aaa", number, npv)
    write_run(tmp_path, "bbb", 1, 8e6, "datacenter")
    return tmp_path


def listed(store: Path, **query: Any) -> list[str]:
    return list(query_runs(store, RunQuery(**query)).frame["run"])


def test_runs_are_listed_the_newest_first(store: Path) -> None:
    assert listed(store) == [
        "pv_siting/aaa/0003",
        "pv_siting/aaa/0002",
        "pv_siting/aaa/0001",
        "datacenter/bbb/0001",
    ]
    assert listed(store, newest=1) == ["pv_siting/aaa/0003"]
    assert listed(store, programme="datacenter") == ["datacenter/bbb/0001"]


def test_conditions_reach_facts_figures_and_overrides(store: Path) -> None:
    assert listed(store, where="npv > 5.5e6 and programme = 'pv_siting'") == [
        "pv_siting/aaa/0003",
        "pv_siting/aaa/0002",
    ]
    assert (
        listed(store, where="spent_cny = 5 and clauses_missed = 1 and co2 = 7", newest=2) == listed(store)[:2]
    )
    assert listed(store, where="(overrides->>'budgets.scale')::double = 0.02 -- two") == [
        "pv_siting/aaa/0002"
    ]


def test_the_index_follows_the_folders(store: Path) -> None:
    listed(store)
    assert (store / INDEX).is_file()
    shutil.rmtree(store / "pv_siting" / "aaa" / "0002")
    write_run(store, "ccc", 9, 1e6)
    changed = json.loads((store / "pv_siting/aaa/0001/summary.json").read_text())
    changed["figures"]["npv"] = 9e9
    (store / "pv_siting/aaa/0001/summary.json").write_text(json.dumps(changed))
    assert set(listed(store)) == {
        "pv_siting/ccc/0009", "pv_siting/aaa/0003", "pv_siting/aaa/0001", "datacenter/bbb/0001",
    }  # fmt: skip
    assert listed(store, where="npv = 9e9") == ["pv_siting/aaa/0001"]


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"a,b\n1,2\n"])
def test_an_index_that_cannot_be_read_is_built_anew(store: Path, content: bytes) -> None:
    before = listed(store)
    (store / INDEX).write_bytes(content)
    assert listed(store) == before
    assert (store / INDEX).read_bytes() != content


def test_folders_that_are_no_runs_are_named(store: Path) -> None:
    broken = store / "pv_siting" / "aaa" / "0007"
    broken.mkdir()
    (broken / "summary.json").write_text("{half")
    (broken / "manifest.json").write_text("{}")
    (store / "README.md").write_text("not a programme")
    found = query_runs(store, RunQuery())
    assert found.num_all == 4 and len(found.unreadable) == 1 and "0007" in found.unreadable[0]


@pytest.mark.parametrize(
    "where", ["nvp > 1", "npv >", "true; select 1", "run in (select name from read_csv('/etc/passwd'))"]
)
def test_conditions_that_are_none_are_refused_with_the_columns(store: Path, where: str) -> None:
    with pytest.raises(UsageError, match="--where"):
        listed(store, where=where)
    assert len(listed(store)) == 4


def test_an_empty_store_and_none(tmp_path: Path) -> None:
    assert listed(tmp_path) == [] and listed(tmp_path, where="gap > 0") == []
    with pytest.raises(UsageError, match="no folder"):
        listed(tmp_path / "none")


def test_command(store: Path, command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = command("runs", "--results", store, "--where", "npv > 5.5e6", "--programme", "pv_siting")
    assert (code, err) == (0, "") and "2 of 4 runs" in out and "budgets.scale=0.03" in out
    code, out, _ = command("runs", "--results", store, "--json", "--newest", "1")
    record = json.loads(out)
    assert code == 0 and record["run"] == "pv_siting/aaa/0003" and record["npv"] == 7e6
    code, _, err = command("runs", "--results", store, "--where", "bogus = 1")
    assert code == 2 and "bogus" in err and "the columns are run, programme" in err
    code, out, _ = command("runs", "--results", store, "--where", "gap > 1", "--json")
    assert (code, out) == (0, "")


def test_a_run_is_read_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand runs are listed from the index; only new ones are opened."""
    opened: list[str] = []
    plain = store_index.read_summary

    def counted(run: Path) -> dict[str, Any]:
        opened.append(run.name)
        return plain(run)

    monkeypatch.setattr(store_index, "read_summary", counted)
    listed(store)
    assert len(opened) == 4
    listed(store, where="npv > 0")
    assert len(opened) == 4
    write_run(store, "ccc", 9, 1e6)
    listed(store)
    assert opened[4:] == ["0009"]


def test_a_scenario_s_changes_of_tables_are_listed_and_asked_for(
    store: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    run = write_run(store, "ccc", 1, 9e6)
    change = {"table": "pv_siting/sites", "where": {"type": "school"}, "scale": {"usable_roof_m2": 0.9}}
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {"changes": [change], "scenario": {"name": "shading", "zh": "", "en": "Less roof"}}
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    code, out, _ = command("runs", "--results", store)
    assert code == 0 and " scenario  " in out
    assert "budgets.scale=0.01; pv_siting/sites (type school): usable_roof_m2 × 0.9" in out
    assert listed(store, where="scenario = 'shading'") == ["pv_siting/ccc/0001"]
    assert listed(store, where="changes like '%usable_roof%'") == ["pv_siting/ccc/0001"]
    shutil.rmtree(store / "pv_siting" / "ccc")
    assert " scenario  " not in command("runs", "--results", store)[1]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"gamma": 2.0, "cost_deviation": 0.2}, "gamma 2"),
        ({"gamma": "all", "cost_deviation": 0.2}, "gamma all"),
        ({"alpha": 0.9, "weight": 0.5, "cases": 50}, "cvar 0.9 weight 0.5"),
        ({"gamma": 0.0, "cost_deviation": 0.2}, ""),
    ],
)
def test_robust_runs_are_marked_and_asked_for(
    store: Path, command: Callable[..., tuple[int, str, str]], asked: dict[str, Any], words: str
) -> None:
    run = write_run(store, "ccc", 1, 9e6)
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    (run / "summary.json").write_text(json.dumps(summary | {"robust": asked}), encoding="utf-8")
    out = command("runs", "--results", store)[1]
    assert (f"robust: {words}; budgets.scale=0.01" in out) == bool(words)
    assert listed(store, where="robust <> ''") == (["pv_siting/ccc/0001"] if words else [])
