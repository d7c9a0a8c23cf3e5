"""Revising a plan that is under way: how far its projects are, which of them stand, what a change counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

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


def revision_words(plan_in_force: pd.DataFrame, changes: pd.DataFrame) -> str:
    """What has become of the plan in force, in a line for a person.

    Parameters
    ----------
    changes : a row a changed project, with ``change`` (kinds joined by ``+``) and ``forced``.
    """
    contracted = int(plan_in_force["state"].isin(FROZEN_STATES).sum())
    first = changes.loc[~changes["forced"], "change"].str.split("+").str[0]
    kinds = [f"{number} {kind}" for kind in CHANGES if (number := int((first == kind).sum()))]
    words = f"of {len(plan_in_force)} projects in force {contracted} contracted, {len(first)} changes"
    words += f" ({', '.join(kinds)})" if kinds else ""
    forced = int(changes["forced"].sum())
    return f"{words}, {forced} forced" if forced else words
