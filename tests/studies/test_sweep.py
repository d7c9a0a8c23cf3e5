"""Sweeps over budgets and targets: each level as good as one solved for itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from optimize.datacenter.programme import PROGRAMME as DATACENTER
from optimize.errors import UsageError
from optimize.io.validation import data_from_draft
from optimize.programme import Programme, SolveOptions
from optimize.pv_siting.programme import PROGRAMME as PV
from optimize.result import StopReason
from optimize.schema import InstanceData
from optimize.solve import solve
from optimize.studies.sweep import Level, data_at, sweep

GAP = 0.01
SCALES = [0.8, 1.0]


def _data(programme: Programme) -> InstanceData:
    return data_from_draft(programme.schema, programme.example())


def _swept(programme: Programme, parameter: str, values: list[float]) -> Iterator[Level]:
    return sweep(programme, _data(programme), parameter, values, SolveOptions(gap=GAP, time_limit_s=20))


@pytest.mark.parametrize("programme", [PV, DATACENTER], ids=lambda p: p.name)
def test_each_level_brackets_the_formulations_optimum(programme: Programme) -> None:
    exact = SolveOptions(gap=0.0, time_limit_s=20, engine="formulation")
    for level in _swept(programme, "budgets.scale", SCALES):
        data = data_at(_data(programme), "budgets.scale", level.value)
        optimum = solve(programme, data, exact).result.objective
        if optimum is None:
            assert level.stop is StopReason.INFEASIBLE and level.solution is None
            continue
        assert level.objective is not None and level.bound is not None and level.gap is not None
        assert level.objective <= optimum + 1e-6 * abs(optimum)
        assert level.bound >= optimum - 1e-6 * abs(optimum)
        assert level.gap <= GAP
        check = level.check()
        assert check is not None and check.passed
        assert check.figures["npv"] == pytest.approx(level.objective, rel=1e-6)


def test_a_target_is_swept() -> None:
    name = "PV-50MW"
    data = _data(PV)
    required = data.targets[name].required
    values = [required * share for share in (0.8, 0.9, 1.0)]
    found = list(_swept(PV, f"targets.{name}.required", values))
    best = [level.objective for level in found if level.objective is not None]
    assert len(best) == 3
    assert best[0] >= best[2] * (1 - GAP)
    for level in found:
        check = level.check()
        assert check is not None and check.passed


def test_options_that_change_are_derived_anew() -> None:
    """A price is no side of a row: each level is stated for itself and still right."""
    parameter = "carbon.price_cny_per_t" if "carbon.price_cny_per_t" in _data(PV).parameters else ""
    parameter = parameter or next(k for k in _data(PV).parameters if k.endswith("feed_in_cny_per_kwh"))
    for level in _swept(PV, parameter, [0.3, 0.5]):
        alone = solve(PV, data_at(_data(PV), parameter, level.value), SolveOptions(gap=0.0, time_limit_s=20))
        assert level.objective is not None and alone.result.objective is not None
        assert level.objective == pytest.approx(alone.result.objective, rel=GAP)
        check = level.check()
        assert check is not None and check.passed


def test_unknown_parameters_and_goals_are_refused() -> None:
    with pytest.raises(UsageError, match="no\\.such"):
        next(_swept(PV, "no.such", [1.0]))
    with pytest.raises(UsageError, match="targets"):
        next(_swept(PV, "targets.DC-PUE.required", [1.0]))
    with pytest.raises(UsageError, match="one goal"):
        next(sweep(PV, _data(PV), "budgets.scale", [1.0], SolveOptions(goal=("energy", "npv"))))
