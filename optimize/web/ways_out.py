"""What would have to give way where no plan is possible, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optimize.i18n.words import Words
from optimize.publish.explanations import row_name


def ways_out(
    relaxations: Sequence[Sequence[Mapping[str, Any]]], words: Words, district: Callable[[str, Words], str]
) -> list[list[str]]:
    """Of each way out, the budgets and targets that give way and by how much; each way suffices alone."""
    return [[_row(row, words, district) for row in way] for way in relaxations]


def _row(row: Mapping[str, Any], words: Words, district: Callable[[str, Words], str]) -> str:
    unit = str(row["unit"])
    return words.text(
        "{what}: {needed} instead of {required}",
        what=row_name(f"{row['clause']} {row.get('where', '')}".strip(), words, district),
        needed=words.amount(row["required"] + row["change"], unit),
        required=words.amount(row["required"], unit),
    )
