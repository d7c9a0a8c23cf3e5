"""Implied bounds lose no point, and are found where one row at a time implies them."""

from __future__ import annotations

import numpy as np
import pytest

from optimize.implied_bounds import with_implied_bounds
from optimize.milp import MilpBuilder


def test_bounds_follow_from_row_to_row() -> None:
    builder = MilpBuilder(maximise=True)
    x = builder.add_columns("x", 1, upper=5.0)
    y = builder.add_columns("y", 1)
    z = builder.add_columns("z", 1, lower=-np.inf)
    free = builder.add_columns("free", 1)
    zero = np.zeros(1, np.int64)
    builder.add_rows("y_at_most_2_x", 1, [(zero, y, 1.0), (zero, x, -2.0)], upper=0.0)
    builder.add_rows("z_between", 1, [(zero, z, 2.0), (zero, y, 1.0)], lower=-4.0, upper=6.0)
    builder.add_rows("free_at_least", 1, [(zero, free, 1.0), (zero, x, 1.0)], lower=1.0)
    milp = with_implied_bounds(builder.build())
    assert milp.upper[:3] == pytest.approx([5.0, 10.0, 3.0], rel=1e-6)
    assert milp.lower[:3] == pytest.approx([0.0, 0.0, -7.0], rel=1e-6)
    assert milp.upper[3] == np.inf and milp.lower[3] == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_no_point_is_lost(seed: int) -> None:
    """Sides are put round a point; it stays inside the bounds."""
    rng = np.random.default_rng(seed)
    point = rng.normal(0, 10, 6)
    builder = MilpBuilder(maximise=True)
    given = rng.random(6) < 0.5
    x = builder.add_columns(
        "x", 6, lower=np.where(given, np.floor(point), -np.inf), upper=np.where(given, np.ceil(point), np.inf)
    )
    weights = rng.normal(0, 3, (8, 6)) * (rng.random((8, 6)) < 0.4)
    value = weights @ point
    rows = np.arange(8)[:, None]
    slack = rng.random(8)
    builder.add_rows("row", 8, [(rows, x[None, :], weights)], lower=value - slack, upper=value + slack)
    milp = builder.build()
    tight = with_implied_bounds(milp)
    assert (tight.lower <= point).all() and (point <= tight.upper).all()
    assert (tight.lower >= milp.lower).all() and (tight.upper <= milp.upper).all()
