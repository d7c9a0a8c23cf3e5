"""Sentences of a report on hydraulics, in both languages, from a file or from the run's own folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from optimize.i18n.words import Words
from optimize.io.run_store import HYDRAULICS
from optimize.publish.hydraulics import hydraulics_words, stored_hydraulics
from optimize.publish.study_files import read_studies


def _record(verdict: str) -> dict[str, Any]:
    standards = {
        "peak_hour_factor": 1.4, "min_pressure_m": 10.0, "max_pressure_m": 100.0, "max_velocity_m_per_s": 2.5,
    }  # fmt: skip
    repaired = {
        "pipes": [{}] * 21,
        "stations": [{}] * 4,
        "extra_capex_cny": 20.6e6,
        "extra_capex_share": 0.0171,
    }
    return {
        "run": "r", "programme": "water", "hydraulics": verdict, "standards": standards, "violations": [{}] * 39,
        "repaired": None if verdict == "clean" else repaired,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "english", "chinese"),
    [
        ("clean", "keeps all of this", "全部满足"),
        ("repaired", "21 larger pipes and 4 pumping stations", "放大21段管道、增设4座中途泵站"),
        ("over its limits", "39 places or pipes do not keep this", "39处节点或管道不满足"),
        ("violations left", "no repair", "尚无可行的修正"),
    ],
)
def test_every_verdict_is_told(verdict: str, english: str, chinese: str) -> None:
    for language, words in (("en", english), ("zh", chinese)):
        limits, told = hydraulics_words([_record(verdict)], Words(language))
        assert words in told
        assert "1.4" in limits and "EPANET" in limits


def test_what_a_report_tells_comes_from_a_file_or_the_run(tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text(json.dumps(_record("clean")), encoding="utf-8")
    studies = read_studies([tmp_path / "found.json"])
    assert studies.of_programme("water").hydraulics == (_record("clean"),)
    assert studies.of_programme("pv_siting").hydraulics == ()
    assert stored_hydraulics(tmp_path) == []
    (tmp_path / HYDRAULICS).write_text(json.dumps(_record("repaired")), encoding="utf-8")
    assert stored_hydraulics(tmp_path) == [_record("repaired")]
