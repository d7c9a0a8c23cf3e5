"""What the ledger and the plan in force make of a period's instance."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.errors import InputFaults
from optimize.io.instance_folder import read_instance
from optimize.io.run_store import save_run
from optimize.io.write import write_instance
from optimize.monthly.ledger import Entry, Ledger
from optimize.monthly.revise import Revision, RevisionRules, revise, write_revised
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES, find_programme
from optimize.report.stored import run_tables
from optimize.solve import Solved, solve
from tests.water.conftest import make_town

PV = find_programme("pv_siting")
NAME = PV.name


@dataclass(frozen=True)
class Case:
    """An instance with its plan in force."""

    folder: Path
    run: Path
    plan: pd.DataFrame

    def revise(self, *entries: Entry, period: str = "2023-03", **rules: Any) -> Revision:
        ledger = Ledger(entries, ("",) * len(entries))
        return revise(self.folder, ledger, {NAME: self.run}, period, RevisionRules(**rules))

    def revised(self, out: Path, *entries: Entry, period: str = "2023-03", **rules: Any) -> Solved:
        write_revised(self.folder, self.revise(*entries, period=period, **rules), out)
        return _solve(out)


def _solve(folder: Path) -> Solved:
    data = read_instance(folder, PROGRAMMES, [NAME]).programmes[0].data
    solved = solve(PV, data, SolveOptions(gap=1e-6, time_limit_s=30))
    assert solved.check is not None and solved.check.passed, solved.check
    return solved


def _table(folder: Path, name: str) -> list[Mapping[str, str]]:
    frame = pd.read_csv(folder / NAME / f"{name}.csv", dtype=str, keep_default_na=False, comment="#")
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _entry(event: str, site: str, period: str = "2023-02", **said: Any) -> Entry:
    return replace(Entry(period, NAME, site, event), **said)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The example of public PV with its best plan."""
    home = tmp_path_factory.mktemp("revise")
    write_instance(home / "instance", [(PV.schema, PV.example())], commented=True)
    solved = _solve(home / "instance")
    tables = run_tables(PV, solved)
    summary = {"programme": NAME, "status": "solved"}
    run = save_run(home / "results", NAME, "0", tables, summary, {"programme": NAME})
    return Case(home / "instance", run, tables["projects"])


def _years(data_folder: Path) -> Sequence[int]:
    parameters = read_instance(data_folder, PROGRAMMES, [NAME]).programmes[0].data.parameters
    first = int(parameters["base_year"])
    return range(first, first + int(parameters["num_years"]))


def test_the_plan_in_force_stands_in_the_instance_and_keeping_it_is_no_change(
    case: Case, tmp_path: Path
) -> None:
    solved = case.revised(tmp_path / "in", penalty_cny_per_change=1e9)
    rows = _table(tmp_path / "in", "plan_in_force")
    assert {(r["site"], r["configuration"], r["offer"], r["year"], r["mix"]) for r in rows} == {
        tuple(str(row[c]) for c in ("site", "configuration", "offer", "year", "mix"))
        for row in case.plan.to_dict("records")
    }
    assert solved.check is not None and solved.check.figures["changes"] == 0
    assert list(solved.result.solution.projects["site"]) == list(case.plan["site"])


def test_a_contract_is_a_fact_at_its_cost_whatever_else_changes(case: Case, tmp_path: Path) -> None:
    row = case.plan.iloc[0]
    site, year = str(row["site"]), int(row["year"])
    said = {"actual_cost_cny": 2.0 * float(row["capex_cny"])}
    solved = case.revised(tmp_path / "in", _entry("contracted", site, **said))
    project = solved.result.solution.projects.set_index("site").loc[site]
    assert (project["configuration"], project["year"]) == (row["configuration"], year)
    assert project["capex_cny"] == pytest.approx(said["actual_cost_cny"])
    assert project["kw"] == pytest.approx(row["kw"])
    frozen = next(r for r in _table(tmp_path / "in", "plan_in_force") if r["site"] == site)
    assert (frozen["state"], float(frozen["kw"])) == ("contracted", pytest.approx(row["kw"]))


def test_what_was_given_up_stays_out_until_it_is_taken_up_again(case: Case, tmp_path: Path) -> None:
    site = str(case.plan["site"].iloc[0])
    failed = _entry("failed", site, note="the roof leaks")
    solved = case.revised(tmp_path / "failed", failed)
    assert site not in set(solved.result.solution.projects["site"])
    assert site not in {r["site"] for r in _table(tmp_path / "failed", "plan_in_force")}
    lock = next(r for r in _table(tmp_path / "failed", "locks") if r["id"] == site)
    assert (lock["kind"], lock["note"]) == ("force_out", "failed 2023-02 the roof leaks")
    again = case.revise(failed, _entry("proposed", site, "2023-03"))
    assert not [change for change in again.changes if change.table.endswith("locks")]
    assert not case.revise(failed, period="2023-01").words  # it is not known before it happened


def test_what_is_late_starts_no_earlier_and_its_delay_is_no_change(case: Case, tmp_path: Path) -> None:
    last = _years(case.folder)[-1]
    early = case.plan[case.plan["year"] < last]
    site = str(early["site"].iloc[0])
    solved = case.revised(tmp_path / "in", _entry("delayed", site, year=last), penalty_cny_per_change=1e9)
    assert int(solved.result.solution.projects.set_index("site").loc[site, "year"]) == last
    assert solved.check is not None and solved.check.figures["changes"] == 0


def test_what_was_not_contracted_in_its_year_lapses_with_the_money_of_that_year(
    case: Case, tmp_path: Path
) -> None:
    first, *_ = _years(case.folder)
    plan = case.plan[case.plan["year"] == first]
    signed, *others = plan["site"]
    assert others
    entries = [_entry("contracted", signed, f"{first}-11"), _entry("tendered", others[0], f"{first}-12")]
    revision = case.revise(*entries, period=f"{first + 1}-01")
    assert f"{len(others)} projects were not contracted" in revision.words[0][1]
    solved = case.revised(tmp_path / "in", *entries, period=f"{first + 1}-01", penalty_cny_per_change=1e9)
    projects = solved.result.solution.projects.set_index("site")
    assert list(projects.index[projects["year"] == first]) == [signed]
    assert solved.check is not None and solved.check.figures["changes"] == 0  # they had no choice
    assert solved.check.figures["forced_changes"] == len(others)
    locks = {r["id"]: (r["kind"], r["year"], r["note"]) for r in _table(tmp_path / "in", "locks")}
    assert locks[others[0]] == ("earliest", str(first + 1), f"not contracted {first}-12")
    # within the year the list stands; without a ledger nobody says that they were not carried out
    assert not case.revise(*entries, period=f"{first}-12").words
    assert not case.revise(period=f"{first + 1}-01").words


@pytest.mark.parametrize(("month", "amendment", "behind"), [(3, (), 0), (3, (6, 9), 1), (6, (6, 9), 0)])
def test_outside_amendment_months_nothing_new_starts_this_year(
    case: Case, month: int, amendment: tuple[int, ...], behind: int
) -> None:
    year = _years(case.folder)[1]
    revision = case.revise(period=f"{year}-{month:02d}", amendment_months=amendment)
    assert revision.overrides["revision.first_open_year"] == year + behind
    first = revise(case.folder, Ledger(), {}, f"{year}-{month:02d}", RevisionRules(amendment))
    assert "revision.first_open_year" not in first.overrides  # the first plan is the list


def test_at_most_so_many_changes(case: Case, tmp_path: Path) -> None:
    """Cheaper panels would change many projects; the cap lets one change."""
    cheap = tmp_path / "cheap"
    shutil.copytree(case.folder, cheap)
    kinds = cheap / NAME / "kinds.csv"
    lines = kinds.read_text(encoding="utf-8").splitlines()
    head = next(k for k, line in enumerate(lines) if not line.startswith("#"))
    place = lines[head].split(",").index("capex_cny_per_kw")
    cells = [line.split(",") for line in lines[head + 1 :]]
    for row in cells:
        row[place] = str(float(row[place]) * 0.7)
    kinds.write_text(
        "\n".join([*lines[: head + 1], *(",".join(row) for row in cells)]) + "\n", encoding="utf-8"
    )
    moved = replace(case, folder=cheap)
    free = moved.revised(tmp_path / "free")
    capped = moved.revised(tmp_path / "capped", max_changes=1)
    assert free.check is not None and capped.check is not None
    assert free.check.figures["changes"] > 1 >= capped.check.figures["changes"]
    assert free.result.objective > capped.result.objective


def test_measured_values_stand_instead_of_estimates(case: Case, tmp_path: Path) -> None:
    site = str(case.plan["site"].iloc[0])
    revision = case.revise(
        _entry("measured", site, decision={"sites.annual_load_kwh": "123456"}),
        _entry("measured", "", decision={"prices.carbon_cny_per_t": "77.5"}),
    )
    write_revised(case.folder, revision, tmp_path / "in")
    data = read_instance(tmp_path / "in", PROGRAMMES, [NAME]).programmes[0].data
    assert data.tables["sites"].set_index("site").loc[site, "annual_load_kwh"] == 123456
    assert data.parameters["prices.carbon_cny_per_t"] == 77.5
    assert set(revision.measured) == {
        (f"{NAME}/sites", site, "annual_load_kwh"),
        ("", "", "prices.carbon_cny_per_t"),
    }


def test_sunk_money_is_no_longer_in_the_budgets(case: Case, tmp_path: Path) -> None:
    site = str(case.plan["site"].iloc[0])
    budget = next(r for r in _table(case.folder, "budgets") if r["source"] == "municipal")
    before, year = float(budget["amount_cny"]), budget["year"]
    paid = _entry("paid", site, f"{year}-02", paid_cny=0.25 * before, source="municipal")
    spent = case.revise(paid, _entry("contracted", site, f"{year}-02"), period=f"{year}-05")
    assert not [c for c in spent.changes if c.table.endswith("budgets")]  # the model counts what stands
    lost = case.revise(paid, _entry("cancelled", site, f"{year}-03"), period=f"{year}-05")
    write_revised(case.folder, lost, tmp_path / "in")
    now = next(
        r for r in _table(tmp_path / "in", "budgets") if (r["source"], r["year"]) == ("municipal", year)
    )
    assert float(now["amount_cny"]) == pytest.approx(0.75 * before)
    more = case.revise(
        replace(paid, paid_cny=9.0 * before), _entry("failed", site, f"{year}-03"), period=f"{year}-05"
    )
    write_revised(case.folder, more, tmp_path / "more")
    now = next(
        r for r in _table(tmp_path / "more", "budgets") if (r["source"], r["year"]) == ("municipal", year)
    )
    assert float(now["amount_cny"]) == 0.0
    assert "more than that budget holds" in more.words[0][1]


def test_everything_that_contradicts_the_instance_is_told_at_once(case: Case) -> None:
    free = next(s for s in read_instance(case.folder, PROGRAMMES, [NAME]).programmes[0].data.tables["sites"]["site"]
                if s not in set(case.plan["site"]))  # fmt: skip
    known = str(case.plan["site"].iloc[0])
    with pytest.raises(InputFaults) as caught:
        case.revise(
            _entry("contracted", free),
            _entry("measured", "nobody", decision={"sites.annual_load_kwh": "1"}),
            _entry("paid", known, paid_cny=1.0, source="munipical"),
            _entry("failed", known),
            replace(_entry("contracted", "centre-1"), programme="datacenter"),
        )
    told = str(caught.value)
    assert len(caught.value.faults) == 4, told
    for words in (
        f"of {free}, which is contracted and in no plan",
        '"nobody"',
        'did you mean "municipal"?',
        "datacenter",
    ):
        assert words in told


def test_comments_of_the_settings_stay_and_a_form_that_cannot_be_edited_is_written_anew(
    case: Case, tmp_path: Path
) -> None:
    revision = Revision(overrides={"budgets.scale": 0.5, "pv_siting.clauses.CITY-REVISE.required": 3.0})
    write_revised(case.folder, revision, tmp_path / "in")
    text = (tmp_path / "in" / "instance.toml").read_text(encoding="utf-8")
    assert "#" in text
    odd = tmp_path / "odd"
    shutil.copytree(case.folder, odd)
    toml = odd / "instance.toml"
    toml.write_text("budgets.scale = 0.7\npv_siting.clauses = {}\n" + "base_year = 2023\n", encoding="utf-8")
    write_revised(odd, revision, tmp_path / "out")
    written = (tmp_path / "out" / "instance.toml").read_text(encoding="utf-8")

    tree = tomllib.loads(written)
    assert tree["budgets"]["scale"] == 0.5
    assert tree["pv_siting"]["clauses"]["CITY-REVISE"]["required"] == 3.0


def test_plans_of_reclaimed_water_are_in_force_as_well(tmp_path: Path) -> None:
    """A pipe is contracted, a user given up, a treatment put off; everything else stays where it can."""
    water = find_programme("water")
    write_instance(tmp_path / "instance", [(water.schema, make_town().draft())])

    def solved_in(folder: Path) -> Solved:
        data = read_instance(folder, PROGRAMMES, ["water"]).programmes[0].data
        solved = solve(water, data, SolveOptions(gap=1e-4, time_limit_s=20))
        assert solved.check is not None and solved.check.passed, solved.check
        return solved

    tables = run_tables(water, solved_in(tmp_path / "instance"))
    run = save_run(tmp_path / "results", "water", "0", tables, {"programme": "water"}, {})
    pipe, user, plant = (tables[name].iloc[0] for name in ("pipes", "users", "plants"))
    name, cost = f"{pipe['corridor']}:{pipe['quality']}", 1.1 * pipe["capex_cny"]
    unplanned = f"{plant['plant']}:nothing"
    entries = (
        Entry("2023-01", "water", name, "contracted", table="pipes", actual_cost_cny=cost),
        Entry("2023-01", "water", user["user"], "failed", table="users", note="moves away"),
        Entry("2023-01", "water", f"{plant['plant']}:{plant['quality']}", "tendered", table="plants",
              cancellation_cost_cny=1e9),
    )  # fmt: skip

    def revised(*more: Entry) -> Revision:
        ledger = Ledger((*entries, *more), ("",) * (len(entries) + len(more)))
        rules = RevisionRules(penalty_cny_per_change=1e7)
        return revise(tmp_path / "instance", ledger, {"water": run}, "2023-02", rules)

    write_revised(tmp_path / "instance", revised(), tmp_path / "in")
    cells = pd.read_csv(tmp_path / "in" / "water" / "plan_in_force.csv", dtype=str, keep_default_na=False)
    rows = {(row["table"], row["project"]): row for row in cells.to_dict("records")}
    row = rows["pipes", name]
    assert (row["choice"], row["state"], float(row["actual_capex_cny"])) == (
        pipe["diameter"],
        "contracted",
        cost,
    )
    assert ("users", user["user"]) not in rows and not any(key[1].startswith("pilot") for key in rows)
    again = solved_in(tmp_path / "in")
    solution = again.result.solution
    laid = solution.pipes.set_index(["corridor", "quality"]).loc[(pipe["corridor"], pipe["quality"])]
    assert laid["diameter"] == pipe["diameter"] and user["user"] not in set(solution.connections["user"])
    assert again.check is not None and again.check.figures["capex_cny"] >= cost
    kept = run_tables(water, again)["plants"]
    assert (kept["plant"] + ":" + kept["quality"]).eq(f"{plant['plant']}:{plant['quality']}").any()
    given_up = Entry("2023-02", "water", f"{plant['plant']}:{plant['quality']}", "cancelled", table="plants")
    locks = [change for change in revised(given_up).changes if change.table == "water/locks"]
    assert [row["id"] for change in locks for row in change.rows][
        -1
    ] == f"{plant['plant']}:{plant['quality']}"
    with pytest.raises(InputFaults, match=f"year, step of {unplanned}"):
        revised(Entry("2023-02", "water", unplanned, "contracted", table="plants"))


def test_plans_of_data_centres_are_in_force_as_well(tmp_path: Path) -> None:
    """Stages, hosts and offers are decisions like any other: kept as they are, nothing has changed."""
    centres = find_programme("datacenter")
    write_instance(tmp_path / "instance", [(centres.schema, centres.example())])

    def solved_in(folder: Path) -> Solved:
        data = read_instance(folder, PROGRAMMES, ["datacenter"]).programmes[0].data
        solved = solve(centres, data, SolveOptions(gap=1e-4, time_limit_s=30))
        assert solved.check is not None and solved.check.passed
        return solved

    first = solved_in(tmp_path / "instance")
    tables = run_tables(centres, first)
    run = save_run(tmp_path / "results", "datacenter", "0", tables, {"programme": "datacenter"}, {})
    centre, cost = tables["projects"]["centre"].iloc[0], 1.05 * tables["projects"]["capex_cny"].iloc[0]
    contract = Entry("2022-10", "datacenter", centre, "contracted", actual_cost_cny=cost)
    rules = RevisionRules(penalty_cny_per_change=1e9)
    revision = revise(
        tmp_path / "instance", Ledger((contract,), ("",)), {"datacenter": run}, "2022-11", rules
    )
    write_revised(tmp_path / "instance", revision, tmp_path / "in")
    again = solved_in(tmp_path / "in")
    assert again.check is not None and again.check.figures["changes"] == 0
    project = again.result.solution.projects.set_index("centre").loc[centre]
    assert project["capex_cny"] == pytest.approx(cost)
