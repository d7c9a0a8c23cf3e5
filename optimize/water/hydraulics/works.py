"""What a repair does to a plan: its prices, and the plan and the instance with the new works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from optimize.water.coefficients import Coefficients
from optimize.water.hydraulics.design import KWH_PER_M3_AND_M, State
from optimize.water.hydraulics.network import PEAK, FloatArray, Network
from optimize.water.hydraulics.repair import Prices
from optimize.water.instance import Instance
from optimize.water.solution import FUNDING_COLUMNS, PIPE_COLUMNS, Solution, empty_frame

Pipe = tuple[str, str]
"""Corridor and quality."""


@dataclass(frozen=True)
class Works:
    """All that a repair adds, over the stages.

    Attributes
    ----------
    diameter : id of the new pipe.
    booster_m : head of the pumping station on it.
    year : a pipe that the plan does not have is built in.
    """

    diameter: Mapping[Pipe, str]
    booster_m: Mapping[Pipe, float]
    year: Mapping[Pipe, int]

    def on(self, network: Network) -> Network:
        """A stage's network with these works."""
        lines = network.lines
        keys = list(zip(lines["corridor"], lines["quality"], strict=True))
        diameter = [
            self.diameter.get(key, own) if own or self.year.get(key, network.year) <= network.year else own
            for key, own in zip(keys, lines["diameter"], strict=True)
        ]
        boost = np.array([self.booster_m.get(k, 0.0) for k in keys], dtype=np.float64)
        return network.with_works(diameter, boost, network.boosted)

    def with_state(self, state: State) -> Works:
        """These works and those of a repaired stage."""
        network = state.network
        keys = zip(network.lines["corridor"], network.lines["quality"], strict=True)
        diameter, boost, year = dict(self.diameter), dict(self.booster_m), dict(self.year)
        for key, own, head in zip(keys, network.lines["diameter"], network.lines["booster_m"], strict=True):
            if own:
                diameter[key] = own
                year.setdefault(key, network.year)
                year[key] = min(year[key], network.year)
            if head > 0:
                boost[key] = float(head)
        return Works(diameter, boost, year)


NO_WORKS = Works({}, {}, {})


def derive_prices(network: Network, instance: Instance, c: Coefficients, *, only_capex: bool) -> Prices:
    """What works cost: over the years to the horizon, energy included, or their CAPEX alone."""
    line = network.lines
    e = [c.corridor_ids.index(name) for name in line["corridor"]]
    g = [c.quality_ids.index(name) for name in line["quality"]]
    d = [c.diameter_ids.index(name) for name in network.catalogue.ids]
    shape = (len(c.corridor_ids), len(c.quality_ids), len(c.diameter_ids))
    stage = min(network.year - instance.parameters.base_year, len(c.stage_weight) - 1)
    capex = c.pipes.capex_cny.reshape(shape)[np.array(e, int), np.array(g, int)][:, d]
    present = c.pipes.present_cost_cny[stage].reshape(shape)[np.array(e, int), np.array(g, int)][:, d]
    standards, efficiency = network.standards, instance.parameters.pump_efficiency
    if only_capex:
        one = np.ones(len(line))
        return Prices(capex, one * standards.booster_cny, one * standards.booster_cny_per_kw, 0.0, efficiency)
    # the checker values a station like the pipe it is built with
    worth: FloatArray = (present / np.maximum(capex, 1e-9)).max(axis=1, initial=0.0)
    energy = float(c.stage_weight[stage:].sum()) * instance.parameters.electricity_cny_per_kwh
    return Prices(
        present, worth * standards.booster_cny, worth * standards.booster_cny_per_kw, energy, efficiency
    )


def stations(state: State, efficiency: float) -> pd.DataFrame:
    """The pumping stations on the way: corridor, quality, head_m, flow_m3_per_h, kw, capex_cny."""
    network = state.network
    at = np.flatnonzero(network.lines["booster_m"].to_numpy(float) > 0)
    own = network.lines.iloc[at]
    flow = np.abs(state.line_flow_m3_per_s[PEAK, at]) * 3600.0
    head = own["booster_m"].to_numpy(float)
    kw = flow * head * KWH_PER_M3_AND_M / efficiency
    return pd.DataFrame(
        {
            "corridor": own["corridor"].to_numpy(),
            "quality": own["quality"].to_numpy(),
            "head_m": head,
            "flow_m3_per_h": flow,
            "kw": kw,
            "capex_cny": network.standards.booster_cny + network.standards.booster_cny_per_kw * kw,
        }
    )


def with_works(solution: Solution, instance: Instance, works: Works) -> Solution:
    """The plan with other diameters, each paid as the pipe it replaces; new pipes by the first mix there is."""
    pipes = solution.pipes
    keys = list(zip(pipes["corridor"], pipes["quality"], strict=True))
    diameter = [works.diameter.get(key, old) for key, old in zip(keys, pipes["diameter"], strict=True)]
    had = set(keys)
    added = [(*key, own, works.year[key]) for key, own in sorted(works.diameter.items()) if key not in had]
    laid = [*pipes.assign(diameter=diameter).itertuples(index=False, name=None), *added]
    renamed = {
        f"{corridor}:{quality}:{old}": f"{corridor}:{quality}:{new}"
        for (corridor, quality), old, new in zip(keys, pipes["diameter"], diameter, strict=True)
    }
    funding = solution.funding
    is_pipe = (funding["kind"] == "pipe").to_numpy(bool) if len(funding) else np.zeros(0, bool)
    named = [renamed.get(str(name), str(name)) if own else name
             for name, own in zip(funding["id"], is_pipe, strict=True)]  # fmt: skip
    paid = [*funding.assign(id=named).itertuples(index=False, name=None)]
    mixes = list(dict.fromkeys(instance.funding.loc[instance.funding["project_kind"] == "pipe", "mix"]))
    if len(mixes) > 1:
        paid += [
            ("pipe", f"{corridor}:{quality}:{own}", mixes[0], year) for corridor, quality, own, year in added
        ]
    return replace(
        solution,
        pipes=_rows(laid, PIPE_COLUMNS),
        funding=_rows(paid, FUNDING_COLUMNS),
        reported={},
    )


def _rows(rows: list[tuple[object, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(sorted(rows), columns=list(columns)) if rows else empty_frame(columns)


def with_stations(instance: Instance, solution: Solution, built: pd.DataFrame) -> Instance:
    """The instance in which the corridors cost their pumping stations besides, so that the checker counts them.

    A corridor's fixed CAPEX is paid by each new pipe on it; the stations' is split over these.
    """
    if built.empty:
        return instance
    corridors = instance.corridors
    number = solution.pipes.groupby("corridor").size()
    extra = built.groupby("corridor")["capex_cny"].sum() / number
    fixed = corridors["fixed_capex_cny"] + corridors["corridor"].map(extra).fillna(0.0).astype(float)
    return replace(instance, corridors=corridors.assign(fixed_capex_cny=fixed))
