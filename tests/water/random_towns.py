"""Tiny random towns in which every row of the model has its turn; small enough to try every design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from optimize.clauses import CLAUSES, ClauseTarget
from optimize.water.instance import Instance
from tests.water.conftest import Town, make_town

GOALS = (("npv",), ("npv",), ("cost",), ("volume",), ("volume", "cost"))
TABLES_OF_SOME = ("storage_sites", "cascades", "pilots", "pilot_members", "funding", "locks", "profiles")


@cache
def everything() -> Instance:
    """A town with something in every table that some towns have rows of; checked once, varied by `draw`."""
    town: Town = make_town()
    town.add("plants", "R", plant="R", district="d", effluent_m3_per_d=400.0, tn_mg_per_l=12.0)
    town.add("treatment", "R", plant="R", quality="lo", opex_cny_per_m3=0.6)
    town.add("modules", "R", plant="R", quality="lo", step="m", capacity_m3_per_d=250.0, capex_cny=120_000.0)
    town.add("corridors", "RB", corridor="RB", from_node="R", to_node="B", length_m=900.0, district="d")
    town.add(
        "storage_sites",
        "T",
        site="T",
        node="J",
        quality="lo",
        volume_m3=9_000.0,
        capex_cny=40_000.0,
        district="d",
    )
    town.add(
        "cascades", "c", cascade="c", user="A", quality="lo", return_share=0.6, capacity_m3_per_d=400.0,
        capex_cny=50_000.0, opex_cny_per_m3=0.2,
    )  # fmt: skip
    town.add("pilots", "p", pilot="p", kind="park", district="d", min_users=1, min_volume_m3_per_a=1000.0)
    town.add("pilot_members", "pB", pilot="p", user="B")
    for mix, source in (("city", "municipal"), ("own", "owner")):
        town.add("funding", mix, project_kind="module", mix=mix, source=source, share=1.0)
    town.lock("force_in", "B")
    for month in range(1, 13):
        town.add(
            "profiles", f"s{month}", profile="summer", month=month, factor=1.7 if 4 < month < 11 else 0.3
        )
    return town.instance()


@dataclass
class Drawn:
    """An instance in the making: tables to write cells of, by the key of a row."""

    rng: np.random.Generator
    tables: dict[str, pd.DataFrame]
    parameters: dict[str, Any]
    targets: dict[str, float]

    def put(self, table: str, row: str | None, **cells: Any) -> None:
        """Set cells of a row (None: of all)."""
        frame = self.tables[table]
        where = slice(None) if row is None else frame.iloc[:, 0] == row
        for name, value in cells.items():
            frame.loc[where, name] = value

    def offer(self, table: str) -> None:
        """Keep the rows of a table that most towns lack."""
        self.tables[table] = getattr(everything(), table).copy()

    def drop(self, table: str, row: str, column: int = 0) -> None:
        frame = self.tables[table]
        self.tables[table] = frame[frame.iloc[:, column] != row].reset_index(drop=True)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    @property
    def demand_m3_per_a(self) -> float:
        growth = 1.0 + self.tables["users"]["growth_share"].to_numpy()
        return 365.0 * float(self.tables["user_demands"]["base_m3_per_d"].to_numpy() @ growth)


def effluent(d: Drawn) -> None:
    d.put("plants", "P", effluent_m3_per_d=d.between(80, 350), ecological_m3_per_d=d.between(0, 60))


def two_qualities(d: Drawn) -> None:
    """B wants the better water, of which the concentrate spoils the rest of the effluent."""
    d.put("user_demands", "b", need="hi", alternative_cny_per_m3=9.0)
    d.offer_hi = True  # type: ignore[attr-defined]
    d.put("plants", "P", tn_limit_mg_per_l=d.between(10.3, 12.0), effluent_m3_per_d=d.between(400, 900))


def seasons(d: Drawn) -> None:
    d.parameters["periods"] = 4
    d.offer("profiles")
    d.put("user_demands", None, profile="summer")


def storage(d: Drawn) -> None:
    seasons(d)
    d.offer("storage_sites")
    d.put("storage_sites", None, volume_m3=d.between(2_000, 40_000), capex_cny=d.between(1_000, 40_000))
    d.put("plants", "P", effluent_m3_per_d=d.between(200, 500))


def peak_day(d: Drawn) -> None:
    d.parameters["peak_day"] = True
    d.put("users", None, peak_day_factor=d.between(1.2, 2.0), min_take_share=1.0)
    if d.rng.random() < 0.5:
        d.offer("storage_sites")
        d.put("storage_sites", None, volume_m3=d.between(50, 400), capex_cny=d.between(1_000, 40_000))


def least_take(d: Drawn) -> None:
    d.put("users", None, min_take_share=d.between(0.6, 1.0))
    d.put("plants", "P", effluent_m3_per_d=d.between(150, 400))


def tanker(d: Drawn) -> None:
    d.put("users", "B", tanker_plant="P", tanker_cny_per_m3=d.between(0.2, 2.0), tanker_capex_cny=20_000.0)
    d.put("corridors", "JB", length_m=d.between(1000, 8000))


def single_feed(d: Drawn) -> None:
    second_plant(d)
    d.put("users", "B", single_feed=True)
    d.put("user_demands", "b", base_m3_per_d=d.between(350, 500), alternative_cny_per_m3=7.0)
    d.put("corridors", "RB", length_m=d.between(100, 600))
    d.put("plants", "P", effluent_m3_per_d=300.0)  # neither plant has enough for it


def second_plant(d: Drawn) -> None:
    d.keep_second_plant = True  # type: ignore[attr-defined]


def quota(d: Drawn) -> None:
    d.put(
        "users",
        "A",
        quota_listed=True,
        growth_share=d.between(0.2, 1.0),
        refusal_cost_cny_per_m3=d.between(0.1, 3),
    )
    d.put("user_demands", "a", alternative_cny_per_m3=d.between(0.2, 2.0))
    d.targets["W-QUOTA"] = 1.0


def cascade(d: Drawn) -> None:
    d.offer("cascades")
    d.put("cascades", None, capacity_m3_per_d=d.between(50, 300), opex_cny_per_m3=d.between(0.1, 1.0))
    if d.rng.random() < 0.5:
        d.targets["W-CASCADE"] = d.between(10, 40)


def pilot(d: Drawn) -> None:
    d.offer("pilots")
    d.offer("pilot_members")
    d.put("pilots", None, min_volume_m3_per_a=d.between(0.2, 0.9) * 365 * 100)
    d.put("user_demands", "b", alternative_cny_per_m3=d.between(0.2, 2.0), base_m3_per_d=d.between(100, 200))
    d.targets["W-PILOT"] = 1.0


def price(d: Drawn) -> None:
    d.put(
        "user_demands",
        None,
        max_price_cny_per_m3=d.between(0.4, 2.0),
        alternative_cny_per_m3=d.between(4.0, 8.0),
    )
    d.put("budgets", None, amount_cny=2e6)
    d.targets["W-PRICE"] = 0.0


def cap(d: Drawn) -> None:
    d.put("user_demands", None, alternative_cny_per_m3=d.between(0.2, 2.0))
    d.targets["W-CAP"] = d.between(0.3, 0.8) * d.demand_m3_per_a


def volume(d: Drawn) -> None:
    d.put("user_demands", None, alternative_cny_per_m3=d.between(0.2, 2.0))
    d.targets["W-VOLUME"] = d.between(0.2, 0.8) * d.demand_m3_per_a


def nitrogen(d: Drawn) -> None:
    d.put("user_demands", None, alternative_cny_per_m3=d.between(0.1, 1.0))
    d.parameters["tn_value_cny_per_kg"] = 0.0
    d.targets["W-TN"] = d.between(0.2, 0.7) * d.demand_m3_per_a * 0.009


def near(d: Drawn) -> None:
    d.put("user_demands", None, alternative_cny_per_m3=d.between(6.0, 9.0))
    d.targets["W-NEAR"] = d.between(0.8, 1.4)


def plants(d: Drawn) -> None:
    second_plant(d)
    if d.rng.random() < 0.5:
        d.parameters["num_plants_exact"] = int(d.rng.integers(1, 3))
    else:
        d.targets["W-UPGRADE"] = 2.0


def money(d: Drawn) -> None:
    d.put("budgets", None, amount_cny=d.between(100_000, 500_000))
    d.put("user_demands", None, alternative_cny_per_m3=d.between(5.0, 9.0))


def mixes(d: Drawn) -> None:
    money(d)
    d.offer("funding")


def locks(d: Drawn) -> None:
    kind, name, other = (
        ("force_in", "B", ""), ("force_out", "A", ""), ("together", "A", "B"), ("not_together", "A", "B"),
        ("force_in", "JB", ""), ("force_out", "PJ", ""),
    )[int(d.rng.integers(6))]  # fmt: skip
    d.offer("locks")
    d.put("locks", None, kind=kind, id=name, other=other)
    d.put("user_demands", "b", alternative_cny_per_m3=d.between(0.3, 6.0))


def pipes_there(d: Drawn) -> None:
    d.put("corridors", "PJ", existing_quality="lo", existing_m3_per_d=d.between(100, 300))
    d.put("corridors", "JA", directed=True, static_head_m=d.between(-20, 20))


FEATURES: tuple[Callable[[Drawn], None], ...] = (
    effluent, two_qualities, seasons, storage, peak_day, least_take, tanker, single_feed, quota, cascade, pilot,
    price, cap, volume, nitrogen, near, plants, money, mixes, locks, pipes_there,
)  # fmt: skip
ALONE = (two_qualities, storage, single_feed, plants)
"""Features with many designs: no other comes with them."""


@cache
def draw(seed: int) -> tuple[Instance, tuple[str, ...]]:
    """An instance with one or two features, and the goal it is solved for."""
    rng = np.random.default_rng(seed)
    base = everything()
    names = [name for name, value in vars(base).items() if isinstance(value, pd.DataFrame)]
    tables = {name: getattr(base, name).copy() for name in names}
    for name in TABLES_OF_SOME:
        tables[name] = tables[name].iloc[:0]
    d = Drawn(rng, tables, {}, {})
    for row, (low, high) in {
        "PJ": (100, 2500),
        "JA": (100, 2500),
        "JB": (100, 2500),
        "RB": (100, 2500),
    }.items():
        d.put("corridors", row, length_m=float(rng.integers(low, high)))
    d.drop("corridors", "AB")
    for name in ("a", "b"):
        d.put(
            "user_demands",
            name,
            base_m3_per_d=float(rng.integers(60, 450)),
            alternative_cny_per_m3=d.between(2.5, 7.0),
        )
    d.put("users", None, connection_capex_cny=float(rng.integers(1_000, 90_000)))
    d.put("budgets", None, amount_cny=float(rng.integers(300_000, 2_000_000)))
    goal = GOALS[seed % len(GOALS)]
    first = FEATURES[seed // len(GOALS) % len(FEATURES)]
    first(d)
    others = [feature for feature in FEATURES if feature is not first and feature not in ALONE]
    if first not in ALONE and rng.random() < 0.5:
        others[int(rng.integers(len(others)))](d)
    if goal == ("cost",) and not d.targets:
        d.targets["W-VOLUME"] = d.between(0.2, 0.7) * d.demand_m3_per_a
    _leave_out(d)
    targets = {name: ClauseTarget(CLAUSES[name], required) for name, required in d.targets.items()}
    parameters = replace(base.parameters, **d.parameters)
    return replace(base, parameters=parameters, targets=targets, **d.tables), goal


def _leave_out(d: Drawn) -> None:
    """What the town has no use for, so that its designs can all be tried."""
    if not hasattr(d, "keep_second_plant"):
        for table, row in (("plants", "R"), ("corridors", "RB")):
            d.drop(table, row)
        for table in ("treatment", "modules"):
            d.drop(table, "R")
    if not hasattr(d, "offer_hi"):
        for table in ("treatment", "modules"):
            d.drop(table, "hi", column=1)
    many = len(d.tables["corridors"]) > 3 or hasattr(d, "offer_hi") or d.parameters.get("periods", 1) > 1
    if many or d.rng.random() < 0.7:
        d.drop("pipes", "S")


def random_town(town: Any, seed: int) -> None:
    """One quality, one period, everything random; for what varies a `Town` further."""
    rng = np.random.default_rng(seed)
    for name in ("P-hi-m",):
        del town.rows["modules"][name]
    del town.rows["treatment"]["P-hi"]
    for row in town.rows["corridors"].values():
        row["length_m"] = float(rng.integers(100, 4000))
    for row in town.rows["user_demands"].values():
        row["base_m3_per_d"] = float(rng.integers(50, 500))
        row["alternative_cny_per_m3"] = float(rng.uniform(1.0, 4.0))
    for row in town.rows["users"].values():
        row["min_take_share"] = float(rng.choice([0.0, 0.5, 1.0]))
        row["connection_capex_cny"] = float(rng.integers(0, 100_000))
    town.rows["plants"]["P"]["effluent_m3_per_d"] = float(rng.integers(100, 900))
    budget = float(rng.integers(500_000, 3_000_000))
    town.rows["budgets"]["m22"]["amount_cny"] = budget
    del town.rows["budgets"]["m23"]
