"""Part of `checker`: whether what is built fits its site, and may be paid as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.pv_siting.checker_figures import Figures
from optimize.pv_siting.checker_rows import Labels, Rows
from optimize.pv_siting.instance import Instance


def check_fit(instance: Instance, wide: pd.DataFrame, figures: Figures, rows: Rows) -> None:
    """(P2): the configuration fits the site in its year; offers are of the site and on time."""
    where = Labels(wide["site"])
    offered = (wide["offer"] != "").to_numpy()
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
            "P2", Labels(wide["site"][here], f"{{}} {surface} m2"), area[here], free[here].to_numpy()
        )
    own_heat = heat & ~offered
    rows.at_most(
        "P2",
        Labels(wide["site"][own_heat]),
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
        Labels(wide["site"][needs_roof]),
        left[needs_roof].to_numpy(np.float64),
        np.full(int(needs_roof.sum()), instance.pv.min_roof_life_years),
    )
    own_pv = ~offered & (wide["kind"] != "").to_numpy()
    rows.at_least(
        "P2", Labels(wide["site"][own_pv]), figures.kw[own_pv], wide["kind_min_kw"][own_pv].to_numpy()
    )


def check_mixes(instance: Instance, wide: pd.DataFrame, figures: Figures, rows: Rows) -> None:
    """Who may pay for what; (P11) contracts an investor takes."""
    mixes = instance.funding.groupby("project_kind")["mix"].agg(set).to_dict()
    said = wide[["mix", "kind"]].assign(offered=wide["offer"] != "")
    distinct = said.drop_duplicates()
    allowed = []
    for mix, kind, offered in distinct.itertuples(index=False):
        open_to = mixes.get(kind or "hot_water", mixes.get("*", {"own"}))
        allowed.append(mix == "offer" if offered else (mix in open_to or mix == "emc"))
    holds = said.merge(distinct.assign(holds=allowed), how="left")["holds"].to_numpy(np.bool_)
    rows.true("P5", Labels(wide["site"]), holds, "a mix open to the project")
    contract = (wide["mix"] == "emc").to_numpy()
    at = Labels(wide["site"][contract])
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
