"""Pumps for a network, its hydraulics with them, and what it breaks.

A plan says nothing of pumps.  They are given the head that serves the worst-placed user of their system under
each load, as pumps of variable speed do, as far as the largest pressure lets them; every source keeps the
share of the water that the plan has it give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from optimize.errors import SolverError
from optimize.water.hydraulics.epanet import Duty, Simulated, designed_model, simulate, undesigned_model
from optimize.water.hydraulics.network import LOADS, MEAN, PEAK, FloatArray, IntArray, Network

# Pressures and velocities this little beyond their limit are rounding of EPANET's results.
_TOLERANCE_M = 0.02
_TOLERANCE_M_PER_S = 0.005
# Flows of pumps that differ from the plan's by more than this share are no balance found.
_SAME_FLOW = 1e-3
KWH_PER_M3_AND_M = 9.80665 / 3600.0
"""Work to lift 1 m3 of water by 1 m."""


@dataclass(frozen=True)
class State:
    """A network with its pumps, under both loads.

    Attributes
    ----------
    pressure_m : shape (2, nodes), above ground.
    flow_m3_per_s, velocity_m_per_s : shape (2, pipes), rows as `Network.pipes`.
    loss_m_per_km : shape (2, pipes).
    duty : heads of the sources' pumps.
    violations : kind (low_pressure, high_pressure, velocity), where (user, node or corridor), quality, system, load,
        value, limit, unit; the worst first within each kind.
    """

    network: Network
    duty: Duty
    pressure_m: FloatArray
    flow_m3_per_s: FloatArray
    velocity_m_per_s: FloatArray
    loss_m_per_km: FloatArray
    violations: pd.DataFrame

    @property
    def line_flow_m3_per_s(self) -> FloatArray:
        """Shape (2, lines), from start to end."""
        total = np.zeros((len(LOADS), len(self.network.lines)))
        for load in range(len(LOADS)):
            np.add.at(total[load], self.network.pipes["line"].to_numpy(int), self.flow_m3_per_s[load])
        return total

    def pumps(self, efficiency: float) -> pd.DataFrame:
        """Every source's and booster's pump: where, quality, kind, flow, head under both loads, kW, kWh a year."""
        net = self.network
        source = pd.DataFrame(
            {
                "where": net.nodes["node"].iloc[net.sources["node"]].to_numpy(),
                "quality": net.nodes["quality"].iloc[net.sources["node"]].to_numpy(),
                "kind": net.sources["kind"].to_numpy(),
                "peak_m3_per_h": net.supply[PEAK] * 3600.0,
                "mean_m3_per_h": net.supply[MEAN] * 3600.0,
                "peak_head_m": self.duty.head_m[PEAK],
                "mean_head_m": self.duty.head_m[MEAN],
            }
        )
        at = np.flatnonzero(net.lines["booster_m"].to_numpy(float) > 0)
        flow = np.abs(self.line_flow_m3_per_s[:, at])
        head = net.lines["booster_m"].to_numpy(float)[at]
        booster = pd.DataFrame(
            {
                "where": net.lines["corridor"].iloc[at].to_numpy(),
                "quality": net.lines["quality"].iloc[at].to_numpy(),
                "kind": "booster",
                "peak_m3_per_h": flow[PEAK] * 3600.0,
                "mean_m3_per_h": flow[MEAN] * 3600.0,
                "peak_head_m": head,
                "mean_head_m": head * (flow[MEAN] / np.maximum(flow[PEAK], 1e-12)) ** 2,
            }
        )
        pumps = source if booster.empty else pd.concat([source, booster], ignore_index=True)
        per_m = KWH_PER_M3_AND_M / efficiency
        return pumps.assign(
            peak_kw=pumps["peak_m3_per_h"] * pumps["peak_head_m"] * per_m,
            kwh_per_a=pumps["mean_m3_per_h"] * pumps["mean_head_m"] * per_m * 8760.0,
        )


def operate(network: Network) -> State:
    """Design the pumps, simulate, and list what is broken.

    Raises
    ------
    SolverError : EPANET finds no balance.
    """
    duty = _designed(network)
    found = simulate(designed_model(network, duty), network)
    pipes = network.pipes
    area = np.pi / 4 * pipes["diameter_m"].to_numpy(float) ** 2
    line = pipes["line"].to_numpy(int)
    start, end = (network.lines[c].to_numpy(int)[line] for c in ("start", "end"))
    boost = network.lines["booster_m"].to_numpy(float)[line]
    length_km = np.maximum(network.lines["length_m"].to_numpy(float)[line] / 1000.0, 1e-6)
    share = np.abs(found.flow_m3_per_s) / np.maximum(np.abs(found.flow_m3_per_s[PEAK]), 1e-12)
    drop = np.abs(
        found.head_m[:, start] - found.head_m[:, end] + np.sign(found.flow_m3_per_s) * boost * share**2
    )
    pressure = found.head_m - network.nodes["level_m"].to_numpy(float)
    velocity = np.abs(found.flow_m3_per_s) / area
    _require_planned_supply(network, found)
    return State(
        network, duty, pressure, found.flow_m3_per_s, velocity, drop / length_km,
        _violations(network, pressure, velocity, pipes),
    )  # fmt: skip


def _designed(network: Network) -> Duty:
    """Heads of the pumps: those of the worst-placed user, as far as the largest pressure lets them."""
    nodes, at = network.nodes, network.sources["node"].to_numpy(int)
    if not len(nodes):
        return Duty(np.zeros((len(LOADS), 0)))
    found = simulate(undesigned_model(network, _anchors(network)), network)
    level, system = nodes["level_m"].to_numpy(float), nodes["system"].to_numpy(int)
    lift = np.full((len(LOADS), network.num_systems), -np.inf)
    floor, room = lift.copy(), -lift
    for load in range(len(LOADS)):
        head = found.head_m[load]
        served = network.use[load] > 0
        least = np.where(nodes["is_user"] & ~served, 0.0, nodes["least_m"])
        np.maximum.at(lift[load], system, level + least - head)
        np.minimum.at(room[load], system, level + network.standards.max_pressure_m - head)
        np.maximum.at(floor[load], system[at], level[at] - head[at])
    # water leaves no well by itself, whatever the largest pressure
    shift = np.maximum(np.minimum(lift, room), floor)[:, system[at]]
    return Duty(np.maximum(found.head_m[:, at] + shift - level[at], 0.0))


def _anchors(network: Network) -> IntArray:
    """The source of each system that gives most in the peak hour."""
    sources, system = network.sources, network.nodes["system"].to_numpy(int)
    home = system[sources["node"].to_numpy(int)]
    order = np.lexsort((network.supply[MEAN], network.supply[PEAK]))
    anchor = np.full(network.num_systems, -1, np.int64)
    anchor[home[order]] = sources["node"].to_numpy(np.int64)[order]  # the last one written gives most
    dry = np.flatnonzero(anchor < 0)
    # pipes without water in the plan: any node will do, nothing flows
    first = np.array([int(np.flatnonzero(system == k)[0]) for k in dry], dtype=np.int64)
    anchor[dry] = first
    return anchor


def _require_planned_supply(network: Network, found: Simulated) -> None:
    """The designed pumps have to give what the plan has them give, or the design is not that of this network."""
    at = network.sources["node"].to_numpy(int)
    for load in range(len(LOADS)):
        balance = -network.use[load].copy()
        np.add.at(balance, at, network.supply[load])
        line = network.pipes["line"].to_numpy(int)
        np.add.at(balance, network.lines["end"].to_numpy(int)[line], found.flow_m3_per_s[load])
        np.subtract.at(balance, network.lines["start"].to_numpy(int)[line], found.flow_m3_per_s[load])
        scale = max(float(network.supply[load].max(initial=0.0)), 1e-6)
        worst = float(np.abs(balance).max(initial=0.0)) / scale
        if worst > _SAME_FLOW:
            raise SolverError(f"EPANET's balance of the {LOADS[load]} differs from the plan's by {worst:.2%}")


def _violations(
    network: Network, pressure: FloatArray, velocity: FloatArray, pipes: pd.DataFrame
) -> pd.DataFrame:
    standards, nodes = network.standards, network.nodes
    lines = network.lines.iloc[pipes["line"].to_numpy(int)]
    systems = nodes["system"].to_numpy(int)[lines["start"].to_numpy(int)]
    on_lines = lines.rename(columns={"corridor": "node"}).assign(system=systems)
    frames = [_no_violations()]
    for load, name in enumerate(LOADS):
        served = network.watered & ((network.use[load] > 0) | ~nodes["is_user"].to_numpy(bool))
        least = nodes["least_m"].to_numpy(float)
        low = np.flatnonzero(served & (pressure[load] < least - _TOLERANCE_M))
        high = np.flatnonzero(pressure[load] > standards.max_pressure_m + _TOLERANCE_M)
        fast = np.flatnonzero(velocity[load] > standards.max_velocity_m_per_s + _TOLERANCE_M_PER_S)
        frames += [
            _found("low_pressure", nodes, low, name, pressure[load], least, "m"),
            _found("high_pressure", nodes, high, name, pressure[load], np.full(len(nodes), standards.max_pressure_m), "m"),
            _found("velocity", on_lines, fast, name, velocity[load], np.full(len(pipes), standards.max_velocity_m_per_s), "m/s"),
        ]  # fmt: skip
    found = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    found["beyond"] = (found["value"].astype(float) - found["limit"].astype(float)).abs()
    order = found.sort_values(["kind", "beyond", "where"], ascending=[True, False, True], kind="stable")
    return order.drop(columns="beyond").reset_index(drop=True)


def _no_violations() -> pd.DataFrame:
    return pd.DataFrame(columns=["kind", "where", "quality", "system", "load", "value", "limit", "unit"])


def _found(
    kind: str, places: pd.DataFrame, at: IntArray, load: str, value: FloatArray, limit: FloatArray, unit: str
) -> pd.DataFrame:
    """Rows ``at`` of ``places`` (columns node, quality, system)."""
    own = places.iloc[at]
    return pd.DataFrame(
        {
            "kind": kind,
            "where": own["node"].to_numpy(),
            "quality": own["quality"].to_numpy(),
            "system": own["system"].to_numpy(),
            "load": load,
            "value": value[at],
            "limit": limit[at],
            "unit": unit,
        }
    )
