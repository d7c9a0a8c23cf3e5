"""A stored run as reports, workbooks and pages read it: the checker's figures, the plan's tables, the instance.

Nothing is derived here that the checker has stated: figures, clauses and money are the summary's own, and
sums over projects are sums of the rows that the run lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.city.plan import SILOS
from optimize.city.reading import read_city_of
from optimize.errors import InputFaults, UsageError
from optimize.i18n.vocabulary import column_words
from optimize.i18n.words import Words
from optimize.io.run_instance import folder_of, read_instance_of
from optimize.io.run_store import read_summary, read_text_table
from optimize.io.shapes import Shapes, read_shapes
from optimize.names import CITY
from optimize.programme import Programme
from optimize.registry import PROGRAMMES
from optimize.schema import InstanceData
from optimize.studies.stored_runs import StoredCity, StoredRun, read_city_run
from optimize.studies.stored_runs import read_run as read_stored_run

_NUMBERS = ("year", "whole", "number", "money", "share")


@dataclass(frozen=True)
class PlanFacts:
    """The plan of one programme: a run of its own, or a part of a joint one.

    Attributes
    ----------
    stored : projects and payments in one shape (`optimize.studies.stored_runs`).
    prefix : before the names of its tables in the run's folder ("" in a run of its own).
    instance : the tables it was solved from, None where they are no longer there as they were.
    shapes : outlines of districts that the instance brings along.
    """

    stored: StoredRun
    prefix: str = ""
    instance: InstanceData | None = None
    shapes: Shapes = field(default_factory=dict)

    @property
    def programme(self) -> Programme:
        return self.stored.programme

    @property
    def name(self) -> str:
        return self.stored.programme.name

    @property
    def summary(self) -> Mapping[str, Any]:
        return self.stored.summary

    @property
    def figures(self) -> Mapping[str, float]:
        """The checker's figures by name (`optimize.i18n.vocabulary.FIGURES` has names and units)."""
        figures: Mapping[str, float] = self.summary["figures"]
        return figures

    @property
    def clauses(self) -> list[Mapping[str, Any]]:
        """Records: id, zh, en, where, sense, required, reached, unit, hard, met, binding."""
        return list(self.summary["clauses"])

    @cached_property
    def money(self) -> pd.DataFrame:
        """source, year, spent_cny, budget_cny (NaN: unlimited), as the checker counted it."""
        return _money(self.summary["money"])

    @cached_property
    def table_names(self) -> tuple[str, ...]:
        """Names of its tables in the run's folder, the plan's own."""
        start = f"{self.prefix}." if self.prefix else ""
        names = [path.name.removesuffix(".csv") for path in self.stored.folder.glob("*.csv")]
        own = [name[len(start) :] for name in names if name.startswith(start)]
        return tuple(sorted(name for name in own if "." not in name and name != "split"))

    def table(self, name: str) -> pd.DataFrame:
        """A table of the run with numbers as numbers; empty cells of text are ""; raises KeyError where there is none."""
        if name not in self._tables:
            if name not in self.table_names:
                raise KeyError(f"{self.stored.folder} has no table {name}")
            start = f"{self.prefix}." if self.prefix else ""
            self._tables[name] = typed(read_text_table(self.stored.folder / f"{start}{name}.csv"))
        return self._tables[name]

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return {}

    @property
    def projects(self) -> pd.DataFrame:
        """kind, id, name_zh, name_en, district, year, decision, capex_cny, a column for each of `effects`."""
        return self.stored.projects

    @cached_property
    def prices(self) -> pd.DataFrame | None:
        """``shadow_prices`` of a run of its own that has them."""
        return self.table("shadow_prices") if "shadow_prices" in self.table_names else None

    def title(self, words: Words) -> str:
        return words.either(self.programme.zh, self.programme.en)

    def district_name(self, district: str, words: Words) -> str:
        """A district's name where the instance is there, else its id."""
        return words.either(*self._districts.get(district, (district, district)))

    @cached_property
    def _districts(self) -> dict[str, tuple[str, str]]:
        if self.instance is None:
            return {}
        rows = self.instance.tables["districts"]
        return {
            str(row["district"]): (
                str(row["name_zh"] or row["district"]),
                str(row["name_en"] or row["district"]),
            )
            for row in rows.to_dict(orient="records")
        }

    @cached_property
    def names(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """(Chinese, English) name by table and id, from the instance: measures, hosts, kinds, qualities …"""
        found: dict[tuple[str, str], tuple[str, str]] = {}
        if self.instance is None:
            return found
        for table in self.programme.schema.tables:
            if len(table.key) != 1 or not {"name_zh", "name_en"} <= {c.name for c in table.columns}:
                continue
            rows = self.instance.tables[table.name]
            for key, zh, en in zip(rows[table.key[0]], rows["name_zh"], rows["name_en"], strict=True):
                found[table.name, str(key)] = (str(zh or en or key), str(en or zh or key))
        return found

    def named(self, table: str, key: str, words: Words) -> str:
        """The name of a row of an instance table in the reader's language; its id where it is not known."""
        return words.either(*self.names.get((table, key), (key, key)))


@dataclass(frozen=True)
class RunFacts:
    """A stored run: of one programme, or of several under one budget.

    Attributes
    ----------
    parts : the plan of each programme; one for a run of one programme.
    silos : of a joint run, the plans on today's fixed shares, where there are any.
    split : of a joint run, programme by source and year: share_cny, today_cny, pool_cny; else None.
    instance_folder : where the instance lies, None where it is not there or has changed, which
        ``instance_missing`` then says.
    shapes_fault : why the outlines of districts that the instance brings along are not drawn; "" where they are.
    """

    folder: Path
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    parts: tuple[PlanFacts, ...]
    silos: tuple[PlanFacts, ...] = ()
    split: pd.DataFrame | None = None
    instance_folder: Path | None = None
    instance_missing: str = ""
    shapes_fault: str = ""

    @property
    def programme(self) -> str:
        """Name of the programme, ``city`` for a joint run."""
        return str(self.summary["programme"])

    @property
    def is_city(self) -> bool:
        return self.programme == CITY

    @property
    def figures(self) -> Mapping[str, float]:
        """The checker's figures; of a joint run those of each programme as ``<programme>.<figure>``, too."""
        figures: Mapping[str, float] = self.summary["figures"]
        return figures

    @property
    def clauses(self) -> list[tuple[PlanFacts | None, Mapping[str, Any]]]:
        """Every clause with the plan it belongs to (None: the city's own)."""
        own: list[tuple[PlanFacts | None, Mapping[str, Any]]] = [
            (part, clause) for part in self.parts for clause in part.clauses
        ]
        return own + [(None, clause) for clause in self.summary["clauses"]] if self.is_city else own

    @cached_property
    def money(self) -> pd.DataFrame:
        """source, year, spent_cny, budget_cny (NaN: unlimited), of all programmes together."""
        return _money(self.summary["money"])

    @cached_property
    def years(self) -> tuple[int, ...]:
        """Years in which money is spent or there is a budget."""
        return tuple(sorted({int(year) for year in self.money["year"]}))

    @cached_property
    def period(self) -> tuple[int, int]:
        """First and last year of investment; where the instance is not there, of the money."""
        data = self.parts[0].instance
        if data is not None:
            first = int(data.parameters["base_year"])
            return first, first + int(data.parameters["num_years"]) - 1
        return self.years[0], self.years[-1]

    @cached_property
    def scenario(self) -> Mapping[str, str] | None:
        """name, zh, en of the scenario the run is, None where it is none."""
        told = self.manifest.get("scenario") or self.summary.get("scenario")
        return None if told is None else dict(told)

    def title(self, words: Words) -> str:
        """The programme's name; of a joint run, that it is one."""
        return words.either(str(self.summary["programme_zh"]), str(self.summary["programme_en"]))

    def place(self, words: Words) -> str:
        """The name of the city."""
        return words.either(str(self.summary["instance_zh"]), str(self.summary["instance_en"]))

    def label(self, words: Words) -> str:
        """A short name: the scenario's title, or what was set, or that nothing was."""
        if self.scenario is not None:
            return words.either(str(self.scenario.get("zh", "")), str(self.scenario.get("en", ""))) or str(
                self.scenario["name"]
            )
        settings = self.manifest.get("overrides") or {}
        told = [f"{key} = {value}" for key, value in settings.items()]
        return words.listed(told) if told else words.text("As it is")

    def part(self, programme: str) -> PlanFacts:
        return next(part for part in self.parts if part.name == programme)


def read_run(
    folder: Path, programmes: Sequence[Programme] = PROGRAMMES, instance: Path | None = None
) -> RunFacts:
    """A run as it was written, with its instance where that is still there unchanged.

    Parameters
    ----------
    instance : the instance folder, if it has been moved.

    Raises
    ------
    UsageError : it is no run, or no longer as it was written; or ``instance`` was given and is not the run's.
    """
    summary = read_summary(folder)
    if summary.get("programme") == CITY:
        return _city(read_city_run(folder, programmes), programmes, instance)
    stored = read_stored_run(folder, programmes)
    data, place, missing = None, None, ""
    try:
        place, data = read_instance_of(folder, stored.manifest, stored.programme, programmes, instance)
    except (UsageError, InputFaults) as error:
        if instance is not None:
            raise
        missing = str(error)
    shapes, fault = _shapes_of(place)
    part = PlanFacts(stored, "", data, shapes)
    return RunFacts(
        folder,
        summary,
        stored.manifest,
        (part,),
        instance_folder=place,
        instance_missing=missing,
        shapes_fault=fault,
    )


def _city(stored: StoredCity, programmes: Sequence[Programme], instance: Path | None) -> RunFacts:
    data: dict[str, InstanceData] = {}
    place, missing = None, ""
    try:
        place = folder_of(stored.folder, stored.manifest, instance)
        city = read_city_of(stored.folder, stored.manifest, programmes, place)
        data = {part.programme.name: part.data for part in city.parts}
    except (UsageError, InputFaults) as error:
        if instance is not None:
            raise
        place, missing = None, str(error)

    shapes, fault = _shapes_of(place)

    def facts(parts: Sequence[StoredRun], above: str) -> tuple[PlanFacts, ...]:
        names = [part.programme.name for part in parts]
        return tuple(
            PlanFacts(part, f"{above}{name}", data.get(name), shapes)
            for part, name in zip(parts, names, strict=True)
        )

    silos: tuple[PlanFacts, ...] = ()
    if stored.summary["silos"].get("parts"):
        silos = facts(read_city_run(stored.folder, programmes, silos=True).parts, f"{SILOS}.")
    return RunFacts(
        stored.folder,
        stored.summary,
        stored.manifest,
        facts(stored.parts, ""),
        silos=silos,
        split=typed(read_text_table(stored.folder / "split.csv")),
        instance_folder=place,
        instance_missing=missing,
        shapes_fault=fault,
    )


def _shapes_of(place: Path | None) -> tuple[Shapes, str]:
    """Outlines of districts; a plan is read without them where their file is wrong, and that is told."""
    try:
        return ({} if place is None else read_shapes(place)), ""
    except InputFaults as error:
        return {}, str(error.faults[0])


def typed(cells: pd.DataFrame) -> pd.DataFrame:
    """Text cells with columns of numbers as numbers (`column_words` says which), truths as truths."""
    shown = {}
    for name in cells.columns:
        told = column_words(name)
        kind = "text" if told is None else told.kind
        if kind in _NUMBERS:
            shown[name] = pd.to_numeric(cells[name].replace("", None))
        elif kind == "truth":
            shown[name] = cells[name] == "true"
        else:
            shown[name] = cells[name]
    return pd.DataFrame(shown)


def _money(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(records), columns=["source", "year", "spent_cny", "budget_cny"])
    frame["budget_cny"] = pd.to_numeric(frame["budget_cny"])
    return frame
