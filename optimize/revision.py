"""Revising a plan that is under way: how far its projects are, which of them stand, what a change counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.clauses import REVISE, ClauseTarget
from optimize.errors import Fault

STATES = ("proposed", "budgeted", "tendered", "contracted", "on_site", "accepted")
# From here on a project is a fact: it stays as it is, at what it costs in fact.
FROZEN_STATES = ("contracted", "on_site", "accepted")
# A change of several kinds counts once, as the one of most weight.
CHANGES = ("added", "dropped", "resized", "moved", "refunded")


@dataclass(frozen=True)
class ChangeWeights:
    """What a change counts, by its kind (CHANGES): parameters ``revision.weight_...``."""

    added: float = 1.0
    dropped: float = 1.0
    resized: float = 1.0
    moved: float = 1.0
    refunded: float = 1.0

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> ChangeWeights:
        return cls(**{kind: float(parameters[f"revision.weight_{kind}"]) for kind in CHANGES})


@dataclass(frozen=True)
class Decision:
    """Columns that say what is decided of a project: ``what`` is built, ``when``, and who ``pays``."""

    id: str
    what: tuple[str, ...]
    when: tuple[str, ...]
    pays: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        return [*self.what, *self.when, *self.pays]


def find_revision_faults(
    programme: str, parameters: Mapping[str, Any], targets: Mapping[str, ClauseTarget]
) -> Iterator[Fault]:
    """What no programme can be revised by: a first open year beyond the plan, a deadline for changes."""
    behind = int(parameters["base_year"]) + int(parameters["num_years"])
    opened = int(parameters["revision.first_open_year"])
    if opened > behind:
        expected = f"at most {behind}, when no year of the plan is open"
        yield Fault("instance.toml", "revision.first_open_year", expected, str(opened))
    yield from find_deadline_faults(programme, targets)


def find_deadline_faults(programme: str, targets: Mapping[str, ClauseTarget]) -> Iterator[Fault]:
    """A deadline for the changes of a programme, or of the city."""
    if REVISE in targets and targets[REVISE].deadline_year is not None:
        key = f"{programme}.clauses.{REVISE}.deadline_year"
        found = str(targets[REVISE].deadline_year)
        yield Fault("instance.toml", key, "none: changes are counted at once", found, "remove it")


def find_changes(
    before: pd.DataFrame,
    after: pd.DataFrame,
    decision: Decision,
    weights: ChangeWeights,
    can_stay: Callable[[Sequence[str]], NDArray[np.bool_]],
    years_to_payment: int,
    discount_rate: float,
) -> pd.DataFrame:
    """What the projects ``after`` change of the plan in force ``before``, one row a changed project.

    Parameters
    ----------
    can_stay : whether projects in force, by their ids, could be decided as they are; asked of changed ones.
    years_to_payment : from the base year to when cancellations are paid.

    Returns
    -------
    the id; ``change``, its kinds joined by ``+``; ``forced``: it could not stay, and so does not count;
    ``weight``, what it counts; ``cancellation_cost_cny``, present value; each decision ``_before``, ``_after``.
    """
    both = before.merge(
        after[[decision.id, *decision.columns]],
        on=decision.id, how="outer", suffixes=("_before", "_after"), indicator=True,
    )  # fmt: skip
    added, dropped = both["_merge"] == "right_only", both["_merge"] == "left_only"

    def differ(columns: Sequence[str]) -> pd.Series:
        found = pd.Series(False, index=both.index)
        for name in columns:
            found |= both[f"{name}_before"] != both[f"{name}_after"]
        return found & ~added & ~dropped

    kinds = {
        "added": added,
        "dropped": dropped,
        "resized": differ(decision.what),
        "moved": differ(decision.when),
        "refunded": differ(decision.pays),
    }
    changed = pd.concat(kinds, axis=1).any(axis=1)
    both = both[changed]
    is_kind = {kind: flag[changed].to_numpy(np.bool_) for kind, flag in kinds.items()}
    unfrozen = ~is_kind["added"] & ~both["state"].isin(FROZEN_STATES).to_numpy(np.bool_)
    forced = np.zeros(len(both), dtype=np.bool_)
    if unfrozen.any():  # a plan that is kept need not be counted anew
        forced[unfrozen] = ~can_stay(list(both[decision.id][unfrozen]))
    weight = np.max([getattr(weights, kind) * is_kind[kind] for kind in CHANGES], axis=0)
    lost = unfrozen & (is_kind["dropped"] | is_kind["resized"])
    owed = both["cancellation_cost_cny"].to_numpy(np.float64) * (1.0 + discount_rate) ** -years_to_payment
    found = {
        decision.id: both[decision.id],
        "change": ["+".join(kind for kind in CHANGES if is_kind[kind][row]) for row in range(len(both))],
        "forced": forced,
        "weight": np.where(forced, 0.0, weight),
        "cancellation_cost_cny": np.where(lost, owed, 0.0),
        **{
            f"{name}_{side}": both[f"{name}_{side}"]
            for side in ("before", "after")
            for name in decision.columns
        },
    }
    # what is in one of the plans only has no year in the other, which would make the others fractions
    years = {f"{name}_{side}": "Int64" for name in decision.when for side in ("before", "after")}
    return pd.DataFrame(found).astype(years).reset_index(drop=True)


def contracted_ids(tables: Mapping[str, pd.DataFrame], id: str) -> Mapping[str, str]:
    """State of each project that stays as it is, by its id; nothing where there is no plan in force."""
    plan = tables.get("plan_in_force")
    if plan is None or plan.empty:
        return {}
    frozen = plan[plan["state"].isin(FROZEN_STATES)]
    return dict(zip(frozen[id], frozen["state"], strict=True))


def change_figures(changes: pd.DataFrame) -> dict[str, float]:
    """Changes as they count, those that were forced, and what is owed for cancelled projects."""
    return {
        "changes": float(changes["weight"].sum()),
        "forced_changes": float(changes["forced"].sum()),
        "cancellation_cost": float(changes["cancellation_cost_cny"].sum()),
    }


def revision_words(plan_in_force: pd.DataFrame, changes: pd.DataFrame) -> str:
    """What has become of the plan in force, in a line for a person.

    Parameters
    ----------
    changes : a row a changed project, with ``change`` (kinds joined by ``+``) and ``forced``.
    """
    contracted = int(plan_in_force["state"].isin(FROZEN_STATES).sum())
    first = changes.loc[~changes["forced"], "change"].astype(str).str.split("+").str[0]
    kinds = [f"{number} {kind}" for kind in CHANGES if (number := int((first == kind).sum()))]
    words = f"of {len(plan_in_force)} projects in force {contracted} contracted, {len(first)} changes"
    words += f" ({', '.join(kinds)})" if kinds else ""
    forced = int(changes["forced"].sum())
    return f"{words}, {forced} forced" if forced else words
