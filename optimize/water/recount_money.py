"""The checker's own money: what is built, what it costs, who pays, what is left of the budgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optimize.water.checker_revision import contract_works
from optimize.water.instance import Instance
from optimize.water.recount import annuity
from optimize.water.solution import Solution, nothing_built

_PAYER_WITHOUT_RULE = {
    "module": "municipal",
    "pipe": "municipal",
    "storage": "municipal",
    "connection": "owner",
    "tanker": "owner",
    "cascade": "owner",
    "zld": "owner",
}


# Kinds whose yearly upkeep is a share of their CAPEX.
_KEPT_UP = ("pipe", "storage", "connection", "tanker")


@dataclass(frozen=True)
class Ledger:
    """Every investment of the plan, one row each.

    Attributes
    ----------
    works : kind, id, year, capex_cny, life_years, yearly_cost_cny, district, present_cost_cny,
        annual_cost_cny (annuity of the share of CAPEX that prices must recover, and yearly cost),
        system, quality (of [W-PRICE]; empty for near-zero-discharge works, and for the works on a
        user's site, which are split over its demands).
    spent : source, year, amount_cny.
    faults : (where, expected, found) of funding rows that do not fit.
    """

    works: pd.DataFrame
    spent: pd.DataFrame
    faults: tuple[tuple[str, str, str], ...]


def recount_ledger(instance: Instance, solution: Solution) -> Ledger:
    """Costs of everything built, from the raw tables."""
    works = pd.concat(
        [
            _module_works(instance, solution),
            _pipe_works(instance, solution),
            _user_works(instance, solution),
            _other_works(instance, solution),
        ],
        ignore_index=True,
    )
    works = _at_actual_cost(instance, works)
    p = instance.parameters
    start = works["year"].to_numpy(float) - p.base_year
    # Annuities of CAPEX and yearly cost, both due from the year after building to the horizon.
    years = annuity(p.discount_rate, p.horizon_years) - annuity(p.discount_rate, start)
    capital = works["capex_cny"].to_numpy(float) / annuity(
        p.discount_rate, works["life_years"].to_numpy(float)
    )
    yearly = works["yearly_cost_cny"].to_numpy(float)
    works["present_cost_cny"] = (capital + yearly) * years
    works["annual_cost_cny"] = p.price_capital_share * capital + yearly
    spent, faults = _spending(instance, solution, works)
    return Ledger(works, spent, tuple(faults))


def _at_actual_cost(instance: Instance, works: pd.DataFrame) -> pd.DataFrame:
    """Contracts at what they cost in fact; upkeep that is a share of CAPEX goes with it."""
    contracts = contract_works(instance)
    if not contracts:
        return works
    names = zip(works["kind"], works["id"], strict=True)
    actual = np.array([contracts.get(name, _NO_CONTRACT)["actual_capex_cny"] for name in names], dtype=float)
    known = ~np.isnan(actual)
    capex = np.where(known, actual, works["capex_cny"].to_numpy(float))
    kept_up = known & works["kind"].isin(_KEPT_UP).to_numpy(bool)
    upkeep = instance.parameters.network_o_and_m_share * capex
    yearly = np.where(kept_up, upkeep, works["yearly_cost_cny"].to_numpy(float))
    return works.assign(capex_cny=capex, yearly_cost_cny=yearly)


_NO_CONTRACT = {"actual_capex_cny": float("nan")}


def due_by_contract(instance: Instance) -> pd.DataFrame:
    """What contracts alone take: source, year, amount_cny."""
    works = contract_works(instance)
    if not works:
        return pd.DataFrame(columns=["source", "year", "amount_cny"])

    def part(kind: str, *columns: str) -> pd.DataFrame:
        rows = [
            (*name.rsplit(":", len(columns) - 1), row["year"])
            for (own, name), row in works.items()
            if own == kind
        ]
        return pd.DataFrame(rows, columns=[*columns, "year"]).astype(object)

    connections = [
        part(kind, "user").assign(mode=mode) for kind, mode in (("connection", "pipe"), ("tanker", "tanker"))
    ]
    built = [part(kind, "id").assign(kind=kind) for kind in ("storage", "cascade", "zld")]
    agreed = [(*key, row["mix"], row["year"]) for key, row in works.items() if row["mix"]]
    plan = replace(
        nothing_built(),
        modules=part("module", "plant", "quality", "step"),
        pipes=part("pipe", "corridor", "quality", "diameter"),
        connections=pd.concat(connections, ignore_index=True),
        built=pd.concat(built, ignore_index=True),
        funding=pd.DataFrame(agreed, columns=["kind", "id", "mix", "year"]),
    )
    return recount_ledger(instance, plan).spent


def _module_works(instance: Instance, solution: Solution) -> pd.DataFrame:
    built = solution.modules.merge(instance.modules, on=["plant", "quality", "step"]).merge(
        instance.plants[["plant", "district", "system"]], on="plant"
    )
    return pd.DataFrame(
        {
            "kind": "module",
            "id": built["plant"] + ":" + built["quality"] + ":" + built["step"],
            "year": built["year"],
            "capex_cny": built["capex_cny"],
            "life_years": built["life_years"],
            "yearly_cost_cny": built["fixed_opex_cny_per_a"],
            "district": built["district"],
            "system": built["system"],
            "quality": built["quality"],
        }
    )


def _pipe_works(instance: Instance, solution: Solution) -> pd.DataFrame:
    built = (
        solution.pipes.merge(instance.corridors, on="corridor")
        .merge(instance.pipes, on="diameter")
        .merge(instance.qualities[["quality", "pipe_capex_factor"]], on="quality")
    )
    capex = built["fixed_capex_cny"] + (
        built["length_m"] * built["terrain_factor"] * built["pipe_capex_factor"] * built["capex_cny_per_m"]
    )
    return pd.DataFrame(
        {
            "kind": "pipe",
            "id": built["corridor"] + ":" + built["quality"] + ":" + built["diameter"],
            "year": built["year"],
            "capex_cny": capex,
            "life_years": built["life_years"],
            "yearly_cost_cny": instance.parameters.network_o_and_m_share * capex,
            "district": built["district"],
            "system": built["system"],
            "quality": built["quality"],
        }
    )


def _user_works(instance: Instance, solution: Solution) -> pd.DataFrame:
    built = solution.connections.merge(instance.users, on="user")
    by_pipe = built["mode"] == "pipe"
    capex = built["connection_capex_cny"].where(by_pipe, built["tanker_capex_cny"])
    return pd.DataFrame(
        {
            "kind": by_pipe.map({True: "connection", False: "tanker"}),
            "id": built["user"],
            "year": built["year"],
            "capex_cny": capex,
            "life_years": built["connection_life_years"],
            "yearly_cost_cny": instance.parameters.network_o_and_m_share * capex,
            "district": built["district"],
            "system": built["system"],
            "quality": "",
        }
    )


def _other_works(instance: Instance, solution: Solution) -> pd.DataFrame:
    built = solution.built
    storage = built[built["kind"] == "storage"].merge(instance.storage_sites, left_on="id", right_on="site")
    storage["yearly_cost_cny"] = instance.parameters.network_o_and_m_share * storage["capex_cny"]
    cascade = (
        built[built["kind"] == "cascade"]
        .merge(instance.cascades, left_on="id", right_on="cascade")
        .merge(instance.users[["user", "district", "system"]], on="user")
    )
    cascade["yearly_cost_cny"] = 0.0
    zld = built[built["kind"] == "zld"].merge(instance.parks, left_on="id", right_on="park")
    zld = zld.rename(
        columns={
            "zld_capex_cny": "capex_cny",
            "zld_opex_cny_per_a": "yearly_cost_cny",
            "zld_life_years": "life_years",
        }
    ).assign(system="", quality="")
    columns = [
        "kind", "id", "year", "capex_cny", "life_years", "yearly_cost_cny", "district", "system", "quality",
    ]  # fmt: skip
    return pd.concat([storage[columns], cascade[columns], zld[columns]], ignore_index=True)


def _spending(
    instance: Instance, solution: Solution, works: pd.DataFrame
) -> tuple[pd.DataFrame, list[tuple[str, str, str]]]:
    """Money by source and year, from each work's funding mix."""
    chosen = {
        (kind, name): mix
        for kind, name, mix in zip(
            solution.funding["kind"], solution.funding["id"], solution.funding["mix"], strict=True
        )
    }
    twice = solution.funding.duplicated(["kind", "id"])
    faults = [
        (f"{kind} {name}", "one mix", "several")
        for kind, name in zip(
            solution.funding.loc[twice, "kind"], solution.funding.loc[twice, "id"], strict=True
        )
    ]
    rules = {kind: _rules_of(instance.funding, kind) for kind in _PAYER_WITHOUT_RULE}
    contracts = contract_works(instance)
    rows: list[tuple[str, int, float]] = []
    for kind, name, year, capex, district in zip(
        works["kind"], works["id"], works["year"], works["capex_cny"], works["district"], strict=True
    ):
        if capex == 0:
            continue
        mixes = rules[kind]
        if not mixes:
            rows.append((_source(_PAYER_WITHOUT_RULE[kind], district), year, capex))
            continue
        mix = next(iter(mixes)) if len(mixes) == 1 else chosen.get((kind, name), "")
        agreed = contracts.get((kind, name), {}).get("mix") or mix
        if mix != agreed:
            faults.append((f"{kind} {name}", f"{agreed}, as contracted", mix or "none"))
        if mix not in mixes:
            faults.append((f"{kind} {name}", f"a mix of {', '.join(mixes)}", mix or "none"))
            continue
        rows += [(_source(source, district), year, paid) for source, paid in _shares(mixes[mix], capex)]
    spent = pd.DataFrame(rows, columns=["source", "year", "amount_cny"])
    return spent.groupby(["source", "year"])["amount_cny"].sum().reset_index(), faults


def _rules_of(funding: pd.DataFrame, kind: str) -> dict[str, pd.DataFrame]:
    """Rows of each mix open to a kind: its own rows, or else those for all kinds."""
    for name in (kind, "*"):
        rows = funding[funding["project_kind"] == name]
        if len(rows):
            return {str(mix): part for mix, part in rows.groupby("mix", sort=False)}
    return {}


def _shares(rules: pd.DataFrame, capex: float) -> list[tuple[str, float]]:
    """Each source pays its share up to its ceiling; the one that takes the rest, or the owner, pays what is left."""
    paid: list[tuple[str, float]] = []
    rest_to, rest = "owner", capex
    for source, share, ceiling, takes_rest in zip(
        rules["source"], rules["share"], rules["ceiling_cny"], rules["takes_rest"], strict=True
    ):
        amount = share * capex if ceiling != ceiling else min(share * capex, ceiling)
        paid.append((source, amount))
        rest -= amount
        if takes_rest:
            rest_to = source
    return [*paid, (rest_to, rest)]


def _source(level: str, district: str) -> str:
    if level == "district":
        return district or "municipal"
    return level


def recount_budgets(instance: Instance, spent: pd.DataFrame) -> pd.DataFrame:
    """Columns source, year, spent_cny, budget_cny (NaN: unlimited), available_cny (with carry-over).

    Where the instance is not phased, all money is one sum, in the row of the base year.  What contracts
    need beyond a year's own money and all that the years before could leave them is there, for nothing else.
    """
    p = instance.parameters
    years = [p.base_year + t for t in range(p.num_years)]
    given = instance.budgets[instance.budgets["year"].isin(years)].copy()
    given["amount_cny"] = given["amount_cny"] * p.budget_scale
    spent = spent.copy()
    if not p.phased:
        given["year"], years = p.base_year, [p.base_year]
    budget = given.groupby(["source", "year"])["amount_cny"].sum()
    paid = spent.groupby(["source", "year"])["amount_cny"].sum()
    due = due_by_contract(instance).groupby(["source", "year"])["amount_cny"].sum()
    unlimited = not (instance.budgets["source"] == "owner").any()
    rows = []
    for source in ["municipal", *instance.districts["district"], "owner"]:
        carried = most_carried = 0.0
        for year in years:
            out, amount = float(paid.get((source, year), 0.0)), float(budget.get((source, year), 0.0))
            owed = float(due.get((source, year), 0.0))
            amount += max(owed - amount - most_carried, 0.0)
            most_carried = p.carry_over_share * (amount + most_carried - owed)
            free = source == "owner" and unlimited
            rows.append(
                (source, year, out, float("nan") if free else amount, np.inf if free else amount + carried)
            )
            carried = p.carry_over_share * max(amount + carried - out, 0.0) if p.phased and not free else 0.0
    return pd.DataFrame(rows, columns=["source", "year", "spent_cny", "budget_cny", "available_cny"])
