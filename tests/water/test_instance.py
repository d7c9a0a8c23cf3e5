"""What the tables may not contradict, and what draws a warning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from optimize.water.data_checks import find_faults, find_warnings

YEAR = 2022


def periods(town: Any) -> None:
    town.parameters["water.periods"] = 7


def short_horizon(town: Any) -> None:
    town.parameters.update({"water.phased": True, "num_years": 4, "economics.horizon_years": 3})


def early_deadline(town: Any) -> None:
    town.aim("W-VOLUME", 1, deadline_year=YEAR - 1)


def soft_mean(town: Any) -> None:
    town.aim("W-NEAR", 1, hard=False)


def same_id_twice(town: Any) -> None:
    town.add("junctions", "A", junction="A")


def lockable_id_twice(town: Any) -> None:
    town.rows["corridors"]["PJ"]["corridor"] = "P"


def short_profile(town: Any) -> None:
    town.add("profiles", "x", profile="x", month=1, factor=1.0)


def short_plant_year(town: Any) -> None:
    town.add("plant_months", "x", plant="P", month=1, effluent_m3_per_d=1.0)


def module_without_treatment(town: Any) -> None:
    del town.rows["treatment"]["P-hi"]


def corridor_to_itself(town: Any) -> None:
    town.rows["corridors"]["AB"]["to_node"] = "A"


def pipe_without_quality(town: Any) -> None:
    town.rows["corridors"]["AB"]["existing_m3_per_d"] = 5.0


def lock_on_nothing(town: Any) -> None:
    town.lock("force_in", "nobody")


def lock_without_partner(town: Any) -> None:
    town.lock("together", "JA")


def lock_without_year(town: Any) -> None:
    town.lock("earliest", "JA")


def lock_to_unknown_value(town: Any) -> None:
    town.lock("fix", "P", value="lo:xxl")


def lock_outside_the_years(town: Any) -> None:
    town.lock("fix", "P", value="lo:m", year=YEAR + 9)


def cap_on_nobody(town: Any) -> None:
    town.add("intake_caps", "x", scope="user", id="J", cap_m3_per_a=1.0)


def unknown_purse(town: Any) -> None:
    town.rows["budgets"]["m22"]["source"] = "moon"


FAULTS: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "periods": (periods, "instance.toml", "water.periods"),
    "horizon": (short_horizon, "instance.toml", "economics.horizon_years"),
    "deadline": (early_deadline, "instance.toml", "water.clauses.W-VOLUME.deadline_year"),
    "soft mean": (soft_mean, "instance.toml", "water.clauses.W-NEAR.hard"),
    "node id twice": (same_id_twice, "users", "user"),
    "lockable id twice": (lockable_id_twice, "corridors", "corridor"),
    "short profile": (short_profile, "profiles", "month"),
    "short plant year": (short_plant_year, "plant_months", "month"),
    "module without treatment": (module_without_treatment, "modules", "quality"),
    "corridor to itself": (corridor_to_itself, "corridors", "to_node"),
    "pipe without quality": (pipe_without_quality, "corridors", "existing_quality"),
    "lock on nothing": (lock_on_nothing, "locks", "id"),
    "lock without partner": (lock_without_partner, "locks", "other"),
    "lock without year": (lock_without_year, "locks", "year"),
    "lock to unknown value": (lock_to_unknown_value, "locks", "value"),
    "lock outside the years": (lock_outside_the_years, "locks", "year"),
    "cap on nobody": (cap_on_nobody, "intake_caps", "id"),
    "unknown purse": (unknown_purse, "budgets", "source"),
}


def cut_off(town: Any) -> None:
    for name in ("JB", "AB"):
        del town.rows["corridors"][name]


def one_way_out(town: Any) -> None:
    town.rows["corridors"]["JA"].update(from_node="A", to_node="J", directed=True)
    town.rows["corridors"]["AB"]["directed"] = True


def money_outside_the_years(town: Any) -> None:
    town.rows["budgets"]["m22"]["year"] = YEAR - 1


def no_money(town: Any) -> None:
    for row in town.rows["budgets"].values():
        row["amount_cny"] = 0.0
    town.aim("W-VOLUME", 1)


def lock_year_unphased(town: Any) -> None:
    town.lock("latest", "JA", year=YEAR)


def too_much(clause: str, required: float) -> Callable[[Any], None]:
    return lambda town: town.aim(clause, required)


WARNINGS: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "user cut off": (cut_off, "user_demands", "user"),
    "user against the direction": (one_way_out, "user_demands", "user"),
    "money outside the years": (money_outside_the_years, "budgets", "year"),
    "no money": (no_money, "budgets", "amount_cny"),
    "lock year has no effect": (lock_year_unphased, "locks", "kind"),
    **{
        f"{clause} beyond reach": (too_much(clause, required), "instance.toml", f"water.clauses.{clause}.required")
        for clause, required in (
            ("W-VOLUME", 1e6), ("W-TN", 1e6), ("W-CASCADE", 1), ("W-PILOT", 1), ("W-ZLD", 1), ("W-UPGRADE", 2),
            ("W-QUOTA", 1),
        )
    },
}  # fmt: skip


def intake_below_need(town: Any) -> None:
    town.rows["plants"]["P"]["effluent_m3_per_d"] = 100.0
    town.aim("W-CAP", 1)


def no_candidate(town: Any) -> None:
    town.aim("W-PILOT", 0)
    town.add("pilot_requirements", "x", kind="park", district="d", minimum=1)


WARNINGS["pilots without candidates"] = (no_candidate, "pilot_requirements", "minimum")


def closed_years(town: Any) -> None:
    town.parameters["revision.first_open_year"] = 2023


WARNINGS["closed years"] = (closed_years, "instance.toml", "revision.first_open_year")
WARNINGS["W-CAP beyond reach"] = (intake_below_need, "instance.toml", "water.clauses.W-CAP.required")


def test_town_is_sound(town: Any) -> None:
    assert find_faults(town.data()) == []
    assert find_warnings(town.data()) == []


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name: str, town: Any) -> None:
    change, table, column = FAULTS[name]
    change(town)
    assert (table, column) in [(f.table, f.column) for f in find_faults(town.data())]


@pytest.mark.parametrize("name", WARNINGS)
def test_warning_is_given(name: str, town: Any) -> None:
    change, table, column = WARNINGS[name]
    change(town)
    data = town.data()
    assert find_faults(data) == []
    assert (table, column) in [(f.table, f.column) for f in find_warnings(data)]


def test_rows_of_faults_are_positions(town: Any) -> None:
    corridor_to_itself(town)
    assert [f.row for f in find_faults(town.data())] == [3]
