"""The bound on a goal that a run's stored multipliers prove, from the instance alone."""

from __future__ import annotations

import numpy as np

from optimize.errors import UnreadableProof
from optimize.result import NetworkProof
from optimize.water.coefficients import Coefficients, derive_coefficients
from optimize.water.fast_goal import MINIMISED
from optimize.water.fast_locks import LockedDecisions, locked_decisions, without_dates
from optimize.water.fast_model import averaged
from optimize.water.instance import Instance
from optimize.water.one_stage import view_for_bound
from optimize.water.proof.bound import bound_of
from optimize.water.proof.multipliers import NetworkMultipliers, names_of, unpack
from optimize.water.proof.terms import state_terms


def prove_bound(instance: Instance, goals: tuple[str, ...], content: bytes) -> NetworkProof:
    """Bound on the last of ``goals``; what earlier ones must reach is left out, which only makes it weaker.

    Raises
    ------
    UnreadableProof : ``content`` proves nothing about this instance.
    """
    c = derive_coefficients(instance)
    if instance.parameters.phased:
        instance = without_dates(instance)
    locks = locked_decisions(instance, c)
    if instance.parameters.phased:
        instance, c = view_for_bound(instance, c, goals[-1])
    multipliers = unpack(content, names_of(instance, c))
    _refuse_wrong_seasons(c, multipliers)
    bound = bound_by(instance, c, locks, goals[-1], multipliers)
    return NetworkProof(bound, multipliers.num_seasons, multipliers.size)


def bound_by(
    instance: Instance, c: Coefficients, locks: LockedDecisions, goal: str, multipliers: NetworkMultipliers
) -> float:
    """No plan has a better value of the goal, in the goal's own sense.

    Parameters
    ----------
    c : over all periods.
    """
    groups = [np.flatnonzero(multipliers.season == t) for t in range(multipliers.num_seasons)]
    single = np.array([len(group) == 1 for group in groups])
    terms = state_terms(instance, averaged(c, groups), locks, goal, single, multipliers)
    return (-1.0 if goal in MINIMISED else 1.0) * bound_of(terms, multipliers)


def _refuse_wrong_seasons(c: Coefficients, multipliers: NetworkMultipliers) -> None:
    """Every period of a year is in one season, every season has one; with storage the year is one season."""
    season = multipliers.season
    if season.shape != c.days.shape or ((season >= 0) != (c.days > 0)).any():
        raise UnreadableProof("its seasons are not made of the periods of the instance")
    if len(np.unique(season[season >= 0])) != multipliers.num_seasons:
        raise UnreadableProof("a season has no period")
    if len(c.storage) and multipliers.num_seasons > 1:
        raise UnreadableProof("storage moves water between its seasons")
