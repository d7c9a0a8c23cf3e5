"""Staged projects combine the packages they may, and single projects keep all that are offered."""

from __future__ import annotations

import numpy as np
import pytest

from optimize.datacenter.kinds import PACKAGE, STAGED
from optimize.datacenter.options import Options, derive_options
from optimize.datacenter.payments import derive_payments
from tests.datacenter.cases import instance_of, vary

LISTED = "datacenter.max_staged_packages_per_centre"
LOAD = "datacenter.staging_min_it_load_kw"


def options_of(most: int) -> Options:
    instance = instance_of(vary(parameters={LISTED: most, LOAD: 0.0}))
    return derive_options(instance, ("npv",))


def projects(options: Options, kind: int) -> set[tuple[int, ...]]:
    """Projects of one kind by centre, measures, years, host, sink and mix."""
    packages = options.packages
    return {
        (
            int(options.centre[k]),
            int(packages.mask[options.first[k]]),
            int(packages.mask[options.second[k]]) if kind == STAGED else -1,
            int(options.year[k]),
            int(options.second_year[k]),
            int(options.link[k]),
            int(options.mix[k]),
        )
        for k in np.flatnonzero(options.kind == kind)
    }


@pytest.mark.parametrize("most", [2, 3])
def test_staged_projects_combine_at_most_so_many_packages(most: int) -> None:
    every, some = options_of(0), options_of(most)
    assert projects(some, PACKAGE) == projects(every, PACKAGE)
    assert projects(some, STAGED) < projects(every, STAGED)
    staged = np.flatnonzero(some.kind == STAGED)
    assert len(staged)
    for centre in np.unique(some.centre[staged]):
        own = staged[some.centre[staged] == centre]
        assert len(np.union1d(some.first[own], some.second[own])) <= most


def test_every_project_is_paid_in_full_in_its_years() -> None:
    instance = instance_of(vary(parameters={LOAD: 0.0}))
    options = derive_options(instance, ("npv",))
    payments = derive_payments(instance, options)
    project = np.flatnonzero((options.kind == PACKAGE) | (options.kind == STAGED))
    assert (options.kind[project] == STAGED).any()
    for year, capex in (
        (options.year, options.capex_first_cny),
        (options.second_year, options.capex_second_cny),
    ):
        in_year = payments.year == year[payments.option]
        paid = np.bincount(payments.option[in_year], payments.amount_cny[in_year], len(options))
        has = project[year[project] >= 0]
        assert paid[has] == pytest.approx(capex[has], rel=1e-9, abs=1e-6)
    assert (payments.year >= 0).all() and (payments.amount_cny != 0).all()
