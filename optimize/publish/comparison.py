"""Two to six runs side by side, in a reader's words; what differs is `optimize.studies.compare`'s."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimize.clauses import CLAUSES
from optimize.i18n.vocabulary import FIGURES
from optimize.i18n.words import MISSING, Words
from optimize.publish.chapters import where_words
from optimize.publish.charts import capital
from optimize.publish.charts_studies import Proven, scenario_chart
from optimize.publish.facts import PlanFacts, RunFacts
from optimize.publish.plan_sections import Picture, revises
from optimize.publish.projects import project_rows
from optimize.registry import PROGRAMMES
from optimize.studies.compare import NO_DISTRICT, REST, Comparison, compare_runs
from optimize.studies.compare_sides import in_common, read_sides
from optimize.studies.tables import plain_records

_MOST_PROJECTS = 30
_NOTHING = 1e-9


@dataclass(frozen=True)
class CompareRow:
    """A row of a table: its name, a cell for each run, and each later run's difference to the first."""

    name: str
    cells: Sequence[str]
    differences: Sequence[str]
    is_sum: bool = False


@dataclass(frozen=True)
class CompareTable:
    """Rows below a caption; ``is_detail``: shown when it is asked for."""

    caption: str
    rows: Sequence[CompareRow]
    is_detail: bool = False


@dataclass(frozen=True)
class CompareProject:
    """A project that not all runs have alike, and how each has it ("": not at all)."""

    id: str
    name: str
    district: str
    ways: Sequence[str]


@dataclass(frozen=True)
class ComparisonSection:
    """Everything a page shows of runs side by side; ``heads`` and ``letters`` name the columns."""

    letters: Sequence[str]
    heads: Sequence[str]
    chart: Picture
    verdicts: Sequence[str]
    tables: Sequence[CompareTable]
    projects: Sequence[CompareProject]
    projects_told: str


def compare_section(runs: Sequence[RunFacts], words: Words) -> ComparisonSection:
    """Runs side by side, as far as they have programmes in common.

    Raises
    ------
    UsageError : nothing in common, or too many.
    """
    sides = in_common(read_sides([str(run.folder) for run in runs], PROGRAMMES))
    comparison = compare_runs(sides)
    goal = sides[0].main_goal
    name = capital(words.either(goal.zh, goal.en))
    heads = labels_of(runs, words)
    proven = [
        Proven(f"{letter} · {head}", float(side.objective), side.bound)
        for letter, head, side in zip(comparison.labels, heads, sides, strict=True)
    ]
    tables = [
        _figures(comparison, any(revises(part) for run in runs for part in run.parts), words),
        _clauses(comparison, runs, words),
        *(_money(comparison, by, caption, runs, words) for by, caption in (
            ("year", words.text("Money by year")), ("source", words.text("Money by source")), ("district", words.text("Money by district")),
        )),
    ]  # fmt: skip
    return ComparisonSection(
        letters=comparison.labels,
        heads=heads,
        chart=Picture(words.text("{goal} of each plan, and what is proven", goal=name), scenario_chart(proven, goal.unit, name, words)),
        verdicts=_verdicts(proven, goal.unit, goal.maximise, words),
        tables=[table for table in tables if table.rows],
        projects=_projects(comparison, runs, words),
        projects_told=words.text(
            "{same} projects are the same in all plans, {others} differ",
            same=words.number(comparison.num_same), others=words.number(len(comparison.projects)),
        ),
    )  # fmt: skip


def labels_of(runs: Sequence[RunFacts], words: Words) -> list[str]:
    """Names that tell the runs apart; where they lie, too, where two are called the same."""
    labels = [run.label(words) for run in runs]
    return [
        label if labels.count(label) == 1 else f"{label} · {'/'.join(run.folder.parts[-2:])}"
        for run, label in zip(runs, labels, strict=True)
    ]


def _verdicts(plans: Sequence[Proven], unit: str, maximise: bool, words: Words) -> list[str]:
    """What is found and what is proven about the best plans of the other questions against the first's."""
    first, sign, told = plans[0], 1.0 if maximise else -1.0, []
    for plan in plans[1:]:
        found = sign * (plan.value - first.value)
        better = words.text("better") if found > 0 else words.text("worse")
        share = f" ({words.percent(abs(found) / abs(first.value))})" if first.value else ""
        names = {"plan": plan.name, "first": first.name.partition(" ")[0]}
        line = words.text(
            "{plan}: {amount} {better} than {first}.",
            amount=words.amount(abs(found), unit) + share,
            better=better,
            **names,
        )
        if first.bound is None or plan.bound is None:
            proven = words.text("Nothing is proven about the best plans of both.")
        else:
            ends = sign * (plan.value - first.bound), sign * (plan.bound - first.value)
            least, most = sorted(abs(end) for end in ends)
            if min(ends) <= 0 <= max(ends):
                proven = words.text(
                    "The gaps leave open which of the two questions has the better best plan."
                )
            else:
                proven = words.text(
                    "For certain the best plans differ by {least} to {most}.",
                    least=words.amount(least, unit), most=words.amount(most, unit),
                )  # fmt: skip
        told.append(words.sentences([line, proven]))
    return told


def _figures(comparison: Comparison, with_changes: bool, words: Words) -> CompareTable:
    own = comparison.programmes[0].name if len(comparison.programmes) == 1 else ""
    rows = [
        _row(
            words.figure_name(row["figure"], own),
            row,
            comparison.labels,
            str(row["unit"] or FIGURES[row["figure"].rpartition(".")[2]].unit),
            words,
        )
        for row in plain_records(comparison.figures)
        if row["figure"].rpartition(".")[2] in FIGURES
        and (with_changes or row["figure"].rpartition(".")[2] != "changes")
        and any(row[label] for label in comparison.labels)
    ]
    return CompareTable(words.text("Figures"), rows)


def _clauses(comparison: Comparison, runs: Sequence[RunFacts], words: Words) -> CompareTable:
    rows = []
    for row in plain_records(comparison.clauses):
        unit = "" if row["unit"] == "count" else row["unit"]
        clause = CLAUSES[row["clause"]]
        part = next(
            p
            for run in runs
            for p in run.parts
            if p.name == clause.programme or clause.programme in ("city", "*")
        )
        where = where_words(part, {"id": clause.id, "where": row["where"]}, words)
        title = words.text("{id} ({title})", id=clause.id, title=words.either(clause.zh, clause.en))
        line = _row(f"{title} {where}".strip(), row, comparison.labels, unit, words)
        cells = [
            f"✘ {cell}" if row[f"met_{label}"] is False else cell
            for cell, label in zip(line.cells, comparison.labels, strict=True)
        ]
        rows.append(CompareRow(line.name, cells, line.differences))
    return CompareTable(words.text("Clauses"), rows)


def _money(
    comparison: Comparison, by: str, caption: str, runs: Sequence[RunFacts], words: Words
) -> CompareTable:
    frame = comparison.money
    part = runs[0].parts[0]
    rows = []
    for row in plain_records(frame[frame["by"].isin((by, "total"))]):
        name = str(row["name"])
        if row["by"] == "total":
            name = words.text("all together")
        elif name == REST:
            name = words.text("(rest)")
        elif name == NO_DISTRICT:
            name = words.text("(no district)")
        elif by == "source" and name in ("municipal", "owner"):
            name = words.value("source", name)
        else:
            name = part.district_name(name, words)
        rows.append(_row(name, row, comparison.labels, "CNY", words, is_sum=row["by"] == "total"))
    return CompareTable(caption, rows, is_detail=by != "year")


def _row(
    name: str, row: Mapping[str, Any], labels: Sequence[str], unit: str, words: Words, *, is_sum: bool = False
) -> CompareRow:
    values = [math.nan if row[label] is None else float(row[label]) for label in labels]
    cells = [words.amount(value, unit) for value in values]
    return CompareRow(
        name, cells, [_difference(value, values[0], unit, words) for value in values[1:]], is_sum
    )


def _difference(value: float, base: float, unit: str, words: Words) -> str:
    change = value - base
    if math.isnan(change):
        return MISSING
    if abs(change) <= _NOTHING * max(1.0, abs(value), abs(base)):
        return "0"
    if unit == "share":
        sign = "+" if change > 0 else "−"
        return sign + words.text("{n} percentage points", n=words.number(100 * abs(change)))
    return words.amount(change, unit, signed=True)


def _projects(comparison: Comparison, runs: Sequence[RunFacts], words: Words) -> list[CompareProject]:
    """How each run has the dearest of the projects that differ."""
    own = [
        {(part.name, row.id): row for part in run.parts for row in project_rows(part, words)} for run in runs
    ]
    parts: dict[str, PlanFacts] = {part.name: part for run in runs for part in run.parts}
    found = []
    for row in plain_records(comparison.projects.head(_MOST_PROJECTS)):
        key = (str(row["programme"]), str(row["id"]))
        rows = [mine.get(key) for mine in own]
        there = next(r for r in rows if r is not None)
        ways = ["" if r is None else words.text("{what} · {year}", what=r.what, year=r.year) for r in rows]
        district = parts[key[0]].district_name(str(row["district"]), words) if row["district"] else ""
        found.append(CompareProject(key[1], there.name, district, ways))
    return found
