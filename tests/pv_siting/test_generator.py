"""Seeded instances: reproducible, sound, binding; the committed Shanghai tables are the generator's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optimize.errors import UsageError
from optimize.io.validation import data_from_draft
from optimize.io.write import write_tables
from optimize.programme import SolveOptions
from optimize.pv_siting.checker import check
from optimize.pv_siting.fast import prefer_fast, solve_fast
from optimize.pv_siting.generator import example, generate
from optimize.pv_siting.instance import find_faults, load
from optimize.pv_siting.limits import derive_limits
from optimize.pv_siting.options import derive_options
from optimize.pv_siting.programme import PROGRAMME
from optimize.pv_siting.schema import SCHEMA
from optimize.pv_siting.shanghai import apportion

COMMITTED = Path(__file__).resolve().parents[2] / "instances" / "shanghai" / "pv_siting"


def test_same_seed_same_instance() -> None:
    first, second, other = (generate("2k", seed, "standard") for seed in (3, 3, 4))
    assert all(first.tables[name].equals(second.tables[name]) for name in first.tables)
    assert not first.tables["sites"].equals(other.tables["sites"])


def test_unknown_size_and_family_are_refused() -> None:
    with pytest.raises(UsageError, match="2k"):
        generate("3k", 0, "standard")
    with pytest.raises(UsageError, match="standard"):
        generate("2k", 0, "baroque")


@pytest.mark.parametrize(("family", "bind"), [("standard", False), ("tight", True)])
def test_substations_bind_in_the_tight_family_only(family: str, bind: bool) -> None:
    instance = load(data_from_draft(SCHEMA, generate("2k", 0, family)))
    below = instance.feeders.groupby("substation")["hosting_capacity_kw"].sum()
    left = instance.substations.set_index("substation")["hosting_capacity_kw"]
    assert ((below > left).mean() > 0.9) == bind
    limits = derive_limits(instance, derive_options(instance))
    assert ((limits.substation >= 0).mean() > 0.9) == bind


def test_benchmark_instance_is_sound_and_binds() -> None:
    data = data_from_draft(SCHEMA, generate("2k", 0, "tight"))
    assert find_faults(data) == []
    instance = load(data)
    assert prefer_fast(instance, SolveOptions())
    result = solve_fast(instance, SolveOptions(gap=0.03, time_limit_s=30.0))
    assert result.solution is not None
    report = check(instance, result.solution)
    assert report.passed, report.violations
    assert report.money["spent_cny"].sum() > 0.9 * report.money["budget_cny"].sum()
    binding = {outcome.target.id for outcome in report.clauses if outcome.binding}
    assert {"PV-BIPV", "PV-CARPORT"} <= binding
    feeders = instance.feeders["hosting_capacity_kw"]
    assert instance.sites.groupby("feeder").size().between(1, 10).all() and (feeders > 0).all()


def test_example_touches_every_table() -> None:
    draft = example()
    assert {table.name for table in SCHEMA.tables} == set(draft.tables)
    assert PROGRAMME.example().name_en == draft.name_en


def test_apportion_keeps_the_total() -> None:
    found = apportion(10, np.array([1.0, 1.0, 1.0]))
    assert found.sum() == 10 and set(found) == {3, 4}


def test_committed_shanghai_tables_are_the_generators(tmp_path: Path) -> None:
    write_tables(tmp_path, SCHEMA, generate("shanghai", 2022, "standard"))
    written = sorted(path.name for path in (tmp_path / "pv_siting").iterdir())
    assert written == sorted(path.name for path in COMMITTED.iterdir())
    for name in written:
        text = (tmp_path / "pv_siting" / name).read_text(encoding="utf-8")
        assert text == (COMMITTED / name).read_text(encoding="utf-8"), name
        assert len(text.encode()) < 1_000_000


def test_shanghai_has_its_institutions() -> None:
    draft = generate("shanghai", 2022, "standard")
    sites = draft.tables["sites"]
    count = sites.groupby("type").size()
    assert len(sites) >= 5_500 and sites["district"].nunique() == 16
    assert (count["school"], count["hospital"], count["university"]) == (3_432, 430, 64)
    assert set(draft.tables["districts"]["district"]) == {
        "Huangpu", "Xuhui", "Changning", "Jingan", "Putuo", "Hongkou", "Yangpu", "Minhang", "Baoshan", "Jiading",
        "Pudong", "Jinshan", "Songjiang", "Qingpu", "Fengxian", "Chongming",
    }  # fmt: skip
    assert sites["name_zh"].is_unique and "复旦大学" in set(sites["name_zh"])
    assert {"PV-50MW", "PV-BIPV", "PV-CARPORT", "PV-HEAT", "PV-LEAD", "PV-FLEX"} <= set(draft.targets)
    data = data_from_draft(SCHEMA, draft)
    assert find_faults(data) == []
    budgets = pd.DataFrame(draft.tables["budgets"])
    assert set(budgets["year"]) == set(range(2022, 2027))
