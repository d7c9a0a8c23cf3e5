"""What the sites, offers and locks refer to, as positions: strings are looked up once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.pv_siting.schema import SITE_TYPES

IntArray = NDArray[np.int64]
CodeArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]


def positions(keys: pd.Series, values: pd.Series) -> IntArray:
    """Position of each value among ``keys``; -1 where it is empty or unknown."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.asarray(pd.Index(keys).get_indexer(pd.Index(values)), dtype=np.int64)


@dataclass(frozen=True)
class SiteCodes:
    """Positions in the tables that other tables name; -1 where nothing is named.

    Attributes
    ----------
    type : shape (sites,), position in SITE_TYPES.
    district, feeder, tariff : shape (sites,).
    municipal, offered : shape (sites,), True at the municipal level, True where there are offers.
    of_offer : shape (offers,), site of each offer.
    of_lock, of_lock_other : shape (locks,), first and second site of each lock.
    configuration_kind, configuration_storage, configuration_hot_water : shape (configurations,).
    """

    type: CodeArray
    district: CodeArray
    feeder: CodeArray
    tariff: CodeArray
    municipal: BoolArray
    offered: BoolArray
    of_offer: IntArray
    of_lock: IntArray
    of_lock_other: IntArray
    configuration_kind: IntArray
    configuration_storage: IntArray
    configuration_hot_water: IntArray


def derive_site_codes(tables: Mapping[str, pd.DataFrame]) -> SiteCodes:
    """Codes of the ``sites``, ``offers``, ``locks`` and ``configurations`` among the given tables."""
    sites, locks, configurations = tables["sites"], tables["locks"], tables["configurations"]
    of_offer = positions(sites["site"], tables["offers"]["site"])
    offered = np.zeros(len(sites), dtype=np.bool_)
    offered[of_offer] = True
    return SiteCodes(
        type=positions(pd.Series(SITE_TYPES), sites["type"]).astype(np.int32),
        district=positions(tables["districts"]["district"], sites["district"]).astype(np.int32),
        feeder=positions(tables["feeders"]["feeder"], sites["feeder"]).astype(np.int32),
        tariff=positions(tables["tariffs"]["tariff"], sites["tariff"]).astype(np.int32),
        municipal=(sites["level"] == "municipal").to_numpy(dtype=np.bool_),
        offered=offered,
        of_offer=of_offer,
        of_lock=positions(sites["site"], locks["id"]),
        of_lock_other=positions(sites["site"], locks["other"]),
        configuration_kind=positions(tables["kinds"]["kind"], configurations["kind"]),
        configuration_storage=positions(tables["storages"]["storage"], configurations["storage"]),
        configuration_hot_water=positions(tables["hot_water"]["hot_water"], configurations["hot_water"]),
    )
