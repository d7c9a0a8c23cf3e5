"""Why a project is in a plan or not, in sentences, from what ``optimize explain --json`` told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimize.i18n.catalogue import N_
from optimize.i18n.words import Words
from optimize.publish.explanations import why
from optimize.publish.facts import RunFacts
from optimize.publish.telling import goal_amount

_SHOWN_CHANGES = 8


def told(record: Mapping[str, Any], facts: RunFacts, words: Words) -> list[str]:
    """Whether it is in the plan, what comes of changing that, how sure it is, and what else would change."""
    where = words.text("It is in the plan.") if record["chosen"] else words.text("It is not in the plan.")
    sentences = why(record, str(facts.summary["goal_unit"]), words)
    return [where, *sentences, *_proven(record, facts, words), *_changes(record, words)]


def _proven(record: Mapping[str, Any], facts: RunFacts, words: Words) -> list[str]:
    low, high = record.get("low"), record.get("high")
    if low is None or high is None or record.get("impossible") or record.get("indistinguishable"):
        return []
    if low == high:
        return [words.text("That is proven.")]
    return [
        words.text(
            "Proven: the best plans with and without it differ by {low} to {high}.",
            low=goal_amount(facts.summary, low, words),
            high=goal_amount(facts.summary, high, words),
        )
    ]


def _changes(record: Mapping[str, Any], words: Words) -> list[str]:
    """What else would come and go."""
    sentences = []
    for key, text in (
        ("enters", N_("Then these would come in: {names}.")),
        ("leaves", N_("Then these would drop out: {names}.")),
    ):
        names = list(record.get(key, ()))
        if names:
            shown = words.listed(names[:_SHOWN_CHANGES]) + (" …" if len(names) > _SHOWN_CHANGES else "")
            sentences.append(words.text(text, names=shown))
    return sentences


def asked_id(facts: RunFacts, project: str) -> str:
    """How ``optimize explain`` calls a project of a plan: of works that are listed by quality or year, the whole.

    Parameters
    ----------
    project : id of the plan's list (``P:cooling``), or any id of the instance.
    """
    listed = any((part.projects["id"] == project).any() for part in facts.parts)
    return project.partition(":")[0] if listed and ":" in project else project
