"""The options of an earlier plan among those of a programme."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.instance import Instance
from optimize.pv_siting.options import OptionKeys
from optimize.warm_start import match_rows, positions_of

IntArray = NDArray[np.int64]


def recall_options(
    instance: Instance, keys: OptionKeys, mix_names: tuple[str, ...], projects: pd.DataFrame
) -> IntArray:
    """Positions in ``keys`` of the projects that the programme still has."""
    wanted = (
        positions_of(list(instance.sites["site"]), list(projects["site"])),
        positions_of(list(instance.configurations["configuration"]), list(projects["configuration"])),
        positions_of(list(instance.offers["offer"]), list(projects["offer"])),
        pd.to_numeric(projects["year"]).to_numpy(np.int64) - instance.base_year,
        positions_of(mix_names, list(projects["mix"])),
    )
    found = match_rows((keys.site, keys.configuration, keys.offer, keys.year, keys.mix), wanted)
    return found[found >= 0]
