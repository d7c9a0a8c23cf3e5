"""Seeded instances: the benchmark sizes and the small example.

Benchmark centres are mostly small rooms (lognormal IT load, median 30 kW).  Budgets, contractor
weeks, host capacity and the counts are calibrated on what the centres would do without them, so
that they bind: see `calibrate`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from optimize.datacenter import catalogue, shanghai
from optimize.datacenter.instance import Instance, load
from optimize.datacenter.kinds import CLOSE, NOTHING
from optimize.datacenter.options import derive_options
from optimize.datacenter.payments import derive_payments
from optimize.datacenter.schema import SCHEMA
from optimize.errors import UsageError
from optimize.io.validation import data_from_draft
from optimize.schema import InstanceDraft

SIZES = {"200": 200, "1k": 1_000, "10k": 10_000, "100k": 100_000}
FAMILIES = ("mixed",)
BASE_YEAR = 2022
NUM_YEARS = 5
NUM_DISTRICTS = 16
NUM_HOSTS = 6
NUM_ZONES = 4
CALIBRATION_SAMPLE = 1_000
# Share of what would be spent, worked and moved without limits.
BUDGET_SHARE, WEEK_SHARE, HOST_SHARE = 0.45, 0.55, 0.12
# Share of the centres that could be pilots or demonstrations.
GREEN_SHARE, BATTERY_SHARE = 0.25, 0.2
LARGE_FROM = 5_000
TRADES = ("engineering", "it")
SYNTHETIC = "synthetic, seeded generator"


def generate(size: str, seed: int, family: str = "mixed") -> InstanceDraft:
    """An instance of a named size; the same size and seed give the same instance.

    Raises
    ------
    UsageError : unknown size or family.
    """
    if size == "shanghai":
        return shanghai.build(seed)
    if size not in SIZES or family not in FAMILIES:
        known = f"sizes {', '.join([*SIZES, 'shanghai'])}; families {', '.join(FAMILIES)}"
        raise UsageError(f"data-centre size '{size}', family '{family}' unknown; known: {known}")
    number = SIZES[size]
    generator = np.random.default_rng(seed)
    draft = uncalibrated(number, generator)
    return calibrate(draft, number, generator)


def uncalibrated(number: int, generator: np.random.Generator) -> InstanceDraft:
    """Centres, hosts and rules; no budgets, weeks, host capacity or targets yet."""
    centres = _centres(number, generator)
    hosts = _hosts(generator)
    tables: dict[str, pd.DataFrame] = {
        "districts": _districts(),
        "centres": centres,
        "measures": catalogue.measures(),
        "measure_trades": catalogue.measure_trades(),
        "zones": pd.DataFrame({"zone": sorted(set(centres["zone"])), "max_share_under_works": 0.25}),
        "hosts": hosts,
        "funding": _funding(two_mixes=number < LARGE_FROM),
        "budgets": pd.DataFrame({"source": ["municipal"], "year": [BASE_YEAR], "amount_cny": [0.0]}),
    }
    parameters: dict[str, Any] = {
        "base_year": BASE_YEAR,
        "num_years": NUM_YEARS,
        "datacenter.green_max_pue": 1.5,
    }
    parameters["datacenter.max_packages_per_centre"] = 40 if number < LARGE_FROM else 12
    if number >= LARGE_FROM:
        parameters["datacenter.staging_min_it_load_kw"] = 1e6
    return InstanceDraft(
        programme="datacenter",
        name_zh=f"数据中心基准算例{number}",
        name_en=f"Benchmark of {number} data centres",
        tables=tables,
        parameters=parameters,
        description="Synthetic benchmark; calibrated so that budgets, weeks, hosts and counts bind.",
    )


def _districts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "district": [f"D{d:02d}" for d in range(1, NUM_DISTRICTS + 1)],
            "source": SYNTHETIC,
            "confidence": "D",
        }
    )


def _centres(number: int, generator: np.random.Generator) -> pd.DataFrame:
    load = np.clip(30.0 * np.exp(generator.normal(0.0, 1.0, number)), 4.0, 1500.0).round(1)
    large = load > 250.0
    cooling_type = np.where(
        large, generator.choice(["air_chiller", "water_chiller", "water_economiser"], number), "dx"
    )
    cooling = np.where(large, generator.uniform(0.3, 0.8, number), generator.uniform(0.55, 0.95, number))
    owner = generator.choice(["municipal", "district", "enterprise"], number, p=[0.3, 0.5, 0.2])
    density = np.where(large, generator.uniform(3.0, 6.0, number), generator.uniform(1.0, 3.0, number))
    age = generator.integers(2, 22, number)
    scattered = (load < 30.0) & (age > 10)
    group = np.where(generator.random(number) < 0.04, generator.integers(0, max(number // 60, 1), number), -1)
    district = generator.integers(1, NUM_DISTRICTS + 1, number)
    return pd.DataFrame(
        {
            "centre": [f"C{k:06d}" for k in range(number)],
            "owner_kind": owner,
            "district": [f"D{d:02d}" for d in district],
            "zone": [f"Z{d % NUM_ZONES}" for d in district],
            "lon": (121.0 + generator.uniform(0, 0.9, number)).round(4),
            "lat": (30.8 + generator.uniform(0, 0.7, number)).round(4),
            "it_load_kw": load,
            "load_growth_per_year": generator.choice([0.0, 0.02, 0.05], number),
            "cooling_kwh_per_kwh_it": cooling.round(3),
            "power_kwh_per_kwh_it": generator.uniform(0.12, 0.33, number).round(3),
            "other_kwh_per_kwh_it": generator.uniform(0.02, 0.06, number).round(3),
            "cooling_type": cooling_type,
            "rack_count": np.maximum((load / density).round(), 1).astype(int),
            "age_years": age,
            "residual_life_years": generator.integers(3, 20, number),
            "tier": np.where(large, generator.choice([2, 3, 4], number, p=[0.4, 0.5, 0.1]), 1),
            "redundancy_group": [f"G{g}" if g >= 0 else "" for g in group],
            "wue_l_per_kwh": np.where(
                np.isin(cooling_type, ["water_chiller", "water_economiser"]), 2.0, 0.05
            ),
            "scattered": scattered,
            "closable": load < 150.0,
            "green_eligible": (load > 40.0) & (generator.random(number) < 0.6),
            "battery_eligible": (load > 20.0) & (generator.random(number) < 0.3),
            "site_om_cny_per_year": (load * generator.uniform(300, 900, number)).round(-2),
            "cost_factor": np.exp(generator.normal(0.0, 0.15, number)).round(2),
            "source": SYNTHETIC,
            "confidence": "D",
        }
    )


def _hosts(generator: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "host": [f"H{h}" for h in range(1, NUM_HOSTS + 1)],
            "accepts": ["municipal|district"] * 4 + [""] * (NUM_HOSTS - 4),
            "pue": generator.uniform(1.2, 1.35, NUM_HOSTS).round(2),
            "wue_l_per_kwh": 1.4,
            "consolidation_ratio": generator.uniform(0.35, 0.5, NUM_HOSTS).round(2),
            "hosting_fee_cny_per_kw_year": generator.uniform(7000, 9000, NUM_HOSTS).round(-2),
            "migration_fixed_cny": 60_000.0,
            "migration_cny_per_kw": generator.uniform(5000, 9000, NUM_HOSTS).round(-2),
            "source": SYNTHETIC,
            "confidence": "D",
        }
    )


def _funding(two_mixes: bool) -> pd.DataFrame:
    """Own level pays alone, or (small instances) with a municipal subsidy of 30 % up to a ceiling."""
    rows: list[tuple[str, str, str, float, float, bool]] = []
    for what in ("retrofit", "closing"):
        for kind, payer in (("municipal", "municipal"), ("district", "district"), ("enterprise", "owner")):
            rows.append((f"{what}_{kind}", "own", payer, 1.0, np.nan, True))
            if two_mixes and kind != "municipal":
                rows.append((f"{what}_{kind}", "subsidised", "municipal", 0.3, 500_000.0, False))
                rows.append((f"{what}_{kind}", "subsidised", payer, 0.7, np.nan, True))
    columns = ["project_kind", "mix", "source", "share", "ceiling_cny", "takes_rest"]
    return pd.DataFrame(rows, columns=columns)


def calibrate(draft: InstanceDraft, number: int, generator: np.random.Generator) -> InstanceDraft:
    """Budgets, weeks, host capacity and counts that bind.

    The unconstrained plan takes every centre's option of the largest NPV; for large sizes it is
    taken on the first centres and scaled up.
    """
    sample = min(number, CALIBRATION_SAMPLE)
    scale = number / sample
    instance = _bare_instance(draft, sample)
    options = derive_options(instance, ("npv",))
    best = np.lexsort((-options.npv_cny, options.centre))
    best = best[np.searchsorted(options.centre[best], np.arange(sample))]
    wanted = options.take(best[options.kind[best] != NOTHING])
    payments = derive_payments(instance, wanted)
    spent = np.bincount(payments.source, payments.amount_cny, len(payments.sources)) * scale
    years = range(BASE_YEAR, BASE_YEAR + NUM_YEARS)
    public = float(spent[:-1].sum())
    shape = generator.uniform(0.8, 1.2, (NUM_DISTRICTS + 1, NUM_YEARS))
    budgets = [
        (source, year, round(amount * shape[s, t], -4))
        for s, source in enumerate(payments.sources[:-1])
        for t, year in enumerate(years)
        for amount in [BUDGET_SHARE * (0.7 * spent[s] + 0.3 * public / (NUM_DISTRICTS + 1)) / NUM_YEARS]
    ]
    retrofitted = wanted.first >= 0
    weeks = wanted.packages.weeks[wanted.first[retrofitted]].sum(axis=0) * scale
    closed_load = instance.it_load_kw[wanted.centre[wanted.kind == CLOSE]].sum() * scale
    weeks[1] += 1.5 * np.sum(wanted.kind == CLOSE) * scale + 0.025 * closed_load
    trades = [
        (trade, year, round(WEEK_SHARE * weeks[k] / NUM_YEARS, 1))
        for k, trade in enumerate(TRADES)
        for year in years
    ]
    capacity = HOST_SHARE * instance.it_load_kw.sum() * scale / NUM_HOSTS
    room = generator.uniform(0.5, 1.5, NUM_HOSTS)
    host_capacity = [
        (host, year, round(capacity * room[h] * (0.6 + 0.1 * t), 0))
        for h, host in enumerate(draft.tables["hosts"]["host"])
        for t, year in enumerate(years)
    ]
    packages = options.packages
    low = packages.pue <= instance.setting("green_max_pue")
    green = instance.centres["green_eligible"].to_numpy(np.bool_)[packages.centre] & low
    battery = instance.centres["battery_eligible"].to_numpy(np.bool_)[packages.centre] & packages.battery
    reachable = {
        "DC-GREEN": len(np.unique(packages.centre[green])) * scale,
        "DC-BATT": len(np.unique(packages.centre[battery])) * scale,
    }
    targets: dict[str, dict[str, Any]] = {
        "DC-GREEN": {"required": int(GREEN_SHARE * reachable["DC-GREEN"])},
        "DC-BATT": {"required": int(BATTERY_SHARE * reachable["DC-BATT"])},
        "DC-PUE": {"required": 0.4, "hard": False, "penalty_cny_per_unit": 20_000.0 * number},
        "DC-SAFE": {"required": 0},
    }
    tables = dict(draft.tables) | {
        "budgets": pd.DataFrame(budgets, columns=["source", "year", "amount_cny"]),
        "trades": pd.DataFrame(trades, columns=["trade", "year", "weeks"]),
        "host_capacity": pd.DataFrame(host_capacity, columns=["host", "year", "capacity_kw"]),
    }
    return replace(draft, tables=tables, targets=targets)


def _bare_instance(draft: InstanceDraft, sample: int) -> Instance:
    """The first centres without limits, typed like a loaded instance."""
    tables = dict(draft.tables) | {"centres": draft.tables["centres"].iloc[:sample]}
    years = range(BASE_YEAR, BASE_YEAR + NUM_YEARS)
    trades = pd.DataFrame([(t, y, 1e9) for t in TRADES for y in years], columns=["trade", "year", "weeks"])
    counted = {clause: {"required": 0} for clause in ("DC-GREEN", "DC-BATT")}
    bare = replace(draft, tables=tables | {"trades": trades}, targets=counted)
    return load(data_from_draft(SCHEMA, bare))
