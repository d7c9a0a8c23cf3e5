"""What a report shows of one programme's plan, ready for a template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from optimize.i18n.catalogue import N_
from optimize.i18n.vocabulary import FIGURES
from optimize.i18n.words import Column, Words
from optimize.publish import charts, charts_effects, charts_studies, charts_water
from optimize.publish.explanations import Choice, by_prices, explained, price_rows
from optimize.publish.facts import PlanFacts
from optimize.publish.map import Link, plan_map
from optimize.publish.projects import SHOWN_EFFECTS, ProjectRow, project_rows
from optimize.publish.study_files import Studies
from optimize.publish.telling import plan_answer
from optimize.report.summary import frame_records

_MOST_SOURCES = 6
_MOST_MEASURES = 12
_MOST_PLANTS = 10
_MOST_PROJECTS = 1500  # listed in the report; a browser has to open it, and all are in the run's tables
_CENT = 0.005
REST = N_("(rest)")
_LEAST_REST = 1e-6  # of the total


@dataclass(frozen=True)
class Picture:
    """A chart with its heading and, where it needs one, a remark; ``wide``: it takes the whole width."""

    title: str
    svg: Markup
    note: str = ""
    wide: bool = False


@dataclass(frozen=True)
class DistrictLine:
    """A district with its projects, their investment and what they bring, in the order of the headings."""

    name: str
    num_projects: int
    capex_cny: float
    effects: tuple[float, ...]
    is_sum: bool = False


@dataclass(frozen=True)
class PlanSection:
    """The plan of one programme."""

    name: str
    title: str
    answer: str
    maps: Sequence[Picture]
    has_instance: bool
    effects: Sequence[Picture]
    months: Sequence[Markup]
    districts: Sequence[DistrictLine]
    has_rest: bool
    figures: Sequence[tuple[str, str]]
    num_projects: int
    projects: Sequence[ProjectRow]
    effect_heads: Sequence[str]
    district_columns: Sequence[Column]
    project_columns: Sequence[Column]
    exact: Sequence[Choice]
    top: Sequence[Choice]
    near: Sequence[Choice]
    prices: Sequence[tuple[str, str]]
    fronts: Sequence[Picture]
    stress: Sequence[Mapping[str, Any]]
    stress_pictures: Sequence[Picture]
    grades: Picture | None
    sources: Sequence[tuple[str, str]]


def plan_section(plan: PlanFacts, words: Words, studies: Studies, link: Link | None) -> PlanSection:
    """Everything a report tells of a plan; ``studies`` are those of its programme."""
    maps = plan_map(plan, words, link)
    rows = project_rows(plan, words)
    top, near = by_prices(plan, words)
    heads = [(name, FIGURES[name].unit) for name in SHOWN_EFFECTS[plan.name]]
    captions = (words.text("Where the works are"), words.text("Detail: the part within the dashed frame"))
    districts = _district_lines(plan, rows, [name for name, _ in heads], words)
    return PlanSection(
        name=plan.name,
        title=plan.title(words),
        answer=plan_answer(plan, words),
        maps=[Picture(title, svg) for title, svg in zip(captions, maps, strict=False)],
        has_instance=plan.instance is not None,
        effects=_effect_pictures(plan, words),
        months=charts_water.water_periods(plan, words) if plan.name == "water" else (),
        districts=districts,
        has_rest=any(line.name == words.text(REST) for line in districts),
        figures=_figures(plan, words),
        num_projects=len(rows),
        projects=rows[:_MOST_PROJECTS],
        effect_heads=[words.figure_name(name, plan.name) for name, _ in heads],
        district_columns=_columns(
            [(line.capex_cny, *line.effects) for line in districts if not line.is_sum], heads, words
        ),
        project_columns=_columns([(row.capex_cny, *row.effects.values()) for row in rows], heads, words),
        exact=explained(plan, studies.explanations, words),
        top=top,
        near=near,
        prices=price_rows(plan, words),
        fronts=[
            Picture(
                words.text("What one goal costs in another"),
                charts_studies.front_chart(front, {g.name: g for g in plan.programme.goals}, words),
            )
            for front in studies.fronts
        ],
        stress=studies.stress,
        stress_pictures=[
            Picture(words.text("If things turn out otherwise"), charts_studies.stress_chart(s, words))
            for s in studies.stress
        ],
        grades=_grades(plan, words),
        sources=_sources(plan),
    )


def _columns(rows: Sequence[Sequence[float]], heads: Sequence[tuple[str, str]], words: Words) -> list[Column]:
    """Investment and effects in a size that suits the largest of each column."""
    units = ("CNY", *(unit for _, unit in heads))
    return [
        words.column(unit, max((abs(row[k]) for row in rows if not math.isnan(row[k])), default=0.0))
        for k, unit in enumerate(units)
    ]


def _effect_pictures(plan: PlanFacts, words: Words) -> list[Picture]:
    if plan.name == "pv_siting":
        found = [
            (words.text("Generation by type of institution"), charts_effects.generation(plan, words)),
            (
                words.text("Generation by year of the works"),
                charts_effects.generation(plan, words, by="year"),
            ),
            (words.text("Capacity by kind of system"), _capacity_by_kind(plan, words)),
        ]
    elif plan.name == "datacenter":
        found = [
            (words.text("PUE before and after"), charts_effects.pue_before_after(plan, words)),
            (words.text("Measures, number of centres"), _measures(plan, words)),
        ]
    else:
        return _water_pictures(plan, words)
    return [Picture(title, svg) for title, svg in found if svg is not None]


def _capacity_by_kind(plan: PlanFacts, words: Words) -> Markup | None:
    projects = plan.table("projects")
    sums = projects[projects["kind"] != ""].groupby("kind")["kw"].sum().sort_values(ascending=False)
    rows = [(plan.named("kinds", str(kind), words), float(kw)) for kind, kw in sums.items()]
    return charts.bar_list(rows, "kW", words.text("Capacity by kind of system"), words) if rows else None


def _measures(plan: PlanFacts, words: Words) -> Markup | None:
    projects = plan.table("projects")
    final = projects["later_measures"].where(projects["later_measures"] != "", projects["measures"])
    count = final[final != ""].str.split("+").explode().value_counts().head(_MOST_MEASURES)
    rows = [(plan.named("measures", str(name), words), float(number)) for name, number in count.items()]
    return charts.bar_list(rows, "", words.text("Measures, number of centres"), words) if rows else None


def _by_quality(
    plan: PlanFacts, table: str, key: str, value: str, factor: float
) -> dict[str, dict[str, float]]:
    """Sums of a column by key and quality."""
    sums: dict[str, dict[str, float]] = {}
    for row in frame_records(plan.table(table)):
        own = sums.setdefault(str(row[key]), {})
        own[row["quality"]] = own.get(row["quality"], 0.0) + factor * row[value]
    return sums


def _water_pictures(plan: PlanFacts, words: Words) -> list[Picture]:
    found = []
    balance = charts_water.water_flows(plan, words)
    if balance is not None:
        found.append(Picture(words.text("Water balance of a year"), balance, wide=True))
    fills = charts_water.quality_fills(plan)
    parts = {quality: (plan.named("qualities", quality, words), fill) for quality, fill in fills.items()}
    pipes = _by_quality(plan, "pipes", "diameter", "length_m", 1e-3)
    if pipes:
        title = words.text("Pipes by diameter and quality")
        ordered = [(name, pipes[name]) for name in sorted(pipes, key=lambda d: (len(d), d))]
        found.append(Picture(title, charts.stacked_list(ordered, parts, "km", title, words)))
    plants = _by_quality(plan, "plants", "plant", "capacity_m3_per_d", 1.0)
    if plants:
        title = words.text("New capacity by plant and quality")
        largest = sorted(plants.items(), key=lambda item: -sum(item[1].values()))
        ordered = [(plan.named("plants", name, words), own) for name, own in largest[:_MOST_PLANTS]]
        note = (
            words.text("The {n} largest of {all}", n=len(ordered), all=len(plants))
            if len(plants) > len(ordered)
            else ""
        )
        found.append(Picture(title, charts.stacked_list(ordered, parts, "m3/d", title, words), note))
    return found


def _figures(plan: PlanFacts, words: Words) -> list[tuple[str, str]]:
    """The checker's figures, all that are not zero."""
    return [
        (words.figure_name(name, plan.name), words.amount(float(value), FIGURES[name].unit))
        for name, value in plan.figures.items()
        if name in FIGURES and value and (name != "changes" or revises(plan))
    ]


def revises(plan: PlanFacts) -> bool:
    """A plan is in force that this one changes, as far as the instance is there to tell."""
    if plan.instance is None:
        return False
    table = plan.instance.tables.get("plan_in_force")
    return table is not None and not table.empty


def _district_lines(
    plan: PlanFacts, rows: Sequence[ProjectRow], effects: Sequence[str], words: Words
) -> list[DistrictLine]:
    """Projects by district; the sum is the checker's, what no single project accounts for stands apart."""
    by_district: dict[str, list[ProjectRow]] = {}
    for row in rows:
        by_district.setdefault(row.district_name or words.text("(no district)"), []).append(row)
    lines = [
        DistrictLine(
            name, len(own), math.fsum(r.capex_cny for r in own if not math.isnan(r.capex_cny)),
            tuple(math.fsum(r.effects.get(e, 0.0) for r in own) for e in effects),
        )
        for name, own in by_district.items()
    ]  # fmt: skip
    lines.sort(key=lambda line: -line.capex_cny)
    capex = float(plan.figures["capex" if "capex" in plan.figures else "capex_cny"])
    totals = tuple(float(plan.figures[e]) for e in effects)
    rest_capex = capex - math.fsum(line.capex_cny for line in lines)
    rests = tuple(
        0.0 if abs(rest) <= _LEAST_REST * abs(total) else rest
        for total, rest in (
            (t, t - math.fsum(line.effects[k] for line in lines)) for k, t in enumerate(totals)
        )
    )
    if abs(rest_capex) > _CENT or any(rests):
        rest_capex = rest_capex if abs(rest_capex) > _CENT else 0.0
        lines.append(DistrictLine(words.text(REST), 0, rest_capex, rests))
    return [*lines, DistrictLine(words.text("all districts"), len(rows), capex, totals, is_sum=True)]


def _grades(plan: PlanFacts, words: Words) -> Picture | None:
    if plan.instance is None:
        return None
    grades = {}
    for table in plan.programme.schema.tables:
        rows = plan.instance.tables[table.name]
        if len(rows) and "confidence" in rows:
            counts = rows["confidence"].value_counts()
            grades[words.either(table.zh, table.name.replace("_", " "))] = {
                str(g): int(n) for g, n in counts.items()
            }
    return (
        Picture(words.text("Grades of the data, table by table"), charts.grades_chart(grades, words))
        if grades
        else None
    )


def _sources(plan: PlanFacts) -> list[tuple[str, str]]:
    """The sources that most rows name, with their grade; as the tables have them."""
    if plan.instance is None:
        return []
    named = [
        rows[["source", "confidence"]]
        for rows in plan.instance.tables.values()
        if {"source", "confidence"} <= set(rows.columns) and len(rows)
    ]
    if not named:
        return []
    count = pd.concat(named).value_counts().head(_MOST_SOURCES)
    return [(str(source), str(grade)) for source, grade in count.index if source]
