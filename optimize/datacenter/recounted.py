"""What a plan's projects are worth and pay under an instance's figures, by the checker's own arithmetic."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.checking import ProjectFigures
from optimize.datacenter.instance import Instance
from optimize.datacenter.recount import Recount
from optimize.datacenter.solution import Solution


def recount_projects(instance: Instance, solution: Solution) -> ProjectFigures:
    """Value and payments of each project of ``solution``, from the raw tables."""
    recount = Recount(instance)
    projects = [
        recount.project({str(name): value for name, value in row.items()})
        for row in solution.projects.to_dict("records")
    ]
    paid = [
        (project.centre, source, year + recount.base, amount)
        for project in projects
        for (source, year), amount in project.payments.items()
    ]
    return ProjectFigures(
        ids=tuple(project.centre for project in projects),
        npv_cny=np.array([project.npv_cny for project in projects], dtype=np.float64),
        payments=pd.DataFrame(paid, columns=["id", "source", "year", "amount_cny"]),
    )
