"""What stands in one column of a comparison: a run, several runs taken together, or (a part of) a joint plan.

Runs of different programmes can be compared as far as they have programmes in common: a joint plan beside
a run of public PV is compared in its public PV, and beside the runs of all its programmes as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optimize.city.instance import shared_goals
from optimize.city.stored import is_city_run
from optimize.errors import UsageError
from optimize.programme import Goal, Programme
from optimize.result import relative_gap
from optimize.studies.stored_runs import StoredCity, StoredRun, read_city_run, read_run

# Between runs that are taken together.
TOGETHER = "+"
_ON_FIXED_SHARES = "on today's fixed shares"


@dataclass(frozen=True)
class Side:
    """Plans of some programmes, and what is known of all of them together.

    Attributes
    ----------
    name : as it was called.
    parts : the plan of each programme.
    question : what was solved; sides with the same answer the same question (None: of a part of a joint plan,
        which answers none by itself).
    objective, bound : of the last goal; the bound holds for every plan that answers the question.
    city : summary of the joint plan where all its programmes are here, else None.
    remarks : what is to be told of it besides its inputs.
    """

    name: str
    parts: tuple[StoredRun, ...]
    goal: tuple[str, ...]
    question: tuple[str, ...] | None
    objective: float
    bound: float | None
    city: Mapping[str, Any] | None = None
    joint: bool = False
    remarks: tuple[str, ...] = field(default_factory=tuple)

    @property
    def programmes(self) -> tuple[Programme, ...]:
        return tuple(part.programme for part in self.parts)

    @property
    def scenario(self) -> str:
        """Name and title of the scenario it is; "" where it is none."""
        told = [part.manifest["scenario"] for part in self.parts if "scenario" in part.manifest]
        words = [s["name"] + (f": {s['en']}" if s["en"] != s["name"] else "") for s in told]
        return ", ".join(dict.fromkeys(words))

    @property
    def main_goal(self) -> Goal:
        return self.parts[0].programme.goal(self.goal[-1])

    @property
    def gap(self) -> float | None:
        return relative_gap(self.objective, self.bound)

    def part(self, programme: str) -> StoredRun:
        return next(part for part in self.parts if part.programme.name == programme)

    def figures(self) -> dict[str, float]:
        """The checker's figures; of several programmes the goals they share, and each one's own by its name."""
        if len(self.parts) == 1:
            return {name: _number(value) for name, value in self.parts[0].summary["figures"].items()}
        found = {goal: self.total(goal) for goal in shared_goals(self.programmes)}
        for part in self.parts:
            own = part.summary["figures"].items()
            found |= {f"{part.programme.name}.{name}": _number(value) for name, value in own}
        return found

    def total(self, figure: str) -> float:
        """A figure of all programmes; of a joint plan with what missed targets of the city cost."""
        if self.city is not None:
            return _number(self.city["figures"].get(figure))  # an earlier version may not have counted it
        return math.fsum(_number(part.summary["figures"].get(figure)) for part in self.parts)

    def clauses(self) -> list[Mapping[str, Any]]:
        own = [clause for part in self.parts for clause in part.summary["clauses"]]
        return own if self.city is None else [*own, *self.city["clauses"]]

    def money(self, *, by_share: bool) -> list[Mapping[str, Any]]:
        """Spent by source and year.

        ``by_share`` : of a joint plan by the years of each programme's share of the pool; else a network built in
        one stage spends all in its first year, as its own run says it.
        """
        if self.city is not None and by_share:
            return list(self.city["money"])
        return [row for part in self.parts for row in part.summary["money"]]

    def restricted(self, names: Sequence[str]) -> Side:
        """Only these programmes; with fewer than there are, nothing is proven of what is left of a joint plan."""
        if {part.programme.name for part in self.parts} == set(names):
            return replace(self, parts=tuple(self.part(name) for name in names))
        parts = tuple(self.part(name) for name in names)
        if not self.joint:
            return together(parts, self.name)
        others = [part.programme.en for part in self.parts if part.programme.name not in names]
        return replace(
            self,
            parts=parts,
            question=None,
            objective=math.fsum(float(part.summary["objective"]) for part in parts),
            bound=None,
            city=None,
            remarks=(*self.remarks, f"as part of a plan with {' and '.join(others)}"),
        )


def read_sides(words: Sequence[str], programmes: Sequence[Programme]) -> list[Side]:
    """The columns of a comparison from what was typed; one joint run stands beside its fixed shares.

    Raises
    ------
    UsageError : no such run, runs of one programme taken together, or nothing in common.
    """
    sides = [read_side(word, programmes) for word in words]
    if len(words) == 1 and sides[0].joint:
        sides.append(fixed_shares(words[0], programmes))
    return in_common(sides)


def in_common(sides: Sequence[Side]) -> list[Side]:
    """The sides restricted to the programmes that all of them have.

    Raises
    ------
    UsageError : there is none.
    """
    shared = [
        part.programme.name
        for part in sides[0].parts
        if all(part.programme.name in {p.name for p in side.programmes} for side in sides)
    ]
    if not shared:
        names = dict.fromkeys(p.name for side in sides for p in side.programmes)
        raise UsageError(
            f"the runs are of several programmes ({', '.join(names)}) and have none in common; "
            f"join runs of different programmes with {TOGETHER} to compare them with a joint plan"
        )
    return [side.restricted(shared) for side in sides]


def side_of(run: StoredRun) -> Side:
    """A run by itself."""
    return together([run], run.folder.as_posix())


def together(runs: Sequence[StoredRun], name: str) -> Side:
    """Runs of different programmes, each planned by itself.

    Raises
    ------
    UsageError : a programme twice, or goals that differ or cannot be added up.
    """
    names = [run.programme.name for run in runs]
    if len(set(names)) < len(names):
        raise UsageError(f"{name}: {TOGETHER} joins runs of different programmes, not {' and '.join(names)}")
    goals = {tuple(run.summary["goal"]) for run in runs}
    last = runs[0].summary["goal"][-1]
    if len(runs) > 1 and (len(goals) > 1 or last not in shared_goals([run.programme for run in runs])):
        told = "; ".join(f"{run.programme.name} for {','.join(run.summary['goal'])}" for run in runs)
        raise UsageError(f"{name}: only runs for the same goal add up; these are {told}")
    bounds = [run.summary["bound"] for run in runs]
    return Side(
        name=name,
        parts=tuple(runs),
        goal=tuple(runs[0].summary["goal"]),
        question=tuple(sorted(str(run.manifest.get("fingerprint")) for run in runs)),
        objective=math.fsum(float(run.summary["objective"]) for run in runs),
        bound=None if None in bounds else math.fsum(bounds),
    )


def read_side(word: str, programmes: Sequence[Programme]) -> Side:
    """One column from what was typed: a run, or runs joined by `TOGETHER`.

    Raises
    ------
    UsageError : no such run, or runs of one programme taken together.
    """
    folders = [Path(word)] if Path(word).is_dir() else [Path(part) for part in word.split(TOGETHER)]
    if len(folders) == 1 and is_city_run(folders[0]):
        return _joint(read_city_run(folders[0], programmes), word)
    if any(is_city_run(folder) for folder in folders):
        raise UsageError(f"{word}: a joint plan has all its programmes already; {TOGETHER} joins other runs")
    return together([read_run(folder, programmes) for folder in folders], word)


def _joint(run: StoredCity, name: str) -> Side:
    return Side(
        name=name,
        parts=run.parts,
        goal=tuple(run.summary["goal"]),
        question=("joint", str(run.manifest.get("fingerprint"))),
        objective=float(run.summary["objective"]),
        bound=run.summary["bound"],
        city=run.summary,
        joint=True,
    )


def fixed_shares(word: str, programmes: Sequence[Programme]) -> Side:
    """The plan on today's fixed shares that a joint run holds beside its own."""
    run = read_city_run(Path(word), programmes, silos=True)
    told = run.summary["silos"]
    return Side(
        name=f"{word} {_ON_FIXED_SHARES}",
        parts=run.parts,
        goal=tuple(run.summary["goal"]),
        question=("fixed shares", str(run.manifest.get("fingerprint"))),
        objective=float(told["objective"]),
        bound=told["bound"],
        city=told,
        joint=True,
        remarks=(f"the best plan found {_ON_FIXED_SHARES}",),
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
