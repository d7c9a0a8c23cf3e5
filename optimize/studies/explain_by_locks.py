"""Explanations for programmes whose arrays hold no plans: solved again with a lock in the locks table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimize.errors import UsageError
from optimize.programme import SolveOptions
from optimize.result import Relaxation, StopReason
from optimize.revision import FROZEN_STATES
from optimize.schema import InstanceData
from optimize.solve import solve
from optimize.studies.explain import RANKING, Explanation, Question, unknown_words
from optimize.studies.stored_runs import StoredRun


@dataclass(frozen=True)
class LockedAnswer:
    """What solving with a lock said; ``value`` of a checked plan (None: none)."""

    stop: StopReason
    value: float | None
    bound: float | None
    relaxations: tuple[Relaxation, ...]


class LockExplainer:
    """Answers about the works of one run; each is a solve of its own.

    Parameters
    ----------
    solve_locked : solves with the programme's data so locked; by default the programme alone.
    """

    kind = "project"

    def __init__(
        self,
        run: StoredRun,
        data: InstanceData,
        options: SolveOptions,
        solve_locked: Callable[[InstanceData, SolveOptions], LockedAnswer] | None = None,
    ) -> None:
        self.run, self.data = run, data
        self.options = dataclasses.replace(options, goal=tuple(run.summary["goal"]))
        self._solve = solve_locked or self._solve_alone
        self._sign = 1.0 if run.summary["maximise"] else -1.0
        self._rows = {
            str(name): (table, position)
            for table, key in run.programme.lockable
            for position, name in enumerate(data.tables[table][key])
        }
        # The id of a work begins with that of the plant, corridor or user it is done at.
        self._built = {n: works for n, works in _built_at(run.projects).items() if n in self._rows}

    def find(self, names: Sequence[str]) -> list[str]:
        """The names themselves; raises UsageError with the nearest ids for each that is unknown."""
        unknown = [name for name in names if name not in self._rows]
        if unknown:
            raise UsageError(unknown_words(unknown, self.known, self.kind))
        return list(names)

    @property
    def known(self) -> list[str]:
        """The ids there are."""
        return list(self._rows)

    def rank(self) -> pd.DataFrame:
        """The plan's works by CAPEX: there are no shadow prices; columns as those of `Explainer.rank`."""
        frame = pd.DataFrame(
            [
                (name, *self._about(name), " | ".join(works["decision"]), works["capex_cny"].sum())
                for name, works in self._built.items()
            ],
            columns=RANKING[:-1],
        ).assign(**{RANKING[-1]: float("nan")})
        return frame.sort_values("capex_cny", ascending=False, kind="stable", ignore_index=True)

    def explain(self, name: str) -> Explanation:
        """What is lost without a work of the plan, or what one left out would cost."""
        chosen = name in self._built
        question: Question = "without" if chosen else "with"
        shown, district = self._about(name)
        plain = Explanation(
            id=name,
            name=shown,
            district=district,
            chosen=chosen,
            decision=" | ".join(self._built[name]["decision"]) if chosen else "",
            question=question,
        )
        locks = self.data.tables["locks"]
        deciding = locks.loc[
            (locks["id"] == name) & locks["kind"].isin(("force_in", "force_out", "fix")), "kind"
        ]
        if len(deciding):
            return dataclasses.replace(
                plain, question=None, forbidden=f"a lock ({deciding.iloc[0]}) decides it"
            )
        contract = self._contract_on(name)
        if contract:
            return dataclasses.replace(plain, question=None, forbidden=f"it stays: {contract}")
        locked = self._with_lock("force_out" if chosen else "force_in", name)
        faults = self.run.programme.find_faults(locked)
        if faults:
            return dataclasses.replace(plain, question=None, forbidden=str(faults[0]))
        answer = self._solve(locked, self.options)
        if answer.stop is StopReason.INFEASIBLE:
            return dataclasses.replace(plain, impossible=True, relaxations=answer.relaxations)
        return dataclasses.replace(plain, **self._interval(answer.value, answer.bound))

    def _solve_alone(self, data: InstanceData, options: SolveOptions) -> LockedAnswer:
        solved = solve(self.run.programme, data, options)
        result, passed = solved.result, solved.check is not None and solved.check.passed
        return LockedAnswer(
            result.stop, result.objective if passed else None, result.bound, result.relaxations
        )

    def _interval(self, value: float | None, bound: float | None) -> dict[str, Any]:
        plan, best = float(self.run.summary["objective"]), self.run.summary["bound"]
        room = 1e-9 * max(1.0, abs(plan))

        def worse(one: float, other: float) -> float:
            difference = self._sign * (one - other)
            return 0.0 if abs(difference) <= room else difference

        # A plan with a lock is one without it too.
        known = plan if value is None else self._sign * max(self._sign * plan, self._sign * value)
        low = None if bound is None else max(worse(known, bound), 0.0)
        high = None if value is None or best is None else max(worse(best, value), low or 0.0)
        loss = None if value is None else worse(known, value)
        return {"loss": loss, "low": low, "high": high, "better_by": worse(known, plan)}

    def _about(self, name: str) -> tuple[str, str]:
        table, position = self._rows[name]
        row = self.data.tables[table].iloc[position]
        return str(row.get("name_en") or row.get("name_zh") or ""), str(row.get("district", ""))

    def _contract_on(self, name: str) -> str:
        """Which of its works is contracted, in words; "" where none is."""
        plan = self.data.tables["plan_in_force"]
        tables = {table.name: table for table in self.run.programme.project_tables}
        for row in plan[plan["state"].isin(FROZEN_STATES)].itertuples(index=False):
            own = tables[str(row.table)].lock_name(str(row.project))
            if name in (own, own.rpartition(":")[0]):
                return f"{row.project} is {str(row.state).replace('_', ' ')}"
        return ""

    def _with_lock(self, kind: str, name: str) -> InstanceData:
        locks = self.data.tables["locks"]
        row = dict.fromkeys(locks.columns, "") | {"kind": kind, "id": name, "year": 0}
        tables = dict(self.data.tables) | {
            "locks": pd.concat([locks, pd.DataFrame([row])], ignore_index=True)
        }
        return dataclasses.replace(self.data, tables=tables)


def _built_at(projects: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Works by the id a lock names them by."""
    head = np.array(
        [
            name.split(":")[-1 if kind == "other works" else 0]
            for kind, name in zip(projects["kind"], projects["id"], strict=True)
        ],
        dtype=object,
    )
    return {str(name): works for name, works in projects.groupby(head, sort=False)}
