"""From the options an engine chose to the plan."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.datacenter.instance import Instance
from optimize.datacenter.kinds import ACTIONS, OFFER
from optimize.datacenter.measures import IntArray
from optimize.datacenter.options import Options
from optimize.datacenter.payments import derive_payments
from optimize.datacenter.solution import Solution


def plan_from_choice(instance: Instance, options: Options, selected: IntArray) -> Solution:
    """The plan of the selected options (positions, without `nothing`)."""
    packages = options.packages
    first, second = options.first[selected], options.second[selected]
    kind = options.kind[selected]
    pue = np.append(packages.pue, np.nan)
    after = np.where(second >= 0, pue[second], pue[first])
    offered = np.flatnonzero(kind == OFFER)
    stated = instance.offers["pue_after"].to_numpy(np.float64)[options.offer[selected][offered]]
    before = instance.pue_before[options.centre[selected]]
    after[offered] = np.where(np.isnan(stated), before[offered], stated)
    figures = pd.DataFrame(
        {
            "capex_cny": options.capex_first_cny[selected] + options.capex_second_cny[selected],
            "npv_cny": options.npv_cny[selected],
            "cost_cny": options.cost_cny[selected],
            "energy_saved_mwh_per_year": options.energy_mwh[selected],
            "co2_avoided_t_per_year": options.co2_t[selected],
            "water_m3_per_year": options.water_m3[selected],
            "pue_before": before,
            "pue_after": after,
        }
    )
    ids = instance.centres["centre"].to_numpy()[options.centre[selected]]
    decisions = describe_options(instance, options, selected)
    decisions.insert(0, "centre", ids)
    projects = pd.concat([decisions, figures], axis=1)
    return Solution(projects, _payments(instance, options.take(selected)))


def describe_options(instance: Instance, options: Options, selected: IntArray) -> pd.DataFrame:
    """What, when, where to and who pays, by the ids of the tables: one row for each option."""
    packages = options.packages

    def calendar(year: IntArray) -> IntArray:
        return np.where(year >= 0, year + instance.base_year, 0)

    def named(names: list[str], position: IntArray) -> list[str]:
        return ["" if p < 0 else names[p] for p in position]

    sink = np.append(options.links.sink, -1)[options.link[selected]]
    return pd.DataFrame(
        {
            "action": [ACTIONS[k] for k in options.kind[selected]],
            "year": calendar(options.year[selected]),
            "measures": _measure_names(instance, packages.mask, options.first[selected]),
            "later_year": calendar(options.second_year[selected]),
            "later_measures": _measure_names(instance, packages.mask, options.second[selected]),
            "host": named(list(instance.hosts["host"]), options.host[selected]),
            "sink": named(list(instance.heat_sinks["sink"]), sink),
            "offer": named(list(instance.offers["offer"]), options.offer[selected]),
            "mix": named(list(options.mixes), options.mix[selected]),
        }
    )


def _measure_names(instance: Instance, masks: IntArray, rows: IntArray) -> list[str]:
    names = list(instance.measures["measure"])
    return [
        "" if row < 0 else "+".join(n for bit, n in enumerate(names) if int(masks[row]) >> bit & 1)
        for row in rows
    ]


def _payments(instance: Instance, chosen: Options) -> pd.DataFrame:
    payments = derive_payments(instance, chosen)
    sources = np.array(payments.sources, dtype=object)
    return pd.DataFrame(
        {
            "centre": instance.centres["centre"].to_numpy()[chosen.centre[payments.option]],
            "source": sources[payments.source],
            "year": payments.year + instance.base_year,
            "amount_cny": payments.amount_cny,
        }
    ).sort_values(["centre", "year", "source"], ignore_index=True)
