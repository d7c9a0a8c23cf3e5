"""What the weights of a cutting-plane model say of the groups."""

from __future__ import annotations

import numpy as np

from optimize.engine.choice_mixture import Mixture


def test_groups_are_undecided_where_maximisers_of_positive_weight_differ() -> None:
    mixture = Mixture(np.array([0, 0, 1, 1]), 2)
    mixture.add(np.array([0, 2, 4, 6]))
    mixture.add(np.array([1, 2, 5, -1]))
    mixture.add(np.array([0, 3, 4, 7]))
    # part 0 mixes the first and second maximiser, part 1 has the third alone
    mixture.weigh(np.array([0.4, 0.0, 0.6, 0.0, 0.0, 1.0]))
    undecided, columns = mixture.undecided()
    assert undecided.tolist() == [True, False, False, False]
    assert columns.tolist() == [0, 1, 2, 4, 7]


def test_nothing_is_undecided_before_anything_is_weighed() -> None:
    mixture = Mixture(np.array([0, 0]), 1)
    mixture.add(np.array([0, 1]))
    undecided, columns = mixture.undecided()
    assert not undecided.any() and not len(columns)
