"""`optimize compare`: what differs between runs, with sums that are the checkers'."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.errors import UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.run_store import read_text_table
from optimize.registry import PROGRAMMES
from optimize.studies.compare import REST, Comparison, compare_runs
from optimize.studies.compare_inputs import differing_inputs
from optimize.studies.compare_sides import Side, read_sides
from optimize.studies.stored_runs import read_run

pytestmark = pytest.mark.xdist_group("stored runs")  # fixtures of the folder that take seconds

_CENT = 0.005


def compared(folders: list[Path]) -> Comparison:
    return compare_runs(read_sides([str(folder) for folder in folders], PROGRAMMES))


def checked(folder: Path) -> Any:
    """The checker's own report on the stored plan, from the raw tables."""
    run = read_run(folder, PROGRAMMES)
    programme, place = run.programme, Path(run.manifest["instance"])
    data = read_instance(place, PROGRAMMES, [programme.name], run.manifest["overrides"]).programmes[0].data
    tables = {path.stem: read_text_table(path) for path in folder.glob("*.csv")}
    return programme.check(programme.load(data), programme.read_plan(tables))


@pytest.mark.parametrize("name", ["pv_siting", "datacenter", "water"])
def test_sums_are_the_checkers_figures_to_the_cent(name: str, runs: dict[str, list[Path]]) -> None:
    comparison = compared(runs[name])
    for label, folder in zip(comparison.labels, runs[name], strict=True):
        report = checked(folder)
        spent = math.fsum(report.money["spent_cny"])
        money = comparison.money
        for by in ("year", "source", "district", "total"):
            assert abs(math.fsum(money.loc[money["by"] == by, label]) - spent) < _CENT, by
        for by in ("year", "source"):
            of_checker = report.money.groupby(by)["spent_cny"].sum()
            of_table = money[money["by"] == by].set_index("name")[label]
            for key, value in of_checker.items():
                assert abs(of_table[str(key)] - value) < _CENT
        effects = comparison.effects
        for figure in effects["figure"].unique():
            for by in ("year", "district", "total"):
                part = effects[(effects["figure"] == figure) & (effects["by"] == by)]
                assert abs(math.fsum(part[label]) - report.figures[figure]) < _CENT, (figure, by)
        figures = comparison.figures.set_index("figure")[label]
        assert figures.to_dict() == pytest.approx(dict(report.figures), rel=1e-12, nan_ok=True)
        reached = comparison.clauses[label].tolist()
        assert reached == pytest.approx([clause.reached for clause in report.clauses])


def test_what_the_projects_account_for_is_not_put_down_as_rest(runs: dict[str, list[Path]]) -> None:
    """PV's and data centres' payments lie in districts; only penalties and ageing are left over."""
    for name in ("pv_siting", "datacenter"):
        comparison = compared(runs[name])
        sums = pd.concat([comparison.money, comparison.effects[comparison.effects["figure"] == "co2"]])
        rest = sums.loc[sums["name"] == REST, list(comparison.labels)]
        assert (rest.abs() < 1.0).all(axis=None)


def test_projects_that_differ_are_told_apart(runs: dict[str, list[Path]]) -> None:
    first, second = (read_run(folder, PROGRAMMES).projects.set_index("id") for folder in runs["pv_siting"])
    comparison = compared(runs["pv_siting"])
    differing = comparison.projects.set_index("id")
    for project in set(first.index) | set(second.index):
        ways = [frame["decision"].get(project) for frame in (first, second)]
        if ways[0] == ways[1]:
            assert project not in differing.index
        elif None in ways:
            assert differing.loc[project, "difference"] == f"only {'B' if ways[0] is None else 'A'}"
        else:
            assert differing.loc[project, "difference"] == "all, differently"
    assert comparison.num_same + len(differing) == len(set(first.index) | set(second.index))
    assert len(differing) and comparison.inputs["B"] == ("budgets.scale = 0.6",)


def test_the_verdict_brackets_what_the_budget_costs(runs: dict[str, list[Path]]) -> None:
    (verdict,) = compared(runs["pv_siting"]).verdicts
    loss = [read_run(f, PROGRAMMES).summary["objective"] for f in runs["pv_siting"]]
    assert "worse than for A's" in verdict and f"{(loss[0] - loss[1]) / 1e6:.1f} M CNY" in verdict


def test_a_run_equals_itself(runs: dict[str, list[Path]]) -> None:
    comparison = compared([runs["pv_siting"][0]] * 2)
    assert comparison.projects.empty and comparison.num_same == len(
        read_run(runs["pv_siting"][0], PROGRAMMES).projects
    )
    assert comparison.verdicts == ("B and A are equally good plans for the same question",)


def test_table_json_and_csv_say_the_same(
    runs: dict[str, list[Path]], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, err = command("compare", *runs["pv_siting"], "--csv", tmp_path / "out")
    assert code == 0 and err == ""
    for word in (
        "figures",
        "clauses",
        "money by year",
        "money by source",
        "money by district",
        "projects: ",
        "B − A",
    ):
        assert word in out
    code, out, _ = command("compare", *runs["pv_siting"], "--json")
    content = json.loads(out)
    assert code == 0 and [run["label"] for run in content["runs"]] == ["A", "B"]
    for name in ("figures", "clauses", "money", "effects", "projects"):
        path = tmp_path / "out" / f"{name}.csv"
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == len(content[name])
    assert list((tmp_path / "out").glob(".*")) == []
    total = next(row for row in content["money"] if row["by"] == "total")
    by_csv = pd.read_csv(tmp_path / "out" / "money.csv").set_index("by").loc["total", "A"]
    assert by_csv == total["A"]


def test_calls_that_make_no_sense_are_refused(
    runs: dict[str, list[Path]], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert command("compare", runs["water"][0])[::2] == (
        2,
        "optimize: compare takes 2 to 26 runs, or one joint run (beside its fixed shares), got 1\n",
    )
    code, _, err = command("compare", runs["water"][0], runs["pv_siting"][0])
    assert code == 2 and "water, pv_siting" in err
    code, out, err = command("compare", runs["water"][0], tmp_path, "--json")
    assert code == 2 and "is not a run" in err and json.loads(out)["status"] == "error"
    (tmp_path / "file").write_text("")
    code, _, err = command("compare", *runs["water"], "--csv", tmp_path / "file")
    assert code == 2 and "cannot be written" in err


def test_a_run_that_was_changed_is_not_compared(runs: dict[str, list[Path]], tmp_path: Path) -> None:
    source = runs["pv_siting"][0]
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    summary["figures"]["npv"] += 1.0
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    with pytest.raises(UsageError, match=r"summary.json was changed.*optimize verify"):
        read_run(tmp_path, PROGRAMMES)


def test_what_scenarios_change_in_tables_is_told(runs: dict[str, list[Path]]) -> None:
    """What all have is left out, as is what concerns other programmes."""
    common = {"table": "pv_siting/kinds", "set": {"life_years": 30}}
    own = {
        "table": "pv_siting/sites",
        "where": {"type": ["school", "office"]},
        "scale": {"usable_roof_m2": 0.9},
    }
    other = {"table": "water/users", "drop": True}
    (side,) = read_sides([str(runs["pv_siting"][0])], PROGRAMMES)

    def changed(*changes: dict[str, Any]) -> Side:
        manifest = {**side.parts[0].manifest, "changes": list(changes), "overrides": {"water.periods": 4}}
        return replace(side, parts=(replace(side.parts[0], manifest=manifest),))

    told = differing_inputs("AB", [changed(common, other), changed(common, own)])
    assert told == {
        "A": ("nothing more changed in the tables",),
        "B": ("pv_siting/sites (type school or office): usable_roof_m2 × 0.9",),
    }
    plain = replace(side.parts[0], manifest={**side.parts[0].manifest, "overrides": {"water.periods": 9}})
    told = differing_inputs("AB", [replace(side, parts=(plain,)), changed(own)])
    assert told["A"] == ("tables as in the instance",) and len(told["B"]) == 1
