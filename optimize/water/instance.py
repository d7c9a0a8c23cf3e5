"""The typed instance of the reclaimed-water programme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from optimize.clauses import ClauseTarget
from optimize.revision import ChangeWeights
from optimize.schema import InstanceData

LOCKABLE = (
    ("plants", "plant"),
    ("users", "user"),
    ("corridors", "corridor"),
    ("storage_sites", "site"),
    ("cascades", "cascade"),
    ("parks", "park"),
)
"""Tables whose ids a lock may name, with their key; ids are unique over all of them."""


@dataclass(frozen=True)
class Parameters:
    """Scalars of the instance; units as in the schema."""

    base_year: int
    num_years: int
    horizon_years: int
    discount_rate: float
    grid_kg_co2_per_kwh: float
    carbon_cny_per_t: float
    budget_scale: float
    carry_over_share: float
    periods: int
    peak_day: bool
    phased: bool
    num_plants_exact: int
    electricity_cny_per_kwh: float
    pumping_kwh_per_m3_per_km: float
    pump_efficiency: float
    network_o_and_m_share: float
    tn_value_cny_per_kg: float
    tanker_kg_co2_per_m3: float
    max_price_share: float
    price_capital_share: float
    first_open_year: int = 0


@dataclass(frozen=True)
class Instance:
    """Raw tables in base units (frames of `optimize.water.schema`), scalars and targets.

    Vary it with ``dataclasses.replace``; never change a frame in place.
    """

    name_zh: str
    name_en: str
    parameters: Parameters
    targets: Mapping[str, ClauseTarget]
    districts: pd.DataFrame
    plants: pd.DataFrame
    plant_months: pd.DataFrame
    junctions: pd.DataFrame
    users: pd.DataFrame
    user_demands: pd.DataFrame
    qualities: pd.DataFrame
    accepts: pd.DataFrame
    profiles: pd.DataFrame
    treatment: pd.DataFrame
    modules: pd.DataFrame
    pipes: pd.DataFrame
    corridors: pd.DataFrame
    storage_sites: pd.DataFrame
    cascades: pd.DataFrame
    parks: pd.DataFrame
    pilots: pd.DataFrame
    pilot_members: pd.DataFrame
    pilot_requirements: pd.DataFrame
    intake_caps: pd.DataFrame
    budgets: pd.DataFrame
    funding: pd.DataFrame
    locks: pd.DataFrame
    plan_in_force: pd.DataFrame
    change_weights: ChangeWeights
    fingerprint: str = ""

    @property
    def nodes(self) -> list[str]:
        """Node ids: plants, junctions, users, in the order of their tables."""
        return [*self.plants["plant"], *self.junctions["junction"], *self.users["user"]]


def load(data: InstanceData) -> Instance:
    """Typed instance from validated tables."""
    p = data.parameters
    parameters = Parameters(
        base_year=p["base_year"],
        num_years=p["num_years"],
        horizon_years=p["economics.horizon_years"],
        discount_rate=p["economics.discount_rate"],
        grid_kg_co2_per_kwh=p["emissions.grid_kg_co2_per_kwh"],
        carbon_cny_per_t=p["prices.carbon_cny_per_t"],
        budget_scale=p["budgets.scale"],
        carry_over_share=p["budgets.carry_over_share"],
        first_open_year=p["revision.first_open_year"],
        **{path.removeprefix("water."): value for path, value in p.items() if path.startswith("water.")},
    )
    return Instance(
        name_zh=data.name_zh,
        name_en=data.name_en,
        parameters=parameters,
        targets=data.targets,
        change_weights=ChangeWeights.of(p),
        fingerprint=data.fingerprint,
        **data.tables,
    )


def accepted_qualities(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[str]]:
    """Qualities that will do for each need, the need itself first."""
    accepted: dict[str, list[str]] = {quality: [quality] for quality in tables["qualities"]["quality"]}
    for need, quality in zip(tables["accepts"]["need"], tables["accepts"]["quality"], strict=True):
        if quality not in accepted[need]:
            accepted[need].append(quality)
    return accepted
