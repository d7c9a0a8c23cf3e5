"""A town of one plant, two users and a few pipes, to be bent into every case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest

from optimize.io.validation import data_from_draft
from optimize.programme import SolveOptions
from optimize.schema import InstanceData, InstanceDraft
from optimize.water.checker import check
from optimize.water.formulation import solve_formulation
from optimize.water.instance import Instance, load
from optimize.water.schema import SCHEMA

YEAR = 2022


@dataclass
class Town:
    """Tables as rows by name, so that a case reads ``town.rows["users"]["A"]["growth_share"] = 1``."""

    rows: dict[str, dict[str, dict[str, Any]]]
    parameters: dict[str, Any]
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, table: str, name: str, **cells: Any) -> None:
        self.rows.setdefault(table, {})[name] = cells

    def lock(self, kind: str, name: str, **cells: Any) -> None:
        self.add("locks", f"{kind}-{name}", kind=kind, id=name, **cells)

    def aim(self, clause: str, required: float, **keys: Any) -> None:
        self.targets[clause] = {"required": required, **keys}

    def price(self, cny_per_m3: float) -> None:
        """Set what the replaced water costs for everyone."""
        for row in self.rows["user_demands"].values():
            row["alternative_cny_per_m3"] = cny_per_m3

    def draft(self) -> InstanceDraft:
        tables = {table: _frame(table, rows) for table, rows in self.rows.items() if rows}
        return InstanceDraft("water", "镇", "town", tables, self.parameters, self.targets)

    def data(self) -> InstanceData:
        return data_from_draft(SCHEMA, self.draft())

    def instance(self) -> Instance:
        return load(self.data())


def _frame(table: str, rows: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Rows may leave out any column that has a default."""
    used = {name for row in rows.values() for name in row}
    columns = [column for column in SCHEMA.table(table).columns if column.name in used]
    return pd.DataFrame(
        [{column.name: row.get(column.name, column.default) for column in columns} for row in rows.values()]
    )


def _keyed(key: str, *rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in rows}


def _corridor(name: str, start: str, end: str, metres: float) -> dict[str, Any]:
    return {"corridor": name, "from_node": start, "to_node": end, "length_m": metres, "district": "d"}


@pytest.fixture
def town() -> Town:
    """Everything in it is worth building."""
    return make_town()


def make_town() -> Town:
    return Town(
        rows={
            "districts": _keyed("district", {"district": "d"}),
            "plants": _keyed(
                "plant", {"plant": "P", "district": "d", "effluent_m3_per_d": 2000.0, "tn_mg_per_l": 10.0}
            ),
            "junctions": _keyed("junction", {"junction": "J"}),
            "qualities": _keyed(
                "quality",
                {"quality": "lo", "tn_kept_out_share": 0.9},
                {"quality": "hi", "tn_kept_out_share": 0.1},
            ),
            "accepts": {"lo-hi": {"need": "lo", "quality": "hi"}},
            "users": _keyed(
                "user",
                {"user": "A", "district": "d", "connection_capex_cny": 20_000.0},
                {"user": "B", "district": "d", "connection_capex_cny": 20_000.0},
            ),
            "user_demands": _keyed(
                "demand",
                {
                    "demand": "a",
                    "user": "A",
                    "need": "lo",
                    "base_m3_per_d": 300.0,
                    "alternative_cny_per_m3": 5.0,
                },
                {
                    "demand": "b",
                    "user": "B",
                    "need": "lo",
                    "base_m3_per_d": 200.0,
                    "alternative_cny_per_m3": 5.0,
                },
            ),
            "treatment": {
                "P-lo": {"plant": "P", "quality": "lo", "opex_cny_per_m3": 0.5},
                "P-hi": {"plant": "P", "quality": "hi", "opex_cny_per_m3": 2.0, "recovery": 0.5},
            },
            "modules": {
                "P-lo-s": _module("P", "lo", "s", 300.0, 100_000.0),
                "P-lo-m": _module("P", "lo", "m", 600.0, 150_000.0),
                "P-hi-m": _module("P", "hi", "m", 600.0, 300_000.0),
            },
            "pipes": _keyed(
                "diameter",
                {"diameter": "S", "capacity_m3_per_d": 250.0, "capex_cny_per_m": 300.0},
                {"diameter": "L", "capacity_m3_per_d": 1000.0, "capex_cny_per_m": 500.0},
            ),
            "corridors": _keyed(
                "corridor",
                _corridor("PJ", "P", "J", 500.0),
                _corridor("JA", "J", "A", 200.0),
                _corridor("JB", "J", "B", 300.0),
                _corridor("AB", "A", "B", 300.0),
            ),
            "budgets": {
                "m22": {"source": "municipal", "year": YEAR, "amount_cny": 1e8},
                "m23": {"source": "municipal", "year": YEAR + 1, "amount_cny": 1e8},
            },
        },
        parameters={"base_year": YEAR, "num_years": 2, "water.periods": 1},
    )


def _module(plant: str, quality: str, step: str, capacity: float, capex: float) -> dict[str, Any]:
    return {
        "plant": plant, "quality": quality, "step": step, "capacity_m3_per_d": capacity, "capex_cny": capex,
    }  # fmt: skip


@pytest.fixture
def solved() -> Callable[..., Any]:
    """Solve an instance to optimality by the formulation and check it; returns (result, report)."""

    def call(instance: Instance, *goal: str) -> Any:
        options = SolveOptions(goal=goal or ("npv",), gap=0.0, time_limit_s=60.0)
        result = solve_formulation(instance, options)
        return result, None if result.solution is None else check(instance, result.solution)

    return call
