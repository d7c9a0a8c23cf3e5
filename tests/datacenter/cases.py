"""Small instances and plans built by hand for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.checking import CheckReport
from optimize.datacenter.checker import check
from optimize.datacenter.example import example
from optimize.datacenter.instance import Instance, load, rows_of
from optimize.datacenter.recount import Recount
from optimize.datacenter.schema import SCHEMA
from optimize.datacenter.solution import Solution
from optimize.io.validation import data_from_draft
from optimize.schema import InstanceDraft

Targets = Mapping[str, Mapping[str, Any]]


def instance_of(draft: InstanceDraft) -> Instance:
    return load(data_from_draft(SCHEMA, draft))


def vary(
    draft: InstanceDraft | None = None,
    *,
    tables: Mapping[str, pd.DataFrame] | None = None,
    parameters: Mapping[str, Any] | None = None,
    targets: Targets | None = None,
    without: tuple[str, ...] = (),
) -> InstanceDraft:
    """The example with some tables, parameters or targets replaced (targets: all of them)."""
    draft = draft or example()
    kept = {name: frame for name, frame in draft.tables.items() if name not in without}
    return replace(
        draft,
        tables=kept | dict(tables or {}),
        parameters=dict(draft.parameters) | dict(parameters or {}),
        targets=dict(draft.targets) if targets is None else dict(targets),
    )


def changed(name: str, row: int, **values: Any) -> pd.DataFrame:
    """A table of the example with cells of one row changed."""
    frame = example().tables[name].copy()
    for column, value in values.items():
        if column not in frame:
            frame[column] = [type(value)()] * len(frame)
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
    return frame


def locks(*rows: tuple[str, str, str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["kind", "id", "other", "value", "year"])


def no_locks() -> pd.DataFrame:
    return locks().astype({"kind": str, "id": str, "other": str, "value": str, "year": int})


def tiny(seed: int) -> Instance:
    """Two centres, three measures, one host, two years, everything drawn; small enough to enumerate."""
    random = np.random.default_rng(seed)
    base = example()
    centres = base.tables["centres"].iloc[[3, 5]].copy()
    centres["it_load_kw"] = random.uniform(10, 60, 2).round(1)
    centres["cooling_kwh_per_kwh_it"] = random.uniform(0.5, 0.9, 2).round(2)
    centres["redundancy_group"] = ["G", "G"]
    centres["load_growth_per_year"] = random.choice([0.0, 0.03], 2)
    centres["residual_life_years"] = [6.0, 10.0]
    measures = base.tables["measures"].iloc[[0, 1, 4]]
    years = (2022, 2023)
    budgets = [
        (s, y, float(random.uniform(30_000, 110_000)))
        for s in ("municipal", "Pudong", "Xuhui")
        for y in years
    ]
    draft = vary(
        base,
        tables={
            "centres": centres,
            "measures": measures,
            "budgets": pd.DataFrame(budgets, columns=["source", "year", "amount_cny"]),
            "hosts": base.tables["hosts"].iloc[[0]],
            "host_capacity": pd.DataFrame(
                {"host": "cloud", "year": list(years), "capacity_kw": [45.0, 52.0]}
            ),
        },
        parameters={
            "num_years": 2,
            "budgets.carry_over_share": float(random.choice([0.0, 0.6])),
            "datacenter.staging_min_it_load_kw": 0.0,
        },
        targets={
            "DC-BATT": {"required": 1, "hard": False, "penalty_cny_per_unit": 150_000.0},
            "DC-PUE": {"required": 1.0, "hard": False, "penalty_cny_per_unit": 100_000.0},
        },
        without=("heat_sinks", "sink_months", "offers", "offer_payments", "locks"),
    )
    return instance_of(draft)


def plan_of(instance: Instance, rows: list[dict[str, Any]], recount: Recount | None = None) -> Solution:
    """A plan with the figures and payments the recount finds: only decisions can be wrong."""
    recount = recount or Recount(instance)
    blank = {
        "measures": "",
        "later_year": 0,
        "later_measures": "",
        "host": "",
        "sink": "",
        "offer": "",
        "mix": "",
    }
    projects, payments = [], []
    for row in rows:
        full = blank | row
        project = recount.project(full)
        known = project.centre in recount.centres
        projects.append(
            full
            | {
                "capex_cny": sum(project.capex_cny.values()),
                "npv_cny": project.npv_cny,
                "cost_cny": project.cost_cny,
                "energy_saved_mwh_per_year": project.energy_mwh,
                "co2_avoided_t_per_year": project.co2_t,
                "water_m3_per_year": project.water_m3,
                "pue_before": recount.pue_before(recount.centres[project.centre]) if known else np.nan,
                "pue_after": project.stages[-1].pue if project.stages else np.nan,
            }
        )
        payments += [(project.centre, s, y + instance.base_year, a) for (s, y), a in project.payments.items()]
    columns = ["centre", "source", "year", "amount_cny"]
    empty = pd.DataFrame(columns=["centre", "action", *blank, "year"])
    return Solution(pd.DataFrame(projects) if projects else empty, pd.DataFrame(payments, columns=columns))


def every_project(instance: Instance, centre: str) -> list[dict[str, Any] | None]:
    """Every option of a centre from the tables, admissible or not; None: nothing."""
    years = [instance.base_year + t for t in range(instance.num_years)]
    owner = instance.centres.set_index("centre")["owner_kind"][centre]
    mixes = {
        what: sorted(set(instance.funding.loc[instance.funding["project_kind"] == f"{what}_{owner}", "mix"]))
        or [""]
        for what in ("retrofit", "closing")
    }
    names = list(instance.measures["measure"])
    packages = ["+".join(p) for n in range(1, len(names) + 1) for p in combinations(names, n)]
    options: list[dict[str, Any] | None] = [None]
    for text, year, mix in product(packages, years, mixes["retrofit"]):
        options.append({"centre": centre, "action": "retrofit", "year": year, "measures": text, "mix": mix})
    for a, b, mix in product(packages, packages, mixes["retrofit"]):
        for early, late in combinations(years, 2):
            if set(a.split("+")) < set(b.split("+")):
                options.append(
                    {"centre": centre, "action": "staged", "year": early, "measures": a, "later_year": late, "later_measures": b, "mix": mix}
                )  # fmt: skip
    for host, year, mix in product(instance.hosts["host"], years, mixes["closing"]):
        options.append({"centre": centre, "action": "close", "year": year, "host": host, "mix": mix})
    return options


def brute_force(instance: Instance, *goals: str) -> list[float]:
    """Best value of each goal over every plan the checker passes."""
    recount = Recount(instance)
    admissible = [
        [o for o in every_project(instance, c) if o is None or not recount.project(_full(o)).faults]
        for c in instance.centres["centre"]
    ]
    known: dict[int, tuple[pd.DataFrame, list[Any]]] = {}

    def rows_once(frame: pd.DataFrame) -> Iterator[Any]:
        if id(frame) not in known:  # the frame is kept, so that no other gets its id
            known[id(frame)] = frame, list(rows_of(frame))
        return iter(known[id(frame)][1])

    figures = []
    with pytest.MonkeyPatch.context() as patch:  # the tables are looked up once
        patch.setattr("optimize.datacenter.checker.Recount", lambda instance: recount)
        patch.setattr("optimize.datacenter.checker.rows_of", rows_once)
        for choice in product(*admissible):
            plan = plan_of(instance, [o for o in choice if o is not None], recount)
            report: CheckReport = check(instance, plan)
            if report.passed:
                figures.append(report.figures)
    return [(min if goal == "cost" else max)(found[goal] for found in figures) for goal in goals]


def _full(row: dict[str, Any]) -> dict[str, Any]:
    blank = {
        "measures": "",
        "later_year": 0,
        "later_measures": "",
        "host": "",
        "sink": "",
        "offer": "",
        "mix": "",
    }
    return blank | row
