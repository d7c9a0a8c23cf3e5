"""What a chapter of a report shows of one run, section by section, ready for a template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from markupsafe import Markup

from optimize.i18n.catalogue import N_
from optimize.i18n.words import Words
from optimize.publish import charts
from optimize.publish.charts import DISTRICTS, GROUP_NAMES, MUNICIPAL, OWNER, YearBar
from optimize.publish.facts import PlanFacts, RunFacts
from optimize.publish.hydraulics import hydraulics_words, stored_hydraulics
from optimize.publish.map import Link
from optimize.publish.plan_sections import PlanSection, plan_section
from optimize.publish.study_files import Studies
from optimize.publish.telling import KeyFigure, answer, how_sure, key_figures, silo_words
from optimize.report.summary import frame_records


@dataclass(frozen=True)
class MoneyLine:
    """Who pays, by year: what is spent and the budget (None: unlimited); the sums of both last."""

    name: str
    cells: tuple[tuple[float, float | None], ...]
    is_sum: bool = False


@dataclass(frozen=True)
class ClauseLine:
    """A clause as a row of the table."""

    id: str
    title: str
    where: str
    required: str
    reached: str
    met: bool
    binding: bool
    hard: bool
    short: str


@dataclass(frozen=True)
class Chapter:
    """One run."""

    run: RunFacts
    label: str
    answer: str
    key_figures: Sequence[KeyFigure]
    money_pictures: Sequence[Markup]
    money: Sequence[MoneyLine]
    money_by_source: Sequence[MoneyLine]
    carries_over: bool
    largest_cny: float
    clauses: Sequence[tuple[str, Sequence[ClauseLine]]]
    plans: Sequence[PlanSection]
    sure: Sequence[str]
    proof: Markup | None
    silos: Sequence[str]
    split_pictures: Sequence[Markup]
    instance_missing: bool
    facts: Sequence[tuple[str, str]]
    versions: Sequence[tuple[str, str]] = field(default=())

    @property
    def has_reasons(self) -> bool:
        return any(plan.exact or plan.top or plan.near or plan.prices for plan in self.plans)

    @property
    def has_studies(self) -> bool:
        return any(plan.fronts or plan.stress for plan in self.plans)


def chapter_of(run: RunFacts, words: Words, studies: Studies, link: Link | None = None) -> Chapter:
    """Everything a report tells of a run."""
    several = run.is_city
    clauses = [
        (part.title(words) if several else "", [_clause(part, clause, words) for clause in part.clauses])
        for part in run.parts
    ]
    if several and run.summary["clauses"]:
        own = [_clause(run.parts[0], clause, words) for clause in run.summary["clauses"]]
        clauses.append((words.text("The city as a whole"), own))
    return Chapter(
        run=run,
        label=run.label(words),
        answer=answer(run, words),
        key_figures=key_figures(run, words),
        money_pictures=charts.money_panels(run.money, words),
        money=_money_lines(run, words),
        money_by_source=_source_lines(run, words),
        carries_over=_carries_over(run),
        largest_cny=float(run.money.groupby("year")["spent_cny"].sum().max()) if len(run.money) else 0.0,
        clauses=[(title, lines) for title, lines in clauses if lines],
        plans=[plan_section(part, words, studies.of_programme(part.name), link) for part in run.parts],
        sure=[
            *how_sure(run, words),
            *hydraulics_words([*studies.hydraulics, *stored_hydraulics(run.folder)], words),
        ],
        proof=charts.proof_interval(run.summary, words),
        silos=silo_words(run, words) if several else (),
        split_pictures=_split_pictures(run, words),
        instance_missing=run.instance_folder is None,
        facts=_run_facts(run, words),
        versions=[(name, str(version)) for name, version in run.manifest["versions"].items()],
    )


# --- money ------------------------------------------------------------------------------------------


def _money_lines(run: RunFacts, words: Words) -> list[MoneyLine]:
    """Groups of sources, and all of them, by year with the sum of the years last."""
    group = run.money["source"].map(lambda s: s if s in (MUNICIPAL, OWNER) else DISTRICTS)
    lines = [
        _line(words.text(GROUP_NAMES[name]), run.money[group == name], run.years)
        for name in (MUNICIPAL, DISTRICTS, OWNER)
        if (group == name).any()
    ]
    return [*lines, _line(words.text("all sources"), run.money, run.years, is_sum=True)]


def _source_lines(run: RunFacts, words: Words) -> list[MoneyLine]:
    part = run.parts[0]
    lines = []
    for source, rows in run.money.groupby("source", sort=False):
        name = str(source)
        shown = words.value("source", name) if name in (MUNICIPAL, OWNER) else part.district_name(name, words)
        lines.append(_line(shown, rows, run.years))
    return [*lines, _line(words.text("all sources"), run.money, run.years, is_sum=True)]


def _line(name: str, rows: pd.DataFrame, years: Sequence[int], *, is_sum: bool = False) -> MoneyLine:
    cells = []
    for chosen in (*(rows[rows["year"] == year] for year in years), rows):
        budgets = chosen["budget_cny"].tolist()
        limit = None if not budgets or any(math.isnan(b) for b in budgets) else math.fsum(budgets)
        cells.append((math.fsum(chosen["spent_cny"]), limit))
    return MoneyLine(name, tuple(cells), is_sum)


def _carries_over(run: RunFacts) -> bool:
    """Whether a year's unspent money is kept for the next one."""
    return any(
        part.instance is not None and part.instance.parameters["budgets.carry_over_share"] > 0
        for part in run.parts
    )


def _split_pictures(run: RunFacts, words: Words) -> list[Markup]:
    """Public money of each programme by year, beside today's fixed share."""
    if run.split is None:
        return []
    sums = run.split.groupby(["programme", "year"], sort=True)[["share_cny", "today_cny"]].sum().reset_index()
    panels = {
        part.title(words): [
            YearBar(int(row["year"]), float(row["share_cny"]), float(row["today_cny"]))
            for row in frame_records(sums[sums["programme"] == part.name])
        ]
        for part in run.parts
    }
    return charts.year_panels(
        panels, words.text("share in this plan"), words.text("today's fixed share"), words
    )


# --- clauses ----------------------------------------------------------------------------------------


def _clause(part: PlanFacts, clause: Mapping[str, Any], words: Words) -> ClauseLine:
    sense = "≥" if clause["sense"] == ">=" else "≤"
    unit = "" if clause["unit"] == "count" else str(clause["unit"])
    reached, required = clause["reached"], float(clause["required"])
    short = ""
    if not clause["met"] and reached is not None:
        distance = abs(float(reached) - required)
        is_share = unit == "share"
        short = (
            words.text("{n} percentage points", n=words.number(100 * distance))
            if is_share
            else words.amount(distance, unit)
        )
    return ClauseLine(
        id=str(clause["id"]),
        title=words.either(str(clause["zh"]), str(clause["en"])),
        where=where_words(part, clause, words),
        required=f"{sense} {words.amount(required, unit)}",
        reached=words.amount(None if reached is None else float(reached), unit),
        met=bool(clause["met"]),
        binding=bool(clause["binding"]) and bool(clause["met"]),
        hard=bool(clause["hard"]),
        short=short,
    )


_PILOTS = {
    "suburban_district": N_("suburban district"),
    "new_city": N_("new town"),
    "central_plant": N_("central plant"),
    "park": N_("industrial park"),
}


# What a cap on water may hold for, and the table that names it.
_SCOPES = {"district": "districts", "park": "parks", "user": "users"}


def where_words(part: PlanFacts, clause: Mapping[str, Any], words: Words) -> str:
    """Where a clause holds: kinds of pilots, districts, parks and users by their names; "" everywhere."""
    parts = str(clause["where"]).split()
    if clause["id"] == "W-CAP" and len(parts) == 2 and parts[0] in _SCOPES:
        return part.named(_SCOPES[parts[0]], parts[1], words)
    return " ".join(
        words.text(_PILOTS[word]) if word in _PILOTS else part.district_name(word, words) for word in parts
    )


# --- the run ----------------------------------------------------------------------------------------


def _run_facts(run: RunFacts, words: Words) -> list[tuple[str, str]]:
    options = run.manifest["options"]
    told = [
        (words.text("Solved"), words.time(str(run.manifest["started_utc"]))),
        (words.text("Run"), "/".join(run.folder.resolve().parts[-3:])),
        (words.text("Fingerprint of the inputs"), str(run.manifest["fingerprint"])),
        (
            words.text("Goals, the first first"),
            words.listed([words.figure_name(goal) for goal in options["goal"]]),
        ),
        (words.text("Gap asked for"), words.percent(options["gap"])),
        (words.text("Random seed"), str(options["seed"])),
    ]
    if run.manifest.get("overrides"):
        settings = [f"{key} = {value}" for key, value in run.manifest["overrides"].items()]
        told.append((words.text("Settings changed"), words.listed(settings)))
    return told
