"""EPANET by way of WNTR (used here only): a network as an ``.inp``, and its hydraulics.

One file holds both loads: hour 0 is the peak hour, hour 1 the average day.  Sources are reservoirs at the
level of the ground (clear wells) with a pump each, whose one-point curve goes through its duty; pumps turn at
another speed on the average day.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from optimize.errors import SolverError, UsageError
from optimize.water.hydraulics.network import LOADS, MEAN, PEAK, FloatArray, IntArray, Network

if TYPE_CHECKING:
    from wntr.network import WaterNetworkModel

# Bytes that EPANET keeps of an id.
_LONGEST_ID = 31
_HOUR = 3600
# A pump is written for a duty of at least this head and flow: its curve needs both.
_LEAST_HEAD_M = 0.01
_LEAST_FLOW_M3_PER_S = 1e-7
# Of the reservoirs that stand for pumps not yet designed, above all ground.
_HIGH_M = 1000.0


@dataclass(frozen=True)
class Duty:
    """What the pumps of the sources do.

    Attributes
    ----------
    head_m : shape (2, sources), what is added to the ground's level; not negative.
    """

    head_m: FloatArray


@dataclass(frozen=True)
class Simulated:
    """What EPANET found.

    Attributes
    ----------
    head_m : shape (2, nodes), total head.
    flow_m3_per_s : shape (2, pipes), from start to end of the line; rows as `Network.pipes`.
    """

    head_m: FloatArray
    flow_m3_per_s: FloatArray


class _Names:
    """Ids as EPANET takes them: those of the tables with the quality, or numbers where these do not fit or come twice."""

    def __init__(self, network: Network) -> None:
        self._taken: set[str] = set()
        nodes, lines = network.nodes, network.lines
        pipes = network.pipes
        line = lines.iloc[pipes["line"].to_numpy(int)]
        own = line["corridor"].astype(str) + "." + line["quality"].astype(str)
        own += np.where(pipes["is_new"], "", ".old")
        self.node = self._ids("N", (nodes["node"].astype(str) + "." + nodes["quality"].astype(str)).tolist())
        self.pipe = self._ids("L", own.tolist())
        at = network.sources["node"].tolist()
        # a node may have two sources, a plant's own and a tank's
        kinds = [f"{kind}.{self.node[n]}" for n, kind in zip(at, network.sources["kind"], strict=True)]
        self.pump = self._ids("P", kinds)
        self.well = self._ids("W", [f"well.{name}" for name in kinds])

    def _ids(self, letter: str, names: Sequence[str]) -> list[str]:
        return [self.id(letter, name) for name in names]

    def id(self, letter: str, name: str) -> str:
        """An id that nothing else has."""
        fits = (
            name.isascii()
            and name.isprintable()
            and not set(name) & set(' ";[,')
            and len(name) <= _LONGEST_ID
        )
        number = 0
        while not fits or name in self._taken:
            number += 1
            name, fits = f"{letter}{number:06d}", True
        self._taken.add(name)
        return name


def load_simulator() -> Any:
    """The package wntr; loading it takes seconds, so only who simulates does.

    Raises
    ------
    UsageError : it is not there, or EPANET does not run on this machine.
    """
    try:
        import wntr
        import wntr.epanet.toolkit
    except (ImportError, OSError) as error:
        raise UsageError(
            f"hydraulics need EPANET by way of the package wntr, which cannot be loaded here ({error}); "
            "`pip install -c constraints.txt wntr six` brings it"
        ) from error
    return wntr


def simulate(model: WaterNetworkModel, network: Network) -> Simulated:
    """Heads and flows under both loads.

    Raises
    ------
    SolverError : EPANET finds no balance.
    """
    wntr, names = load_simulator(), _Names(network)
    with tempfile.TemporaryDirectory(prefix="optimize-epanet-") as place, warnings.catch_warnings():
        # negative pressures are findings of ours, told with their places
        warnings.simplefilter("ignore")
        try:
            found = wntr.sim.EpanetSimulator(model).run_sim(
                file_prefix=str(Path(place) / "plan"), convergence_error=True
            )
        except (wntr.epanet.exceptions.EpanetException, RuntimeError) as error:
            told = Path(place) / "plan.rpt"
            report = told.read_text(errors="replace") if told.is_file() else ""
            errors = [line.strip() for line in report.splitlines() if "Error" in line]
            raise SolverError(f"EPANET finds no balance: {'; '.join(errors[:3]) or error}") from error
    hours = [load * _HOUR for load in range(len(LOADS))]
    head = found.node["head"].loc[hours, names.node].to_numpy(np.float64)
    flow = found.link["flowrate"].loc[hours, names.pipe].to_numpy(np.float64)
    return Simulated(head, flow)


def write_inp(network: Network, duty: Duty, title: Sequence[str], path: Path) -> None:
    """The designed network as an EPANET input file; hour 0 is the peak hour, hour 1 the average day.

    Raises
    ------
    UsageError : it cannot be written.
    """
    wntr, model = load_simulator(), designed_model(network, duty)
    model.title = list(title)
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as place:
            written = Path(place) / "plan.inp"
            wntr.network.write_inpfile(model, str(written), units="CMH")
            written.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def undesigned_model(network: Network, anchor: IntArray) -> WaterNetworkModel:
    """The network with one reservoir of fixed head in each system; the other sources give what they have to.

    Parameters
    ----------
    anchor : shape (systems,), row of ``nodes`` of the source that is the reservoir.
    """
    supplied = network.use.copy()
    at = network.sources["node"].to_numpy(int)
    for load in range(len(LOADS)):
        np.subtract.at(supplied[load], at, network.supply[load])
    model, names = _with_nodes(network, supplied, dict.fromkeys(anchor.tolist(), anchored_level(network)))
    _add_lines(model, names, network)
    return model


def anchored_level(network: Network) -> float:
    """Head of the reservoirs of `undesigned_model`, m."""
    return float(network.nodes["level_m"].max()) + _HIGH_M


def designed_model(network: Network, duty: Duty) -> WaterNetworkModel:
    """The network with a clear well and a pump at every source."""
    # pipes that wait for later works stand full, from any one node of theirs
    dry = network.nodes[~network.watered].reset_index().groupby("system")["index"].first()
    standing = {int(node): float(network.nodes["level_m"].iloc[node]) for node in dry}
    model, names = _with_nodes(network, network.use, standing)
    levels, places = network.nodes["level_m"].tolist(), _places(network)
    for k, n in enumerate(network.sources["node"].tolist()):
        head, flow = duty.head_m[:, k], network.supply[:, k]
        design = PEAK if flow[PEAK] > _LEAST_FLOW_M3_PER_S else MEAN
        lifted = np.maximum(head, _LEAST_HEAD_M)
        model.add_reservoir(names.well[k], base_head=levels[n], coordinates=places[n])
        speed = [
            _speed(lifted[load], lifted[design], flow[load] / flow[design])
            if flow[load] > _LEAST_FLOW_M3_PER_S
            else 0.0
            for load in range(len(LOADS))
        ]
        _add_pump(
            model,
            names.pump[k],
            names.well[k],
            names.node[n],
            float(flow[design]),
            float(lifted[design]),
            speed,
        )
    _add_lines(model, names, network)
    return model


def _speed(head: float, design_head: float, flow_share: float) -> float:
    """Relative speed at which a one-point curve passes through a duty: h = s² 4/3 H - 1/3 H (q/Q)²."""
    return float(np.sqrt((head + design_head / 3.0 * flow_share**2) / (4.0 / 3.0 * design_head)))


def _with_nodes(
    network: Network, use: FloatArray, fixed: Mapping[int, float]
) -> tuple[WaterNetworkModel, _Names]:
    """A model with its options and nodes; those of ``fixed`` as reservoirs of that head."""
    wntr, names = load_simulator(), _Names(network)
    model: WaterNetworkModel = wntr.network.WaterNetworkModel()
    model.options.time.duration = _HOUR
    model.options.hydraulic.headloss = "H-W"
    model.options.hydraulic.demand_model = "DDA"
    model.options.hydraulic.accuracy = 1e-6
    model.options.hydraulic.inpfile_units = "CMH"
    for load, name in enumerate(("peak", "average")):
        model.add_pattern(name, [float(other == load) for other in range(len(LOADS))])
    levels = network.nodes["level_m"].tolist()
    for n, (name, place) in enumerate(zip(names.node, _places(network), strict=True)):
        if n in fixed:
            model.add_reservoir(name, base_head=fixed[n], coordinates=place)
            continue
        model.add_junction(name, elevation=levels[n], coordinates=place)
        demands = model.get_node(name).demand_timeseries_list
        demands.clear()
        for load, pattern in enumerate(("peak", "average")):
            demands.append((float(use[load, n]), model.get_pattern(pattern), pattern))
    return model, names


def _places(network: Network) -> list[tuple[float, float]]:
    known = network.nodes[["lon", "lat"]].to_numpy(float)
    return [(0.0, 0.0) if np.isnan(lon + lat) else (lon, lat) for lon, lat in known.tolist()]


def _add_lines(model: WaterNetworkModel, names: _Names, network: Network) -> None:
    """All pipes; one that carries nothing in the plan is shut, one with a pumping station begins with it."""
    lines = network.lines
    station = _add_boosters(model, names, network)
    ends = list(zip(lines["start"].tolist(), lines["end"].tolist(), strict=True))
    length, carries = lines["length_m"].tolist(), lines["carries"].tolist()
    pipes = network.pipes
    sizes = zip(names.pipe, pipes["line"], pipes["diameter_m"], pipes["roughness_c"], strict=True)
    for name, k, diameter_m, roughness_c in sizes:
        start, end = (names.node[n] for n in ends[k])
        if k in station:
            start, end = (station[k], end) if network.boosted[PEAK, k] >= 0 else (start, station[k])
        model.add_pipe(
            name,
            start,
            end,
            length=float(length[k]),
            diameter=float(diameter_m),
            roughness=float(roughness_c),
            initial_status="OPEN" if carries[k] else "CLOSED",
        )


def _add_boosters(model: WaterNetworkModel, names: _Names, network: Network) -> dict[int, str]:
    """Pumping stations at the upstream end of their line; by line, the node behind them."""
    lines, places, levels = network.lines, _places(network), network.nodes["level_m"].tolist()
    boost = lines["booster_m"].to_numpy(float)
    station = {}
    for k in np.flatnonzero(boost > 0).tolist():
        upstream = int(lines["start" if network.boosted[PEAK, k] >= 0 else "end"].iloc[k])
        station[k] = names.id("B", f"boosted{k + 1}")
        model.add_junction(station[k], elevation=levels[upstream], coordinates=places[upstream])
        flow = np.maximum(np.abs(network.boosted[:, k]), _LEAST_FLOW_M3_PER_S)
        # it follows the pipe's resistance, so that its speed goes with the flow
        _add_pump(
            model, names.id("S", f"booster{k + 1}"), names.node[upstream], station[k], float(flow[PEAK]), float(boost[k]),
            [1.0, float(flow[MEAN] / flow[PEAK])],
        )  # fmt: skip
    return station


def _add_pump(
    model: WaterNetworkModel,
    name: str,
    start: str,
    end: str,
    flow: float,
    head: float,
    speed: Sequence[float],
) -> None:
    number = model.num_pumps + 1
    model.add_curve(f"curve{number}", "HEAD", [(flow, head)])
    model.add_pattern(f"speed{number}", list(speed))
    model.add_pump(name, start, end, "HEAD", f"curve{number}", pattern=f"speed{number}")
