"""What would have to give way where no plan is possible, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimize.clauses import CLAUSES
from optimize.i18n.words import Words


def ways_out(relaxations: Sequence[Sequence[Mapping[str, Any]]], words: Words) -> list[list[str]]:
    """Of each way out, the budgets and targets that give way and by how much; each way suffices alone."""
    return [[_row(row, words) for row in way] for way in relaxations]


def _row(row: Mapping[str, Any], words: Words) -> str:
    unit = str(row["unit"])
    return words.text(
        "{what}: {needed} instead of {required}",
        what=_name(row, words),
        needed=words.amount(row["required"] + row["change"], unit),
        required=words.amount(row["required"], unit),
    )


def _name(row: Mapping[str, Any], words: Words) -> str:
    clause = CLAUSES.get(row["clause"])
    name = str(row["clause"]) if clause is None else f"{row['clause']} {words.either(clause.zh, clause.en)}"
    return f"{name} {row.get('where', '')}".strip()
