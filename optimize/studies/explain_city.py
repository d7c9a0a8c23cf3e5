"""Explanations of a joint plan: every project under the shared budgets.

Centres and PV sites are answered on the city's arrays; the works of the network, which stand there without
names, by solving the whole city again with a lock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from optimize.city.instance import WATER, City
from optimize.city.solve import solve_city
from optimize.errors import UsageError
from optimize.programme import Programme, SolveOptions
from optimize.schema import InstanceData
from optimize.studies.city_model import load_city_model, load_city_of
from optimize.studies.explain import Explainer, Explanation, unknown_words
from optimize.studies.explain_by_locks import LockedAnswer, LockExplainer
from optimize.studies.stored_runs import StoredCity

Explainers = Explainer | LockExplainer


class CityExplainer:
    """Answers about the projects of a joint run; an id of several programmes is called ``programme/ID``."""

    def __init__(
        self, run: StoredCity, programmes: Sequence[Programme], instance: Path | None, options: SolveOptions
    ) -> None:
        self._city = load_city_of(run, programmes, instance)
        self._run, self._options = run, options
        found: list[Explainers] = []
        model = load_city_model(run, self._city, options)
        if model is not None:
            found.append(Explainer(model, options))
        if WATER in self._city.names:
            found.append(self._of_network())
        self._explainers = found
        self._named: dict[str, tuple[Explainers, str]] = {}
        for own in found:
            for name in own.known:
                free = name not in self._named
                self._named[name if free else f"{WATER}/{name}"] = (own, name)

    def find(self, names: Sequence[str]) -> list[str]:
        """The names themselves; raises UsageError with the nearest ids for each that is unknown."""
        unknown = [name for name in names if name not in self._named]
        if unknown:
            raise UsageError(unknown_words(unknown, list(self._named), "project"))
        return list(names)

    def explain(self, name: str) -> Explanation:
        """Everything about one project, the city solved again for it."""
        explainer, own = self._named[name]
        (project,) = explainer.find([own])
        return explainer.explain(project)  # type: ignore[arg-type]

    def rank(self) -> pd.DataFrame:
        """The plan's projects: those with a value at the shadow prices first, then works by CAPEX."""
        called = {(id(own), name): word for word, (own, name) in self._named.items()}
        frames = []
        for own in self._explainers:
            frame = own.rank()
            frames.append(frame.assign(id=[called[id(own), name] for name in frame["id"]]))
        return pd.concat(frames, ignore_index=True)

    def _of_network(self) -> LockExplainer:
        run = next(part for part in self._run.parts if part.programme.name == WATER)
        told = {key: self._run.summary[key] for key in ("objective", "bound")}
        run = dataclasses.replace(run, summary={**run.summary, **told})
        return LockExplainer(run, self._city.part(WATER).data, self._options, self._solve_locked)

    def _solve_locked(self, data: InstanceData, options: SolveOptions) -> LockedAnswer:
        solved = solve_city(_with_data(self._city, data), options)
        result, passed = solved.result, solved.check is not None and solved.check.report.passed
        return LockedAnswer(
            result.stop, result.objective if passed else None, result.bound, result.relaxations
        )


def _with_data(city: City, data: InstanceData) -> City:
    """The city with other data of one programme."""
    parts = tuple(
        dataclasses.replace(part, data=data) if part.programme.name == data.programme else part
        for part in city.parts
    )
    return dataclasses.replace(city, parts=parts)
