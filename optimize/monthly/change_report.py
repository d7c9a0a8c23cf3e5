"""The explained change of a period as plain data and in words, Chinese and English."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimize.i18n.catalogue import Language
from optimize.monthly.attribution import ChangeExplained, GroupEffect, ProjectChange
from optimize.monthly.change_words import (
    figure,
    num_changed,
    num_changes,
    num_changes_of,
    num_differences,
    num_put_down,
    words_of,
)
from optimize.monthly.events import ENDS
from optimize.monthly.ledger_states import FROZEN
from optimize.monthly.stability import Stability
from optimize.programme import Goal, Programme
from optimize.registry import PROGRAMMES

# Where several programmes know a goal it is the same one.
KNOWN_GOALS: Mapping[str, Goal] = {goal.name: goal for known in PROGRAMMES for goal in known.goals}
KINDS = ("added", "dropped", "moved", "resized", "refunded")
_LISTED = 40


@dataclass(frozen=True)
class Report:
    """All that is told of a period's change.

    Attributes
    ----------
    stability : None where the price of stability was not asked for, or is not known.
    unpriced : it was asked for and is not known.
    """

    change: ChangeExplained
    stability: Stability | None = None
    unpriced: bool = False


# --- plain data -------------------------------------------------------------------------------------


def change_json(report: Report) -> dict[str, Any]:
    """Everything as JSON-able data; what is not known is null."""
    content: dict[str, Any] = _plain(dataclasses.asdict(report.change))
    content["counts"] = {kind: report.change.count(kind) for kind in KINDS}
    content["stability"] = None
    if report.stability is not None:
        low, high = report.stability.price
        told = dataclasses.asdict(report.stability) | {"price_at_least": low, "price_at_most": high}
        content["stability"] = _plain(told)
    return content


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- text -------------------------------------------------------------------------------------------


def headline(change: ChangeExplained, language: Language) -> str:
    """The periods, the objective now and then."""
    name = goal_name(change, language)
    gain = figure(change.objective - change.objective_before, change.goal_unit, language, signed=True)
    now, was = (figure(v, change.goal_unit, language) for v in (change.objective, change.objective_before))
    return (
        f"{change.period_before} → {change.period} · {name} {now} ({words_of(language)['was']} {was}, {gain})"
    )


def goal_name(change: ChangeExplained, language: Language) -> str:
    """The goal in words."""
    goal = KNOWN_GOALS.get(change.goal)
    return change.goal if goal is None else (goal.zh if language == "zh" else goal.en)


def counted(change: ChangeExplained, language: Language) -> str:
    """How many projects changed, by kind."""
    words = words_of(language)
    if not change.projects:
        return words["nothing"]
    kinds = [f"{change.count(kind)} {words[kind]}" for kind in KINDS if change.count(kind)]
    forced = sum(project.forced for project in change.projects)
    told = f" ({forced} {words['no_choice']})" if forced else ""
    return f"{num_changed(len(change.projects), language)}: {', '.join(kinds)}{told}"


def change_lines(report: Report, language: Language) -> list[str]:
    """The report for a terminal."""
    change, words = report.change, words_of(language)
    lines = [headline(change, language), f"  {counted(change, language)}"]
    if change.groups:
        lines += [f"  {words['why']}", *(f"    {line}" for line in _group_lines(change, language))]
    if change.projects:
        lines += [f"  {words['projects']}"]
        lines += [f"    {project_line(project, language)}" for project in change.projects[:_LISTED]]
        more = len(change.projects) - _LISTED
        lines += [f"    … {more}"] * (more > 0)
    if report.stability is not None:
        lines += [
            f"  {words['stability']}",
            *(f"    {line}" for line in stability_lines(report.stability, language)),
        ]
    elif report.unpriced:
        lines += [f"  {words['stability']}", f"    {words['price']}: {words['no_price']}"]
    return lines


def _group_lines(change: ChangeExplained, language: Language) -> list[str]:
    words = words_of(language)
    lines = []
    for group in change.groups:
        told = [f"{words[group.group]}: {num_differences(group.num_differences, language)}"]
        told += [group_effect(group, change.goal_unit, language)]
        told += [num_put_down(group.num_projects, language)] * (group.num_projects > 0)
        lines.append(" · ".join(part for part in told if part))
        lines += [f"  {example}" for example in group.examples[:2]]
    return lines


def group_effect(group: GroupEffect, unit: str, language: Language) -> str:
    """What the group did to the goal, or why that is not known."""
    if group.effect is not None:
        return figure(group.effect, unit, language, signed=True)
    return words_of(language).get(group.remark, group.remark)


def project_line(project: ProjectChange, language: Language) -> str:
    words = words_of(language)
    name = title_of(project, language)
    place = f" ({project.district})" if project.district else ""
    how = " → ".join(part for part in (project.before, project.after) if part)
    money = [
        figure(value, "CNY", language)
        for value, there in (
            (project.capex_before_cny, project.before),
            (project.capex_after_cny, project.after),
        )
        if there and not math.isnan(value)
    ]
    told = [f"{words[project.kind]} {project.project} {name}{place}", how]
    told += [" → ".join(money)] * bool(money)
    return " · ".join([*told, reason(project, language)])


def title_of(project: ProjectChange, language: Language) -> str:
    """The project's name in the language, or the one it has."""
    names = (project.name_zh, project.name_en) if language == "zh" else (project.name_en, project.name_zh)
    return next((name for name in names if name), "")


def reason(project: ProjectChange, language: Language) -> str:
    """Why it changed, in words."""
    words = words_of(language)
    if project.forced:
        return f"{words['forced']}: {_ledger_words(project, language) or words['withdrawn']}"
    if not project.causes:
        return words["together"]
    return f"{words['because']}: {', '.join(words[cause] for cause in project.causes)}"


def _ledger_words(project: ProjectChange, language: Language) -> str:
    """What the ledger says of a project, in words; "" where it says nothing that binds."""
    words, says = words_of(language), project.ledger
    told = [words[says.state]] if says.state in (*FROZEN, *ENDS) else []
    told += [f"{words['delayed']} {says.delayed_to}"] * (says.delayed_to > 0)
    return f"{', '.join(told)}{f' ({says.note})' if says.note else ''}" if told else ""


def stability_lines(stability: Stability, language: Language) -> list[str]:
    words, unit = words_of(language), stability.unit
    lines = []
    if stability.max_changes is not None:
        lines.append(f"{words['most']}: {stability.max_changes}")
    elif stability.penalty_cny_per_change:
        lines.append(f"{words['penalty']} {figure(stability.penalty_cny_per_change, 'CNY', language)}")
    for key, plan in (("held", stability.held), ("free", stability.free)):
        lines.append(f"{words[key]}: {figure(plan.value, unit, language)} · {num_changes_of(plan, language)}")
    low, high = stability.price
    most = "" if high is None else f", {words['at_most']} {figure(high, unit, language)}"
    lines.append(f"{words['price']}: {words['at_least']} {figure(low, unit, language)}{most}")
    lines += [f"{words['curve']}:"] * bool(stability.curve)
    for point in stability.curve:
        bound = (
            ""
            if point.bound is None
            else f" ({words['best_possible']} {figure(point.bound, unit, language)})"
        )
        lines.append(
            f"  {num_changes(point.changes, language)}: {figure(point.value, unit, language)}{bound}"
        )
    return lines


# --- what tables and pages need besides ---------------------------------------------------------------


def programme_name(name: str, language: Language) -> str:
    """The programme's title."""
    programme = _programme(name)
    return name if programme is None else programme.zh if language == "zh" else programme.en


def effect_columns(change: ChangeExplained, language: Language) -> list[tuple[str, str, str]]:
    """Figures that some project changes, each with its title and unit."""
    names = dict.fromkeys(name for project in change.projects for name in project.effects)
    goals = {goal.name: goal for project in change.projects for goal in _goals(project.programme)}
    found = []
    for name in names:
        goal = goals.get(name)
        title = name if goal is None else goal.zh if language == "zh" else goal.en
        found.append((name, title, "" if goal is None else goal.unit))
    return found


def _programme(name: str) -> Programme | None:
    return next((programme for programme in PROGRAMMES if programme.name == name), None)


def _goals(name: str) -> Sequence[Any]:
    programme = _programme(name)
    return () if programme is None else programme.goals
