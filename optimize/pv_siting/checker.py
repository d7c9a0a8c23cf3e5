"""Independent check of a plan: every row of the model and every figure, from the raw tables alone.

Imports neither options nor limits nor any solver; figures are re-derived in `checker_figures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from optimize.checking import CheckReport, ClauseOutcome, Violation
from optimize.clauses import ClauseTarget
from optimize.pv_siting.checker_figures import Figures, join_projects, recount
from optimize.pv_siting.instance import Instance, records
from optimize.pv_siting.solution import Solution

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_RELATIVE = 1e-6
_LISTED = 20  # more violations of one row are counted, not listed


def check(instance: Instance, solution: Solution) -> CheckReport:
    """Re-derive feasibility, clauses, money and figures of ``solution``."""
    unknown = list(_unknown_ids(instance, solution.projects))
    if unknown:
        # Without the ids nothing can be re-derived.
        empty = pd.DataFrame(columns=["source", "year", "spent_cny", "budget_cny"])
        nothing = dict.fromkeys(("npv", "cost", "energy", "co2", "capacity"), float("nan"))
        return CheckReport(tuple(unknown), (), nothing, empty, len(solution.projects))
    wide = join_projects(instance, solution.projects)
    figures = recount(instance, wide)
    rows = _Rows()
    _check_choice(instance, solution.projects, rows)
    _check_locks(instance, wide, rows)
    _check_fit(instance, wide, figures, solution.projects, rows)
    _check_mixes(instance, wide, figures, rows)
    _check_figures(solution, figures, rows)
    money = _check_money(instance, solution, figures, rows)
    _check_grid(instance, wide, figures, rows)
    _check_order(instance, wide, figures, rows)
    _check_capacities(instance, wide, figures, rows)
    clauses = _check_clauses(instance, wide, figures, rows)
    return CheckReport(
        violations=tuple(rows.violations),
        clauses=clauses,
        figures=_goal_figures(instance, wide, figures, clauses),
        money=money,
        num_rows_checked=rows.count,
    )


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _slack(side: FloatArray) -> FloatArray:
    """What rounding may cost: a millionth of the side, where that is finite."""
    return np.where(np.isfinite(side), _RELATIVE * np.maximum(1.0, np.abs(side)), 0.0)


class _Labels(Sequence[str]):
    """Names of rows, written out only for those that do not hold."""

    def __init__(self, ids: pd.Series, text: str = "{}") -> None:
        self._ids, self._text = ids, text

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, position):  # type: ignore[no-untyped-def]
        return self._text.format(self._ids.iloc[position])


class _Rows:
    """Counts the rows looked at and keeps those that do not hold."""

    def __init__(self) -> None:
        self.count = 0
        self.violations: list[Violation] = []

    def at_most(self, equation: str, where: Sequence[str], found: ArrayLike, most: ArrayLike) -> None:
        value, side = _floats(found), _floats(most)
        self._keep(equation, where, value <= side + _slack(side), value, side, "at most")

    def at_least(self, equation: str, where: Sequence[str], found: ArrayLike, least: ArrayLike) -> None:
        value, side = _floats(found), _floats(least)
        self._keep(equation, where, value >= side - _slack(side), value, side, "at least")

    def equal(self, equation: str, where: Sequence[str], found: ArrayLike, true: ArrayLike) -> None:
        value, side = _floats(found), _floats(true)
        self._keep(equation, where, np.abs(value - side) <= _slack(side), value, side, "")

    def true(self, equation: str, where: Sequence[str], holds: BoolArray, required: str) -> None:
        self.count += len(where)
        for position in np.flatnonzero(~holds)[:_LISTED]:
            self.violations.append(Violation(equation, where[position], required, "not so"))

    def _keep(
        self,
        equation: str,
        where: Sequence[str],
        holds: BoolArray,
        found: FloatArray,
        side: FloatArray,
        word: str,
    ) -> None:
        self.count += len(where)
        for position in np.flatnonzero(~holds)[:_LISTED]:
            required = f"{word} {side[position]:.6g}".strip()
            self.violations.append(Violation(equation, where[position], required, f"{found[position]:.6g}"))


def _unknown_ids(instance: Instance, projects: pd.DataFrame) -> Iterator[Violation]:
    by_offer = projects["offer"] != ""
    known = (
        ("site", projects["site"].isin(instance.sites["site"])),
        (
            "configuration",
            by_offer | projects["configuration"].isin(instance.configurations["configuration"]),
        ),
        ("offer", ~by_offer | projects["offer"].isin(instance.offers["offer"])),
        ("offer", ~(by_offer & (projects["configuration"] != ""))),
        ("year", projects["year"].isin(list(instance.years))),
    )
    for column, holds in known:
        for row in np.flatnonzero(~holds.to_numpy())[:_LISTED]:
            found = str(projects[column].iloc[row])
            yield Violation("P2", f"project {row}", f"a {column} of the instance", found)


def _check_choice(instance: Instance, projects: pd.DataFrame, rows: _Rows) -> None:
    count = projects.groupby("site").size()
    rows.at_most("P3", _Labels(count.index.to_series()), count.to_numpy(np.float64), np.ones(len(count)))
    must = instance.sites.loc[instance.sites["must_choose"], "site"]
    rows.true("P3", list(must), must.isin(projects["site"]).to_numpy(), "one of its options")


def _check_locks(instance: Instance, wide: pd.DataFrame, rows: _Rows) -> None:
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


def _check_fit(
    instance: Instance, wide: pd.DataFrame, figures: Figures, projects: pd.DataFrame, rows: _Rows
) -> None:
    """(P2): the configuration fits the site in its year; offers are of the site and on time."""
    where = _Labels(wide["site"])
    offered = (wide["offer"] != "").to_numpy()
    rows.equal("P2", where, projects["kw"].to_numpy(np.float64), figures.kw)
    own_site = ~offered | (wide["o_site"] == wide["site"]).to_numpy()
    rows.true("P2", where, own_site, "an offer for this site")
    offer_year = wide["o_year"].where(wide["o_year"] > 0, instance.base_year)
    rows.true("P2", where, ~offered | (offer_year == wide["year"]).to_numpy(), "the offer's year")
    has_offers = wide["site"].isin(instance.offers["site"]).to_numpy()
    rows.true("P2", where, offered | ~has_offers, "one of the site's offers")

    on_roof = (wide["kind_surface"] == "roof").to_numpy()
    heat = (wide["hot_water"] != "").to_numpy()
    heat_m2 = (
        wide["hot_water_kwh_per_a"] * wide["hot_water_share_served"] * wide["hot_water_roof_m2_per_kwh"]
    ).fillna(0.0)
    area = figures.kw * wide["kind_m2_per_kw"].fillna(0.0).to_numpy()
    for surface, free in (
        ("roof", wide["usable_roof_m2"] - heat_m2),
        ("facade", wide["facade_m2"]),
        ("parking", wide["parking_m2"]),
    ):
        here = ((wide["kind_surface"] == surface) & ~offered).to_numpy()
        rows.at_most(
            "P2", _Labels(wide["site"][here], f"{{}} {surface} m2"), area[here], free[here].to_numpy()
        )
    own_heat = heat & ~offered
    rows.at_most(
        "P2",
        _Labels(wide["site"][own_heat]),
        heat_m2[own_heat].to_numpy(),
        wide["usable_roof_m2"][own_heat].to_numpy(),
    )
    rows.true("P2", where, ~own_heat | (wide["hot_water_kwh_per_a"] > 0).to_numpy(), "a hot-water demand")
    load = wide["kind_kg_per_m2"].where(on_roof, 0.0).fillna(0.0)
    load = pd.concat([load, wide["hot_water_kg_per_m2"].fillna(0.0)], axis=1).max(axis=1)
    rows.at_most("P2", where, np.where(offered, 0.0, load), wide["structure_reserve_kg_per_m2"].to_numpy())
    needs_roof = (on_roof | heat) & ~offered
    left = wide["roof_residual_life_years"] - (wide["year"] - instance.base_year)
    rows.at_least(
        "P2",
        _Labels(wide["site"][needs_roof]),
        left[needs_roof].to_numpy(np.float64),
        np.full(int(needs_roof.sum()), instance.pv.min_roof_life_years),
    )
    own_pv = ~offered & (wide["kind"] != "").to_numpy()
    rows.at_least(
        "P2", _Labels(wide["site"][own_pv]), figures.kw[own_pv], wide["kind_min_kw"][own_pv].to_numpy()
    )


def _check_mixes(instance: Instance, wide: pd.DataFrame, figures: Figures, rows: _Rows) -> None:
    """Who may pay for what; (P11) contracts an investor takes."""
    mixes = instance.funding.groupby("project_kind")["mix"].agg(set).to_dict()
    said = wide[["mix", "kind"]].assign(offered=wide["offer"] != "")
    distinct = said.drop_duplicates()
    allowed = []
    for mix, kind, offered in distinct.itertuples(index=False):
        open_to = mixes.get(kind or "hot_water", mixes.get("*", {"own"}))
        allowed.append(mix == "offer" if offered else (mix in open_to or mix == "emc"))
    holds = said.merge(distinct.assign(holds=allowed), how="left")["holds"].to_numpy(np.bool_)
    rows.true("P5", _Labels(wide["site"]), holds, "a mix open to the project")
    contract = (wide["mix"] == "emc").to_numpy()
    at = _Labels(wide["site"][contract])
    switched_on = np.full(len(at), instance.pv.emc_allowed)
    rows.true("P11", at, switched_on, "contracts allowed")
    kind_allows = (wide["kind_emc_allowed"][contract] == True).to_numpy()  # noqa: E712 - NaN without PV
    rows.true(
        "P11", at, kind_allows & (wide["hot_water"][contract] == "").to_numpy(), "a kind open to contracts"
    )
    rows.at_least("P11", at, figures.kw[contract], np.full(len(at), instance.pv.emc_min_kw))
    rows.true("P11", at, figures.bankable[contract], "investor's return at least its hurdle rate")
    host_pays = np.full(len(at), 1.0 - instance.pv.emc_host_discount)
    rows.at_most("P11", at, host_pays, np.ones(len(at)))


def _check_figures(solution: Solution, figures: Figures, rows: _Rows) -> None:
    projects = solution.projects
    for column, true in (
        ("capex_cny", figures.capex_cny),
        ("npv_cny", figures.npv_cny),
        ("cost_cny", figures.cost_cny),
        ("generation_kwh_per_a", figures.generation_kwh),
        ("used_on_site_kwh_per_a", figures.used_kwh),
        ("co2_t_per_a", figures.co2_t),
    ):
        where = _Labels(projects["site"], f"{{}} {column}")
        rows.equal("figure", where, projects[column].to_numpy(np.float64), true)


def _check_money(instance: Instance, solution: Solution, figures: Figures, rows: _Rows) -> pd.DataFrame:
    """(P5): payments are those of the projects; each purse holds, with what it carries over."""
    keys = ["site", "source", "year"]
    stated = solution.payments.groupby(keys, sort=False, as_index=False)[["amount_cny"]].sum()
    true = figures.payments.groupby(keys, sort=False, as_index=False)[["amount_cny"]].sum()
    both = stated.merge(true, on=keys, how="outer", suffixes=("_stated", "_true")).fillna(0.0)
    rows.equal(
        "P5",
        _Labels(both["site"] + " " + both["source"] + " " + both["year"].astype(str)),
        both["amount_cny_stated"].to_numpy(),
        both["amount_cny_true"].to_numpy(),
    )

    owner_limited = (instance.budgets["source"] == "owner").any()
    sources = ["municipal", *instance.districts["district"], "owner"]
    spent = true.groupby(["source", "year"])["amount_cny"].sum()
    budget = instance.budgets.set_index(["source", "year"])["amount_cny"]
    carried = solution.carried_over.set_index(["source", "year"])["amount_cny"]
    rows.at_least(
        "P5",
        [f"carried {key}" for key in carried.index],
        carried.to_numpy(np.float64),
        np.zeros(len(carried)),
    )
    table = []
    for source in sources:
        before = 0.0
        for year in instance.years:
            unlimited = source == "owner" and not owner_limited
            have = np.inf if unlimited else float(budget.get((source, year), 0.0)) * instance.budget_scale
            out = float(spent.get((source, year), 0.0))
            kept = float(carried.get((source, year), 0.0))
            where = [f"{source} {year}"]
            rows.at_most("P5", where, np.array([out]), np.array([have + before]))
            unspent = instance.carry_over_share * max(have + before - out, 0.0) if np.isfinite(have) else 0.0
            tolerance = _RELATIVE * (have + before) if np.isfinite(have) else 0.0
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


def _check_grid(instance: Instance, wide: pd.DataFrame, figures: Figures, rows: _Rows) -> None:
    """(P6): new and existing PV on each feeder and substation."""
    new = pd.Series(figures.hosting_kw).groupby(wide["feeder"].to_numpy()).sum()
    old = instance.sites.groupby("feeder")["existing_pv_kw"].sum()
    feeders = instance.feeders.set_index("feeder")
    for name, of_feeder, table in (
        ("feeder", pd.Series(feeders.index, index=feeders.index), feeders),
        ("substation", feeders["substation"], instance.substations.set_index("substation")),
    ):
        added = new.reindex(of_feeder.index).fillna(0.0).groupby(of_feeder).sum().reindex(table.index)
        standing = old.reindex(of_feeder.index).fillna(0.0).groupby(of_feeder).sum().reindex(table.index)
        left = (table["hosting_capacity_kw"] - standing.fillna(0.0)).clip(lower=0.0)
        where = [f"{name} {key}" for key in table.index]
        rows.at_most("P6", where, added.fillna(0.0).to_numpy(), left.to_numpy(np.float64))


def _check_order(instance: Instance, wide: pd.DataFrame, figures: Figures, rows: _Rows) -> None:
    """(P7): in each year, the share of what stands at institutions that go first."""
    share = instance.pv.first_share
    if share == 0:
        return
    first = wide["goes_first"].to_numpy(np.bool_)
    for year in instance.years:
        standing = (wide["year"] <= year).to_numpy() * figures.kw
        rows.at_least(
            "P7", [f"order {year}"], np.array([(standing * first).sum()]), np.array([share * standing.sum()])
        )


def _check_capacities(instance: Instance, wide: pd.DataFrame, figures: Figures, rows: _Rows) -> None:
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
        rows.at_most("P10", [str(row["year"])], np.array([built]), np.array([row["capacity_kw"]]))


_EQUATION = {
    "PV-50MW": "P4", "PV-FUND": "P5", "PV-LEAD": "P7", "PV-BIPV": "P8", "PV-CARPORT": "P8",
    "PV-HEAT": "P8", "PV-FLEX": "P8", "PV-EMC": "P11", "PV-ENERGY": "P12", "PV-CO2": "P12",
}  # fmt: skip


def _check_clauses(
    instance: Instance, wide: pd.DataFrame, figures: Figures, rows: _Rows
) -> tuple[ClauseOutcome, ...]:
    outcomes = []
    for clause, target in instance.targets.items():
        counted = _counted(instance, wide, target)
        reached = _reached(instance, clause, wide[counted], figures, counted)
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
    instance: Instance, wide: pd.DataFrame, figures: Figures, clauses: tuple[ClauseOutcome, ...]
) -> dict[str, float]:
    """One figure per goal, money with the penalties of soft clauses, and a few more."""
    penalty = 0.0
    for outcome in clauses:
        if not outcome.target.hard:
            missing = _shortfall(instance, wide, outcome, figures)
            penalty += missing * outcome.target.penalty_cny_per_unit
    energy_mwh = float(figures.energy_mwh.sum())
    return {
        "npv": float(figures.npv_cny.sum()) - penalty,
        "cost": float(figures.cost_cny.sum()) + penalty,
        "energy": energy_mwh,
        "co2": float(figures.co2_t.sum()),
        "capacity": float(figures.kw.sum()),
        "capex": float(figures.capex_cny.sum()),
        "penalty": penalty,
        "coal_equivalent_tce": energy_mwh * instance.grid_kgce_per_kwh,
        "used_on_site_share": float(figures.used_kwh.sum() / max(figures.generation_kwh.sum(), 1e-9)),
    }


def _shortfall(instance: Instance, wide: pd.DataFrame, outcome: ClauseOutcome, figures: Figures) -> float:
    """What is missing, in the clause's unit; a missing share counts as kW of the reference capacity."""
    missing = max(-outcome.slack, 0.0)
    if outcome.target.id != "PV-LEAD":
        return missing
    standing_kw = float(figures.kw[_counted(instance, wide, outcome.target)].sum())
    return missing * standing_kw / instance.pv.reference_capacity_kw
