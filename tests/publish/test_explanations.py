"""Why a project is in the plan, and what stops another, in sentences."""

from __future__ import annotations

import pytest

from optimize.i18n.words import Words
from optimize.publish.explanations import by_prices, explained, price_rows, row_name
from optimize.publish.facts import RunFacts
from optimize.publish.projects import project_rows

EN, ZH = Words("en"), Words("zh")


def test_exact_answers_are_told_in_both_languages(pv: RunFacts) -> None:
    (plan,) = pv.parts
    name = str(plan.table("projects")["site"].iloc[0])
    base = {"id": name, "decision": "roof", "approx_value": 1.0, "chosen": True, "district": ""}
    relaxation = {
        "rows": [{"clause": "PV-HEAT", "where": "", "required": 2.0, "reachable": 1.0, "unit": "count"}]
    }
    records = [
        base | {"loss": 2e6, "low": 1e6, "high": 2e6},
        base | {"loss": 2e6, "low": -1.0, "high": 2e6},
        base | {"loss": None, "low": None, "high": None, "impossible": True, "relaxations": [relaxation]},
        base | {"loss": None, "low": None, "high": None, "forbidden": "locked"},
        base | {"id": "nobody", "loss": 0.0, "low": 0.0, "high": 0.0},
    ]
    told = explained(plan, records, EN)
    assert len(told) == 4
    assert told[0].why == ("Without it the best plan loses 2.00 M CNY.",)
    assert "at most 2.00 M CNY" in told[1].why[0]
    assert (
        told[2]
        .why[1]
        .startswith("PV-HEAT (solar or air-source hot-water projects) would reach 1 instead of 2")
    )
    assert told[3].why == ("It stays whatever else is planned: a lock or a contract holds it in.",)
    assert explained(plan, records, ZH)[0].why == ("没有它，最优方案损失200.0万元。",)


def test_prices_tell_what_the_plan_gains_from_and_what_was_missed(pv: RunFacts) -> None:
    (plan,) = pv.parts
    top, near = by_prices(plan, EN)
    chosen = set(plan.table("projects")["site"])
    assert top and all(choice.chosen and choice.id in chosen for choice in top)
    assert all(choice.id not in chosen for choice in near)
    assert [c.worth for c in top] == sorted((c.worth for c in top), reverse=True)
    assert price_rows(plan, EN)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("budget municipal 2024", "the budget municipal 2024"),
        ("budget all sources and years in proportion", "the budget, all sources and years in proportion"),
        ("PV-BIPV", "PV-BIPV (building-integrated pilots)"),
        ("installers 2023", "installers' capacity 2023"),
        ("the feeder it hangs on takes no more", "the feeder it hangs on takes no more"),
    ],
)
def test_rows_are_named_in_words(name: str, told: str) -> None:
    assert row_name(name, EN) == told
    assert row_name(name, ZH) != told


def test_projects_of_every_programme_are_told(pv: RunFacts, city: RunFacts) -> None:
    for part in (*pv.parts, *city.parts):
        rows = project_rows(part, ZH)
        assert len(rows) == len(part.projects)
        assert {row.id for row in rows} == set(part.projects["id"])
        assert all(row.what for row in rows)
