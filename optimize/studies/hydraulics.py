"""A plan of reclaimed water under pressure: simulated, repaired where it has to be, and checked again.

The run is left as it is.  The repaired plan is one of its own, which the checker looks at as at any other; the
pumping stations that the model does not know are counted as fixed CAPEX of their corridors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from optimize.checking import CheckReport
from optimize.errors import UsageError
from optimize.io.run_instance import read_instance_of
from optimize.io.run_store import HYDRAULICS, read_text_table
from optimize.programme import Programme
from optimize.schema import InstanceData
from optimize.studies.stored_runs import StoredRun
from optimize.water.calendar import derive_calendar
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.hydraulics.assumptions import Standards
from optimize.water.hydraulics.design import State, operate
from optimize.water.hydraulics.funding import refunded
from optimize.water.hydraulics.layout import Layout, look_at_layout
from optimize.water.hydraulics.network import Network, build_network
from optimize.water.hydraulics.repair import repair
from optimize.water.hydraulics.terrain import derive_terrain
from optimize.water.hydraulics.works import (
    NO_WORKS,
    Works,
    derive_prices,
    stations,
    with_stations,
    with_works,
)
from optimize.water.instance import Instance
from optimize.water.investments import derive_stage_weights
from optimize.water.recount import carriage_kwh_per_m3
from optimize.water.solution import Solution

Told = Callable[[str], None]
Verdict = Literal["clean", "repaired", "over its limits", "violations left"]


@dataclass(frozen=True)
class RepairedPlan:
    """A plan with the works that its pipes need.

    Attributes
    ----------
    states : by stage.
    violations : columns of `State.violations` and year; what no works repair.
    solution, check : the plan, and the checker's report on it with its pumping stations.
    plain_check : without the stations, as the instance alone would have it.
    pipes : corridor, quality, length_m, before, after (diameters), extra_capex_cny.
    stations : of `optimize.water.hydraulics.works.stations`.
    objective : what the works were chosen by.
    num_refunded : works that another mix of sources pays, because a purse did not hold.
    rounds : of sizing and simulating.
    """

    states: tuple[State, ...]
    violations: pd.DataFrame
    solution: Solution
    check: CheckReport
    plain_check: CheckReport
    pipes: pd.DataFrame
    stations: pd.DataFrame
    objective: str
    num_refunded: int
    rounds: int

    @property
    def clean(self) -> bool:
        return self.violations.empty


@dataclass(frozen=True)
class Hydraulics:
    """What became of a run under pressure.

    Attributes
    ----------
    folder : of the instance.
    states : of the plan as it is, by stage.
    violations : columns of `State.violations` and year.
    check : of the plan as it is.
    repaired : None: nothing is broken, or nothing was to be repaired.
    model_kwh_per_a : of pumping, as the plan has it, in the last stage.
    terrain_disagreement_m : of static heads and elevations.
    """

    run: StoredRun
    data: InstanceData
    folder: Path
    instance: Instance
    solution: Solution
    standards: Standards
    states: tuple[State, ...]
    violations: pd.DataFrame
    check: CheckReport
    repaired: RepairedPlan | None
    layout: Layout
    model_kwh_per_a: float
    terrain_disagreement_m: float

    @property
    def verdict(self) -> Verdict:
        """What the plan is worth under pressure."""
        if self.violations.empty:
            return "clean"
        if self.repaired is None or len(self.repaired.violations):
            return "violations left"
        return "repaired" if self.repaired.check.passed else "over its limits"

    @property
    def energy_cny(self) -> float:
        """Present value of the last stage's pumping as simulated in `final`, beyond the model's."""
        p = self.instance.parameters
        extra_kwh = self.kwh_per_a(self.final) - self.model_kwh_per_a
        return extra_kwh * p.electricity_cny_per_kwh * float(derive_stage_weights(p)[-1])

    @property
    def final(self) -> tuple[State, ...]:
        """States of the plan as it can be carried out, or as near to it as it comes."""
        return self.states if self.repaired is None else self.repaired.states

    def kwh_per_a(self, states: Sequence[State]) -> float:
        """Pumping of a year of the last stage, as simulated."""
        return float(states[-1].pumps(self.instance.parameters.pump_efficiency)["kwh_per_a"].sum())


def study_hydraulics(
    run: StoredRun,
    programmes: Sequence[Programme],
    standards: Standards,
    *,
    repairs: bool = True,
    instance: Path | None = None,
    told: Told = lambda text: None,
) -> Hydraulics:
    """Simulate a run's plan and repair it.

    Raises
    ------
    UsageError : the run is not one of reclaimed water, lays no pipe, its instance is not there, or the simulator is not.
    InputFaults : diameters say nothing of their inner diameter.
    """
    if run.programme.name != "water":
        raise UsageError(f"{run.folder} is a run of {run.programme.name}; only reclaimed water has pipes")
    folder, data = read_instance_of(run.folder, run.manifest, run.programme, programmes, instance)
    loaded: Instance = run.programme.load(data)
    tables = {path.stem: read_text_table(path) for path in sorted(run.folder.glob("*.csv"))}
    solution: Solution = run.programme.read_plan(tables)
    if not len(solution.flows):
        raise UsageError(f"{run.folder} has no water in any pipe: there are no hydraulics to look at")
    return _Study(loaded, solution, _stations_of(run), standards, told).of(run, data, folder, repairs)


class _Study:
    """One plan under one set of standards."""

    def __init__(
        self, instance: Instance, solution: Solution, standing: Works, standards: Standards, told: Told
    ) -> None:
        """``standing`` : pumping stations that the plan has already."""
        self.instance, self.solution, self.standards, self.told = instance, solution, standards, told
        self.standing = standing
        p = instance.parameters
        every = range(p.base_year, p.base_year + (p.num_years if p.phased else 1))
        flowing = set(solution.flows["year"].astype(int))
        self.years = [year for year in every if year in flowing]

    def of(self, run: StoredRun, data: InstanceData, folder: Path, repairs: bool) -> Hydraulics:
        self.told("simulating the plan as it is")
        networks = [build_network(self.instance, self.solution, year, self.standards) for year in self.years]
        states = _operated(networks, self.standing)
        violations = _all_violations(states)
        last = states[-1]
        return Hydraulics(
            run=run,
            data=data,
            folder=folder,
            instance=self.instance,
            solution=self.solution,
            standards=self.standards,
            states=states,
            violations=violations,
            check=self._check(run.programme, self.solution, states),
            repaired=self._repaired_plan(run.programme, states) if repairs and len(violations) else None,
            layout=look_at_layout(last.network, self.solution, self.instance),
            model_kwh_per_a=_modelled_kwh_per_a(self.instance, self.solution, last.network.year),
            terrain_disagreement_m=derive_terrain(self.instance).disagreement_m,
        )

    def _check(self, programme: Programme, solution: Solution, states: Sequence[State]) -> CheckReport:
        """The checker's report on a plan with its pumping stations."""
        built = stations(states[-1], self.instance.parameters.pump_efficiency)
        return programme.check(with_stations(self.instance, solution, built), solution)

    def _repaired_plan(self, programme: Programme, states: tuple[State, ...]) -> RepairedPlan:
        """The cheapest works over the years; where money does not suffice for them, those of least CAPEX."""
        c = derive_coefficients(self.instance)
        cheapest = self._repaired_by(programme, states, c, only_capex=False)
        if cheapest.check.passed or not cheapest.clean:
            return cheapest
        least = self._repaired_by(programme, states, c, only_capex=True)
        return least if least.clean and least.check.passed else cheapest

    def _repaired_by(
        self, programme: Programme, states: tuple[State, ...], c: Coefficients, *, only_capex: bool
    ) -> RepairedPlan:
        works, rounds, final = self.standing, 0, states
        # what the last stage needs is there before; an earlier stage may run other ways besides
        for planned in reversed(states):
            state = planned if works is self.standing else operate(works.on(planned.network))
            if state.violations.empty:
                continue
            prices = derive_prices(state.network, self.instance, c, only_capex=only_capex)
            repaired = repair(state, prices, self._tell_round)
            works, rounds = works.with_state(repaired.state), rounds + repaired.rounds
            final = (repaired.state,)
        if len(states) > 1:
            final = _operated([state.network for state in states], works)
        solution = with_works(self.solution, self.instance, works)
        built = stations(final[-1], self.instance.parameters.pump_efficiency)
        check, num_refunded = self._check(programme, solution, final), 0
        if check.violations and all(violation.equation == "W12" for violation in check.violations):
            other = refunded(with_stations(self.instance, solution, built), solution)
            if other is not None:
                num_refunded = int((other.funding["mix"] != solution.funding["mix"]).sum())
                solution, check = other, self._check(programme, other, final)
        return RepairedPlan(
            states=final,
            violations=_all_violations(final),
            solution=solution,
            check=check,
            plain_check=check if built.empty else programme.check(self.instance, solution),
            pipes=_changed_pipes(states[-1], final[-1], c),
            stations=built,
            objective="least CAPEX" if only_capex else "least cost over the years",
            num_refunded=num_refunded,
            rounds=rounds,
        )

    def _tell_round(self, round_: int, left: int) -> None:
        self.told(f"round {round_ + 1}: {left} violations" if left else f"no violations after round {round_}")


def _operated(networks: Sequence[Network], works: Works) -> tuple[State, ...]:
    """The stages with these works; stations are made for what flows past them, which moves in a ring."""
    first = [operate(works.on(network)) for network in networks]
    if not works.booster_m:
        return tuple(first)
    return tuple(
        operate(
            state.network.with_works(
                list(state.network.lines["diameter"]),
                state.network.lines["booster_m"].to_numpy(float),
                state.line_flow_m3_per_s,
            )
        )
        for state in first
    )


def _stations_of(run: StoredRun) -> Works:
    """Pumping stations of a plan that was repaired before."""
    if HYDRAULICS not in run.manifest.get("files", {}):
        return NO_WORKS
    told = json.loads((run.folder / HYDRAULICS).read_text(encoding="utf-8"))
    return Works(
        {}, {(row["corridor"], row["quality"]): row["head_m"] for row in told["repaired"]["stations"]}, {}
    )


def _all_violations(states: Sequence[State]) -> pd.DataFrame:
    frames = [state.violations.assign(year=state.network.year) for state in states]
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]


def _changed_pipes(before: State, after: State, c: Coefficients) -> pd.DataFrame:
    old, new = before.network.lines, after.network.lines
    at = np.flatnonzero((old["diameter"] != new["diameter"]).to_numpy(bool))
    capex = c.pipe_capex_cny

    def cny(corridor: str, quality: str, diameter: str) -> float:
        if not diameter:
            return 0.0
        place = (c.corridor_ids.index(corridor), c.quality_ids.index(quality), c.diameter_ids.index(diameter))
        return float(capex[place])

    rows = []
    for k in at.tolist():
        corridor, quality = str(new["corridor"].iloc[k]), str(new["quality"].iloc[k])
        was, is_ = str(old["diameter"].iloc[k]), str(new["diameter"].iloc[k])
        extra = cny(corridor, quality, is_) - cny(corridor, quality, was)
        rows.append((corridor, quality, float(new["length_m"].iloc[k]), was, is_, extra))
    return pd.DataFrame(
        rows, columns=["corridor", "quality", "length_m", "before", "after", "extra_capex_cny"]
    )


def _modelled_kwh_per_a(instance: Instance, solution: Solution, year: int) -> float:
    """Pumping as the model has it: a rate for each km, and the static heads."""
    along, against = carriage_kwh_per_m3(instance)
    days = derive_calendar(instance).days
    flows = solution.flows[solution.flows["year"].astype(int) == year]
    at = pd.Index(instance.corridors["corridor"]).get_indexer(pd.Index(flows["corridor"]))
    volume = flows["flow_m3_per_d"].to_numpy(float) * days[flows["period"].to_numpy(int)]
    return float((np.maximum(volume, 0) * along[at] + np.maximum(-volume, 0) * against[at]).sum())
