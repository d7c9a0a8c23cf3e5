"""What ``optimize hydraulics`` found about a plan, in sentences of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optimize.i18n.words import Words
from optimize.io.run_store import HYDRAULICS


def stored_hydraulics(run: Path) -> list[Mapping[str, Any]]:
    """What lies in the run's folder: the simulation a repaired plan was stored with."""
    path = run / HYDRAULICS
    return [json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []


def hydraulics_words(records: Sequence[Mapping[str, Any]], words: Words) -> list[str]:
    """Sentences for each record, as ``optimize hydraulics --json`` prints it."""
    return [sentence for record in records for sentence in _told(record, words)]


def _told(record: Mapping[str, Any], words: Words) -> list[str]:
    standards, repaired = record["standards"], record["repaired"]
    limits = words.text(
        "In hydraulic simulation (EPANET) of the peak hour, {factor} times the mean of its day, and of the average day users need {least} m "
        "of pressure, nowhere may it be above {most} m, and water may flow at {speed} m/s at most.",
        factor=words.number(standards["peak_hour_factor"]), least=words.number(standards["min_pressure_m"]),
        most=words.number(standards["max_pressure_m"]), speed=words.number(standards["max_velocity_m_per_s"]),
    )  # fmt: skip
    if record["hydraulics"] == "clean":
        return [limits, words.text("The plan keeps all of this.")]
    broken = words.number(len(record["violations"]))
    if record["hydraulics"] != "repaired":
        return [limits, words.text(
            "As planned, {n} places or pipes do not keep this, and no repair within budgets and targets is known.", n=broken,
        )]  # fmt: skip
    return [limits, words.text(
        "As first planned, {n} places or pipes did not keep this; {pipes} larger pipes and {stations} pumping stations repair them for {more} "
        "more investment ({share}), within all budgets and targets.",
        n=broken, pipes=words.number(len(repaired["pipes"])), stations=words.number(len(repaired["stations"])),
        more=words.amount(repaired["extra_capex_cny"], "CNY"), share=words.percent(repaired["extra_capex_share"]),
    )]  # fmt: skip
