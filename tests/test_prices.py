"""Shadow prices: how the proven bound moves with a row's side, and what a candidate adds to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.cli import main
from optimize.io.instance_folder import read_instance
from optimize.milp import Milp
from optimize.programme import Programme, SolveOptions, StatedArrays
from optimize.registry import PROGRAMMES
from optimize.result import Result
from optimize.solve import solve
from optimize.verification.bound import prove_bound

NO_BLOCKS = np.zeros(0, np.int64)


def solved(name: str, goal: str, folder: Path) -> tuple[Programme, StatedArrays, Result[Any]]:
    assert main(["template", name, str(folder)]) == 0
    part = read_instance(folder, PROGRAMMES).programmes[0]
    found = solve(part.programme, part.data, SolveOptions(goal=tuple(goal.split(","))))
    assert found.result.prices is not None and found.result.certificate is not None
    stated = part.programme.state_arrays(found.instance, found.result.goal)
    assert stated is not None
    return part.programme, stated, found.result


def moved(milp: Milp, rows: np.ndarray, by: np.ndarray) -> Milp:
    lower, upper = milp.row_lower.copy(), milp.row_upper.copy()
    lower[rows] += by
    upper[rows] += by
    return replace(milp, row_lower=lower, row_upper=upper)


@pytest.mark.parametrize(
    ("name", "goal"),
    [("pv_siting", "npv"), ("pv_siting", "energy,npv"), ("datacenter", "npv"), ("datacenter", "cost")],
)
def test_prices_are_what_the_bound_moves_by(name: str, goal: str, tmp_path: Path) -> None:
    """Weak duality is linear in the sides; a candidate left out lowers the bound by its value."""
    _, stated, result = solved(name, goal, tmp_path / name)
    assert result.certificate is not None and result.prices is not None
    y = result.certificate.multipliers
    milp = stated.for_goals(result.goal, result.certificate.kept)
    sign = 1.0 if milp.maximise else -1.0
    bound = prove_bound(milp, y, NO_BLOCKS).bound
    gains = []
    for row, priced in zip(result.prices.rows.itertuples(), stated.priced, strict=True):
        step = 1.0 if priced.is_cap else -1.0
        other = prove_bound(moved(milp, priced.rows, step * priced.per_unit), y, NO_BLOCKS).bound
        assert sign * (other - bound) == pytest.approx(row.approx_gain_per_unit, abs=1e-9 * abs(bound))
        assert row.approx_gain_per_unit >= 0
        gains.append(row.approx_gain_per_unit)
    assert max(gains) > 0

    kind = stated.candidate_kind
    place = {name: position for position, name in enumerate(stated.candidate_ids)}
    values = []
    for row in result.prices.candidates.itertuples():
        upper = milp.upper.copy()
        upper[stated.candidate == place[getattr(row, kind)]] = 0.0
        without = prove_bound(replace(milp, upper=upper), y, NO_BLOCKS).bound
        idle = stated.idle[place[getattr(row, kind)]]
        if idle >= 0 and milp.upper[idle] == 0:
            continue  # has to do something: leaving it out leaves no plan
        drop = sign * (bound - without)
        assert drop == pytest.approx(max(row.approx_value, 0.0), abs=1e-9 * abs(bound))
        values.append(row.approx_value)
    assert max(values) > 0
