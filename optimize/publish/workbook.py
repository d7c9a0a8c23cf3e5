"""Plans as one Excel workbook: summary, clauses, projects, money and effects, comparison, provenance.

Every figure is the checker's or a row of the run's own tables; sums stand beside what the checker states, and
what single projects do not account for has a row of its own.  Money is written in full and shown in 万元.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optimize.errors import UsageError
from optimize.i18n.catalogue import Language
from optimize.i18n.words import Words
from optimize.io.workbook_writer import Book, written_book
from optimize.publish.facts import RunFacts, read_run
from optimize.publish.workbook_comparison import Compared, write_comparison
from optimize.publish.workbook_lists import write_clauses, write_projects
from optimize.publish.workbook_summary import write_provenance, write_summary
from optimize.publish.workbook_sums import district_names, write_money, write_sums
from optimize.registry import PROGRAMMES
from optimize.studies.compare import compare_runs, labels_of
from optimize.studies.compare_sides import Side, fixed_shares, in_common, read_side

_MOST_RUNS = 12


@dataclass(frozen=True)
class PlanFile:
    """A stored run that goes into the workbook.

    Attributes
    ----------
    label : letter by which it is told apart, "" where it is the only one.
    """

    label: str
    run: RunFacts
    side: Side


def write_plan_workbook(folders: Sequence[Path], path: Path, language: Language) -> None:
    """Write the plans of stored runs; of several with programmes in common, their comparison too.

    Raises
    ------
    UsageError : no such run, more than twelve, or ``path`` is there already.
    """
    if not 1 <= len(folders) <= _MOST_RUNS:
        raise UsageError(f"a workbook takes 1 to {_MOST_RUNS} runs, got {len(folders)}")
    runs = [read_run(folder) for folder in folders]
    sides = [read_side(str(folder), PROGRAMMES) for folder in folders]
    labels = labels_of(sides) if len(sides) > 1 else ("",)
    plans = [PlanFile(label, run, side) for label, run, side in zip(labels, runs, sides, strict=True)]
    with written_book(path) as book:
        _write(book, plans, Words(language))


def _write(book: Book, plans: Sequence[PlanFile], words: Words) -> None:
    names = [(plan.label, plan.run) for plan in plans]
    write_summary(book, names, words)
    write_clauses(book, names, words)
    write_projects(book, names, words)
    groups = _groups([plan.side for plan in plans])
    write_sums(book, groups, [plan.run for plan in plans], words)
    write_money(book, names, words)
    compared = _compared(plans, groups, words)
    if compared:
        comparison = compare_runs([side for side, _ in compared])
        districts = district_names([plan.run for plan in plans], words)
        write_comparison(book, comparison, [plan for _, plan in compared], districts, words)
    write_provenance(book, names, words)
    book.writer.set_properties(
        {"title": " · ".join(dict.fromkeys(run.title(words) for _, run in names)), "author": "optimize"}
    )


def _groups(sides: Sequence[Side]) -> list[list[Side]]:
    """Plans that can stand side by side: all of them where they have programmes in common, else each by itself."""
    try:
        return [in_common(sides)]
    except UsageError:
        return [[side] for side in sides]


def _compared(
    plans: Sequence[PlanFile], groups: Sequence[Sequence[Side]], words: Words
) -> list[tuple[Side, Compared]]:
    """What is compared: runs in common, or one joint run with its plan on fixed shares; [] for nothing."""
    told = [Compared(plan.run.label(words), plan.run.parts) for plan in plans]
    if len(groups) == 1 and len(plans) > 1:
        return list(zip(groups[0], told, strict=True))
    only = plans[0]
    if len(plans) == 1 and only.run.silos:
        sides = in_common([only.side, fixed_shares(str(only.run.folder), PROGRAMMES)])
        return list(
            zip(
                sides, [told[0], Compared(words.text("on today's fixed shares"), only.run.silos)], strict=True
            )
        )
    return []
