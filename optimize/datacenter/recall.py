"""The options of an earlier plan among those of a programme."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.datacenter.instance import Instance
from optimize.datacenter.kinds import NOTHING
from optimize.datacenter.measures import IntArray
from optimize.datacenter.options import Options
from optimize.datacenter.plan import ACTIONS
from optimize.warm_start import match_rows, positions_of


def recall_options(instance: Instance, options: Options, projects: pd.DataFrame) -> IntArray:
    """Positions of the options that the plan ``projects`` chose; `nothing` for centres it leaves out.

    A project that the programme no longer has is left out, and so is `nothing` where it is not allowed.
    """
    masks = np.append(options.packages.mask, 0)
    table = (
        options.centre, options.kind, masks[options.first], np.maximum(options.year, -1),
        masks[options.second], np.maximum(options.second_year, -1), options.host,
        np.append(options.links.sink, -1)[options.link], options.offer, options.mix,
    )  # fmt: skip
    actions = {action: kind for kind, action in ACTIONS.items()}
    wanted = (
        positions_of(list(instance.centres["centre"]), list(projects["centre"])),
        np.array([actions[action] for action in projects["action"]], dtype=np.int64),
        _masks(instance, projects["measures"]),
        _years(instance, projects["year"]),
        _masks(instance, projects["later_measures"]),
        _years(instance, projects["later_year"]),
        positions_of(list(instance.hosts["host"]), list(projects["host"])),
        positions_of(list(instance.heat_sinks["sink"]), list(projects["sink"])),
        positions_of(list(instance.offers["offer"]), list(projects["offer"])),
        positions_of(options.mixes, list(projects["mix"])),
    )
    found = match_rows(table, wanted)
    found = found[found >= 0]
    idle = np.flatnonzero((options.kind == NOTHING) & options.allowed)
    return np.concatenate([found, idle[~np.isin(options.centre[idle], options.centre[found])]])


def _masks(instance: Instance, measures: pd.Series) -> IntArray:
    """Bits of the measures named in each cell, -1 where one is not known; 0 for an empty cell."""
    bits = {name: 1 << bit for bit, name in enumerate(instance.measures["measure"])}
    masks = np.zeros(len(measures), dtype=np.int64)
    for row, cell in enumerate(measures):
        names = [name for name in str(cell).split("+") if name]
        masks[row] = sum(bits[n] for n in names) if all(n in bits for n in names) else -1
    return masks


def _years(instance: Instance, calendar: pd.Series) -> IntArray:
    year = pd.to_numeric(calendar).to_numpy(np.int64)
    return np.where(year > 0, year - instance.base_year, -1)
