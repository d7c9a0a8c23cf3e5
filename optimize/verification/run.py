"""Verify a stored run: files untouched, plan and figures from the raw tables, bound from multipliers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optimize.checking import CheckReport
from optimize.errors import UnreadablePlan, UnreadableProof, UsageError
from optimize.io.run_instance import read_instance_of
from optimize.io.run_store import (
    NETWORK_MULTIPLIERS,
    altered_files,
    read_manifest,
    read_summary,
    read_text_table,
)
from optimize.milp import BlockNames, FloatArray, IntArray
from optimize.prices import derive_prices
from optimize.programme import Programme, StatedArrays
from optimize.result import Certificate, KeptGoal, relative_gap
from optimize.verification.bound import prove_bound

# The checker's figures are the same sums over the same numbers: only their last digits may move.
_SAME_FIGURE = 1e-9
# What an engine calls its objective is a sum in another order, over rows met to a millionth.
_SAME_OBJECTIVE = 1e-6
# Room between a claimed bound and the one recomputed with outward rounding.
_SAME_BOUND = 1e-8
# Of sums of a few thousand terms, by their size.
_ROUNDING = 1e-12
_LISTED = 10


@dataclass
class Verdict:
    """What was found out about one run.

    Attributes
    ----------
    failures : everything that is not as the run says; empty: verified.
    remarks : what a reader should know besides.
    objective_stated, objective : of the summary; recomputed from the plan's tables and the instance.
    bound_stated, bound_certified : of the summary; recomputed from the multipliers (None: none), the closest of
        those by rows and by network.
    bound_by_rows, bound_by_network : recomputed from the multipliers of rows, and of a network's own relaxation.
    kind : of the certificate that `bound_certified` rests on, None where there is none.
    num_files, num_rows : files with the right hash; rows and figures recomputed by the checker.
    num_groups, num_blocks, num_multipliers, num_seasons : what the bound was put together from.
    """

    run: Path
    programme: str = ""
    goal: str = ""
    goal_unit: str = ""
    instance: str = ""
    failures: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    objective_stated: float | None = None
    objective: float | None = None
    bound_stated: float | None = None
    bound_certified: float | None = None
    bound_by_rows: float | None = None
    bound_by_network: float | None = None
    kind: str | None = None
    num_files: int = 0
    num_rows: int = 0
    num_groups: int = 0
    num_blocks: int = 0
    num_multipliers: int = 0
    num_seasons: int = 0
    seconds: float = 0.0

    @property
    def verified(self) -> bool:
        return not self.failures

    @property
    def gap_stated(self) -> float | None:
        return relative_gap(self.objective_stated, self.bound_stated)

    @property
    def gap_certified(self) -> float | None:
        return relative_gap(self.objective, self.bound_certified)


def verify_run(run: Path, programmes: Sequence[Programme], instance: Path | None = None) -> Verdict:
    """Verify one run folder.

    Parameters
    ----------
    programmes : all there are; the run names its own.
    instance : folder of the instance; None: where the run says it lies.

    Raises
    ------
    UsageError : there is no run, or its instance is not there or no longer the same.
    """
    began = time.monotonic()
    manifest, summary = read_manifest(run), read_summary(run)
    programme = next((p for p in programmes if p.name == summary.get("programme")), None)
    if programme is None:
        raise UsageError(f"{run} is a run of '{summary.get('programme')}', which is no programme")
    folder, data = read_instance_of(run, manifest, programme, programmes, instance)
    return verify_plan(run, programme, folder, programme.load(data), began)


def verify_plan(run: Path, programme: Programme, folder: Path, loaded: Any, began: float) -> Verdict:
    """Verify a run whose instance has been read: files, plan, figures and bound.

    Parameters
    ----------
    folder, loaded : the instance's folder, and the instance as ``programme`` knows it.
    began : of the verdict's seconds, by `time.monotonic`.
    """
    manifest, summary = read_manifest(run), read_summary(run)
    verdict = Verdict(run, programme.name)
    verdict.failures += altered_files(run, manifest)
    verdict.num_files = len(manifest.get("files", ()))
    goals = _goals(programme, manifest, summary, verdict)
    verdict.instance = folder.as_posix()
    tables = {path.stem: read_text_table(path) for path in sorted(run.glob("*.csv"))}
    report = _check_plan(programme, loaded, tables, verdict)
    if report is not None:
        _compare(summary, report, goals, verdict)
        _check_bound(programme, loaded, manifest, tables, goals, report, verdict)
    verdict.seconds = time.monotonic() - began
    return verdict


def _goals(
    programme: Programme, manifest: Mapping[str, Any], summary: Mapping[str, Any], verdict: Verdict
) -> tuple[str, ...]:
    """The goals solved for; those the manifest and the summary name have to be the same."""
    asked = manifest.get("options", {}).get("goal")
    told = summary.get("goal")
    known = {goal.name for goal in programme.goals}
    if not isinstance(told, list) or not told or not set(told) <= known:
        raise UsageError(f"{verdict.run} names no goal of {programme.name}")
    if asked != told:
        verdict.failures.append(f"summary.json names the goals {told}, manifest.json {asked}")
    goal = programme.goal(told[-1])
    verdict.goal, verdict.goal_unit = goal.name, goal.unit
    if summary.get("maximise") is not goal.maximise:
        verdict.failures.append(f"summary.json has the sense of {goal.name} wrong")
    return tuple(told)


# --- the plan -------------------------------------------------------------------------------------


def _check_plan(
    programme: Programme, instance: Any, tables: Mapping[str, pd.DataFrame], verdict: Verdict
) -> CheckReport | None:
    try:
        report = programme.check(instance, programme.read_plan(tables))
    except UnreadablePlan as error:
        verdict.failures.append(f"plan: {error}")
        return None
    except (KeyError, ValueError, IndexError, TypeError) as error:
        # The checkers trust ids and types; a plan that breaks them is no plan of this instance.
        verdict.failures.append(f"plan: cannot be followed: {type(error).__name__} {error}")
        return None
    verdict.num_rows = report.num_rows_checked
    verdict.failures += [f"plan: {violation}" for violation in report.violations[:_LISTED]]
    if len(report.violations) > _LISTED:
        verdict.failures.append(f"plan: {len(report.violations) - _LISTED} more violations")
    return report


def _compare(
    summary: Mapping[str, Any], report: CheckReport, goals: tuple[str, ...], verdict: Verdict
) -> None:
    """Every figure of the summary against the recomputed one."""
    figures = report.figures
    verdict.objective = figures[goals[-1]]
    verdict.objective_stated = _number(summary.get("objective"))
    verdict.bound_stated = _number(summary.get("bound"))
    expect = _Expectations(verdict.failures)
    expect.same("objective", verdict.objective_stated, verdict.objective, _SAME_OBJECTIVE)
    expect.same("gap", _number(summary.get("gap")), verdict.gap_stated)
    told = summary.get("figures", {})
    for name, value in figures.items():
        expect.same(f"figure {name}", _number(told.get(name)), value)
    _compare_clauses(summary, report, expect)
    _compare_money(summary, report, expect)
    if summary.get("status") != "solved" or summary.get("checked") is not True:
        verdict.failures.append("summary.json: status is not that of a checked plan")


def _compare_money(summary: Mapping[str, Any], report: CheckReport, expect: _Expectations) -> None:
    money = report.money
    keys = zip(money["source"].astype(str), money["year"].astype(int), strict=True)
    amounts = money[["spent_cny", "budget_cny"]].to_numpy(np.float64).tolist()
    true = dict(zip(keys, amounts, strict=True))
    told = {(str(row.get("source")), row.get("year")): row for row in summary.get("money", ())}
    for key in sorted(set(true) | set(told), key=str):
        row, where = told.get(key, {}), f"money {key[0]} {key[1]}"
        spent, budget = true.get(key, (None, None))
        expect.same(f"{where} spent", _number(row.get("spent_cny")), spent)
        expect.same(f"{where} budget", _number(row.get("budget_cny")), budget)


def _compare_clauses(summary: Mapping[str, Any], report: CheckReport, expect: _Expectations) -> None:
    told = summary.get("clauses", [])
    if len(told) != len(report.clauses):
        expect.failures.append(f"summary.json: {len(told)} clauses, the instance has {len(report.clauses)}")
        return
    for row, outcome in zip(told, report.clauses, strict=True):
        name = f"clause {outcome.target.id} {outcome.where}".strip()
        if row.get("id") != outcome.target.id or row.get("met") != bool(outcome.met):
            expect.failures.append(f"summary.json: {name} is not as recomputed (met: {outcome.met})")
        expect.same(f"{name} reached", _number(row.get("reached")), outcome.reached)
        expect.same(f"{name} required", _number(row.get("required")), outcome.target.required)


@dataclass
class _Expectations:
    failures: list[str]

    def same(
        self, name: str, told: float | None, true: float | None, tolerance: float = _SAME_FIGURE
    ) -> None:
        """``told`` by the summary is ``true``; what is not a finite number is None there."""
        if true is not None and not math.isfinite(true):
            true = None
        if told is None and true is None:
            return
        if told is None or true is None or abs(told - true) > tolerance * max(1.0, abs(true)):
            self.failures.append(f"summary.json: {name} is {_shown(told)}, recomputed {_shown(true)}")


# --- the bound ------------------------------------------------------------------------------------


def _check_bound(
    programme: Programme,
    instance: Any,
    manifest: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    goals: tuple[str, ...],
    report: CheckReport,
    verdict: Verdict,
) -> None:
    claim = manifest.get("certificate")
    if verdict.bound_stated is None and claim is None:
        verdict.remarks.append("the run states no bound")
        return
    stated = None if claim is None else programme.bounding_arrays(instance, goals)
    if claim is None or stated is None:
        verdict.remarks.append("bound not certified by multipliers: it rests on the solver's word")
        return
    # What the plan itself reaches of the earlier goals, not what the run says it does.
    kept = [KeptGoal(name, report.figures[name]) for name in goals[:-1]]
    _compare_kept(claim, kept, verdict)
    milp = stated.for_goals(goals, kept)
    assert isinstance(milp.row_names, BlockNames)
    multipliers = np.zeros(milp.num_rows)
    rows, values = _read_rows(tables, "multipliers", "multiplier", milp.row_names, verdict)
    multipliers[rows] = values
    block_rows, block_claims = _read_rows(tables, "blocks", "block_bound", milp.row_names, verdict)
    proven = prove_bound(milp, multipliers, block_rows)
    verdict.kind = str(claim.get("kind"))
    verdict.bound_certified = verdict.bound_by_rows = proven.bound
    verdict.num_multipliers = len(rows)
    verdict.num_groups, verdict.num_blocks = proven.num_groups, proven.num_blocks
    names = [milp.row_names[int(row)] for row in proven.left_out[:_LISTED]]
    if names:
        verdict.failures.append(
            f"multipliers.csv: wrong sign for the row, left out: {', '.join(names)}"
            + (f" and {len(proven.left_out) - _LISTED} more" if len(proven.left_out) > _LISTED else "")
        )
    block_names = [milp.row_names[int(row)] for row in block_rows]
    _check_prices(stated, multipliers, milp.row_names, kept, goals, tables, verdict)
    sign = 1.0 if programme.goal(goals[-1]).maximise else -1.0
    _compare_blocks(block_names, sign * block_claims, sign * proven.block_bounds, sign, verdict)
    _compare_claim("multipliers", claim, proven.bound, sign, verdict)
    _check_network(programme, instance, claim.get("network"), goals, verdict)
    _compare_bounds(sign, verdict)


def _check_network(
    programme: Programme, instance: Any, claim: Any, goals: tuple[str, ...], verdict: Verdict
) -> None:
    """The bound by a network's own relaxation; it is the certified one where it is closer."""
    if not isinstance(claim, Mapping) or programme.prove_network is None:
        return
    if claim.get("file") is None:
        verdict.remarks.append(
            f"the multipliers of the network's bound {_shown(_number(claim.get('bound')))} were too large to be "
            f"stored ({claim.get('num_bytes')} bytes): only the linear relaxation's bound is certified"
        )
        return
    path = verdict.run / NETWORK_MULTIPLIERS
    try:
        proven = programme.prove_network(instance, goals, path.read_bytes() if path.is_file() else b"")
    except UnreadableProof as error:
        verdict.failures.append(f"{NETWORK_MULTIPLIERS}: {error}")
        return
    sign = 1.0 if programme.goal(goals[-1]).maximise else -1.0
    _compare_claim("network multipliers", claim, proven.bound, sign, verdict)
    verdict.bound_by_network = proven.bound
    assert verdict.bound_certified is not None
    if sign * proven.bound < sign * verdict.bound_certified:
        verdict.kind, verdict.bound_certified = "network", proven.bound
        verdict.num_multipliers, verdict.num_seasons = proven.num_multipliers, proven.num_seasons


def _compare_kept(claim: Mapping[str, Any], kept: Sequence[KeptGoal], verdict: Verdict) -> None:
    told = {row.get("goal"): _number(row.get("reached")) for row in claim.get("kept", ())}
    expect = _Expectations(verdict.failures)
    if len(told) != len(kept):
        verdict.failures.append(f"manifest.json: the certificate keeps {list(told)}, not the earlier goals")
    for goal in kept:
        expect.same(f"kept goal {goal.goal}", told.get(goal.goal), goal.reached, _SAME_OBJECTIVE)


def _read_rows(
    tables: Mapping[str, pd.DataFrame], table: str, column: str, names: BlockNames, verdict: Verdict
) -> tuple[IntArray, FloatArray]:
    """Rows and figures of a table of the certificate; what cannot be used is left out and told."""
    none = np.zeros(0, np.int64), np.zeros(0)
    if table not in tables:
        if table == "multipliers":
            verdict.failures.append(f"{table}.csv is missing")
        return none
    frame = tables[table]
    if not {"row", column} <= set(frame.columns):
        verdict.failures.append(f"{table}.csv has no columns row, {column}")
        return none
    values = np.array([_parsed(cell) for cell in frame[column]], dtype=np.float64)
    rows = names.find(list(frame["row"]))
    usable = (rows >= 0) & np.isfinite(values) & ~frame["row"].duplicated().to_numpy()
    for position in np.flatnonzero(~usable)[:_LISTED]:
        verdict.failures.append(
            f"{table}.csv: '{frame['row'].iloc[position]}' = '{frame[column].iloc[position]}' is no row of "
            "the programme, stands twice, or has no number; left out"
        )
    return rows[usable], values[usable]


def _parsed(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _check_prices(
    stated: StatedArrays,
    multipliers: FloatArray,
    row_names: BlockNames,
    kept: Sequence[KeptGoal],
    goals: tuple[str, ...],
    tables: Mapping[str, pd.DataFrame],
    verdict: Verdict,
) -> None:
    """Shadow prices and candidate values follow from the multipliers."""
    if not {"shadow_prices", "candidate_values"} & set(tables):
        return  # the hashes say whether the run had them
    certificate = Certificate("linear", math.nan, multipliers, row_names, kept=tuple(kept))
    prices = derive_prices(stated, certificate, goals)
    for table, column, true in (
        ("shadow_prices", "approx_gain_per_unit", prices.rows),
        ("candidate_values", "approx_value", prices.candidates),
    ):
        if table not in tables:
            continue
        frame = tables[table]
        names = [name for name in true.columns if name not in (column, "required")]
        if column not in frame or len(frame) != len(true) or not set(names) <= set(frame.columns):
            verdict.failures.append(f"{table}.csv: not the rows and columns that were written")
            continue
        told = np.array([_parsed(cell) for cell in frame[column]], dtype=np.float64)
        value = true[column].to_numpy(np.float64)
        size = max(1.0, float(np.abs(value).max(initial=0.0)))
        same = np.abs(told - value) <= _SAME_FIGURE * size
        for name in names:
            same &= frame[name].to_numpy(dtype=str) == true[name].to_numpy().astype(str)
        for position in np.flatnonzero(~same)[:_LISTED]:
            row = " ".join(str(frame[name].iloc[position]) for name in names[:2])
            verdict.failures.append(
                f"{table}.csv: {row} has {frame[column].iloc[position]}, recomputed {value[position]:.12g}"
            )


def _compare_blocks(
    names: Sequence[str], claims: FloatArray, true: FloatArray, sign: float, verdict: Verdict
) -> None:
    """Claims better than the block allows; a weaker one does no harm.  Both come as upper bounds.

    What a small block is worth is a difference of sums as large as other blocks', and as exact as these.
    """
    rounding = _ROUNDING * float(np.abs(claims).max(initial=0.0))
    tolerance = _SAME_BOUND * np.maximum(1.0, np.abs(claims)) + rounding
    wrong = np.flatnonzero(np.isnan(true) | (true - claims > tolerance))
    for position in wrong[:_LISTED]:
        found = "cannot be solved as a block" if np.isnan(true[position]) else f"{sign * true[position]:.17g}"
        verdict.failures.append(
            f"blocks.csv: {names[position]} claims {sign * claims[position]:.17g}, recomputed {found}"
        )
    if len(wrong) > _LISTED:
        verdict.failures.append(f"blocks.csv: {len(wrong) - _LISTED} more blocks differ")


def _compare_claim(what: str, claim: Mapping[str, Any], proven: float, sign: float, verdict: Verdict) -> None:
    """A bound claimed by a certificate is no better than what its multipliers prove."""
    claimed = _number(claim.get("bound"))
    if claimed is None or sign * (proven - claimed) > _SAME_BOUND * _size_of(proven):
        verdict.failures.append(
            f"bound: the certificate claims {_shown(claimed)}, its {what} prove {_shown(proven)}"
        )


def _size_of(bound: float) -> float:
    return max(1.0, abs(bound) if math.isfinite(bound) else 1.0)


def _compare_bounds(sign: float, verdict: Verdict) -> None:
    """The recomputed bound against the plan and the stated bound."""
    certified = verdict.bound_certified
    assert certified is not None
    size = _size_of(certified)
    if verdict.objective is not None and sign * (verdict.objective - certified) > _SAME_OBJECTIVE * size:
        verdict.failures.append(
            f"bound: the plan ({_shown(verdict.objective)}) is better than the multipliers allow "
            f"({_shown(certified)})"
        )
    stated = verdict.bound_stated
    if stated is None:
        return
    if verdict.objective is not None and sign * (verdict.objective - stated) > _SAME_OBJECTIVE * size:
        verdict.failures.append(f"bound: the plan is better than the stated bound {_shown(stated)}")
    if sign * (stated - certified) > _SAME_OBJECTIVE * size:
        verdict.failures.append(
            f"bound: {_shown(stated)} is stated, although the multipliers prove {_shown(certified)}"
        )


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.12g}"
