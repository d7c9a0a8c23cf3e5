"""What a plan's projects are worth and pay under an instance's figures, by the checker's own arithmetic."""

from __future__ import annotations

from optimize.checking import ProjectFigures
from optimize.pv_siting.checker_figures import join_projects, recount
from optimize.pv_siting.instance import Instance
from optimize.pv_siting.solution import Solution


def recount_projects(instance: Instance, solution: Solution) -> ProjectFigures:
    """Value and payments of each project of ``solution``, from the raw tables."""
    wide = join_projects(instance, solution.projects)
    figures = recount(instance, wide)
    return ProjectFigures(
        ids=tuple(wide["site"]),
        npv_cny=figures.npv_cny,
        payments=figures.payments.rename(columns={"site": "id"}),
    )
