"""A plan's pipes, and what they carry, as a network for hydraulics.

There is one network for each stage of a plan; within it every quality has pipes of its own, so a node stands
in it once for each quality that has a pipe there, and falls into *systems*: nodes joined by pipes.

Two loads are looked at, `PEAK` and `MEAN` (first axis of flows): the peak hour of each system (its period with
the largest use, by the users' peak-day factors unless the plan has a peak day, by the peak-hour factor), and
the mean of the year.  In both, every source gives the share of the water that the plan has it give then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from optimize.errors import Fault, InputFaults
from optimize.revision import FROZEN_STATES
from optimize.water.calendar import derive_calendar
from optimize.water.hydraulics.assumptions import Standards
from optimize.water.hydraulics.terrain import derive_terrain
from optimize.water.instance import Instance
from optimize.water.solution import Solution

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

LOADS = ("peak hour", "average day")
PEAK, MEAN = range(2)
SECONDS_PER_DAY = 86_400.0
_NOMINAL = re.compile(r"DN\s*([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Catalogue:
    """Diameters that can be laid, the smallest first.

    Attributes
    ----------
    ids : of the table ``pipes``.
    diameter_m, roughness_c, capacity_m3_per_d : shape of ``ids``.
    """

    ids: tuple[str, ...]
    diameter_m: FloatArray
    roughness_c: FloatArray
    capacity_m3_per_d: FloatArray


@dataclass(frozen=True)
class Network:
    """Nodes, lines and sources of one stage; flows are m3/s.

    Attributes
    ----------
    year : of the stage.
    nodes : node, quality, lon, lat, level_m (ground), least_m (pressure it needs; 0 where nobody is served), is_user, system.
    use : shape (2, nodes), what leaves the network there.
    lines : corridor, quality, start, end (rows of ``nodes``), length_m, diameter (id of the new pipe, "": none),
        existing_m (inner diameter of a pipe that lies there, NaN: none), settled (its diameter is not ours to change),
        carries (the plan has water in it), booster_m (head of a pumping station on it, 0: none).
    planned : shape (2, lines), flow from start to end as the plan has it (in the peak hour, as if all users had the
        same factors).
    boosted : shape (2, lines), flow that pumping stations on the lines are made for.
    sources : node (row of ``nodes``), kind (plant, cascade, storage).
    supply : shape (2, sources).
    """

    year: int
    nodes: pd.DataFrame
    use: FloatArray
    lines: pd.DataFrame
    planned: FloatArray
    boosted: FloatArray
    sources: pd.DataFrame
    supply: FloatArray
    catalogue: Catalogue
    standards: Standards

    def with_works(self, diameter: Sequence[str], booster_m: FloatArray, flow: FloatArray) -> Network:
        """The same water through other pipes and pumping stations, which are made for ``flow`` (2, lines)."""
        lines = self.lines.assign(diameter=list(diameter), booster_m=booster_m)
        return replace(self, lines=lines, boosted=flow)

    @property
    def num_systems(self) -> int:
        return int(self.nodes["system"].max()) + 1 if len(self.nodes) else 0

    @property
    def watered(self) -> BoolArray:
        """Shape (nodes,): water comes to the node's system in this stage."""
        system = self.nodes["system"].to_numpy(int)
        return np.isin(system, system[self.sources["node"].to_numpy(int)])

    @cached_property
    def pipes(self) -> pd.DataFrame:
        """One row for each pipe: line (row of ``lines``), is_new, diameter_m, roughness_c."""
        sizes = pd.DataFrame(
            {"diameter_m": self.catalogue.diameter_m, "roughness_c": self.catalogue.roughness_c},
            index=list(self.catalogue.ids),
        )
        new = np.flatnonzero((self.lines["diameter"] != "").to_numpy(bool))
        laid = sizes.loc[self.lines["diameter"].iloc[new].tolist()].reset_index(drop=True)
        old = np.flatnonzero(self.lines["existing_m"].notna().to_numpy(bool))
        lying = pd.DataFrame(
            {
                "diameter_m": self.lines["existing_m"].to_numpy(float)[old],
                "roughness_c": self.standards.existing_roughness_c,
            }
        )
        parts = [laid.assign(line=new, is_new=True), lying.assign(line=old, is_new=False)]
        return pd.concat(parts, ignore_index=True).sort_values(["line", "is_new"], ignore_index=True)


def derive_catalogue(instance: Instance, standards: Standards) -> Catalogue:
    """The table ``pipes`` with inner diameters.

    Raises
    ------
    InputFaults : a diameter states none and its id is no nominal one.
    """
    pipes = instance.pipes
    stated = pipes["inner_diameter_mm"].to_numpy(float)
    named = [_NOMINAL.fullmatch(str(name).strip()) for name in pipes["diameter"]]
    faults = [
        Fault(
            "pipes", "inner_diameter_mm", "an inner diameter, or an id such as DN300", str(pipes["diameter"].iloc[row]),
            "add the column inner_diameter_mm", row,
        )
        for row, (mm, name) in enumerate(zip(stated, named, strict=True))
        if np.isnan(mm) and name is None
    ]  # fmt: skip
    if faults:
        raise InputFaults(faults)
    nominal = np.array([np.nan if name is None else float(name.group(1)) for name in named])
    diameter_m = np.where(np.isnan(stated), nominal, stated) / 1000.0
    roughness = pipes["roughness_c"].to_numpy(float)
    order = np.argsort(diameter_m, kind="stable")
    return Catalogue(
        ids=tuple(str(name) for name in pipes["diameter"].iloc[order]),
        diameter_m=diameter_m[order],
        roughness_c=np.where(np.isnan(roughness), standards.roughness_c, roughness)[order],
        capacity_m3_per_d=pipes["capacity_m3_per_d"].to_numpy(float)[order],
    )


def build_network(instance: Instance, solution: Solution, year: int, standards: Standards) -> Network:
    """The network once everything built up to ``year`` stands."""
    catalogue = derive_catalogue(instance, standards)
    lines = _lines(instance, solution, year, catalogue)
    nodes = _nodes(instance, lines, standards)
    key = pd.MultiIndex.from_frame(nodes[["node", "quality"]])
    lines = lines.assign(start=_at(key, lines["from_node"], lines["quality"]),
                         end=_at(key, lines["to_node"], lines["quality"]))  # fmt: skip
    nodes["system"] = _systems(len(nodes), lines)
    days = derive_calendar(instance).days
    use, peak_use = _uses(instance, solution, year, key, days, standards)
    sources, supply = _supplies(instance, solution, year, key, len(days))
    flow = _by_period(
        solution.flows, year, pd.MultiIndex.from_frame(lines[["corridor", "quality"]]),
        ("corridor", "quality"), "flow_m3_per_d", len(days),
    )  # fmt: skip
    period = _peak_periods(nodes, peak_use)
    system = nodes["system"].to_numpy(int)
    at_peak = peak_use[np.arange(len(nodes)), period[system]] if len(nodes) else np.zeros(0)
    loads = np.stack([at_peak, use @ days / days.sum()]) / SECONDS_PER_DAY
    home = system[sources["node"].to_numpy(int)]
    given = np.stack([supply[np.arange(len(sources)), period[home]], supply @ days / days.sum()])
    own = system[lines["start"].to_numpy(int)]
    planned = np.stack([flow[np.arange(len(lines)), period[own]], flow @ days / days.sum()])
    to_load, scale = _balanced(given, loads, home, system)
    columns = ["corridor", "quality", "start", "end", "length_m", "diameter", "existing_m", "settled"]
    return Network(
        year=year,
        nodes=nodes,
        use=loads,
        lines=lines[columns].assign(carries=np.abs(flow).max(axis=1, initial=0.0) > 0, booster_m=0.0),
        planned=planned / SECONDS_PER_DAY * scale[:, own],
        boosted=planned / SECONDS_PER_DAY * scale[:, own],
        sources=sources,
        supply=to_load,
        catalogue=catalogue,
        standards=standards,
    )


def _lines(instance: Instance, solution: Solution, year: int, catalogue: Catalogue) -> pd.DataFrame:
    """New pipes, and old ones that carry water or lie beside a new one of their quality."""
    new = solution.pipes[solution.pipes["year"].astype(int) <= year][["corridor", "quality", "diameter"]]
    corridors = instance.corridors
    old = corridors.loc[corridors["existing_quality"] != "", ["corridor", "existing_quality"]]
    flowing = solution.flows.loc[solution.flows["year"].astype(int) == year, ["corridor", "quality"]]
    named = pd.MultiIndex.from_frame(old)
    used = named.isin(pd.MultiIndex.from_frame(flowing)) | named.isin(
        pd.MultiIndex.from_frame(new[["corridor", "quality"]])
    )
    standing = old.loc[used].rename(columns={"existing_quality": "quality"}).assign(lies=True)
    lines = new.merge(standing, on=["corridor", "quality"], how="outer").merge(
        corridors.drop(columns="district"), on="corridor"
    )
    capacity = lines["existing_m3_per_d"].to_numpy(float)
    stated = lines["existing_diameter_mm"].to_numpy(float) / 1000.0
    existing = np.where(np.isnan(stated), _diameter_for(capacity, catalogue), stated)
    lines["existing_m"] = np.where(lines["lies"].notna(), existing, np.nan)
    lines["diameter"] = lines["diameter"].fillna("")
    plan, locks = instance.plan_in_force, instance.locks
    contracted = set(plan.loc[(plan["table"] == "pipes") & plan["state"].isin(FROZEN_STATES), "project"])
    locked = set(locks.loc[locks["kind"].isin(("fix", "force_out")), "id"])
    name = lines["corridor"].astype(str) + ":" + lines["quality"].astype(str)
    lines["settled"] = name.isin(contracted) | name.isin(locked) | lines["corridor"].isin(locked)
    return lines.sort_values(["quality", "corridor"], ignore_index=True)


def _diameter_for(capacity: FloatArray, catalogue: Catalogue) -> FloatArray:
    """The smallest diameter with this capacity (m3/d); above the largest, its velocity decides."""
    order = np.argsort(catalogue.capacity_m3_per_d, kind="stable")
    sizes = catalogue.capacity_m3_per_d[order]
    if not len(sizes):
        return np.full(len(capacity), np.nan)
    at = np.minimum(np.searchsorted(sizes, capacity), len(sizes) - 1)
    beyond = np.maximum(capacity / np.maximum(sizes[-1], 1e-9), 1.0)
    found: FloatArray = catalogue.diameter_m[order][at] * np.sqrt(beyond)
    return found


def _nodes(instance: Instance, lines: pd.DataFrame, standards: Standards) -> pd.DataFrame:
    ends = pd.concat(
        [
            lines[[column, "quality"]].set_axis(["node", "quality"], axis=1)
            for column in ("from_node", "to_node")
        ]
    ).drop_duplicates()
    places = pd.concat(
        [frame[[key, "lon", "lat"]].set_axis(["node", "lon", "lat"], axis=1)
         for frame, key in ((instance.plants, "plant"), (instance.junctions, "junction"), (instance.users, "user"))]
    ).set_index("node")  # fmt: skip
    nodes = ends.sort_values(["quality", "node"], ignore_index=True)
    level = derive_terrain(instance).level_m
    asked = instance.users.set_index("user")["min_pressure_m"].fillna(standards.min_pressure_m)
    least = nodes["node"].map(asked)
    return nodes.assign(
        lon=nodes["node"].map(places["lon"]),
        lat=nodes["node"].map(places["lat"]),
        level_m=nodes["node"].map(level),
        least_m=least.fillna(0.0),
        is_user=least.notna(),
    )


def _at(key: pd.MultiIndex, node: Sequence[str] | pd.Series, quality: Sequence[str] | pd.Series) -> IntArray:
    """Row of each node of a quality; -1 where no pipe of the quality comes."""
    if not len(node):
        return np.zeros(0, np.int64)
    return np.asarray(key.get_indexer(pd.MultiIndex.from_arrays([list(node), list(quality)])), np.int64)


def _systems(num_nodes: int, lines: pd.DataFrame) -> IntArray:
    ends = (lines["start"].to_numpy(int), lines["end"].to_numpy(int))
    joined = sp.coo_array((np.ones(len(lines)), ends), shape=(num_nodes, num_nodes))
    return np.asarray(connected_components(joined, directed=False)[1], np.int64)


def _by_period(
    frame: pd.DataFrame, year: int, key: pd.Index, columns: tuple[str, ...], value: str, periods: int
) -> FloatArray:
    """A plan's operating rows of one stage, (len(key), periods); rows whose key is not there are left out."""
    amounts = np.zeros((len(key), periods))
    own = frame[frame["year"].astype(int) == year]
    if len(own):
        at = key.get_indexer(pd.MultiIndex.from_frame(own[list(columns)].astype(str)))
        known = at >= 0
        periods_of = own["period"].to_numpy(int)
        np.add.at(amounts, (at[known], periods_of[known]), own[value].to_numpy(float)[known])
    return amounts


def _uses(
    instance: Instance,
    solution: Solution,
    year: int,
    key: pd.MultiIndex,
    days: FloatArray,
    standards: Standards,
) -> tuple[FloatArray, FloatArray]:
    """What leaves each node, (nodes, periods), m3/d: as planned, and in the peak hour of each period."""
    demands, users = instance.user_demands, instance.users
    rows = solution.deliveries.merge(demands[["demand", "user"]], on="demand").merge(
        users[["user", "tanker_plant", "peak_day_factor"]], on="user"
    )
    by_pipe = (rows["mode"] == "pipe").to_numpy(bool)
    rows["node"] = np.where(by_pipe, rows["user"], rows["tanker_plant"])
    daily = 1.0 if instance.parameters.peak_day else rows["peak_day_factor"].to_numpy(float)
    rows["peak"] = rows["delivered_m3_per_d"] * np.where(by_pipe, daily * standards.peak_hour_factor, 1.0)
    filled = solution.storage.merge(
        instance.storage_sites[["site", "node", "quality"]], on="site"
    ).rename(columns={"inflow_m3_per_d": "delivered_m3_per_d"})  # fmt: skip
    filled["peak"] = filled["delivered_m3_per_d"]
    pair, periods = ("node", "quality"), len(days)

    def total(value: str) -> FloatArray:
        return _by_period(rows, year, key, pair, value, periods) + _by_period(
            filled, year, key, pair, value, periods
        )

    return total("delivered_m3_per_d"), total("peak")


def _supplies(
    instance: Instance, solution: Solution, year: int, key: pd.MultiIndex, periods: int
) -> tuple[pd.DataFrame, FloatArray]:
    """Sources that pipes of the quality reach, and what they give, (sources, periods), m3/d."""
    cascades, sites = instance.cascades, instance.storage_sites
    kinds = (
        ("plant", solution.production.rename(columns={"plant": "node", "product_m3_per_d": "given"})),
        ("cascade", solution.reuse.merge(cascades[["cascade", "user", "quality"]], on="cascade").rename(
            columns={"user": "node", "flow_m3_per_d": "given"})),
        ("storage", solution.storage.merge(sites[["site", "node", "quality"]], on="site").rename(
            columns={"outflow_m3_per_d": "given"})),
    )  # fmt: skip
    tables, amounts = [], []
    for kind, frame in kinds:
        given = _by_period(frame, year, key, ("node", "quality"), "given", periods)
        at = np.flatnonzero(given.any(axis=1))
        tables.append(pd.DataFrame({"node": at, "kind": kind}))
        amounts.append(given[at])
    return pd.concat(tables, ignore_index=True), np.concatenate(amounts)


def _peak_periods(nodes: pd.DataFrame, peak_use: FloatArray) -> IntArray:
    """Period of each system in which most is used."""
    system = nodes["system"].to_numpy(int)
    number = int(system.max(initial=-1)) + 1
    total = np.zeros((number, peak_use.shape[1]))
    np.add.at(total, system, peak_use)
    return np.asarray(total.argmax(axis=1), np.int64)


def _balanced(
    given: FloatArray, use: FloatArray, home: IntArray, system: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Supplies (m3/s) that give each system what it uses, and what m3/d of the plan were multiplied with, (2, systems)."""
    number = int(system.max(initial=-1)) + 1
    wanted, there = np.zeros((2, number)), np.zeros((2, number))
    for load in range(2):
        np.add.at(wanted[load], system, use[load])
        np.add.at(there[load], home, given[load] / SECONDS_PER_DAY)
    scale = wanted / np.where(there > 0, there, 1.0)
    return given / SECONDS_PER_DAY * scale[:, home], scale
