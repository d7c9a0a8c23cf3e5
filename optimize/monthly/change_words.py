"""The words of a change report, from the one catalogue, and how it writes money and figures."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

from optimize.i18n.catalogue import N_, Language
from optimize.i18n.words import Words
from optimize.monthly.stability import Planned

# The text of each key; those of groups of inputs and of kinds of changes are looked up by their names.
_TEXTS: Mapping[str, str] = {
    "title": N_("Change of the plan"),
    "was": N_("was"),
    "nothing": N_("No project changed"),
    "no_choice": N_("without a choice"),
    "why": N_("Why"),
    "group": N_("Input changes"),
    "effect": N_("Effect on the goal"),
    "num_differences": N_("Differences"),
    "num_put_down": N_("Projects put down to it"),
    "no plan found": N_("without it no plan was found in time"),
    "examples": N_("For example"),
    "projects": N_("Projects"),
    "project": N_("Project id"),
    "name": N_("Name"),
    "programme": N_("Programme"),
    "district": N_("District"),
    "what": N_("Change"),
    "before": N_("Before"),
    "after": N_("Now"),
    "capex_before": N_("CAPEX before"),
    "capex_after": N_("CAPEX now"),
    "because": N_("Because of"),
    "forced": N_("no choice"),
    "withdrawn": N_("the tables leave no other way"),
    "contracted": N_("contracted"),
    "on_site": N_("under works"),
    "accepted": N_("accepted"),
    "cancelled": N_("cancelled"),
    "failed": N_("failed"),
    "delayed": N_("delayed to"),
    "together": N_("several together, or open within the gap"),
    "stability": N_("Stability"),
    "held": N_("this plan"),
    "free": N_("plan without any hold"),
    "changes": N_("Number of changes"),
    "price": N_("price of stability"),
    "no_price": N_("not known: no plan without any hold was found in time"),
    "at_least": N_("at least"),
    "at_most": N_("at most"),
    "curve": N_("Value against number of changes by choice"),
    "best_possible": N_("none is better than"),
    "penalty": N_("each change has to be worth"),
    "most": N_("at most so many changes"),
    "added": N_("added"),
    "dropped": N_("dropped"),
    "moved": N_("moved"),
    "resized": N_("done otherwise"),
    "refunded": N_("paid otherwise"),
    "prices": N_("prices"),
    "costs": N_("costs"),
    "budgets": N_("budgets"),
    "targets": N_("targets"),
    "candidates": N_("candidates"),
    "measurements": N_("measurements"),
    "ledger": N_("ledger and locks"),
    "other": N_("other"),
}


@functools.cache
def words_of(language: Language) -> Mapping[str, str]:
    """Every text by its key."""
    words = Words(language)
    return {key: words.text(text) for key, text in _TEXTS.items()}


def num_changed(number: int, language: Language) -> str:
    """So many projects changed."""
    return Words(language).plural("{n} project changed", "{n} projects changed", number)


def num_changes(number: float, language: Language) -> str:
    """So many changes; a change may count more or less than one."""
    return Words(language).plural("{n} change", "{n} changes", number)


def num_changes_of(planned: Planned, language: Language) -> str:
    """So many changes, and how many of them had no choice."""
    told = f" ({planned.forced} {words_of(language)['no_choice']})" if planned.forced else ""
    return num_changes(planned.changes, language) + told


def num_differences(number: int, language: Language) -> str:
    """So many differences of inputs."""
    return Words(language).plural("{n} difference", "{n} differences", number)


def num_put_down(number: int, language: Language) -> str:
    """So many changed projects put down to a group of inputs."""
    return Words(language).plural("{n} project put down to it", "{n} projects put down to it", number)


def figure(value: float | None, unit: str, language: Language, *, signed: bool = False) -> str:
    """A figure with its unit, as every report writes it; what is not known is a dash."""
    if value is None or math.isnan(value):
        return "—"
    return Words(language).amount(value, unit, signed=signed)
