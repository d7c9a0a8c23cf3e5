"""The options of an earlier plan among those of a programme."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd

from optimize.datacenter.in_force import OptionIds, ids_of_projects
from optimize.datacenter.instance import Instance
from optimize.datacenter.kinds import NOTHING
from optimize.datacenter.measures import IntArray
from optimize.datacenter.options import Options
from optimize.milp import BlockNames, FloatArray, Milp
from optimize.warm_start import match_rows, with_amounts


def recall_options(instance: Instance, options: Options, projects: pd.DataFrame) -> IntArray:
    """Positions of the options that the plan ``projects`` chose; `nothing` for centres it leaves out.

    A project that the programme no longer has is left out, and so is `nothing` where it is not allowed.
    """
    table, wanted = options.ids, ids_of_projects(instance, projects)
    names = [field.name for field in fields(OptionIds)]
    found = match_rows([getattr(table, n) for n in names], [getattr(wanted, n) for n in names])
    found = found[found >= 0]
    if options.in_force is not None:  # what is contracted stays whatever the earlier plan had
        standing = np.flatnonzero((options.in_force.frozen_row[options.centre] >= 0) & options.allowed)
        found = np.union1d(found[options.in_force.frozen_row[options.centre[found]] < 0], standing)
    idle = np.flatnonzero((options.kind == NOTHING) & options.allowed)
    return np.concatenate([found, idle[~np.isin(options.centre[idle], options.centre[found])]])


def plan_to_begin_from(
    instance: Instance, options: Options, milp: Milp, projects: pd.DataFrame
) -> FloatArray:
    """The earlier plan's ``projects`` as a point of the programme, shape (n,), with what is contracted by now.

    Money is carried over and soft clauses are short as the projects leave them; rows that no longer hold
    are left broken.
    """
    x = np.clip(np.zeros(milp.num_columns), milp.lower, milp.upper)
    x[recall_options(instance, options, projects)] = 1.0
    rows, columns = milp.row_names, milp.column_names
    assert isinstance(rows, BlockNames) and isinstance(columns, BlockNames)
    soft = [clause for clause, target in instance.targets.items() if not target.hard]
    shortfalls = [
        (int(column), int(row))
        for clause in soft
        for column, row in zip(
            columns.members(f"shortfall_{clause}"), rows.members(f"clause_{clause}"), strict=True
        )
    ]
    carried = columns.members("carried_over").tolist(), rows.members("R3_carried_over").tolist()
    return with_amounts(milp, x, shortfalls, list(zip(*carried, strict=True)))
