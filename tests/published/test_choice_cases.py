"""Choice cases of others with published optima, written as PV instances through the public format.

Multiple choice: a group is a site that must take one of its offers.  Multidimensional knapsack: a
site per item with one offer.  An offer states its value as ``npv_cny``; what it uses of capacity k
is its payment from the municipal purse in year k, whose budget is the capacity (negative uses are
money coming back).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optimize.io.instance_folder import read_instance
from optimize.io.write import write_instance
from optimize.programme import SolveOptions
from optimize.pv_siting.programme import PROGRAMME
from optimize.schema import InstanceDraft
from optimize.solve import Solved, solve

CASES = Path(__file__).resolve().parents[2] / ".." / "shared" / "benchmarks"
KINDS = ("multiple_choice", "multidimensional_knapsack")
FIRST_YEAR = 2022

pytestmark = pytest.mark.skipif(
    not (CASES / "published.csv").exists(), reason="../shared/benchmarks is not there"
)


def published() -> pd.DataFrame:
    if not (CASES / "published.csv").exists():
        return pd.DataFrame(columns=["kind", "name", "lower", "upper"])
    table = pd.read_csv(CASES / "published.csv")
    return table[table["kind"].isin(KINDS)]


def case_parameters(names: pd.DataFrame) -> list[object]:
    return [
        pytest.param(row["kind"], row["name"], row["lower"], row["upper"], id=row["name"])
        for _, row in names.iterrows()
    ]


ALL = published()


def groups_of(kind: str, name: str) -> tuple[list[list[tuple[float, list[float]]]], list[float]]:
    """Groups of (value, use of each capacity), and the capacities."""
    case = json.loads((CASES / kind / f"{name}.json").read_text(encoding="utf-8"))
    if kind == "multiple_choice":
        groups = [[(option["value"], option["use"]) for option in group] for group in case["groups"]]
    else:
        uses = np.array(case["use"], dtype=float).T.tolist()
        groups = [[(value, use)] for value, use in zip(case["value"], uses, strict=True)]
    return groups, case["capacity"]


def as_instance(kind: str, name: str) -> InstanceDraft:
    """The case as a PV instance."""
    groups, capacity = groups_of(kind, name)
    return instance_of_groups(name, groups, capacity, must_choose=kind == "multiple_choice")


def instance_of_groups(
    name: str, groups: list[list[tuple[float, list[float]]]], capacity: list[float], *, must_choose: bool
) -> InstanceDraft:
    """Groups of (value, use of each capacity) as sites with offers."""
    years = range(FIRST_YEAR, FIRST_YEAR + len(capacity))
    offers, payments = [], []
    for g, options in enumerate(groups):
        for k, (value, use) in enumerate(options):
            offers.append((f"o{g}-{k}", f"s{g}", float(value)))
            payments += [
                (f"o{g}-{k}", "municipal", year, float(u)) for year, u in zip(years, use, strict=True) if u
            ]
    sites = pd.DataFrame({"site": [f"s{g}" for g in range(len(groups))]})
    sites = sites.assign(
        type="office",
        level="municipal",
        district="all",
        annual_load_kwh=0.0,
        tariff="flat",
        must_choose=must_choose,
    )
    return InstanceDraft(
        programme="pv_siting",
        name_zh=name,
        name_en=name,
        tables={
            "districts": pd.DataFrame({"district": ["all"]}),
            "tariffs": pd.DataFrame({"tariff": ["flat"], "price_cny_per_kwh": [0.0]}),
            "sites": sites,
            "offers": pd.DataFrame(offers, columns=["offer", "site", "npv_cny"]),
            "offer_payments": pd.DataFrame(payments, columns=["offer", "source", "year", "amount_cny"]),
            "budgets": pd.DataFrame({"source": "municipal", "year": years, "amount_cny": capacity}),
        },
        parameters={"base_year": FIRST_YEAR, "num_years": len(capacity)},
    )


def solve_case(kind: str, name: str, folder: Path, options: SolveOptions) -> Solved:
    write_instance(folder, [(PROGRAMME.schema, as_instance(kind, name))])
    (loaded,) = read_instance(folder, [PROGRAMME]).programmes
    return solve(PROGRAMME, loaded.data, options)


@pytest.mark.parametrize(("kind", "name", "lower", "upper"), case_parameters(ALL))
def test_published_optimum_is_reproduced(
    kind: str, name: str, lower: float, upper: float, tmp_path: Path
) -> None:
    solved = solve_case(kind, name, tmp_path / "case", SolveOptions(gap=0.0, time_limit_s=60.0))
    assert solved.check is not None
    assert solved.check.passed, solved.check.violations
    assert lower - 1e-6 <= solved.check.figures["npv"] <= upper + 1e-6
    assert solved.result.bound == pytest.approx(upper, rel=1e-6)


def test_stopped_early_plan_and_bound_bracket_the_published_optimum(tmp_path: Path) -> None:
    """A plain MIP on one thread leaves this one open after a minute."""
    solved = solve_case("multiple_choice", "I04", tmp_path / "case", SolveOptions(gap=0.0, time_limit_s=0.3))
    assert solved.check is not None
    assert solved.check.passed, solved.check.violations
    assert solved.result.objective is not None and solved.result.bound is not None
    assert solved.result.objective <= 3597.0 + 1e-6 and solved.result.bound >= 3597.0 - 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_array_engine_agrees(kind: str, tmp_path: Path) -> None:
    name = {"multiple_choice": "I01", "multidimensional_knapsack": "weish01"}[kind]
    options = SolveOptions(gap=0.0, time_limit_s=30.0, engine="fast")
    solved = solve_case(kind, name, tmp_path / "case", options)
    assert solved.check is not None and solved.check.passed
    expected = float(ALL.loc[ALL["name"] == name, "lower"].iloc[0])
    assert solved.check.figures["npv"] == pytest.approx(expected)
