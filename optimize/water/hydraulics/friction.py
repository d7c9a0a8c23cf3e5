"""Friction by Hazen and Williams, ``h = 10.67 L (q / (C d^2.63))^1.852`` (SI), with EPANET's constants."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.water.hydraulics.network import FloatArray, Network

FLOW_POWER = 1.852
DIAMETER_POWER = 4.871
# EPANET 2.2 users' manual, table 3.1: 4.727 in feet and cubic feet per second; here in m and m3/s.
LOSS_FACTOR = 4.727 * (1 / 0.3048**3) ** FLOW_POWER * 0.3048**DIAMETER_POWER


def conductance(diameter_m: FloatArray, roughness_c: FloatArray | float) -> FloatArray:
    """What a pipe can carry beside another at the same slope: ``C d^2.63``."""
    found: FloatArray = roughness_c * np.asarray(diameter_m) ** (DIAMETER_POWER / FLOW_POWER)
    return found


def slope(flow_m3_per_s: FloatArray, carries: FloatArray) -> FloatArray:
    """Loss in m per m of a flow through pipes of this `conductance`; infinite where there is none."""
    flow, through = np.broadcast_arrays(np.abs(flow_m3_per_s), carries)
    found = np.full(flow.shape, np.inf)
    np.divide(flow, through, out=found, where=through > 0)
    found = LOSS_FACTOR * found**FLOW_POWER
    return np.where(flow > 0, found, 0.0)


def losses_m(network: Network, flow_m3_per_s: FloatArray) -> pd.DataFrame:
    """Loss of every line for every diameter laid beside what lies there; infinite where nothing does.

    Parameters
    ----------
    flow_m3_per_s : shape (lines,).

    Returns
    -------
    A row a line; columns "" (no new pipe) and the ids of the catalogue; m.
    """
    catalogue, lines = network.catalogue, network.lines
    lying = conductance(
        lines["existing_m"].fillna(0.0).to_numpy(float), network.standards.existing_roughness_c
    )
    new = np.concatenate([[0.0], conductance(catalogue.diameter_m, catalogue.roughness_c)])
    per_m = slope(flow_m3_per_s[:, None], lying[:, None] + new)
    return pd.DataFrame(per_m * lines["length_m"].to_numpy(float)[:, None], columns=["", *catalogue.ids])


def velocities_m_per_s(network: Network, flow_m3_per_s: FloatArray) -> pd.DataFrame:
    """Largest velocity on every line for every diameter, as `losses_m`; pipes side by side share by conductance."""
    catalogue, lines = network.catalogue, network.lines
    old_d = lines["existing_m"].fillna(0.0).to_numpy(float)
    old = conductance(old_d, network.standards.existing_roughness_c)[:, None]
    new_d = np.concatenate([[0.0], catalogue.diameter_m])
    new = np.concatenate([[0.0], conductance(catalogue.diameter_m, catalogue.roughness_c)])
    flow = np.abs(flow_m3_per_s)[:, None] / np.maximum(old + new, 1e-30)

    def speed(carries: FloatArray, diameter: FloatArray) -> FloatArray:
        area = np.pi / 4 * diameter**2
        return np.where(diameter > 0, flow * carries / np.maximum(area, 1e-30), 0.0)

    fastest = np.maximum(speed(old, old_d[:, None]), speed(new[None, :], new_d[None, :]))
    nothing = (old + new) <= 0
    return pd.DataFrame(
        np.where(nothing & (np.abs(flow_m3_per_s)[:, None] > 0), np.inf, fastest),
        columns=["", *catalogue.ids],
    )
