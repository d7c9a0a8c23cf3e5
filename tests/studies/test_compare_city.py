"""`optimize compare` of joint plans: with their fixed shares, with one programme's run, with several taken together."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from optimize.checking import CheckReport
from optimize.city.checker import CityCheck, check_city
from optimize.city.plan import SILOS, read_plan, tables_of
from optimize.city.reading import read_city
from optimize.errors import UsageError
from optimize.io.run_store import read_manifest, read_text_table
from optimize.registry import PROGRAMMES
from optimize.studies.compare import Comparison, compare_runs
from optimize.studies.compare_sides import read_sides
from optimize.studies.stored_runs import read_run

pytestmark = pytest.mark.xdist_group("stored cities")  # fixtures of the folder that take seconds

_CENT = 0.005
_NAMES = ("datacenter", "water", "pv_siting")


def compared(*words: object) -> Comparison:
    return compare_runs(read_sides([str(word) for word in words], PROGRAMMES))


@pytest.fixture(scope="module")
def checks(city_runs: Mapping[str, Path]) -> dict[str, CityCheck]:
    """The city checker's own recount of the joint plan and of the one on fixed shares, from the raw tables."""
    run = city_runs["city"]
    _, city = read_city(Path(read_manifest(run)["instance"]), PROGRAMMES)
    tables = {path.stem: read_text_table(path) for path in run.glob("*.csv")}
    joint, silos = read_plan(city, tables), read_plan(city, tables_of(SILOS, tables))
    return {"A": check_city(city, joint), "B": check_city(city, silos)}


def test_a_joint_run_stands_beside_its_fixed_shares_with_the_checkers_sums(
    city_runs: Mapping[str, Path], checks: Mapping[str, CityCheck]
) -> None:
    comparison = compared(city_runs["city"])
    assert comparison.labels == ("A", "B") and [p.name for p in comparison.programmes] == list(_NAMES)
    figures = comparison.figures.set_index("figure")
    for label, check in checks.items():
        spent = math.fsum(check.report.money["spent_cny"])
        for by in ("year", "source", "district", "programme", "total"):
            of_kind = comparison.money[comparison.money["by"] == by]
            assert abs(math.fsum(of_kind[label]) - spent) < _CENT, (label, by)
        for by in ("year", "source"):
            of_table = comparison.money[comparison.money["by"] == by].set_index("name")[label]
            for key, value in check.report.money.groupby(by)["spent_cny"].sum().items():
                assert abs(of_table[str(key)] - value) < _CENT, (label, key)
        true = dict(check.report.figures) | {
            f"{name}.{figure}": value
            for name, report in check.parts.items()
            for figure, value in report.figures.items()
        }
        for figure, value in true.items():
            assert figures.loc[figure, label] == pytest.approx(value, rel=1e-12, abs=1e-9), figure
        for figure in comparison.effects["figure"].unique():
            for by in ("year", "district", "total"):
                rows = comparison.effects.query("figure == @figure and by == @by")
                assert abs(math.fsum(rows[label]) - true[figure]) < _CENT, (figure, by)
        clauses = [*(o for name in _NAMES for o in check.parts[name].clauses), *check.report.clauses]
        assert comparison.clauses[label].tolist() == pytest.approx([o.reached for o in clauses])
    assert {"CITY-ENERGY", "CITY-CO2", "DC-WATER", "PV-50MW"} <= set(comparison.clauses["clause"])


def test_the_verdict_is_the_price_of_silos(city_runs: Mapping[str, Path]) -> None:
    price = json.loads((city_runs["city"] / "summary.json").read_text(encoding="utf-8"))["price_of_silos"]
    (verdict,) = compared(city_runs["city"]).verdicts
    assert "worse than for A's" in verdict and f"{price['at_least'] / 1e6:.1f} M CNY" in verdict


def test_beside_one_programmes_run_only_that_programme_counts(
    city_runs: Mapping[str, Path], checks: Mapping[str, CityCheck]
) -> None:
    comparison = compared(city_runs["city"], city_runs["pv_siting"])
    assert [p.name for p in comparison.programmes] == ["pv_siting"]
    part: CheckReport = checks["A"].parts["pv_siting"]
    assert comparison.figures.set_index("figure")["A"].to_dict() == pytest.approx(dict(part.figures))
    total = comparison.money.set_index("by").loc["total", "A"]
    assert abs(total - math.fsum(part.money["spent_cny"])) < _CENT
    alone = read_run(city_runs["pv_siting"], PROGRAMMES)
    assert comparison.figures.set_index("figure").loc["npv", "B"] == alone.summary["objective"]
    assert comparison.verdicts == ()  # nothing is proven of a part of a joint plan
    assert any("Data centres and Reclaimed water" in word for word in comparison.inputs["A"])
    assert not any("datacenter/" in word for words in comparison.inputs.values() for word in words)
    differing = set(comparison.projects["id"])
    assert differing and differing <= {"clinic", "campus", "school"}
    back = compared(city_runs["pv_siting"], city_runs["city"])
    assert set(back.projects["id"]) == differing


def test_runs_of_several_programmes_are_taken_together(city_runs: Mapping[str, Path]) -> None:
    both = f"{city_runs['datacenter']}+{city_runs['pv_siting']}"
    comparison = compared(city_runs["city"], both)
    assert [p.name for p in comparison.programmes] == ["datacenter", "pv_siting"]
    alone = [read_run(city_runs[name], PROGRAMMES).summary for name in ("datacenter", "pv_siting")]
    figures = comparison.figures.set_index("figure")["B"]
    for goal in ("npv", "cost", "co2"):
        assert figures[goal] == pytest.approx(sum(s["figures"][goal] for s in alone))
    spent = math.fsum(row["spent_cny"] for s in alone for row in s["money"])
    for by in ("year", "source", "district", "programme", "total"):
        assert abs(math.fsum(comparison.money.loc[comparison.money["by"] == by, "B"]) - spent) < _CENT
    assert comparison.sides[1].objective == pytest.approx(sum(s["objective"] for s in alone))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pv_siting", "datacenter"), "have none in common"),
        (("city", "city+datacenter"), "has all its programmes already"),
        (("city", "datacenter+datacenter"), "joins runs of different programmes"),
    ],
)
def test_what_cannot_be_compared_is_said(
    words: tuple[str, str], told: str, city_runs: Mapping[str, Path]
) -> None:
    with pytest.raises(UsageError, match=told):
        compared(*("+".join(str(city_runs[name]) for name in word.split("+")) for word in words))


def test_command(
    city_runs: Mapping[str, Path], command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, err = command("compare", city_runs["city"], "--csv", tmp_path / "out")
    assert (code, err) == (0, "") and "money by programme" in out and "on today's fixed shares" in out
    code, out, _ = command("compare", city_runs["city"], "--json")
    content: dict[str, Any] = json.loads(out)
    assert code == 0 and content["programme"] == "city" and content["programmes"] == list(_NAMES)
    assert {row["programme"] for row in content["projects"]} <= set(_NAMES)
    code, _, err = command("stress", city_runs["city"])
    assert code == 2 and "a run of one programme" in err
