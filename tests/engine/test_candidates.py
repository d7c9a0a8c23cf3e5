"""The best columns of each candidate, against sorting them."""

from __future__ import annotations

import numpy as np

from optimize.engine.candidates import best_of_group


def test_best_columns_of_each_candidate_are_those_that_sorting_gives() -> None:
    random = np.random.default_rng(5)
    for _ in range(200):
        size, count = int(random.integers(0, 60)), int(random.integers(1, 6))
        group = random.integers(-1, 8, size)
        worth = random.integers(-3, 4, size).astype(np.float64)
        usable = random.random(size) < 0.8
        expected: list[int] = []
        for name in range(8):
            columns = [j for j in range(size) if usable[j] and group[j] == name]
            expected += sorted(columns, key=lambda j: (-worth[j], j))[:count]
        assert best_of_group(worth, group, usable, count).tolist() == expected
