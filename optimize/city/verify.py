"""A stored joint plan verified again: both plans, the split, the price of silos, and the bound; no engine."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.checking import CheckReport
from optimize.city.arrays import join_parts
from optimize.city.checker import check_city, city_goals
from optimize.city.instance import WATER, City
from optimize.city.parts import certified_arrays, choice_parts, extreme_changes, in_order
from optimize.city.plan import SILOS, CityPlan, read_plan, tables_of
from optimize.city.reading import read_city_of
from optimize.city.water_part import exact_part, relaxed_part
from optimize.errors import UnreadablePlan
from optimize.io.run_instance import folder_of
from optimize.io.run_store import read_manifest, read_summary, read_text_table
from optimize.names import CITY
from optimize.programme import Programme, StatedArrays
from optimize.verification.run import Verdict, verify_plan

_SAME = 1e-6


def verify_city(run: Path, programmes: Sequence[Programme], instance: Path | None = None) -> Verdict:
    """Verify one run of a city; arguments and errors as `optimize.verification.run.verify_run`."""
    began = time.monotonic()
    manifest, summary = read_manifest(run), read_summary(run)
    folder = folder_of(run, manifest, instance)
    city = read_city_of(run, manifest, programmes, folder)
    verdict = verify_plan(run, _as_programme(city, manifest), folder, city, began)
    tables = {path.stem: read_text_table(path) for path in sorted(run.glob("*.csv"))}
    _verify_split(city, summary, tables, verdict)
    _verify_parts(city, summary, tables, verdict)
    _verify_silos(city, summary, tables, verdict)
    if manifest.get("network") == "relaxed":
        verdict.remarks.append("the bound of reclaimed water rests on a relaxation of its averaged year")
    verdict.seconds = time.monotonic() - began
    return verdict


def _as_programme(city: City, manifest: Mapping[str, Any]) -> Programme:
    """The city in the shape in which plans are verified: its goals, checker, tables and arrays."""
    first = city.parts[0].programme
    known = city_goals(city)

    def check(_: City, plan: CityPlan) -> CheckReport:
        return check_city(city, plan).report

    def state_arrays(_: City, goals: tuple[str, ...]) -> StatedArrays | None:
        return _state_arrays(city, goals, manifest.get("network"))

    return dataclasses.replace(
        first,
        name=CITY,
        goals=tuple(goal for goal in first.goals if goal.name in known),
        check=check,
        read_plan=lambda tables: read_plan(city, tables),
        state_arrays=state_arrays,
        # a joint bound stands on the city's rows alone
        state_bounding=None,
        prove_network=None,
    )


def _state_arrays(city: City, goals: tuple[str, ...], network: str | None) -> StatedArrays | None:
    parts = choice_parts(city, goals)
    smallest, largest = extreme_changes(parts)
    if network == "whole" and WATER in city.names:
        whole = in_order(city, parts, exact_part(city, goals, largest))
        return join_parts(city, whole, goals).stated()
    if WATER not in city.names:
        return certified_arrays(city, parts, None, goals).stated()
    relaxed = relaxed_part(city, goals, largest, smallest)
    return None if relaxed is None else certified_arrays(city, parts, relaxed, goals).stated()


def _verify_split(
    city: City, summary: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], verdict: Verdict
) -> None:
    """The split the summary tells is that of the table, and its pool and today's shares are the instance's."""
    told = {
        (row.get("source"), row.get("year"), row.get("programme")): row for row in summary.get("split", ())
    }
    try:
        share = read_plan(city, tables).share_cny
    except UnreadablePlan:
        return  # told already, with the plan
    for k, name in enumerate(city.names):
        for f, source in enumerate(city.sources):
            for t, year in enumerate(city.years):
                row = told.get((source, year, name), {})
                for key, true in (
                    ("share_cny", share[k, f, t]),
                    ("today_cny", city.today_cny[k, f, t]),
                    ("pool_cny", city.pool_cny[f, t]),
                ):
                    if not _same(row.get(key), float(true)):
                        verdict.failures.append(
                            f"summary.json: split {source} {year} {name} {key} is {row.get(key)}, recomputed {true:.12g}"
                        )


def _verify_parts(
    city: City, summary: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], verdict: Verdict
) -> None:
    """What the summary tells of each programme is what its checker recounts."""
    try:
        check = check_city(city, read_plan(city, tables))
    except UnreadablePlan:
        return  # told already, with the plan
    verdict.failures += _not_as_told(summary.get("parts", {}), check.parts, "")


def _not_as_told(told: Mapping[str, Any], parts: Mapping[str, CheckReport], where: str) -> list[str]:
    """Figures, clauses and money of programmes that are not as recounted."""
    wrong = []
    for name, report in parts.items():
        part = told.get(name, {})
        rows = [
            (f"figure {key}", part.get("figures", {}).get(key), value)
            for key, value in report.figures.items()
        ]
        reached = {(c.get("id"), c.get("where")): c.get("reached") for c in part.get("clauses", ())}
        rows += [
            (f"clause {c.target.id} {c.where}".strip(), reached.get((c.target.id, c.where)), c.reached)
            for c in report.clauses
        ]
        spent = {(row.get("source"), row.get("year")): row.get("spent_cny") for row in part.get("money", ())}
        keys = zip(report.money["source"], report.money["year"].astype(int), strict=True)
        rows += [
            (f"money {key[0]} {key[1]}", spent.get(key), value)
            for key, value in zip(keys, report.money["spent_cny"].tolist(), strict=True)
        ]
        wrong += [
            f"summary.json: {where}{name} {what} is {said}, recomputed {true:.12g}"
            for what, said, true in rows
            if (np.isfinite(true) or said is not None) and not _same(said, float(true))
        ]
    return wrong


def _verify_silos(
    city: City, summary: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], verdict: Verdict
) -> None:
    """The plan on today's fixed shares, its value, and what planning together is worth against it."""
    told = summary.get("silos", {}).get("objective")
    found = summary.get("price_of_silos", {}).get("found")
    if told is None:
        verdict.remarks.append("no plan on today's fixed shares was found, so no price of silos is told")
        return
    try:
        plan = read_plan(city, tables_of(SILOS, tables))
        check = check_city(city, plan)
    except UnreadablePlan as error:
        verdict.failures.append(f"plan on today's shares: {error}")
        return
    report = check.report
    if "parts" in summary["silos"]:  # earlier versions told the objective only
        verdict.failures += _not_as_told(summary["silos"]["parts"], check.parts, "plan on today's shares: ")
    if np.abs(plan.share_cny - city.today_cny).max(initial=0.0) > 1.0:
        verdict.failures.append("plan on today's shares: its split is not today's fixed shares")
    verdict.failures += [f"plan on today's shares: {violation}" for violation in report.violations[:10]]
    verdict.num_rows += report.num_rows_checked
    true = report.figures[verdict.goal]
    if not _same(told, true):
        verdict.failures.append(f"summary.json: silos' objective is {told}, recomputed {true:.12g}")
    if verdict.objective is not None:
        price = (verdict.objective - true) * (1.0 if summary.get("maximise") else -1.0)
        if not _same(found, price, max(abs(true), 1.0)):
            verdict.failures.append(f"summary.json: the price of silos is {found}, recomputed {price:.12g}")


def _same(told: Any, true: float, size: float | None = None) -> bool:
    if not isinstance(told, int | float):
        return False
    return abs(told - true) <= _SAME * max(1.0, abs(true) if size is None else size)
