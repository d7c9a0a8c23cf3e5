"""What an engineer asks of the map of a plan's pipes: no pipe without water, no twins, nothing crossing unjoined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optimize.water.hydraulics.network import FloatArray, IntArray, Network
from optimize.water.instance import Instance
from optimize.water.solution import Solution

# Of a corridor's length: ends of two pipes nearer to a crossing than this meet there.
_AT_ITS_END = 1e-6


@dataclass(frozen=True)
class Layout:
    """Findings about the last stage.

    Attributes
    ----------
    dry : new pipes in which no water ever flows: corridor, quality, diameter, capex_cny.
    oversized : new pipes whose largest flow a cheaper diameter carries: corridor, quality, diameter, enough, saving_cny.
    twins : corridors between the same two nodes with new pipes of one quality: corridor, other, quality.
    crossing : pipes of one quality whose straight lines cross away from a node: corridor, other, quality.
    num_rings : rings of pipes.
    """

    dry: pd.DataFrame
    oversized: pd.DataFrame
    twins: pd.DataFrame
    crossing: pd.DataFrame
    num_rings: int


def look_at_layout(network: Network, solution: Solution, instance: Instance) -> Layout:
    """Look at the new pipes of the network's stage."""
    lines = network.lines[network.lines["diameter"] != ""].merge(
        instance.corridors[["corridor", "terrain_factor"]], on="corridor"
    )
    price = instance.pipes.set_index("diameter")["capex_cny_per_m"]
    factor = instance.qualities.set_index("quality")["pipe_capex_factor"]
    metres = lines["length_m"] * lines["terrain_factor"] * lines["quality"].map(factor)
    peak = _largest_flow(lines, solution)
    dry = lines.assign(capex_cny=metres * lines["diameter"].map(price))[peak <= 0]
    return Layout(
        dry=dry[["corridor", "quality", "diameter", "capex_cny"]].reset_index(drop=True),
        oversized=_oversized(lines, peak, metres, instance),
        twins=_twins(lines),
        crossing=_crossing(network, lines),
        num_rings=len(network.lines) - len(network.nodes) + network.num_systems,
    )


def _largest_flow(lines: pd.DataFrame, solution: Solution) -> FloatArray:
    flows = solution.flows.assign(size=solution.flows["flow_m3_per_d"].abs())
    largest = flows.groupby(["corridor", "quality"])["size"].max()
    found = largest.reindex(pd.MultiIndex.from_frame(lines[["corridor", "quality"]])).fillna(0.0)
    return found.to_numpy(np.float64)


def _oversized(lines: pd.DataFrame, peak: FloatArray, metres: pd.Series, instance: Instance) -> pd.DataFrame:
    """Of pipes that lie by themselves: beside an old pipe a new one carries only a part."""
    sizes = instance.pipes.sort_values("capex_cny_per_m", kind="stable")
    capacity, price = sizes["capacity_m3_per_d"].to_numpy(float), sizes["capex_cny_per_m"].to_numpy(float)
    enough = (capacity >= peak[:, None] * (1 - 1e-9)).argmax(axis=1)
    own = pd.Index(sizes["diameter"]).get_indexer(pd.Index(lines["diameter"]))
    saving = metres.to_numpy(float) * (price[own] - price[enough])
    at = np.flatnonzero((peak > 0) & (saving > 1e-6) & lines["existing_m"].isna().to_numpy(bool))
    found = lines.iloc[at][["corridor", "quality", "diameter"]]
    return found.assign(enough=sizes["diameter"].to_numpy()[enough[at]], saving_cny=saving[at]).reset_index(
        drop=True
    )


def _twins(lines: pd.DataFrame) -> pd.DataFrame:
    ends = np.sort(lines[["start", "end"]].to_numpy(int), axis=1)
    joined = lines.assign(low=ends[:, 0], high=ends[:, 1])
    pairs = joined.merge(joined, on=["low", "high", "quality"], suffixes=("", "_other"))
    found = pairs[pairs["corridor"] < pairs["corridor_other"]]
    return found[["corridor", "corridor_other", "quality"]].set_axis(
        ["corridor", "other", "quality"], axis=1
    ).reset_index(drop=True)  # fmt: skip


def _crossing(network: Network, lines: pd.DataFrame) -> pd.DataFrame:
    """Pairs whose straight lines cross; pipes without coordinates cross nothing."""
    places = network.nodes[["lon", "lat"]].to_numpy(float)
    start, end = places[lines["start"].to_numpy(int)], places[lines["end"].to_numpy(int)]
    rows = []
    for quality in sorted(set(lines["quality"])):
        own = np.flatnonzero(
            (lines["quality"] == quality).to_numpy(bool) & ~np.isnan(start + end).any(axis=1)
        )
        for a, b in _crossing_pairs(start[own], end[own]):
            first, second = (str(lines["corridor"].iloc[own[k]]) for k in (a, b))
            rows.append((first, second, quality))
    return pd.DataFrame(rows, columns=["corridor", "other", "quality"])


def _crossing_pairs(start: FloatArray, end: FloatArray) -> list[tuple[int, int]]:
    """Pairs of segments with a common point inside both."""
    along = end - start
    first, second = np.triu_indices(len(start), 1)
    gap = start[second] - start[first]

    def cross(u: FloatArray, v: FloatArray) -> FloatArray:
        return np.asarray(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])

    size = cross(along[first], along[second])
    parallel = np.abs(size) < 1e-18
    safe = np.where(parallel, 1.0, size)
    t, u = cross(gap, along[second]) / safe, cross(gap, along[first]) / safe
    inside = (t > _AT_ITS_END) & (t < 1 - _AT_ITS_END) & (u > _AT_ITS_END) & (u < 1 - _AT_ITS_END)
    at: IntArray = np.flatnonzero(inside & ~parallel)
    return list(zip(first[at].tolist(), second[at].tolist(), strict=True))
