"""How high the nodes lie: as stated, else as the static heads of the corridors say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import lsqr

from optimize.water.instance import Instance

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Terrain:
    """Ground level of every node.

    Attributes
    ----------
    level_m : by node id, m.
    disagreement_m : largest difference between a corridor's static head and the levels at its ends.
    """

    level_m: pd.Series
    disagreement_m: float


def derive_terrain(instance: Instance) -> Terrain:
    """Levels that agree with every stated elevation and, as well as can be, with the static heads.

    Nodes that no corridor joins to a stated elevation lie around level 0; heads that contradict each other
    round a ring are fitted with least squares.
    """
    nodes = pd.Index(instance.nodes)
    stated = np.concatenate(
        [
            frame["elevation_m"].to_numpy(float)
            for frame in (instance.plants, instance.junctions, instance.users)
        ]
    )
    corridors = instance.corridors
    start = nodes.get_indexer(pd.Index(corridors["from_node"]))
    end = nodes.get_indexer(pd.Index(corridors["to_node"]))
    lift = corridors["static_head_m"].to_numpy(float)
    known = ~np.isnan(stated)
    level = np.where(known, stated, 0.0)
    if not known.all() and (lift.any() or known.any()):
        level[~known] = _fitted(level, ~known, start, end, lift)
    difference = np.abs(level[end] - level[start] - lift)
    # a corridor without a stated head between two stated elevations contradicts nothing
    told = (lift != 0) | ~(known[start] & known[end])
    return Terrain(pd.Series(level, index=nodes), float(difference[told].max(initial=0.0)))


def _fitted(
    level: FloatArray,
    free: NDArray[np.bool_],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    lift: FloatArray,
) -> FloatArray:
    """Levels of the ``free`` nodes with the least squares of what disagrees with ``lift``."""
    each = np.arange(len(start))
    signs = np.repeat([1.0, -1.0], len(start))
    at = (np.concatenate([each, each]), np.concatenate([end, start]))
    ends = sp.csr_array(sp.coo_array((signs, at), shape=(len(start), len(level))))
    rest = lift - ends @ np.where(free, 0.0, level)
    found: FloatArray = lsqr(ends[:, np.flatnonzero(free)], rest, atol=1e-12, btol=1e-12)[0]
    return found
