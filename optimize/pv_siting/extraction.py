"""From chosen options to a plan."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.arrays import Arrays
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.options import Options, source_names
from optimize.pv_siting.solution import PROJECT_COLUMNS, Solution


def extract_solution(
    instance: Instance,
    options: Options,
    chosen: NDArray[np.int64],
    carried_over: pd.DataFrame,
) -> Solution:
    """The plan made of the options at positions ``chosen``."""
    chosen = np.sort(chosen)
    names = np.append(instance.configurations["configuration"].to_numpy(dtype=object), "")
    offers = np.append(instance.offers["offer"].to_numpy(dtype=object), "")
    mixes = np.array(options.mix_names, dtype=object)
    site_ids = instance.sites["site"].to_numpy(dtype=object)
    columns = (
        site_ids[options.site[chosen]],
        names[options.configuration[chosen]],
        offers[options.offer[chosen]],
        options.year[chosen] + instance.base_year,
        mixes[options.mix[chosen]],
        options.kw[chosen],
        options.capex_cny[chosen],
        options.npv_cny[chosen],
        options.cost_cny[chosen],
        options.generation_kwh[chosen],
        options.used_kwh[chosen],
        options.co2_t[chosen],
    )
    projects = pd.DataFrame(dict(zip(PROJECT_COLUMNS, columns, strict=True)))
    paid = np.flatnonzero(np.isin(options.payment_option, chosen))
    payments = pd.DataFrame(
        {
            "site": site_ids[options.site[options.payment_option[paid]]],
            "source": np.array(options.source_names, dtype=object)[options.payment_source[paid]],
            "year": options.payment_year[paid] + instance.base_year,
            "amount_cny": options.payment_cny[paid],
        }
    )
    payments = payments.sort_values(["site", "year", "source"], ignore_index=True)
    return Solution(projects, payments, carried_over)


def carried_over(instance: Instance, programme: Arrays, x: NDArray[np.float64]) -> pd.DataFrame:
    """Money kept for the next year, by source and year of the budget it is left of."""
    names = source_names(instance)
    rows = [
        (names[f], instance.base_year + t, float(x[column]))
        for (f, t), column in zip(programme.carried_pairs, programme.carried, strict=False)
        if x[column] > 0.0
    ]
    return pd.DataFrame(rows, columns=["source", "year", "amount_cny"])
