"""Independent check of a plan: every row of the model and every figure, from the raw tables alone.

Imports neither options nor limits nor any solver; figures are re-derived in `checker_figures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.checking import CheckReport, ClauseOutcome, Violation
from optimize.clauses import REVISE, ClauseTarget
from optimize.pv_siting.checker_figures import Figures, join_projects, recount
from optimize.pv_siting.checker_fit import check_fit, check_mixes
from optimize.pv_siting.checker_revision import check_revision, contracted_sites, figures_of_changes
from optimize.pv_siting.checker_rows import LISTED, RELATIVE, Labels, Rows
from optimize.pv_siting.instance import Instance, records
from optimize.pv_siting.solution import Solution

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

GOALS = ("npv", "cost", "energy", "co2", "capacity", "changes")


def check(instance: Instance, solution: Solution) -> CheckReport:
    """Re-derive feasibility, clauses, money and figures of ``solution``."""
    unknown = list(_unknown_ids(instance, solution.projects))
    if unknown:
        # Without the ids nothing can be re-derived.
        empty = pd.DataFrame(columns=["source", "year", "spent_cny", "budget_cny"])
        nothing = dict.fromkeys(GOALS, float("nan"))
        return CheckReport(tuple(unknown), (), nothing, empty, len(solution.projects))
    wide = join_projects(instance, solution.projects)
    figures = recount(instance, wide)
    rows = Rows()
    _check_choice(instance, solution.projects, rows)
    _check_locks(instance, wide, rows)
    check_revision(instance, solution.projects, rows)
    contracted = wide["site"].isin(contracted_sites(instance)).to_numpy()
    _check_admissible(instance, wide, figures, contracted, rows)
    _check_figures(solution, figures, rows)
    money = _check_money(instance, solution, figures, rows)
    _check_grid(instance, wide, figures, contracted, rows)
    _check_order(instance, wide, figures, contracted, rows)
    _check_capacities(instance, wide, figures, contracted, rows)
    changes = figures_of_changes(instance, solution.projects)
    clauses = _check_clauses(instance, wide, figures, changes["changes"], rows)
    return CheckReport(
        violations=tuple(rows.violations),
        clauses=clauses,
        figures=_goal_figures(instance, wide, figures, clauses, changes),
        money=money,
        num_rows_checked=rows.count,
    )


def _within(ids: pd.Series, known: pd.Series) -> BoolArray:
    """Series.isin, which takes a second, where there are a hundred thousand, to unpack the known texts."""
    return np.asarray(pd.Index(known).unique().get_indexer(ids) >= 0)


def _unknown_ids(instance: Instance, projects: pd.DataFrame) -> Iterator[Violation]:
    by_offer = projects["offer"] != ""
    known = (
        ("site", pd.Series(_within(projects["site"], instance.sites["site"]), projects.index)),
        (
            "configuration",
            by_offer | projects["configuration"].isin(instance.configurations["configuration"]),
        ),
        ("offer", ~by_offer | projects["offer"].isin(instance.offers["offer"])),
        ("offer", ~(by_offer & (projects["configuration"] != ""))),
        ("year", projects["year"].isin(list(instance.years))),
    )
    for column, holds in known:
        for row in np.flatnonzero(~holds.to_numpy())[:LISTED]:
            found = str(projects[column].iloc[row])
            yield Violation("P2", f"project {row}", f"a {column} of the instance", found)


def _check_choice(instance: Instance, projects: pd.DataFrame, rows: Rows) -> None:
    count = projects.groupby("site").size()
    rows.at_most("P3", Labels(count.index.to_series()), count.to_numpy(np.float64), np.ones(len(count)))
    must = instance.sites.loc[instance.sites["must_choose"], "site"]
    rows.true("P3", list(must), _within(must, projects["site"]), "one of its options")


def _check_locks(instance: Instance, wide: pd.DataFrame, rows: Rows) -> None:
    locked = wide[wide["site"].isin([*instance.locks["id"], *instance.locks["other"]])]
    year_of = dict(zip(locked["site"], locked["year"], strict=True))
    what_of = {
        site: offer or configuration
        for site, offer, configuration in zip(
            locked["site"], locked["offer"], locked["configuration"], strict=True
        )
    }
    for lock in records(instance.locks):
        done, other_done = lock["id"] in year_of, lock["other"] in year_of
        year = year_of.get(lock["id"], lock["year"])
        holds = {
            "force_in": done,
            "force_out": not done,
            "fix": done
            and what_of[lock["id"]] == lock["value"]
            and (lock["year"] == 0 or year == lock["year"]),
            "earliest": year >= lock["year"],
            "latest": year <= lock["year"],
            "together": done == other_done,
            "not_together": not (done and other_done),
        }[lock["kind"]]
        where = " ".join(str(lock[part]) for part in ("kind", "id", "other", "value")).strip()
        rows.true("lock", [where], np.array([holds]), "as locked")


def _check_admissible(
    instance: Instance, wide: pd.DataFrame, figures: Figures, contracted: BoolArray, rows: Rows
) -> None:
    """(P2), (P11) of what may still be decided; what is contracted is a fact."""
    if contracted.any():
        wide, figures = wide[~contracted].reset_index(drop=True), _of_projects(figures, ~contracted)
    check_fit(instance, wide, figures, rows)
    check_mixes(instance, wide, figures, rows)


def _of_projects(figures: Figures, some: BoolArray) -> Figures:
    columns: dict[str, Any] = {n: v[some] for n, v in vars(figures).items() if isinstance(v, np.ndarray)}
    return replace(figures, **columns)


def _check_figures(solution: Solution, figures: Figures, rows: Rows) -> None:
    projects = solution.projects
    for column, true in (
        ("kw", figures.kw),
        ("capex_cny", figures.capex_cny),
        ("npv_cny", figures.npv_cny),
        ("cost_cny", figures.cost_cny),
        ("generation_kwh_per_a", figures.generation_kwh),
        ("used_on_site_kwh_per_a", figures.used_kwh),
        ("co2_t_per_a", figures.co2_t),
    ):
        where = Labels(projects["site"], f"{{}} {column}")
        equation = "P2" if column == "kw" else "figure"
        rows.equal(equation, where, projects[column].to_numpy(np.float64), true)


def _check_money(instance: Instance, solution: Solution, figures: Figures, rows: Rows) -> pd.DataFrame:
    """(P5): payments are those of the projects; each purse holds, with what it carries over."""
    keys = ["site", "source", "year"]
    stated = solution.payments.groupby(keys, sort=False, as_index=False)[["amount_cny"]].sum()
    true = figures.payments.groupby(keys, sort=False, as_index=False)[["amount_cny"]].sum()
    both = stated.merge(true, on=keys, how="outer", suffixes=("_stated", "_true")).fillna(0.0)
    rows.equal(
        "P5",
        Labels(both["site"] + " " + both["source"] + " " + both["year"].astype(str)),
        both["amount_cny_stated"].to_numpy(),
        both["amount_cny_true"].to_numpy(),
    )

    owner_limited = (instance.budgets["source"] == "owner").any()
    sources = ["municipal", *instance.districts["district"], "owner"]
    # one by one they are looked up in dictionaries: a Series takes a hundred times as long
    spent = true.groupby(["source", "year"])["amount_cny"].sum().to_dict()
    by_contract = true[true["site"].isin(contracted_sites(instance))]
    contracted = by_contract.groupby(["source", "year"])["amount_cny"].sum().to_dict()
    budget = _by_source_and_year(instance.budgets)
    carried = _by_source_and_year(solution.carried_over)
    kept_back = solution.carried_over
    rows.at_least(
        "P5",
        [f"carried {key}" for key in zip(kept_back["source"], kept_back["year"], strict=True)],
        kept_back["amount_cny"].to_numpy(np.float64),
        np.zeros(len(kept_back)),
    )
    table = []
    for source in sources:
        before = most_before = 0.0
        for year in instance.years:
            unlimited = source == "owner" and not owner_limited
            have = np.inf if unlimited else float(budget.get((source, year), 0.0)) * instance.budget_scale
            out = float(spent.get((source, year), 0.0))
            kept = float(carried.get((source, year), 0.0))
            where = [f"{source} {year}"]
            # contracts are paid, whatever the budget: what they lack at best is there, for nothing else
            due = float(contracted.get((source, year), 0.0))
            there = have + max(due - have - most_before, 0.0)
            most_before = (
                instance.carry_over_share * (there + most_before - due) if np.isfinite(have) else 0.0
            )
            rows.at_most("P5", where, np.array([out]), np.array([there + before]))
            unspent = instance.carry_over_share * max(there + before - out, 0.0) if np.isfinite(have) else 0.0
            tolerance = RELATIVE * (there + before) if np.isfinite(have) else 0.0
            rows.at_most(
                "P5", [f"carried {source} {year}"], np.array([kept - tolerance]), np.array([unspent])
            )
            before = kept
            if out or have:
                table.append((source, year, out, np.nan if unlimited else have))
    strangers = set(true["source"].unique()) - set(sources)
    rows.true("P5", sorted(strangers), np.zeros(len(strangers), dtype=np.bool_), "a known source")
    frame = pd.DataFrame(table, columns=["source", "year", "spent_cny", "budget_cny"])
    return frame[(frame["spent_cny"] != 0) | frame["budget_cny"].notna()].reset_index(drop=True)


def _by_source_and_year(money: pd.DataFrame) -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = {}
    for source, year, amount_cny in zip(
        money["source"].tolist(), money["year"].tolist(), money["amount_cny"].tolist(), strict=True
    ):
        found[source, year] = found.get((source, year), 0.0) + amount_cny
    return found


def _check_grid(
    instance: Instance, wide: pd.DataFrame, figures: Figures, contracted: BoolArray, rows: Rows
) -> None:
    """(P6): new and existing PV on each feeder and substation."""
    on_feeder = wide["feeder"].to_numpy()
    new = pd.Series(figures.hosting_kw).groupby(on_feeder).sum()
    due = pd.Series(figures.hosting_kw * contracted).groupby(on_feeder).sum()
    old = instance.sites.groupby("feeder")["existing_pv_kw"].sum()
    feeders = instance.feeders.set_index("feeder")
    for name, of_feeder, table in (
        ("feeder", pd.Series(feeders.index, index=feeders.index), feeders),
        ("substation", feeders["substation"], instance.substations.set_index("substation")),
    ):
        added = new.reindex(of_feeder.index).fillna(0.0).groupby(of_feeder).sum().reindex(table.index)
        fact = due.reindex(of_feeder.index).fillna(0.0).groupby(of_feeder).sum().reindex(table.index)
        standing = old.reindex(of_feeder.index).fillna(0.0).groupby(of_feeder).sum().reindex(table.index)
        left = (table["hosting_capacity_kw"] - standing.fillna(0.0)).clip(lower=0.0)
        where = [f"{name} {key}" for key in table.index]
        room = np.maximum(left.to_numpy(np.float64), fact.fillna(0.0).to_numpy(np.float64))
        rows.at_most("P6", where, added.fillna(0.0).to_numpy(), room)


def _check_order(
    instance: Instance, wide: pd.DataFrame, figures: Figures, contracted: BoolArray, rows: Rows
) -> None:
    """(P7): in each year, the share of what stands at institutions that go first."""
    share = instance.pv.first_share
    if share == 0:
        return
    first = wide["goes_first"].to_numpy(np.bool_)
    for year in instance.years:
        standing = (wide["year"] <= year).to_numpy() * figures.kw
        fact = 0.0
        if year < instance.first_open_year:  # contracts may have broken it, and nothing new can mend it
            fact = min(float((standing * contracted * (first - share)).sum()), 0.0)
        least = share * standing.sum() + fact
        rows.at_least("P7", [f"order {year}"], np.array([(standing * first).sum()]), np.array([least]))


def _check_capacities(
    instance: Instance, wide: pd.DataFrame, figures: Figures, contracted: BoolArray, rows: Rows
) -> None:
    """(P9) and (P10)."""
    year = wide["year"].to_numpy()
    for minimum in records(instance.district_minima):
        last = minimum["by_year"] if minimum["by_year"] > 0 else instance.years[-1]
        here = (wide["district"] == minimum["district"]).to_numpy() & (year <= last)
        rows.at_least(
            "P9",
            [str(minimum["district"])],
            np.array([figures.kw[here].sum()]),
            np.array([minimum["capacity_kw"]]),
        )
    for row in records(instance.installers):
        built = figures.kw[year == row["year"]].sum()
        most = max(row["capacity_kw"], figures.kw[contracted & (year == row["year"])].sum())
        rows.at_most("P10", [str(row["year"])], np.array([built]), np.array([most]))


_EQUATION = {
    "PV-50MW": "P4", "PV-FUND": "P5", "PV-LEAD": "P7", "PV-BIPV": "P8", "PV-CARPORT": "P8",
    "PV-HEAT": "P8", "PV-FLEX": "P8", "PV-EMC": "P11", "PV-ENERGY": "P12", "PV-CO2": "P12",
    REVISE: "P13",
}  # fmt: skip


def _check_clauses(
    instance: Instance, wide: pd.DataFrame, figures: Figures, changes: float, rows: Rows
) -> tuple[ClauseOutcome, ...]:
    outcomes = []
    for clause, target in instance.targets.items():
        counted = _counted(instance, wide, target)
        others = clause != REVISE
        reached = _reached(instance, clause, wide[counted], figures, counted) if others else changes
        outcomes.append(ClauseOutcome(target, reached))
        if target.hard:
            side = np.array([target.required])
            equation = _EQUATION[clause]
            if target.clause.sense == ">=":
                rows.at_least(equation, [clause], np.array([reached]), side)
            else:
                rows.at_most(equation, [clause], np.array([reached]), side)
    return tuple(outcomes)


def _counted(instance: Instance, wide: pd.DataFrame, target: ClauseTarget) -> BoolArray:
    last = instance.years[-1] if target.deadline_year is None else target.deadline_year
    return np.asarray(wide["year"] <= last)


def _reached(
    instance: Instance, clause: str, wide: pd.DataFrame, figures: Figures, counted: BoolArray
) -> float:
    kw = figures.kw[counted]
    if clause == "PV-50MW":
        return float(kw.sum())
    if clause == "PV-LEAD":
        leads = wide["type"].isin(["school", "hospital"]).to_numpy()
        # A plan without capacity breaks no share.
        return float(kw[leads].sum() / kw.sum()) if kw.sum() > 0 else 1.0
    if clause == "PV-FUND":
        return float(_num_wrong_payers(instance, wide, figures.payments))
    if clause == "PV-HEAT":
        return float((wide["hot_water"] != "").sum())
    if clause == "PV-EMC":
        return float((wide["mix"] == "emc").sum())
    if clause == "PV-ENERGY":
        return float(figures.energy_mwh[counted].sum())
    if clause == "PV-CO2":
        return float(figures.co2_t[counted].sum())
    column = {
        "PV-BIPV": "kind_counts_bipv",
        "PV-CARPORT": "kind_counts_carport",
        "PV-FLEX": "storage_counts_flex",
    }
    flags = wide[column[clause]] if column[clause] in wide else pd.Series(dtype=object)
    return float((flags == True).sum())  # noqa: E712 - NaN where there is no such part


def _num_wrong_payers(instance: Instance, wide: pd.DataFrame, payments: pd.DataFrame) -> int:
    own = wide[["site"]].assign(own=wide["district"].where(wide["level"] == "district", "municipal"))
    public = payments[(payments["source"] != "owner") & (payments["amount_cny"] > 0)]
    both = public.merge(own.drop_duplicates("site"), on="site", how="inner")
    return int(both.loc[both["source"] != both["own"], "site"].nunique())


def _goal_figures(
    instance: Instance,
    wide: pd.DataFrame,
    figures: Figures,
    clauses: tuple[ClauseOutcome, ...],
    changes: dict[str, float],
) -> dict[str, float]:
    """One figure per goal, money with penalties of soft clauses and cancellation costs, and a few more."""
    owed = changes.get("cancellation_cost", 0.0)
    penalty = 0.0
    for outcome in clauses:
        if not outcome.target.hard:
            missing = _shortfall(instance, wide, outcome, figures)
            penalty += missing * outcome.target.penalty_cny_per_unit
    energy_mwh = float(figures.energy_mwh.sum())
    return {
        "npv": float(figures.npv_cny.sum()) - penalty - owed,
        "cost": float(figures.cost_cny.sum()) + penalty + owed,
        "energy": energy_mwh,
        "co2": float(figures.co2_t.sum()),
        "capacity": float(figures.kw.sum()),
        "capex": float(figures.capex_cny.sum()),
        "penalty": penalty,
        "coal_equivalent_tce": energy_mwh * instance.grid_kgce_per_kwh,
        "used_on_site_share": float(figures.used_kwh.sum() / max(figures.generation_kwh.sum(), 1e-9)),
        **changes,
    }


def _shortfall(instance: Instance, wide: pd.DataFrame, outcome: ClauseOutcome, figures: Figures) -> float:
    """What is missing, in the clause's unit; a missing share counts as kW of the reference capacity."""
    missing = max(-outcome.slack, 0.0)
    if outcome.target.id != "PV-LEAD":
        return missing
    standing_kw = float(figures.kw[_counted(instance, wide, outcome.target)].sum())
    return missing * standing_kw / instance.pv.reference_capacity_kw
