"""The explained change of a period as files: JSON, and in both languages text, a page and a workbook."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
from markupsafe import Markup

from optimize.i18n.catalogue import LANGUAGES, NAMES, TAGS, Language
from optimize.i18n.words import Words
from optimize.monthly.change_report import (
    KNOWN_GOALS,
    Report,
    change_json,
    change_lines,
    counted,
    effect_columns,
    goal_name,
    group_effect,
    headline,
    programme_name,
    reason,
    title_of,
)
from optimize.monthly.change_words import figure, num_changes_of, words_of
from optimize.monthly.stability import CHANGES, Stability
from optimize.publish.charts_studies import front_chart
from optimize.publish.document import look

_TEMPLATES = Path(__file__).parent / "templates"


def write_reports(report: Report, folder: Path) -> tuple[str, ...]:
    """Write ``change.json`` and, in both languages, text, page and workbook into ``folder``; the files' names."""
    from optimize.monthly.change_workbook import write_workbook  # openpyxl is loaded where it is written with

    content = json.dumps(change_json(report), ensure_ascii=False, indent=2, allow_nan=False)
    (folder / "change.json").write_text(content + "\n", encoding="utf-8")
    names = ["change.json"]
    for language in LANGUAGES:
        stem = f"change.{language}"
        text = "\n".join(change_lines(report, language)) + "\n"
        (folder / f"{stem}.txt").write_text(text, encoding="utf-8")
        (folder / f"{stem}.html").write_text(change_page(report, language), encoding="utf-8")
        write_workbook(report, language, folder / f"{stem}.xlsx")
        names += [f"{stem}.{ending}" for ending in ("txt", "html", "xlsx")]
    return tuple(names)


def change_page(report: Report, language: Language) -> str:
    """One HTML page that needs nothing besides."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    other = next(known for known in LANGUAGES if known != language)
    return environment.get_template("change.html").render(
        words=words_of(language),
        language=language,
        other=other,
        other_name=NAMES[other],
        language_tag=TAGS[language],
        look=Markup(look()),
        change=report.change,
        stability=report.stability,
        unpriced=report.unpriced,
        headline=headline(report.change, language),
        counted=counted(report.change, language),
        figure=figure,
        num_changes_of=lambda planned: num_changes_of(planned, language),
        group_effect=group_effect,
        reason=reason,
        title_of=title_of,
        effects=effect_columns(report.change, language),
        several=len({project.programme for project in report.change.projects}) > 1,
        programme_name=lambda name: programme_name(name, language),
        curve=curve_chart(report.stability, language),
        goal=goal_name(report.change, language),
    )


def curve_chart(stability: Stability | None, language: Language) -> Markup | None:
    """The curve as a drawing; None where there are fewer than two points, which draw nothing."""
    if stability is None or len(stability.curve) < 2:
        return None
    goal = stability.goal
    points = [
        {
            goal: point.value,
            f"bound_{goal}": point.bound,
            CHANGES: point.changes,
            "best_of": "",
            "knee": False,
        }
        for point in stability.curve
    ]
    return front_chart({"goals": [goal, CHANGES], "points": points}, KNOWN_GOALS, Words(language))
