"""Why a plan changed, what staying near it costs, and how both are told."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from optimize.errors import UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.run_store import text_cells
from optimize.io.write import write_instance
from optimize.monthly.attribution import (
    Asked,
    ChangeExplained,
    PeriodPlan,
    PlanView,
    ProjectChange,
    explain_change,
    view_of_tables,
)
from optimize.monthly.change_files import write_reports
from optimize.monthly.change_report import Report, change_lines
from optimize.monthly.change_words import words_of
from optimize.monthly.differences import Inputs, find_differences, write_without
from optimize.monthly.stability import (
    CurvePoint,
    Planned,
    Stability,
    trace_changes,
    undominated,
    without_fines,
)
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES, find_programme
from optimize.report.stored import run_tables
from optimize.schema import InstanceData, InstanceDraft
from optimize.solve import solve

PV = find_programme("pv_siting")
NAME = PV.name


def _small() -> InstanceDraft:
    """The example without clauses, and with one day of weather a season: quick to read and to solve."""
    draft = PV.example()
    weather = draft.tables["weather"]
    some = weather[weather["month"].isin([3, 9])]
    days = some.assign(days=some["days"] * 6)
    return replace(draft, tables={**draft.tables, "weather": days}, targets={})


def _write(folder: Path, draft: InstanceDraft) -> Path:
    write_instance(folder, [(PV.schema, draft)])
    return folder


def _data(folder: Path) -> InstanceData:
    return read_instance(folder, PROGRAMMES, [NAME]).programmes[0].data


def _plan(folder: Path) -> PlanView | None:
    solved = solve(PV, _data(folder), SolveOptions(gap=1e-7, time_limit_s=20))
    if solved.check is None:
        return None
    assert solved.check.passed and solved.result.objective is not None
    tables = {name: text_cells(frame) for name, frame in run_tables(PV, solved).items()}
    return view_of_tables(tables, [PV], solved.result.objective, solved.result.bound, joint=False)


@dataclass(frozen=True)
class Changed:
    """Two periods: cheaper panels, a smaller budget, a site gone and a measured load."""

    before: Path
    now: Path
    plan_before: PlanView
    plan_now: PlanView
    gone: str
    measured: str


def _with(draft: InstanceDraft, **tables: pd.DataFrame) -> InstanceDraft:
    return replace(draft, tables={**draft.tables, **tables})


def _in_force(plan: PlanView) -> pd.DataFrame:
    rows = []
    for row in plan.projects[NAME].to_dict("records"):
        parts = str(row["decision"]).split(" · ")
        rows.append(
            {"site": row["id"], "configuration": parts[0], "year": int(row["year"]), "mix": parts[-1]}
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Changed:
    home = tmp_path_factory.mktemp("change")
    draft = _small()
    before = _write(home / "before", draft)
    plan = _plan(before)
    assert plan is not None
    _in_force(plan).to_csv(before / NAME / "plan_in_force.csv", index=False)
    sites, kinds, budgets = (draft.tables[name] for name in ("sites", "kinds", "budgets"))
    gone, measured = plan.projects[NAME]["id"].iloc[0], plan.projects[NAME]["id"].iloc[1]
    kept = sites[sites["site"] != gone]
    kept = kept.assign(annual_load_kwh=kept["annual_load_kwh"].where(kept["site"] != measured, 1234.0))
    others = {
        name: frame[~frame[column].isin([gone])]
        for name, column in (("offers", "site"), ("locks", "id"))
        if name in draft.tables and len(frame := draft.tables[name])
    }
    draft = _with(
        draft,
        sites=kept,
        kinds=kinds.assign(capex_cny_per_kw=kinds["capex_cny_per_kw"] * 0.9),
        budgets=budgets.assign(amount_cny=budgets["amount_cny"] * 0.6),
        plan_in_force=_in_force(plan),
        **others,
    )
    now = _write(home / "now", draft)
    plan_now = _plan(now)
    assert plan_now is not None
    return Changed(before, now, plan, plan_now, gone, measured)


def _explained(changed: Changed, scratch: Path) -> tuple[ChangeExplained, dict[str, PlanView]]:
    """The change, and the plan with each group taken back."""
    asked = Asked("npv", "CNY", True, [(f"{NAME}/sites", changed.measured, "annual_load_kwh")])
    plans: dict[str, PlanView] = {}

    def solve_again(folder: Path) -> PlanView | None:
        plan = _plan(folder)
        assert plan is not None
        return plans.setdefault(folder.name.removeprefix("without-"), plan)

    told = explain_change(
        PeriodPlan("2024-02", changed.before, changed.plan_before),
        PeriodPlan("2024-03", changed.now, changed.plan_now),
        asked, solve_again, scratch,
    )  # fmt: skip
    return told, plans


def test_differences_are_found_in_their_groups_and_each_can_be_taken_back(
    changed: Changed, tmp_path: Path
) -> None:
    before, now = Inputs.read(changed.before, [NAME]), Inputs.read(changed.now, [NAME])
    found = find_differences(before, now, [(f"{NAME}/sites", changed.measured, "annual_load_kwh")])
    groups = {difference.group for difference in found}
    assert groups == {"costs", "budgets", "candidates", "measurements"}
    assert [d.key for d in found if d.group == "measurements"] == [changed.measured]
    assert (f"{NAME}/sites", changed.gone, "") in {(d.table, d.key, d.column) for d in found}
    assert not find_differences(now, now, [])
    write_without(now, before, found, tmp_path / "all")
    back = Inputs.read(tmp_path / "all", [NAME])
    assert not find_differences(before, back, [])
    some = [d for d in found if d.group == "candidates"]
    write_without(now, before, some, tmp_path / "some")
    left = find_differences(before, Inputs.read(tmp_path / "some", [NAME]), [])
    assert {(d.table, d.key, d.column) for d in left} == {
        (d.table, d.key, d.column) for d in found if d not in some
    }


def test_settings_and_clauses_are_taken_back_as_well(tmp_path: Path) -> None:
    draft = _small()
    before = _write(
        tmp_path / "before", replace(draft, parameters={**draft.parameters, "budgets.scale": 0.9})
    )
    now = _write(
        tmp_path / "now",
        replace(draft, targets={"PV-50MW": {"required": 100.0, "hard": False, "penalty_cny_per_unit": 5.0}},
                parameters={**draft.parameters, "prices.carbon_cny_per_t": 99.0}),
    )  # fmt: skip
    old, new = Inputs.read(before, [NAME]), Inputs.read(now, [NAME])
    found = find_differences(old, new, [])
    assert {d.key: d.group for d in found} == {
        "budgets.scale": "budgets",
        "prices.carbon_cny_per_t": "prices",
        **{f"{NAME}.clauses.PV-50MW.{k}": "targets" for k in ("required", "hard", "penalty_cny_per_unit")},
    }
    write_without(new, old, found, tmp_path / "back")
    assert not find_differences(old, Inputs.read(tmp_path / "back", [NAME]), [])


def test_each_change_is_put_down_to_what_brings_it_back(changed: Changed, tmp_path: Path) -> None:
    told, plans = _explained(changed, tmp_path)
    before = {row["id"]: row for row in changed.plan_before.projects[NAME].to_dict("records")}
    now = {row["id"]: row for row in changed.plan_now.projects[NAME].to_dict("records")}
    different = {
        site for site in before.keys() | now.keys()
        if before.get(site, {}).get("decision") != now.get(site, {}).get("decision")
    }  # fmt: skip
    assert {project.project for project in told.projects} == different
    gone = next(p for p in told.projects if p.project == changed.gone)
    assert (gone.kind, gone.forced, gone.after) == ("dropped", True, "")
    assert (gone.programme, gone.table) == (NAME, "projects")  # as the ledger names it
    assert gone.effects["npv"] == -before[changed.gone]["npv"]
    for group in told.groups:
        without = plans[group.group]
        assert group.effect is not None
        assert group.effect == pytest.approx(told.objective - without.objective, abs=1.0)
        decided = {row["id"]: row["decision"] for row in without.projects[NAME].to_dict("records")}
        for project in told.projects:
            reverted = decided.get(project.project, "") == project.before
            assert (group.group in project.causes) == reverted
    effect = {group.group: group.effect for group in told.groups}
    assert effect["budgets"] < 0 < effect["costs"]


def test_a_group_that_cannot_be_taken_back_says_so(changed: Changed, tmp_path: Path) -> None:
    """Without the plan to solve again nothing is put down to anything; the changes are told all the same."""
    asked = Asked("npv", "CNY", True)
    told = explain_change(
        PeriodPlan("2024-02", changed.before, changed.plan_before),
        PeriodPlan("2024-03", changed.now, changed.plan_now), asked, lambda folder: None, tmp_path,
    )  # fmt: skip
    assert all(group.remark == "no plan found" and group.effect is None for group in told.groups)
    assert all(not project.causes for project in told.projects)
    assert words_of("en")["together"] in "\n".join(change_lines(Report(told), "en"))


def test_changes_are_told_without_causes_where_the_inputs_of_then_cannot_be_read(
    changed: Changed, tmp_path: Path
) -> None:
    """Another version may have asked less of them; a job goes on over that."""
    asked = Asked("npv", "CNY", True)
    then, now = (
        PeriodPlan("2024-02", None, changed.plan_before),
        PeriodPlan("2024-03", changed.now, changed.plan_now),
    )
    told = explain_change(then, now, asked, lambda folder: None, tmp_path)
    assert not told.groups and changed.gone in {project.project for project in told.projects}
    assert words_of("en")["why"] not in change_lines(Report(told), "en")


# --- stability ------------------------------------------------------------------------------------


def _revised(folder: Path, out: Path, plan: PlanView, clause: Mapping[str, Any]) -> Path:
    """The instance with the plan in force, and a clause on changes."""
    draft = _small()
    kinds = draft.tables["kinds"]
    draft = _with(
        draft,
        plan_in_force=_in_force(plan),
        kinds=kinds.assign(capex_cny_per_kw=kinds["capex_cny_per_kw"] * 0.7),
    )
    return _write(out, replace(draft, targets={"CITY-REVISE": clause} if clause else {}))


def test_the_curve_of_value_against_changes_and_the_price_of_stability(
    changed: Changed, tmp_path: Path
) -> None:
    free = _revised(changed.before, tmp_path / "free", changed.plan_before, {})
    options = SolveOptions(gap=1e-7, time_limit_s=30)
    curve = trace_changes(PV, _data(free), "npv", 3, options)
    assert len(curve) >= 3
    assert all(a.changes < b.changes and a.value < b.value for a, b in itertools.pairwise(curve))
    fined = _revised(changed.before, tmp_path / "fined", changed.plan_before,
                     {"required": 0.0, "hard": False, "penalty_cny_per_unit": 3e5})  # fmt: skip
    data = _data(fined)
    solved = solve(PV, data, options)
    assert solved.check is not None and solved.check.passed
    changes, npv = solved.check.figures["changes"], solved.check.figures["npv"]
    value = without_fines("npv", npv, changes, data)
    assert value == pytest.approx(npv + 3e5 * changes)
    # with the fine, no point of the curve is worth more than the plan it chose
    assert all(point.value - 3e5 * point.changes <= npv + 1.0 for point in curve)
    best = curve[-1]
    stability = Stability("npv", "CNY", True, Planned(value, None, round(changes)), Planned(best.value, best.bound, round(best.changes)), 3e5, None)  # fmt: skip
    low, high = stability.price
    assert high is not None and 0.0 <= low <= high
    assert low == pytest.approx(best.value - value)
    with pytest.raises(UsageError, match="limits or fines"):
        trace_changes(PV, data, "npv", 3, options)


def test_points_that_others_beat_with_fewer_changes_are_no_points_of_the_curve() -> None:
    points = [
        CurvePoint(26, 519.8, 552.3),
        CurvePoint(17, 548.9, None),
        CurvePoint(229, 548.6, 552.3),
        CurvePoint(17, 548.0, 1.0),
    ]
    assert undominated(points, maximise=True) == (points[1],)
    assert undominated(points, maximise=False) == (points[3], points[0])


# --- how it is told -------------------------------------------------------------------------------


def _report(name: str = "<b>Lin & Co</b>") -> Report:
    project = ProjectChange(
        NAME, "site", "=1+1", "学校", name, "@East", "moved", "roof · 2024 · own", "roof · 2025 · own",
        1e6, math.nan, {"npv": -2.5e4, "energy": math.nan}, True, causes=("costs",),
    )  # fmt: skip
    change = ChangeExplained("2024-02", "2024-03", "npv", "CNY", True, 5e6, 5.1e6, None, (project,))
    curve = (CurvePoint(0, 5e6, None), CurvePoint(3, 5.2e6, 5.3e6))
    held, free = Planned(5.1e6, None, 1), Planned(5.2e6, 5.3e6, 4, forced=1)
    return Report(change, Stability("npv", "CNY", True, held, free, 5e4, None, curve))


def test_every_form_tells_the_same_and_texts_stay_texts(tmp_path: Path) -> None:
    names = write_reports(_report(), tmp_path)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    told = json.loads((tmp_path / "change.json").read_text(encoding="utf-8"))
    assert told["projects"][0]["capex_after_cny"] is None
    assert told["stability"]["price_at_least"] == pytest.approx(1e5)
    page = (tmp_path / "change.en.html").read_text(encoding="utf-8")
    assert "<b>Lin" not in page and "&lt;b&gt;Lin &amp; Co" in page
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", page)  # it needs nothing from elsewhere
    chinese = (tmp_path / "change.zh.html").read_text(encoding="utf-8")
    assert (
        "改期" in chinese
        and "510.0万元" in chinese
        and "moved" not in re.sub(r"<style>.*</style>|<[^>]*>", "", chinese, flags=re.S)
    )
    assert (tmp_path / "change.zh.txt").read_text(encoding="utf-8").count("造价") == 1
    # the curve: changes that had no choice are in no point of it
    assert "4 changes (1 without a choice)" in page and "<svg" in page
    lines = (tmp_path / "change.en.txt").read_text(encoding="utf-8")
    assert (
        "changes by choice:\n      0 changes: 5.00 M CNY\n      3 changes: 5.20 M CNY (none is better"
        in lines
    )
    book = openpyxl.load_workbook(tmp_path / "change.en.xlsx")
    assert [sheet.title for sheet in book if sheet._charts] == ["Value against number of changes"]
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert "f" not in {cell.data_type for cell in cells}
    risky = [cell for cell in cells if isinstance(cell.value, str) and cell.value[:1] in "=+-@"]
    assert {cell.value for cell in risky} >= {"=1+1", "@East"} and all(cell.quotePrefix for cell in risky)


def test_both_languages_have_all_words() -> None:
    assert words_of("zh").keys() == words_of("en").keys()
    assert all(words_of("zh")[key] != words_of("en")[key] for key in words_of("en"))


def test_no_change_is_told_as_none(tmp_path: Path) -> None:
    report = _report()
    nothing = Report(replace(report.change, projects=()), unpriced=True)
    assert words_of("en")["nothing"] in "\n".join(change_lines(nothing, "en"))
    write_reports(nothing, tmp_path)
    for ending in ("txt", "html"):
        assert "price of stability: not known" in (tmp_path / f"change.en.{ending}").read_text(
            encoding="utf-8"
        )
