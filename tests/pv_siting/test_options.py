"""(P1), (P2), (P11): energy, what fits, money, dominance."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from optimize.pv_siting import catalogue
from optimize.pv_siting.economics import degraded_annuity
from optimize.pv_siting.energy import derive_energy
from optimize.pv_siting.generation import derive_generation_per_kw, derive_typical_days
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.layouts import derive_layouts
from optimize.pv_siting.options import OptionKeys, Options, derive_chosen_options, derive_options
from optimize.pv_siting.self_consumption import UseCurve, derive_day_weights, derive_load_shapes
from optimize.schema import InstanceDraft

from .conftest import changed, instance_of, with_cells


def yearly_per_kw(instance: Instance, tilt: float, azimuth: float) -> float:
    days = derive_typical_days(instance)
    hours = derive_generation_per_kw(instance, days, np.array([tilt]), np.array([azimuth]))[0]
    return float((hours * days.num_days[:, None]).sum())


@pytest.mark.parametrize(
    ("tilt", "azimuth", "published"),
    [(0, 180, 1051), (10, 180, 1109), (15, 180, 1129), (25, 180, 1151), (10, 90, 1055), (10, 270, 1025), (10, 0, 968), (90, 180, 716)],
)  # fmt: skip
def test_yield_is_near_the_hourly_record(
    tilt: float, azimuth: float, published: float, draft: InstanceDraft
) -> None:
    """Published: kWh/kW from 8 760 hours at GHI 1 300; typical days come out up to 6 % higher."""
    instance = instance_of(changed(draft, parameters={"pv_siting.ghi_kwh_per_m2_a": 1300.0}))
    assert yearly_per_kw(instance, tilt, azimuth) == pytest.approx(published, rel=0.06)


def test_irradiance_is_scaled_to_the_wanted_sum(draft: InstanceDraft) -> None:
    instance = instance_of(changed(draft, parameters={"pv_siting.ghi_kwh_per_m2_a": 1000.0}))
    days = derive_typical_days(instance)
    total = (days.frame["ghi_w_per_m2"] * days.frame["days"]).sum() / 1000.0
    assert total == pytest.approx(1000.0)


def use_curve(instance: Instance, kind: str) -> UseCurve:
    days = derive_typical_days(instance)
    weights = derive_day_weights(days)
    hours = derive_generation_per_kw(instance, days, np.array([15.0]), np.array([180.0]))[0]
    shape = np.concatenate([hours, hours]) / float((hours * days.num_days[:, None]).sum())
    return UseCurve(weights, derive_load_shapes(instance.load_profiles, days)[kind], shape)


@pytest.mark.parametrize("kind", ["school", "hospital", "office"])
def test_own_use_equals_the_sum_over_hours(kind: str, draft: InstanceDraft) -> None:
    curve = use_curve(instance_of(draft), kind)
    for ratio in (0.0, 0.05, 0.37, 1.0, 4.0):
        power = ratio * curve.generation
        met = np.minimum(power, curve.load)
        direct = float(curve.weights @ met.sum(axis=1))
        surplus, deficit = (power - met).sum(axis=1), (curve.load - met).sum(axis=1)
        shifted = float(curve.weights @ np.minimum(np.minimum(0.9 * surplus, deficit), 2e-4))
        assert curve.direct(np.array([ratio]))[0] == pytest.approx(direct, rel=1e-12, abs=1e-15)
        stored = curve.shifted(np.array([ratio]), np.array([2e-4]), 0.9)[0]
        assert stored == pytest.approx(shifted, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(
    ("kind", "shares"),
    [("office", (0.995, 0.944, 0.895, 0.789)), ("school", (0.997, 0.909, 0.821, 0.724)), ("hospital", (1.0, 0.998, 0.947, 0.769))],
)  # fmt: skip
def test_own_use_is_near_the_stylised_figures(
    kind: str, shares: tuple[float, ...], draft: InstanceDraft
) -> None:
    """Published for PV/load of 0.1, 0.2, 0.3, 0.5."""
    ratio = np.array([0.1, 0.2, 0.3, 0.5])
    found = use_curve(instance_of(draft), kind).direct(ratio) / ratio
    assert found == pytest.approx(shares, abs=0.07)


def options_of(draft: InstanceDraft) -> tuple[Instance, Options, pd.DataFrame]:
    instance = instance_of(draft)
    options = derive_options(instance)
    names = np.append(instance.configurations["configuration"].to_numpy(dtype=object), "")
    frame = pd.DataFrame(
        {
            "site": instance.sites["site"].to_numpy(dtype=object)[options.site],
            "configuration": names[options.configuration],
            "year": options.year,
            "kw": options.kw,
            "npv": options.npv_cny,
        }
    )
    return instance, options, frame


def test_storage_raises_own_use_and_relieves_the_grid(draft: InstanceDraft) -> None:
    small_load = with_cells(draft, "sites", annual_load_kwh=[80_000.0, 80_000.0, 80_000.0])
    _, options, frame = options_of(small_load)
    school = (frame["site"] == "school") & (frame["year"] == 0)
    plain = options.used_kwh[school & (frame["configuration"] == "roof100")]
    stored = options.used_kwh[school & (frame["configuration"] == "roof100_battery")]
    assert stored[0] > 1.05 * plain[0]
    relieved = school & (frame["configuration"] == "roof100_battery")
    assert options.hosting_kw[relieved] == pytest.approx(0.75 * options.kw[relieved])


def test_existing_pv_uses_the_load_first(draft: InstanceDraft) -> None:
    small_load = with_cells(draft, "sites", annual_load_kwh=[80_000.0, 80_000.0, 80_000.0])
    before = options_of(small_load)[1]
    after = options_of(with_cells(small_load, "sites", existing_pv_kw=[60.0, 0.0, 0.0]))[1]
    assert (after.used_kwh[after.site == 0] < before.used_kwh[before.site == 0]).any()
    assert after.used_kwh[after.site == 1] == pytest.approx(before.used_kwh[before.site == 1])


def configurations_at(draft: InstanceDraft, site: str) -> set[str]:
    frame = options_of(draft)[2]
    return set(frame.loc[frame["site"] == site, "configuration"])


def test_what_does_not_fit_is_never_generated(draft: InstanceDraft) -> None:
    everything = {"roof50", "roof100", "roof100_battery", "flex", "bipv", "carport", "air_heat"}
    assert configurations_at(draft, "hospital") == everything
    weak = with_cells(draft, "sites", structure_reserve_kg_per_m2=[70.0, 70.0, 17.0])
    assert configurations_at(weak, "hospital") == {"bipv", "carport"}
    old = with_cells(draft, "sites", roof_residual_life_years=[30.0, 30.0, 9.0])
    assert configurations_at(old, "hospital") == {"carport"}
    roofless = with_cells(draft, "sites", usable_roof_m2=[1000.0, 800.0, 25.0])
    assert configurations_at(roofless, "hospital") == {"carport"}
    thin = with_cells(draft, "feeders", hosting_capacity_kw=[1e4, 60.0])
    assert configurations_at(thin, "hospital") == {"flex", "air_heat"}  # 75 kW with storage use 38
    assert "carport" not in configurations_at(draft, "school")  # no parking
    assert "air_heat" not in configurations_at(draft, "office")  # no hot water


def test_roof_must_last_from_the_year_built(draft: InstanceDraft) -> None:
    frame = options_of(with_cells(draft, "sites", roof_residual_life_years=[10.0, 30.0, 30.0]))[2]
    assert set(frame.loc[frame["site"] == "school", "year"]) == {0}


def test_capacity_is_rounded_down_to_steps(draft: InstanceDraft) -> None:
    instance = instance_of(
        changed(
            with_cells(draft, "sites", usable_roof_m2=[999.0, 800.0, 290.0]),
            parameters={"pv_siting.kw_step": 5.0},
        )
    )
    layouts = derive_layouts(instance)
    full = layouts.configuration == 1
    assert layouts.kw[full].tolist() == [95.0, 80.0, 25.0]


def test_hot_water_takes_its_share_of_the_roof(draft: InstanceDraft) -> None:
    both = pd.DataFrame(
        {"configuration": ["both"], "kind": ["rooftop"], "hot_water": ["solar_thermal"], "fill_share": [1.0]}
    )
    instance = instance_of(changed(draft, tables={"configurations": both}))
    layouts = derive_layouts(instance)
    hospital = layouts.site == 2
    # 300 000 kWh x 0.6 x 0.0016 m2/kWh = 288 m2 of 1 500
    assert layouts.kw[hospital].tolist() == [121.0]
    assert layouts.heat_kwh[hospital].tolist() == [180_000.0]


def test_dominated_twin_is_dropped_and_nothing_is_lost(draft: InstanceDraft) -> None:
    table = draft.tables["configurations"]
    twin = table[table["configuration"] == "roof100"].assign(configuration="twin")
    doubled = changed(draft, tables={"configurations": pd.concat([table, twin], ignore_index=True)})
    assert len(options_of(doubled)[1]) == len(options_of(draft)[1])


def test_dearer_storage_without_any_use_is_dominated(draft: InstanceDraft) -> None:
    useless = draft.tables["storages"].assign(hosting_relief_share=0.0, counts_flex=False, kwh_per_kw=0.0)
    frame = options_of(changed(draft, tables={"storages": useless}))[2]
    assert "roof100_battery" not in set(frame["configuration"])
    assert "roof100" in set(frame["configuration"])


def test_hosting_relief_is_never_dominated(draft: InstanceDraft) -> None:
    frame = options_of(draft)[2]
    worse = frame[frame["configuration"] == "roof100_battery"]
    assert len(worse) == 6  # three sites, two years, although each is worth less than roof100


def test_npv_by_hand(draft: InstanceDraft) -> None:
    """Without discounting, degradation, storage and export the value is a product."""
    plain = changed(
        draft,
        parameters={
            "economics.discount_rate": 0.0,
            "economics.horizon_years": 26,
            "pv_siting.first_year_degradation": 0.0,
            "pv_siting.degradation_per_a": 0.0,
            "pv_siting.subsidy_years": 5,
            "prices.carbon_cny_per_t": 100.0,
            "emissions.grid_kg_co2_per_kwh": 0.5,
        },
    )
    _, options, frame = options_of(with_cells(plain, "sites", annual_load_kwh=1e8))
    row = int(
        np.flatnonzero(
            (frame["site"] == "school") & (frame["configuration"] == "roof100") & (frame["year"] == 1)
        )[0]
    )
    kwh = options.generation_kwh[row]
    assert options.used_kwh[row] == pytest.approx(kwh)
    income = 25 * kwh * (0.62 + 0.05) + 5 * kwh * 0.12  # tariff and carbon for 25 years, subsidy for 5
    outlay = 60_000 + 100 * 3_700 + 25 * 100 * 55  # replaced after 25 years, when the horizon ends
    assert options.npv_cny[row] == pytest.approx(income - outlay)
    assert options.capex_cny[row] == pytest.approx(430_000)
    assert options.cost_cny[row] == pytest.approx(outlay)


def test_degradation_starts_again_with_new_modules(draft: InstanceDraft) -> None:
    instance = instance_of(
        changed(
            draft, parameters={"pv_siting.first_year_degradation": 0.1, "pv_siting.degradation_per_a": 0.1}
        )
    )
    # ages 1, 2, 1, 2: 0.9 + 0.81 + 0.9 + 0.81
    assert degraded_annuity(instance, 0.0, np.array([2.0]), 4.0).tolist() == pytest.approx([3.42])


def test_contract_needs_the_hurdle_rate(draft: InstanceDraft) -> None:
    def contracts(rate: float, **more: object) -> int:
        parameters = {"pv_siting.emc.allowed": True, "pv_siting.emc.hurdle_rate": rate, **more}
        return int(options_of(changed(draft, parameters=parameters))[1].contract.sum())

    assert contracts(0.0) > contracts(0.08) > contracts(0.3) == 0
    assert contracts(0.05, **{"pv_siting.emc.host_discount": 0.9}) < contracts(0.05)
    assert contracts(0.0, **{"pv_siting.emc.min_kw": 1e5}) == 0


def test_contract_costs_the_public_nothing(draft: InstanceDraft) -> None:
    options = options_of(
        changed(draft, parameters={"pv_siting.emc.allowed": True, "pv_siting.emc.hurdle_rate": 0.02})
    )[1]
    assert not np.isin(options.payment_option, np.flatnonzero(options.contract)).any()
    assert (options.npv_cny[options.contract] > 0).all()


def test_hourly_weather_rows_are_taken_too(draft: InstanceDraft) -> None:
    hourly = pd.concat(
        [rows.assign(day=day, days=1.0) for day in range(1, 29) for _, rows in mean_days().groupby("month")],
        ignore_index=True,
    )
    instance = instance_of(changed(draft, tables={"weather": hourly}))
    assert len(derive_typical_days(instance).month) == 12 * 28
    layouts = derive_layouts(instance)
    energy = derive_energy(instance, layouts)
    assert (energy.used_kwh + energy.exported_kwh <= energy.generation_kwh * (1 + 1e-9)).all()
    assert (energy.generation_kwh[layouts.kw > 0] > 0).all()


def mean_days() -> pd.DataFrame:
    weather = catalogue.typical_weather()
    return weather[weather["sky"] == "mixed"]


def with_offers_and_locks(draft: InstanceDraft) -> InstanceDraft:
    """Everything that names sites: offers with payments, locks, contracts."""
    offers = pd.DataFrame({"offer": ["a", "b"], "site": "office", "kind": "rooftop", "kw": [40.0, 60.0]})
    payments = pd.DataFrame(
        {
            "offer": ["a", "b", "b"],
            "source": "West",
            "year": [2024, 2024, 2025],
            "amount_cny": [1e5, 1e5, 8e4],
        }
    )
    locks = pd.DataFrame({"kind": ["latest", "earliest"], "id": ["school", "hospital"], "year": [2024, 2025]})
    return changed(
        draft,
        tables={"offers": offers, "offer_payments": payments, "locks": locks},
        parameters={"pv_siting.emc.allowed": True, "pv_siting.emc.hurdle_rate": 0.02},
    )


def payments_of(options: Options) -> list[tuple[float, ...]]:
    columns = (options.payment_option, options.payment_source, options.payment_year, options.payment_cny)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("sites_per_part", [1, 2])
def test_options_derived_in_parts_are_the_same(
    sites_per_part: int, draft: InstanceDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = instance_of(with_offers_and_locks(draft))
    whole = derive_options(instance)
    monkeypatch.setattr("optimize.pv_siting.options._SITES_PER_PART", sites_per_part)
    parts = derive_options(instance)
    assert payments_of(parts) == payments_of(whole)
    for field in fields(Options):
        if not field.name.startswith("payment_"):
            assert np.array_equal(getattr(parts, field.name), getattr(whole, field.name)), field.name


def test_chosen_options_are_found_again(draft: InstanceDraft) -> None:
    instance = instance_of(with_offers_and_locks(draft))
    options = derive_options(instance)
    last_of_site = np.flatnonzero(np.diff(options.site, append=len(instance.sites)))
    for chosen in (last_of_site, last_of_site[1:], last_of_site[:0]):
        again, found = derive_chosen_options(instance, OptionKeys.of(options).take(chosen))
        assert again.npv_cny[found].tolist() == options.npv_cny[chosen].tolist()
        assert again.site[found].tolist() == options.site[chosen].tolist()
