"""A front as a chart and a table, from what ``optimize front --json`` told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from optimize.i18n.words import Words
from optimize.publish.charts_studies import front_chart
from optimize.registry import find_programme
from optimize.web.jobs import Job


@dataclass(frozen=True)
class FrontPage:
    """What the page of a front shows: its chart, headings of the goals, and a row of words for each plan."""

    chart: Markup
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_not_reached: int


def front_of(job: Job, words: Words) -> FrontPage:
    """The front that a finished job traced."""
    front: Mapping[str, Any] = job.result
    goals = {goal.name: goal for goal in find_programme(str(front["programme"])).goals}
    named = [goals[name] for name in front["goals"]]
    rows = tuple(
        (*(words.amount(point[goal.name], goal.unit) for goal in named), words.percent(point["gap"]))
        for point in front["points"]
    )
    titles = (words.either(goal.zh, goal.en) for goal in named)
    headings = tuple(title[:1].upper() + title[1:] for title in titles)
    return FrontPage(front_chart(front, goals, words), headings, rows, len(front["not_reached"]))
