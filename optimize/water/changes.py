"""(W14) What building each investment in each stage changes of the plan in force, and what cancellations cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from optimize.finance import discount_factor
from optimize.water.in_force import BoolArray, FloatArray, IntArray, PlanInForce, Work
from optimize.water.instance import Instance

NO_STAGE = -1


@dataclass(frozen=True)
class KindChanges:
    """Investments of one kind that belong to a project in force; m of them, S stages.

    Attributes
    ----------
    rows : (m,) rows of the kind, ascending.
    weight, owed_cny : (m, S) what starting in a stage adds to changes and to cancellation costs, beside what
        they are where nothing is built.
    own_stage : (m,) stage of the one that is in force, `NO_STAGE` of its alternatives.
    frozen : (m,) contracted or later.
    """

    rows: IntArray
    weight: FloatArray
    owed_cny: FloatArray
    own_stage: IntArray
    frozen: BoolArray


@dataclass(frozen=True)
class Revision:
    """Changes and cancellation costs as ``constant + sum of what starting each investment adds``.

    Attributes
    ----------
    num_stages : S.
    first_open : stage before which nothing starts but what is in force, as it is there; S: none is open.
    weight_added : of an investment of no project in force.
    weight_of_nothing, owed_for_nothing_cny : by kind of the investments in force.
    is_empty : there is no plan in force.
    """

    num_stages: int
    first_open: int
    weight_added: float
    kinds: Mapping[str, KindChanges] = field(default_factory=dict)
    weight_of_nothing: Mapping[str, float] = field(default_factory=dict)
    owed_for_nothing_cny: Mapping[str, float] = field(default_factory=dict)
    uncounted: frozenset[str] = frozenset()
    is_empty: bool = True

    @property
    def has_cancellations(self) -> bool:
        return any(self.owed_for_nothing_cny.values())

    def total_weight(self, besides: Iterable[str] = ()) -> float:
        """Changes where nothing is built, without those of some kinds."""
        return float(sum(w for kind, w in self.weight_of_nothing.items() if kind not in besides))

    def total_owed_cny(self, besides: Iterable[str] = ()) -> float:
        """Present value of cancellation costs where nothing is built, without those of some kinds."""
        return float(sum(cny for kind, cny in self.owed_for_nothing_cny.items() if kind not in besides))

    def weights(self, kind: str, rows: IntArray) -> FloatArray:
        """What starting investments of a kind adds to the changes, (S, len(rows))."""
        added = 0.0 if kind in self.uncounted else self.weight_added
        return self._spread(kind, rows, added, lambda own: own.weight)

    def owed_cny(self, kind: str, rows: IntArray) -> FloatArray:
        """What starting them adds to the cancellation costs (it is not positive), (S, len(rows))."""
        return self._spread(kind, rows, 0.0, lambda own: own.owed_cny)

    def may_start(self, kind: str, rows: IntArray) -> BoolArray:
        """Stages in which they may start, (S, len(rows))."""
        may = np.broadcast_to(
            np.arange(self.num_stages)[:, None] >= self.first_open, (self.num_stages, len(rows))
        ).copy()
        place, found = self._places(kind, rows)
        if found.any():
            own = self.kinds[kind].own_stage[place[found]]
            at = np.flatnonzero(found)[own != NO_STAGE]
            may[own[own != NO_STAGE], at] = True
        return may

    def frozen_stage(self, kind: str, rows: IntArray) -> IntArray:
        """Stage in which they stand by contract, `NO_STAGE` where there is none, (len(rows),)."""
        stage = np.full(len(rows), NO_STAGE, dtype=np.int64)
        place, found = self._places(kind, rows)
        if found.any():
            own = self.kinds[kind]
            stage[found] = np.where(own.frozen[place[found]], own.own_stage[place[found]], NO_STAGE)
        return stage

    def own_stage(self, kind: str, rows: IntArray) -> IntArray:
        """Stage in which they are in force and can stay, `NO_STAGE` of all others, (len(rows),)."""
        stage = np.full(len(rows), NO_STAGE, dtype=np.int64)
        place, found = self._places(kind, rows)
        if found.any():
            stage[found] = self.kinds[kind].own_stage[place[found]]
        return stage

    def in_force(self, kind: str, rows: IntArray) -> BoolArray:
        """Investments that are in force and can stay, (len(rows),)."""
        return np.asarray(self.own_stage(kind, rows) != NO_STAGE)

    def without(self, kind: str) -> Revision:
        """The same where changes of one kind are not counted: no more than they are."""
        return replace(
            self,
            kinds={name: own for name, own in self.kinds.items() if name != kind},
            weight_of_nothing={name: w for name, w in self.weight_of_nothing.items() if name != kind},
            owed_for_nothing_cny={name: c for name, c in self.owed_for_nothing_cny.items() if name != kind},
            uncounted=self.uncounted | {kind},
        )

    def owing(self, what: str, cost_cny: float) -> Revision:
        """The same with something else that is owed whatever is built."""
        return replace(self, owed_for_nothing_cny={**self.owed_for_nothing_cny, what: cost_cny})

    def without_plan(self) -> Revision:
        """No plan in force, every stage open."""
        return Revision(self.num_stages, 0, self.weight_added)

    def in_one_stage(self) -> Revision:
        """Of a single stage that stands for all: each counts as where it counts least."""

        def least(own: KindChanges) -> KindChanges:
            return replace(
                own,
                weight=own.weight.min(axis=1, keepdims=True),
                owed_cny=own.owed_cny.min(axis=1, keepdims=True),
                own_stage=np.minimum(own.own_stage, 0),
            )

        return replace(
            self,
            num_stages=1,
            first_open=int(self.first_open >= self.num_stages),
            kinds={kind: least(own) for kind, own in self.kinds.items()},
        )

    def count(self, started: Mapping[str, tuple[IntArray, IntArray]]) -> tuple[float, float]:
        """Changes and cancellation costs (CNY) of a plan.

        Parameters
        ----------
        started : by kind, rows of what is built, and the stage in which it is.
        """
        weight, owed = self.total_weight(), self.total_owed_cny()
        for kind, (rows, stage) in started.items():
            at = (stage, np.arange(len(rows)))
            weight += float(self.weights(kind, rows)[at].sum())
            owed += float(self.owed_cny(kind, rows)[at].sum())
        return weight, owed

    def _places(self, kind: str, rows: IntArray) -> tuple[IntArray, BoolArray]:
        """Position of each row among those of projects in force, and whether it is one."""
        if kind not in self.kinds:
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        known = self.kinds[kind].rows
        place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
        return place, np.asarray(known[place] == rows)

    def _spread(self, kind: str, rows: IntArray, otherwise: float, of) -> FloatArray:  # type: ignore[no-untyped-def]
        spread = np.full((self.num_stages, len(rows)), otherwise)
        place, found = self._places(kind, rows)
        if found.any():
            spread[:, found] = of(self.kinds[kind])[place[found]].T
        return spread


def derive_revision(instance: Instance, plan: PlanInForce) -> Revision:
    """What building changes of ``plan``.

    A project in force that cannot stay has to change: what becomes of it is counted by nothing.  Its
    cancellation costs are owed all the same.
    """
    p, weights = instance.parameters, instance.change_weights
    stages = p.num_years if p.phased else 1
    opened = min(max(p.first_open_year - p.base_year, 0), p.num_years)
    first_open = opened if p.phased else int(opened >= p.num_years)
    factor = float(discount_factor(p.discount_rate, max(p.first_open_year - p.base_year, 0)))
    found: dict[str, dict[int, tuple[FloatArray, FloatArray, int, bool]]] = {}
    of_nothing: dict[str, float] = {}
    owed_for_nothing: dict[str, float] = {}
    for j, project in enumerate(plan.projects):
        work, stage, frozen = plan.works[j], int(plan.stage[j]), bool(plan.frozen[j])
        counted = bool(plan.can_stay[j]) and not frozen
        owed = float(plan.cancellation_cny[j]) * factor
        kind = _kind_of(project[0], work)
        of_nothing[kind] = of_nothing.get(kind, 0.0) + (weights.dropped if counted else 0.0)
        owed_for_nothing[kind] = owed_for_nothing.get(kind, 0.0) + owed
        if project[1] < 0:
            continue
        for other, row in plan.places.works_of(project):
            same = (other, row) == work
            changed = np.full(stages, 0.0 if same else weights.resized)
            moved = np.arange(stages) != stage
            changed[moved] = np.maximum(changed[moved], weights.moved)
            found.setdefault(other, {})[row] = (
                changed - weights.dropped if counted else np.zeros(stages),
                np.full(stages, -owed if same else 0.0),
                stage if same and (plan.can_stay[j] or frozen) else NO_STAGE,
                frozen and same,
            )
    return Revision(
        num_stages=stages,
        first_open=first_open,
        weight_added=weights.added,
        kinds={kind: _as_arrays(own) for kind, own in found.items()},
        weight_of_nothing=of_nothing,
        owed_for_nothing_cny=owed_for_nothing,
        is_empty=not len(plan.projects),
    )


def _kind_of(table: str, work: Work | None) -> str:
    """Kind under which a project in force is counted; of one that is gone, that of its table."""
    if work is not None:
        return work[0]
    return {"plants": "module", "pipes": "pipe", "users": "connection"}.get(table, table)


def _as_arrays(own: Mapping[int, tuple[FloatArray, FloatArray, int, bool]]) -> KindChanges:
    rows = sorted(own)
    return KindChanges(
        rows=np.array(rows, dtype=np.int64),
        weight=np.stack([own[row][0] for row in rows]),
        owed_cny=np.stack([own[row][1] for row in rows]),
        own_stage=np.array([own[row][2] for row in rows], dtype=np.int64),
        frozen=np.array([own[row][3] for row in rows], dtype=np.bool_),
    )
