"""The table "Who looks at what" of the documentation is true, cell by cell, and what is refused is refused in its words.

A part of the fast path looks at a row exactly if its arrays differ between an instance with the row and one without.  That the formulation holds every
row is shown in `test_formulation_rows` and `test_brute_force`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.errors import UsageError
from optimize.programme import SolveOptions
from optimize.result import Result, StopReason
from optimize.solve import solve
from optimize.water.checker import check
from optimize.water.coefficients import derive_coefficients
from optimize.water.fast import solve_fast, unsupported_by_fast
from optimize.water.fast_bound import seasonal_network
from optimize.water.fast_goal import search_weights, weights_of
from optimize.water.fast_layout import Part
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_model import averaged, build_flow_model
from optimize.water.fast_narrow import one_way_in
from optimize.water.fast_network import derive_network, purses_of
from optimize.water.fast_revision import with_change_prices
from optimize.water.fast_thin import thinned
from optimize.water.fast_wishes import ask
from optimize.water.instance import Instance
from optimize.water.programme import PROGRAMME
from tests.water import test_formulation_rows as cases
from tests.water.conftest import Town, make_town

DOCS = Path(__file__).parents[2] / "docs" / "formulations" / "water.md"
PARTS = ("search", "model", "linear", "Lagrangian")
SECONDS = 2.0


def discharge_kept(town: Town) -> None:
    town.rows["plants"]["P"]["ecological_m3_per_d"] = 700.0


def nitrogen_limit(town: Town) -> None:
    town.rows["plants"]["P"]["tn_limit_mg_per_l"] = 11.0


def third_diameter(town: Town) -> None:
    town.add("pipes", "M", diameter="M", capacity_m3_per_d=400.0, capex_cny_per_m=320.0)


def other_corridor(town: Town) -> None:
    town.add("corridors", "PB", corridor="PB", from_node="P", to_node="B", length_m=500.0)


def tank(town: Town) -> None:
    town.add(
        "storage_sites", "T", site="T", node="J", quality="lo", volume_m3=100.0, capex_cny=1.0, district="d"
    )


def peak_day(town: Town) -> None:
    town.parameters["water.peak_day"] = True


def least_take(town: Town) -> None:
    town.rows["users"]["A"]["min_take_share"] = 0.9


def single_feed(town: Town) -> None:
    town.rows["users"]["B"]["single_feed"] = True


def cascade_clause(town: Town) -> None:
    cases.cascade_asked(town)


def money(town: Town) -> None:
    cases.little_money(town)


def lock_on_a_work(town: Town) -> None:
    town.lock("fix", "P", value="lo:m")


def lock_on_a_project(town: Town) -> None:
    town.lock("force_in", "B")
    town.lock("force_in", "P")


def soft_price(town: Town) -> None:
    town.aim("W-PRICE", 0.0)


def plan_in_force(town: Town) -> None:
    town.rows["plan_in_force"] = {
        "P": {"table": "plants", "project": "P:lo", "choice": "s", "year": 2022, "state": "proposed"}
    }
    town.aim("CITY-REVISE", 9.0, hard=False, penalty_cny_per_unit=1e4)


def quota_of_all(town: Town) -> None:
    town.rows["users"]["A"].update(quota_listed=True, growth_share=0.5, refusal_cost_cny_per_m3=1.0)
    town.aim("W-QUOTA", 1.0)


def listed_only(town: Town) -> None:
    town.rows["users"]["A"].update(quota_listed=True, growth_share=0.5, refusal_cost_cny_per_m3=1.0)


def cap(town: Town) -> None:
    town.aim("W-CAP", 100_000)


def pilots_only(town: Town) -> None:
    cases.pilot(town)
    town.targets.clear()


def parks_only(town: Town) -> None:
    cases.zero_discharge(town)
    town.targets.clear()


def cheap_water(town: Town) -> None:
    town.price(0.0)


def dear_water(town: Town) -> None:
    town.price(50.0)


def volume(town: Town) -> None:
    town.aim("W-VOLUME", 50_000)
    town.aim("W-TN", 100)


def cascade_only(town: Town) -> None:
    cases.cascade_asked(town)
    town.targets.clear()


def two_plants_only(town: Town) -> None:
    cases.two_plants(town)
    town.parameters.pop("water.num_plants_exact")


def as_it_is(town: Town) -> None:
    """The plain town."""


Change = Callable[[Town], None]

ROWS: dict[str, tuple[Change, Change]] = {
    "W1 effluent, ecological discharge, treatment": (discharge_kept, as_it_is),
    "W1 nitrogen limit of the discharge": (nitrogen_limit, as_it_is),
    "W2, W4 pipes by diameter": (third_diameter, as_it_is),
    "W3 conservation": (other_corridor, as_it_is),
    "W5 storage": (tank, as_it_is),
    "W5 peak day": (peak_day, as_it_is),
    "W6 connection, least take": (least_take, as_it_is),
    "W6 tankers": (cases.tanker, as_it_is),
    "W6 single feed": (single_feed, as_it_is),
    "W7 W-QUOTA": (quota_of_all, listed_only),
    "W8 cascades": (cases.cascade, as_it_is),
    "W8 W-CASCADE": (cascade_clause, cascade_only),
    "W9 W-PILOT": (cases.pilot, pilots_only),
    "W9 W-ZLD": (cases.zero_discharge, parks_only),
    "W10 W-PRICE": (soft_price, as_it_is),
    "W11 W-CAP": (cap, as_it_is),
    "W12 budgets": (money, as_it_is),
    "W12 funding by several mixes": (cases.two_mixes, as_it_is),
    "W12 locks on one work": (lock_on_a_work, as_it_is),
    "W12 locks that ask for any work of a project": (lock_on_a_project, as_it_is),
    "W12 pairs of projects": (cases.together, dear_water),
    "W13 W-VOLUME, W-TN": (volume, as_it_is),
    "W13 W-NEAR": (cases.near, as_it_is),
    "W13 W-UPGRADE": (cases.upgrade, cheap_water),
    "W13 exact number of plants": (cases.two_plants, two_plants_only),
    "W14 changes of a plan in force": (plan_in_force, as_it_is),
}
"""Instances with and without each row of the table."""


def table(first: str) -> list[list[str]]:
    """Cells of the rows below the heading row that begins with ``first``."""
    lines = DOCS.read_text(encoding="utf-8").split(f"\n| {first} |")[1].splitlines()[2:]
    rows = lines[: next(k for k, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


STATED = {cells[0]: dict(zip(PARTS, cells[1:], strict=True)) for cells in table("row")}
REFUSED = [cells[0] for cells in table("the fast engine cannot take")]


def instance_of(change: Change) -> Instance:
    town = make_town()
    change(town)
    return town.instance()


def arrays_of(part: str, instance: Instance) -> Any:
    """All numbers a part of the fast path works on."""
    c = derive_coefficients(instance)
    locks = locked_decisions(instance, c)
    if part == "model":
        return _milp(instance, c, relaxed=False)
    mean = averaged(c, [np.flatnonzero(c.days > 0)])
    if part == "linear":
        return _milp(instance, thinned(mean, locks), relaxed=True)
    if part == "Lagrangian":
        purses = purses_of(mean, mean.budgets.amount_cny[:, 0])
        weights = weights_of(instance, mean, "npv")
        return tuple(vars(seasonal_network(instance, mean, locks, purses, weights, one_way=False)).values())
    asked = ask(instance, c, locks, np.zeros(len(c.user_ids), bool))
    weights = search_weights(instance, c, ("npv",))
    network = derive_network(
        instance,
        with_change_prices(instance, c),
        one_way_in(c, locks),
        asked.wishes,
        asked.reserved_cny,
        weights,
    )
    settled = (instance.parameters.num_plants_exact, len(locks.pairs), "W-PRICE" in instance.targets)
    return (
        *tuple(network),
        asked.reserved_cny,
        *settled,
    )  # what `settle` and price weights look at between its runs


def _milp(instance: Instance, c: Any, *, relaxed: bool) -> tuple[Any, ...]:
    model = build_flow_model(instance, c, Part.whole(c), relaxed=relaxed)
    m = model.milp
    return (m.cost, m.matrix.toarray(), m.row_lower, m.row_upper, m.lower, m.upper, m.integral)


def same(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(
        np.shape(a) == np.shape(b) and np.array_equal(a, b, equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )


def test_every_row_of_the_table_has_a_case() -> None:
    assert set(STATED) == set(ROWS)
    assert {cell for cells in STATED.values() for cell in cells.values()} == {"yes", "roughly", "no"}


@pytest.mark.parametrize("row", ROWS)
def test_a_part_looks_at_a_row_where_the_table_says_so(row: str) -> None:
    with_row, without = (instance_of(change) for change in ROWS[row])
    looked_at = {part: not same(arrays_of(part, with_row), arrays_of(part, without)) for part in PARTS}
    assert looked_at == {part: said != "no" for part, said in STATED[row].items()}


@pytest.mark.parametrize(
    "row", ["W5 peak day", "W9 W-ZLD", "W12 locks on one work", "W14 changes of a plan in force"]
)
def test_the_fast_path_solves_an_instance_with_the_row(row: str) -> None:
    """Those of the other rows are solved by the dozen in `test_brute_force`."""
    instance = instance_of(ROWS[row][0])
    options = SolveOptions(gap=1e-3, time_limit_s=SECONDS)
    assert unsupported_by_fast(instance, options) is None
    result = solve_fast(instance, options)
    report = check(instance, result.solution)
    assert report.passed, report.violations[:5]


# ------------------------------------------------------------------------------------ what is refused


def contracted_tank(town: Town) -> None:
    tank(town)
    town.rows["plan_in_force"] = {
        "T": {
            "table": "other_works",
            "project": "storage:T",
            "choice": "",
            "year": 2022,
            "state": "contracted",
        }
    }


def locked_tank(town: Town) -> None:
    tank(town)
    town.lock("force_in", "T")


def phased(town: Town) -> None:
    town.parameters["water.phased"] = True


def phased_latest(town: Town) -> None:
    phased(town)
    town.lock("latest", "P", year=2022)


def phased_tanker(town: Town) -> None:
    phased(town)
    cases.tanker(town)
    town.rows["plan_in_force"] = {
        "A": {"table": "users", "project": "A", "choice": "tanker", "year": 2022, "state": "contracted"}
    }


def phased_zero_discharge(town: Town) -> None:
    phased(town)
    cases.zero_discharge(town)


def phased_cascade(town: Town) -> None:
    phased(town)
    cases.cascade_asked(town)


REFUSALS: dict[str, tuple[Change, tuple[str, ...]]] = {
    REFUSED[0]: (contracted_tank, ("npv",)),
    REFUSED[1]: (locked_tank, ("npv",)),
    REFUSED[2]: (phased, ("volume", "cost")),
    REFUSED[3]: (phased_latest, ("npv",)),
    REFUSED[4]: (phased_tanker, ("npv",)),
    REFUSED[5]: (phased_zero_discharge, ("npv",)),
    REFUSED[6]: (phased_cascade, ("npv",)),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_refused_is_refused_in_the_words_of_the_table(reason: str) -> None:
    change, goals = REFUSALS[reason]
    assert unsupported_by_fast(instance_of(change), SolveOptions(goal=goals)) == reason


def test_writing_the_model_is_refused_in_the_words_of_the_table(tmp_path: Path) -> None:
    options = SolveOptions(write_model=tmp_path / "model.lp")
    assert unsupported_by_fast(instance_of(as_it_is), options) == REFUSED[7]
    assert len(REFUSED) == len(REFUSALS) + 1


def test_a_refusal_is_told_whatever_engine_was_asked_for(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    locked_tank(town)
    reason = REFUSED[1]
    with pytest.raises(UsageError, match=reason):
        solve(PROGRAMME, town.data(), SolveOptions(engine="fast"))
    small = solve(PROGRAMME, town.data(), SolveOptions())  # nothing lost: branch and cut is best at this size
    assert small.result.notes == ()
    monkeypatch.setattr("optimize.water.fast.LARGE_NUM_FLOWS", 0)
    large = solve(PROGRAMME, town.data(), SolveOptions())
    assert large.result.engine == "formulation"
    assert [reason in note for note in large.result.notes] == [True]


def test_storage_left_out_is_told(town: Town) -> None:
    tank(town)
    result: Result[Any] = solve(PROGRAMME, town.data(), SolveOptions(engine="fast", gap=0.1)).result
    assert result.stop in (StopReason.OPTIMAL, StopReason.GAP_REACHED)
    assert [note for note in result.notes if "storage sites offered: 1" in note] == list(result.notes) != []
