"""The report: one self-contained HTML file in one or both languages, the answer first."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from optimize import __version__
from optimize.i18n.catalogue import NAMES, TAGS, Language
from optimize.i18n.words import Words
from optimize.publish.chapters import Chapter, chapter_of
from optimize.publish.comparison import ComparisonSection, compare_section
from optimize.publish.facts import RunFacts
from optimize.publish.study_files import Studies


@dataclass(frozen=True)
class Document:
    """A report in one language."""

    language: Language
    title: str
    body: Markup

    @property
    def language_tag(self) -> str:
        return TAGS[self.language]

    @property
    def own_name(self) -> str:
        return NAMES[self.language]


def write_report(
    runs: Sequence[RunFacts], path: Path, languages: Sequence[Language], studies: Studies | None = None
) -> Path:
    """Write the report of one run, or of several side by side, at once; a file of that name is replaced.

    Raises
    ------
    UsageError : the runs have no programme in common.
    """
    text = render_report(runs, languages, studies)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    place = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        place.chmod(0o644)
        place.replace(path)
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    return path


def render_report(
    runs: Sequence[RunFacts], languages: Sequence[Language], studies: Studies | None = None
) -> str:
    """The report as text; raises like `write_report`."""
    documents = [_document(runs, Words(language), studies or Studies()) for language in languages]
    return (
        environment()
        .get_template("report.html")
        .render(
            documents=documents,
            version=__version__,
            look=Markup(look()),
            report_look=Markup(_style("report.css")),
        )
    )


def look() -> str:
    """The style that reports and pages share."""
    return _style("look.css")


@cache
def environment() -> Environment:
    """Templates of this room; every value is escaped, a missing one is a mistake."""
    return Environment(
        loader=PackageLoader("optimize.publish"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _style(name: str) -> str:
    text: str = environment().loader.get_source(environment(), name)[0]  # type: ignore[union-attr]
    return text


def _document(runs: Sequence[RunFacts], words: Words, studies: Studies) -> Document:
    chapters = [chapter_of(run, words, studies) for run in runs]
    comparison = compare_section(runs, words) if len(runs) > 1 else None
    first = runs[0]
    place, title = first.place(words), first.title(words)
    start, end = first.period
    years = str(start) if start == end else f"{start}–{end}"
    context: dict[str, Any] = {
        "_": words.text,
        "words": words,
        "language": words.language,
        "language_tag": TAGS[words.language],
        "version": __version__,
        "place": place,
        "years": years,
        "title": title,
        "chapters": chapters,
        "comparison": comparison,
        "comparison_lead": words.text(
            "{n} plans side by side; every one of them checked.", n=words.number(len(runs))
        ),
        "contents": _contents(chapters, comparison, words),
    }
    body = Markup(environment().get_template("document.html").render(context))  # escaped by the template
    return Document(words.language, words.text("{place}: {title}", place=place, title=title), body)


def _contents(
    chapters: Sequence[Chapter], comparison: ComparisonSection | None, words: Words
) -> list[tuple[str, str]]:
    """Anchors, without the language, and what stands there."""
    if comparison is not None:
        entries = [("comparison", words.text("The plans side by side"))]
        return entries + [
            (f"run{k}", f"{letter} {chapter.label}")
            for k, (letter, chapter) in enumerate(zip(comparison.letters, chapters, strict=True), start=1)
        ]
    (chapter,) = chapters
    several = len(chapter.plans) > 1
    entries = [("together1", words.text("One budget against fixed shares"))] if chapter.silos else []
    for k, plan in enumerate(chapter.plans, start=1):
        entries.append(
            (f"plan{k}-1", plan.title if several else words.text("What is built and what it brings"))
        )
    entries += [
        ("money1", words.text("Money")),
        ("clauses1", words.text("Clauses")),
        *([("reasons1", words.text("Why these projects"))] if chapter.has_reasons else []),
        *([("studies1", words.text("Trade-offs and surprises"))] if chapter.has_studies else []),
        ("sure1", words.text("How sure are we?")),
        ("data1", words.text("Data and their grades")),
        ("versions1", words.text("The run and its versions")),
    ]
    return entries
