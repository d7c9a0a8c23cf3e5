"""The choice engine on hundreds of small instances with every row in use: what it claims is true."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from optimize.clauses import CLAUSES, ClauseTarget
from optimize.engine.goals import GoalsOutcome, solve_goals
from optimize.io.validation import data_from_draft
from optimize.milp import BlockNames
from optimize.programme import SolveOptions
from optimize.pv_siting.arrays import Arrays, build_arrays
from optimize.pv_siting.checker import check
from optimize.pv_siting.energy import Curves
from optimize.pv_siting.extraction import extract_solution
from optimize.pv_siting.formulation import solve_formulation
from optimize.pv_siting.generator import example
from optimize.pv_siting.instance import Instance, load
from optimize.pv_siting.limits import derive_limits
from optimize.pv_siting.options import Options, derive_options
from optimize.pv_siting.schema import SCHEMA, SITE_TYPES
from optimize.result import StopReason
from optimize.revision import ChangeWeights

# solved once, in one process
pytestmark = pytest.mark.xdist_group("random PV instances")
SEEDS = range(200)
GOALS = (
    ("npv",), ("cost",), ("energy",), ("co2",), ("capacity",), ("changes",), ("energy", "npv"), ("npv", "co2", "cost"),
    ("changes", "npv"),
)  # fmt: skip
EXACT = {"gap": 0.0, "time_limit_s": 30.0}
YEARS = (2024, 2025)
NUM_SITES = 6


@cache
def template() -> Instance:
    """The validated tables the random instances are varied from."""
    return load(data_from_draft(SCHEMA, example()))


def random_instance(seed: int) -> Instance:
    """Six sites, two districts, three feeders; each kind of row in most instances."""
    rng = np.random.default_rng(seed)
    base = template()
    sites = _sites(rng, base)
    instance = replace(
        base,
        num_years=2,
        carry_over_share=float(rng.choice([0.0, 0.5])),
        pv=replace(
            base.pv,
            first_share=float(rng.choice([0.0, 0.1])),
            emc_allowed=bool(rng.random() < 0.7),
            emc_hurdle_rate=0.04,
            emc_min_kw=20.0,
            reference_capacity_kw=300.0,
        ),
        targets=_targets(rng),
        sites=sites,
        feeders=base.feeders.assign(hosting_capacity_kw=rng.uniform(90.0, 300.0, 3).round()),
        substations=base.substations.assign(hosting_capacity_kw=rng.uniform(150.0, 350.0, 2).round()),
        configurations=base.configurations.iloc[np.sort(rng.choice(10, 8, replace=False))].reset_index(drop=True),
        offers=base.offers.assign(site="s5", year=2024, kw=rng.uniform(30.0, 90.0, 2).round()),
        offer_payments=base.offer_payments.assign(
            year=[2024, 2025, 2024, 2025], amount_cny=rng.uniform(5e4, 2e5, 4).round()
        ),
        installers=pd.DataFrame({"year": YEARS, "capacity_kw": rng.uniform(120.0, 400.0, 2).round()}),
        district_minima=base.district_minima.assign(
            capacity_kw=rng.choice([0.0, 15.0, 30.0], 2), by_year=rng.choice([0, 2024, 2025], 2)
        ),
        budgets=_budgets(rng),
        locks=_locks(rng, base),
        change_weights=ChangeWeights(*rng.choice([0.0, 0.5, 1.0, 2.0], 5)) if rng.random() < 0.3 else ChangeWeights(),
    )  # fmt: skip
    return under_way(rng, instance) if rng.random() < 0.6 else instance


def under_way(rng: np.random.Generator, instance: Instance) -> Instance:
    """A plan in force: whatever options, also some that are no longer there."""
    options = derive_options(instance)
    rows = []
    for site in range(NUM_SITES - 1):
        own = np.flatnonzero(options.site == site)
        if rng.random() < 0.3 or not len(own):
            continue
        o = rng.choice(own)
        rows.append(
            {
                "site": f"s{site}" if rng.random() < 0.95 else "gone",
                "configuration": instance.configurations["configuration"].iloc[options.configuration[o]],
                "offer": "",
                "year": int(options.year[o]) + YEARS[0] if rng.random() < 0.9 else 2023,
                "mix": options.mix_names[options.mix[o]],
                "kw": float(options.kw[o]) + 5.0 if rng.random() < 0.3 else np.nan,
                "state": "proposed",
                "actual_capex_cny": float(rng.uniform(1e5, 6e5)) if rng.random() < 0.5 else np.nan,
                "cancellation_cost_cny": float(rng.choice([0.0, 3e4])),
            }
        )
    locked = set(instance.locks["id"]) | {"gone"}
    for row in rows:
        if rng.random() < 0.4 and row["site"] not in locked and row["year"] in YEARS:
            row["state"] = str(rng.choice(["contracted", "on_site", "accepted"]))
    plan = pd.DataFrame(rows, columns=list(instance.plan_in_force.columns))
    roofs = instance.sites["usable_roof_m2"].where(rng.random(NUM_SITES) < 0.7, 150.0)  # some fail
    opened = int(rng.choice([0, 2024, 2025]))
    return replace(
        instance,
        plan_in_force=plan.drop_duplicates("site", ignore_index=True),
        first_open_year=opened,
        sites=instance.sites.assign(usable_roof_m2=roofs),
        # an offer of a closed year would leave the site that must have one none
        offers=instance.offers.assign(year=max(opened, 2024)),
    )


def _sites(rng: np.random.Generator, base: Instance) -> pd.DataFrame:
    n = NUM_SITES
    return base.sites.iloc[:n].assign(
        site=[f"s{k}" for k in range(n)],
        type=rng.choice(SITE_TYPES, n),
        level=rng.choice(["municipal", "district"], n),
        district=rng.choice(["East", "West"], n),
        goes_first=rng.random(n) < 0.5,
        usable_roof_m2=rng.uniform(300.0, 2_000.0, n).round(),
        roof_residual_life_years=rng.choice([10.0, 11.0, 30.0], n),
        structure_reserve_kg_per_m2=rng.choice([20.0, 50.0, 70.0], n),
        parking_m2=rng.choice([0.0, 600.0], n),
        facade_m2=rng.choice([0.0, 200.0], n),
        annual_load_kwh=rng.uniform(3e4, 5e5, n).round(),
        hot_water_kwh_per_a=rng.choice([0.0, 40_000.0, 60_000.0], n),
        feeder=rng.choice(["F1", "F2", "F3"], n),
        existing_pv_kw=rng.choice([0.0, 20.0], n),
        cost_factor=rng.uniform(0.8, 1.2, n).round(2),
        must_choose=rng.random(n) < 0.05,
    )


def _targets(rng: np.random.Generator) -> dict[str, ClauseTarget]:
    required = {
        "PV-50MW": rng.uniform(50.0, 250.0), "PV-FUND": rng.integers(0, 2), "PV-LEAD": rng.uniform(0.1, 0.4),
        "PV-BIPV": 1, "PV-CARPORT": 1, "PV-HEAT": rng.integers(1, 3), "PV-FLEX": 1, "PV-EMC": 1,
        "PV-ENERGY": rng.uniform(50.0, 250.0), "PV-CO2": rng.uniform(20.0, 100.0), "CITY-REVISE": rng.integers(3, 8),
    }  # fmt: skip
    asked = [clause for clause in required if rng.random() < 0.6]
    return {
        clause: ClauseTarget(
            CLAUSES[clause],
            float(required[clause]),
            hard=bool(rng.random() < 0.3),
            penalty_cny_per_unit=float(rng.choice([0.0, 1e3, 1e5])),
            deadline_year=int(rng.choice(YEARS)) if rng.random() < 0.3 and clause != "CITY-REVISE" else None,
        )
        for clause in asked
    }


def _budgets(rng: np.random.Generator) -> pd.DataFrame:
    sources = ["municipal", "East", "West", *(["owner"] if rng.random() < 0.3 else [])]
    rows = [(source, year, round(rng.uniform(1e5, 9e5), -3)) for source in sources for year in YEARS]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])


def _locks(rng: np.random.Generator, base: Instance) -> pd.DataFrame:
    rows = []
    a, b, c, d = (f"s{k}" for k in rng.choice(5, 4, replace=False))
    for kind, site, other, year in (
        ("force_in", a, "", 0),
        ("force_out", b, "", 0),
        ("earliest", c, "", 2025),
        ("latest", d, "", 2024),
        ("together", c, d, 0),
        ("not_together", a, c, 0),
    ):
        if rng.random() < 0.25:
            rows.append((kind, site, other, "", year, ""))
    if rng.random() < 0.2:
        rows.append(("fix", "s5", "", "venue-1-a", 0, ""))
    return pd.DataFrame(rows, columns=list(base.locks.columns))


@dataclass(frozen=True)
class Case:
    """One instance with its arrays and the engine's answer."""

    instance: Instance
    options: Options
    arrays: Arrays
    goal: tuple[str, ...]
    exact: GoalsOutcome
    found: GoalsOutcome


def case(seed: int) -> Case:
    instance = random_instance(seed)
    options = derive_options(instance)
    arrays = build_arrays(instance, options, derive_limits(instance, options))
    goal = GOALS[seed % len(GOALS)]
    objectives = [arrays.objectives[name] for name in goal]
    asked = SolveOptions(goal=goal, **EXACT)  # type: ignore[arg-type]
    exact = solve_goals(arrays.milp, objectives, asked, strategy="milp")
    found = solve_goals(arrays.milp, objectives, asked, strategy="core")
    return Case(instance, options, arrays, goal, exact, found)


def near(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b))


def assert_true_claims(c: Case) -> None:
    """Engine = branch and cut = checker; plan never beyond optimum, optimum never beyond any bound."""
    assert (c.found.stop is StopReason.INFEASIBLE) == (c.exact.stop is StopReason.INFEASIBLE)
    if c.exact.x is None:
        return
    assert c.found.x is not None and c.found.objective is not None and c.exact.objective is not None
    assert c.found.bound is not None and near(c.found.bound, c.found.objective)
    assert near(c.found.objective, c.exact.objective), (c.goal, c.found.objective, c.exact.objective)
    assert c.arrays.milp.violation(c.found.x) <= 1e-6
    sign = 1.0 if c.arrays.objectives[c.goal[-1]].maximise else -1.0
    tolerance = 1e-6 * max(1.0, abs(c.exact.objective))
    for point in c.found.trace:
        assert point.plan is None or sign * point.plan <= sign * c.exact.objective + tolerance
        assert point.bound is None or sign * point.bound >= sign * c.exact.objective - tolerance


def assert_checked(c: Case) -> None:
    assert c.found.x is not None and c.found.objective is not None
    carried = [
        (c.options.source_names[f], c.instance.base_year + t, float(c.found.x[column]))
        for (f, t), column in zip(c.arrays.carried_pairs, c.arrays.carried, strict=False)
    ]
    chosen = np.flatnonzero(c.found.x[c.arrays.chosen] > 0.5)
    kept = pd.DataFrame(carried, columns=["source", "year", "amount_cny"])
    report = check(c.instance, extract_solution(c.instance, c.options, chosen, kept))
    assert report.passed, report.violations
    assert near(report.figures[c.goal[-1]], c.found.objective)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """All instances, solved; they differ in neither weather nor profiles, so curves are derived once."""
    with pytest.MonkeyPatch.context() as patch:
        curves = Curves(template())
        patch.setattr("optimize.pv_siting.options.Curves", lambda instance: curves)
        return [case(seed) for seed in SEEDS]


def test_engine_equals_branch_and_cut(cases: list[Case]) -> None:
    for seed, c in enumerate(cases):
        try:
            assert_true_claims(c)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
    assert sum(c.exact.x is not None for c in cases) > 85  # contracts leave fewer a plan


@pytest.mark.parametrize("first", range(4))
def test_checker_passes_what_the_engine_finds(first: int, cases: list[Case]) -> None:
    for c in cases[first::16]:
        if c.found.x is not None:
            assert_checked(c)


@pytest.mark.parametrize("seed", range(0, len(SEEDS), 20))
def test_engine_equals_formulation(seed: int, cases: list[Case]) -> None:
    c = cases[seed]
    stated = solve_formulation(c.instance, SolveOptions(goal=c.goal, **EXACT))  # type: ignore[arg-type]
    assert (stated.stop is StopReason.INFEASIBLE) == (c.found.stop is StopReason.INFEASIBLE)
    if stated.objective is not None:
        assert c.found.objective is not None and near(stated.objective, c.found.objective)


def test_every_row_is_in_use(cases: list[Case]) -> None:
    """What is claimed above of all rows is not claimed of rows that are never there."""
    seen: Counter[str] = Counter()
    for c in cases:
        names = c.arrays.milp.row_names
        assert isinstance(names, BlockNames)
        seen.update(name for name in ROWS if len(names.members(name)))
        seen.update(f"{t.id} {'hard' if t.hard else 'soft'}" for t in c.instance.targets.values())
    assert not {name: seen[name] for name in (*ROWS, *SOFT_AND_HARD) if seen[name] < 20}


ROWS = (
    "one_option_per_site", "required_sites_get_one", "together", "not_together", "feeder_hosts", "substation_hosts",
    "first_share", "district_minimum", "installers", "spending_within_budget", "carry_within_unspent",
)  # fmt: skip
SOFT_AND_HARD = [
    f"{c} {how}"
    for c in ("PV-50MW", "PV-FUND", "PV-LEAD", "PV-BIPV", "PV-CARPORT", "PV-HEAT", "PV-FLEX", "PV-EMC", "PV-ENERGY", "PV-CO2", "CITY-REVISE")
    for how in ("hard", "soft")
]  # fmt: skip
