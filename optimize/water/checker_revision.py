"""Part of `checker`: (W14) what is contracted stands, nothing begins too early, and what has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.revision import FROZEN_STATES, Decision, change_figures, find_changes
from optimize.water.instance import Instance
from optimize.water.solution import Solution

_KEY = "key"
DECISION = Decision(_KEY, what=("choice",), when=("year",))
_LOCKED_TABLE = {"plants": "plant", "pipes": "corridor"}

Require = Callable[[str, str, bool, str, str], None]
"""Equation, where, whether it holds, what is required, what was found."""


def contracts_of(instance: Instance) -> pd.DataFrame:
    """Projects in force that are contracted or later, in the years that the instance tells apart."""
    plan = _in_told_years(instance, instance.plan_in_force)
    return plan[plan["state"].isin(FROZEN_STATES)]


def contract_works(instance: Instance) -> dict[tuple[str, str], Mapping[str, object]]:
    """Contracts by kind and id of the work that each is, as the plan's funding table names it."""
    works: dict[tuple[str, str], Mapping[str, object]] = {}
    if instance.plan_in_force.empty:
        return works
    for row in contracts_of(instance).to_dict("records"):
        project, choice = str(row["project"]), str(row["choice"])
        kind, name = {
            "plants": ("module", f"{project}:{choice}"),
            "pipes": ("pipe", f"{project}:{choice}"),
            "users": ("tanker" if choice == "tanker" else "connection", project),
        }.get(str(row["table"]), (project.partition(":")[0], project.partition(":")[2]))
        works[kind, name] = {str(key): value for key, value in row.items()}
    return works


def projects_of(solution: Solution) -> pd.DataFrame:
    """Every project of a plan: table, project, choice, year."""
    modules, pipes, users = solution.modules, solution.pipes, solution.connections
    works = solution.built[solution.built["kind"] != "pilot"]
    parts = [
        ("plants", modules["plant"] + ":" + modules["quality"], modules["step"], modules["year"]),
        ("pipes", pipes["corridor"] + ":" + pipes["quality"], pipes["diameter"], pipes["year"]),
        ("users", users["user"], users["mode"], users["year"]),
        ("other_works", works["kind"] + ":" + works["id"], pd.Series("", index=works.index), works["year"]),
    ]
    frames = [
        pd.DataFrame({"table": table, "project": project, "choice": choice, "year": year}, dtype=object)
        for table, project, choice, year in parts
    ]
    projects = pd.concat(frames, ignore_index=True)
    return projects.assign(year=projects["year"].astype(np.int64))


def check_revision(instance: Instance, solution: Solution, require: Require) -> None:
    """What is contracted is in the plan as it is; in closed years begins nothing else."""
    projects = {
        (row["table"], row["project"]): (row["choice"], row["year"])
        for row in projects_of(solution).to_dict("records")
    }
    plan = _in_told_years(instance, instance.plan_in_force).to_dict("records")
    in_force = {(row["table"], row["project"]): (row["choice"], row["year"]) for row in plan}
    for row in plan:
        if row["state"] in FROZEN_STATES:
            key = row["table"], row["project"]
            found = projects.get(key)
            where = f"{row['state']} {row['project']}"
            require("W14", where, found == in_force[key], _words(in_force[key]), _words(found))
    open_year = _first_open_year(instance)
    for key, decided in projects.items():
        if decided[1] < open_year:
            holds = in_force.get(key) == decided
            expected = f"{open_year} or later, or as in force"
            require("W14", f"start of {key[1]}", holds, expected, _words(decided))


def _first_open_year(instance: Instance) -> int:
    """Built in one stage, everything is open until all years are closed."""
    p = instance.parameters
    if p.phased:
        return p.first_open_year
    return p.base_year + 1 if p.first_open_year >= p.base_year + p.num_years else p.base_year


def _in_told_years(instance: Instance, plan: pd.DataFrame) -> pd.DataFrame:
    """Rows with the years of a plan: where building is not phased, the base year."""
    return plan if instance.parameters.phased else plan.assign(year=instance.parameters.base_year)


def _words(decided: tuple[object, object] | None) -> str:
    return "not built" if decided is None else f"{decided[0]} {decided[1]}".strip()


# --- changes ------------------------------------------------------------------------------------------


def changes_of(instance: Instance, solution: Solution) -> pd.DataFrame:
    """What a plan changes of the plan in force: `revision.find_changes`, with table and project."""
    p = instance.parameters
    before = _in_told_years(instance, instance.plan_in_force)
    found = find_changes(
        _keyed(before),
        _keyed(projects_of(solution)),
        DECISION,
        instance.change_weights,
        lambda keys: _possible(instance, before, keys),
        max(p.first_open_year - p.base_year, 0),
        p.discount_rate,
    )
    names = [str(key).partition(" ") for key in found[_KEY]]
    found.insert(0, "table", pd.Series([table for table, _, _ in names], dtype=object))
    found.insert(1, "project", pd.Series([project for _, _, project in names], dtype=object))
    return found.drop(columns=_KEY)


def _keyed(projects: pd.DataFrame) -> pd.DataFrame:
    return projects.assign(**{_KEY: projects["table"] + " " + projects["project"]})


def figures_of_changes(instance: Instance, solution: Solution) -> dict[str, float]:
    """`revision.change_figures`; without a plan in force every project is a change."""
    if instance.plan_in_force.empty:
        return {"changes": instance.change_weights.added * len(projects_of(solution))}
    return change_figures(changes_of(instance, solution))


def change_tables(instance: Instance, solution: Solution) -> dict[str, pd.DataFrame]:
    """The table of changes, where there is a plan in force."""
    return {} if instance.plan_in_force.empty else {"changes": changes_of(instance, solution)}


def _possible(instance: Instance, plan: pd.DataFrame, keys: Sequence[str]) -> NDArray[np.bool_]:
    """Whether these projects in force could be decided anew, each alone."""
    by_key: dict[str, dict[str, object]] = {
        f"{row['table']} {row['project']}": {str(name): cell for name, cell in row.items()}
        for row in plan.to_dict("records")
    }
    p = instance.parameters
    years = range(p.base_year, p.base_year + p.num_years)
    there = _there(instance)
    return np.array(
        [
            row["year"] in years
            and (row["table"], row["project"], row["choice"]) in there(row)
            and _allowed_by_locks(instance, row)
            for row in map(by_key.__getitem__, keys)
        ],
        dtype=np.bool_,
    )


def _there(instance: Instance) -> Callable[[Mapping[str, object]], set[tuple[str, str, str]]]:
    """Choices that the tables have, of the table and project a row speaks of."""
    modules, users = instance.modules, instance.users.set_index("user")
    sizes = {
        ("plants", f"{plant}:{quality}", step)
        for plant, quality, step in zip(modules["plant"], modules["quality"], modules["step"], strict=True)
    }
    made = {*instance.treatment["quality"], *instance.cascades["quality"]}
    corridors, diameters = set(instance.corridors["corridor"]), list(instance.pipes["diameter"])
    parks = instance.parks
    works = {f"storage:{name}" for name in instance.storage_sites["site"]}
    works |= {f"cascade:{name}" for name in instance.cascades["cascade"]}
    works |= {f"zld:{name}" for name in parks.loc[parks["zld_candidate"], "park"]}

    def choices(row: Mapping[str, object]) -> set[tuple[str, str, str]]:
        table, project = str(row["table"]), str(row["project"])
        if table == "plants":
            return sizes
        if table == "pipes":
            corridor, _, quality = project.rpartition(":")
            known = corridor in corridors and quality in made
            return {(table, project, diameter) for diameter in diameters} if known else set()
        if table == "users":
            if project not in users.index:
                return set()
            ways = {(table, project, "pipe")}
            return ways | {(table, project, "tanker")} if users.loc[project, "tanker_plant"] else ways
        return {(table, project, "")} if project in works else set()

    return choices


def _allowed_by_locks(instance: Instance, row: Mapping[str, object]) -> bool:
    """Whether no lock on the project, or on the plant or corridor it is of, asks for anything else."""
    table, project, choice = (str(row[name]) for name in ("table", "project", "choice"))
    place, _, quality = project.rpartition(":")
    names = (
        {project}
        if table == "users"
        else {project, place}
        if table in _LOCKED_TABLE
        else {project.partition(":")[2]}
    )
    phased = instance.parameters.phased
    locks = instance.locks[instance.locks["id"].isin(names)]
    for kind, value, year in zip(locks["kind"], locks["value"], locks["year"], strict=True):
        built = int(str(row["year"]))
        if kind == "force_out" or (kind == "fix" and value == "none"):
            return False
        if kind == "fix":
            same_project = table not in _LOCKED_TABLE or value.rpartition(":")[0] == quality
            way = choice if table == "users" else f"{quality}:{choice}" if table in _LOCKED_TABLE else "built"
            in_year = not phased or year in (0, built)
            if same_project and not (value == way and in_year):
                return False
        if phased and ((kind == "earliest" and built < year) or (kind == "latest" and built > year)):
            return False
    return True
