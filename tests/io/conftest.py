"""A toy programme: enough schema to trigger every data check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.clauses import CLAUSES
from optimize.errors import Fault
from optimize.programme import Goal, Programme, Summary
from optimize.schema import (
    BUDGETS,
    COMMON_PARAMETERS,
    DISTRICTS,
    SOURCE_COLUMNS,
    Column,
    InstanceData,
    InstanceDraft,
    Parameter,
    Schema,
    Table,
)

SITES = Table(
    "sites",
    "candidate sites",
    (
        Column("id", "str", "site", key=True),
        Column("district", "str", "where", references="districts.district"),
        Column("kind", "str", "type", choices=("school", "hospital"), default="school"),
        Column("roof_m2", "float", "roof", "m2", 10, 200_000),
        Column("load_kw", "float", "load", "kW", 0, default=None, typical=100.0),
        Column("floors", "int", "floors", minimum=1, default=1),
        Column("listed", "bool", "protected building", default=False),
        *SOURCE_COLUMNS,
    ),
)

SCHEMA = Schema(
    "pv_siting",
    (DISTRICTS, SITES, BUDGETS),
    (*COMMON_PARAMETERS, Parameter("pv_siting.target_gap", "float", "a share", "share", 0, 1, 0.5)),
    (CLAUSES["PV-50MW"], CLAUSES["PV-BIPV"]),
)


def no_faults(data: InstanceData) -> list[Fault]:
    return []


def heavy_loads(data: InstanceData) -> list[Fault]:
    sites = data.tables["sites"]
    return [
        Fault("sites", "load_kw", "less than the district's supply", str(load), row=row)
        for row, load in enumerate(sites["load_kw"])
        if load > 1e6
    ]


def unused(*arguments: Any) -> Any:
    raise AssertionError("reading an instance must not solve")


def draft() -> InstanceDraft:
    return InstanceDraft(
        programme="pv_siting",
        name_zh="小城",
        name_en="Small town",
        tables={
            "districts": pd.DataFrame({"district": ["North", "South"], "name_zh": ["北区", "南区"]}),
            "sites": pd.DataFrame(
                {
                    "id": [f"S{i}" for i in range(12)],
                    "district": ["North", "South"] * 6,
                    "kind": ["school"] * 12,
                    "roof_m2": [1000.0 + i for i in range(12)],
                    "load_kw": [100.0] * 12,
                }
            ),
            "budgets": pd.DataFrame({"source": ["municipal"], "year": [2022], "amount_cny": [5e6]}),
        },
        parameters={"base_year": 2022, "num_years": 2},
        targets={"PV-50MW": {"required": 40.0}},
    )


PROGRAMME = Programme(
    name="pv_siting",
    zh="光伏",
    en="PV",
    schema=SCHEMA,
    goals=(Goal("npv", True, "CNY", "净现值", "net present value"),),
    find_faults=heavy_loads,
    find_warnings=no_faults,
    load=lambda data: data,
    solve_formulation=unused,
    solve_fast=None,
    unsupported_by_fast=lambda instance, options: None,
    prefer_fast=lambda instance, options: False,
    check=unused,
    plan_tables=unused,
    read_plan=unused,
    state_arrays=unused,
    summarise=lambda instance, solution, check: Summary((), ()),
    example=draft,
    sizes=("tiny",),
    families=("standard",),
    generate=lambda size, seed, family: draft(),
)


@pytest.fixture
def programme() -> Programme:
    return PROGRAMME


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from optimize.io.write import write_instance

    path = tmp_path / "town"
    write_instance(path, [(SCHEMA, draft())])
    return path


@pytest.fixture
def edit(folder: Path) -> Callable[[str, str, str], None]:
    """Replace text in a file of the instance."""

    def replace(file: str, old: str, new: str) -> None:
        path = folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace
