"""The best plan of a tiny instance by trying every design: written from the tables, sharing nothing with the models.

A design settles all that is yes or no: diameters, modules, how each user is served, storage, cascades, funding of
modules, the corridor of a single-feed user.  Its best volumes are a small linear programme; those of all designs are
solved at once, as blocks of one matrix that differ in right sides only.  Every row carries the name of its equation,
so that the optimum without it can be asked for: a row that changes nothing is not active.

Covers one investment stage, hard clauses, at most one pilot; figures as in `docs/formulations/water.md`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from optimize.water.instance import Instance

MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)
PERIODS = {1: (tuple(range(12)),), 4: ((2, 3, 4), (5, 6, 7), (8, 9, 10), (11, 0, 1))}
BROKEN_CNY_PER_A = 1e5
"""Price of a unit by which a row is broken: a design that cannot do without has none of it worth while."""
TOUCH = 1e-5
OPEN = 1e6

Design = dict[Any, Any]
Side = float | Callable[[Design], float]


@dataclass(frozen=True)
class Flow:
    """Water that moves: where it enters (+) and leaves, and what 1 m3 brings, costs and counts for."""

    name: tuple[Any, ...]
    ends: tuple[tuple[str, str, float], ...]
    npv: float = 0.0
    cost: float = 0.0
    used: bool = False
    tn_kg: float = 0.0
    km: float = 0.0
    system: tuple[str, str] | None = None
    balance: float = 0.0  # of the price system


@dataclass(frozen=True)
class Row:
    """``sum of factor x column >= side`` (equal where ``equal``), columns by flow and period."""

    equation: str
    terms: dict[tuple[tuple[Any, ...], int], float]
    side: Side
    equal: bool = False


@dataclass(frozen=True)
class Asset:
    """Something a design builds."""

    kind: str
    capex: float
    life: float
    yearly: float
    shares: tuple[tuple[tuple[str, str], float], ...]  # price systems that bear it


def annuity(years: float, rate: float) -> float:
    return (1 - (1 + rate) ** -years) / rate


def records(frame: Any, key: str) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in frame.to_dict("records")}


class Enumeration:
    """All designs of an instance, and the best value of a goal over them."""

    def __init__(self, instance: Instance) -> None:
        self.i, self.p = instance, instance.parameters
        self.asked = {name: target.required for name, target in instance.targets.items()}
        self.plants, self.users = records(instance.plants, "plant"), records(instance.users, "user")
        self.demands = records(instance.user_demands, "demand")
        self.corridors, self.diameters = (
            records(instance.corridors, "corridor"),
            records(instance.pipes, "diameter"),
        )
        self.sites, self.cascades = (
            records(instance.storage_sites, "site"),
            records(instance.cascades, "cascade"),
        )
        self.pilots = records(instance.pilots, "pilot") if "W-PILOT" in self.asked else {}
        members = zip(instance.pilot_members["pilot"], instance.pilot_members["user"], strict=True)
        self.members: dict[str, set[str]] = {name: set() for name in self.pilots}
        for name, user in members:
            self.members.setdefault(name, set()).add(user)
        self.locks = instance.locks.to_dict("records")
        self.mixes = list(dict.fromkeys(instance.funding["mix"])) or ["city"]
        municipal = instance.budgets["source"] == "municipal"
        self.money_cny = self.p.budget_scale * float(instance.budgets.loc[municipal, "amount_cny"].sum())
        self.quality = records(instance.qualities, "quality")
        self.treatment = {(r["plant"], r["quality"]): r for r in instance.treatment.to_dict("records")}
        self.modules = {(r["plant"], r["quality"], r["step"]): r for r in instance.modules.to_dict("records")}
        self.accepts = {(need, need) for need in self.quality}
        self.accepts |= set(zip(instance.accepts["need"], instance.accepts["quality"], strict=True))
        self.weight = annuity(self.p.horizon_years, self.p.discount_rate)
        self._tell_periods()
        made = sorted({g for _, g in self.treatment} | {r["quality"] for r in self.cascades.values()})
        self.lanes = [(e, g) for e in self.corridors for g in made]
        self.flows = list(self._flows())
        self.rows = list(self._rows())
        self.designs = list(self._designs())

    # ---------------------------------------------------------------------------------- periods

    def _tell_periods(self) -> None:
        groups = PERIODS[self.p.periods]
        self.days = np.array([MONTH_DAYS[list(months)].sum() for months in groups])
        profiles = self.i.profiles

        def factor(name: str) -> np.ndarray:
            own = profiles[profiles["profile"] == name].sort_values("month")["factor"].to_numpy(float)
            return own if len(own) else np.ones(12)

        def of_periods(monthly: np.ndarray, peak_factor: float = 1.0) -> np.ndarray:
            means = [np.average(monthly[list(m)], weights=MONTH_DAYS[list(m)]) for m in groups]
            return np.array([*means, peak_factor * monthly[peak]] if self.p.peak_day else means)

        grown = {n: 1.0 + self.users[r["user"]]["growth_share"] for n, r in self.demands.items()}
        monthly = {n: r["base_m3_per_d"] * grown[n] * factor(r["profile"]) for n, r in self.demands.items()}
        peak = int(sum(monthly.values()).argmax())
        self.demand = {
            n: of_periods(monthly[n], self.users[r["user"]]["peak_day_factor"])
            for n, r in self.demands.items()
        }
        self.growth = {n: self.demand[n] * (1 - 1 / grown[n]) for n in self.demands}
        self.effluent, self.available = {}, {}
        for n, r in self.plants.items():
            self.effluent[n] = of_periods(r["effluent_m3_per_d"] * factor(r["effluent_profile"]))
            kept = of_periods(r["ecological_m3_per_d"] * factor(r["ecological_profile"]))
            self.available[n] = np.maximum(self.effluent[n] - kept, 0.0)
        if self.p.peak_day:
            self.days = np.append(self.days, 0.0)

    # ------------------------------------------------------------------------------------ flows

    def _flows(self) -> Iterator[Flow]:
        p = self.p
        electricity, carbon = p.electricity_cny_per_kwh, p.carbon_cny_per_t / 1000.0
        dirty = carbon * p.grid_kg_co2_per_kwh
        for (plant, g), r in self.treatment.items():
            run = r["opex_cny_per_m3"] + electricity * r["kwh_per_m3"]
            tn = (
                self.plants[plant]["tn_mg_per_l"]
                / 1000.0
                * self.quality[g]["tn_kept_out_share"]
                / r["recovery"]
            )
            worth = p.tn_value_cny_per_kg * tn - run - dirty * r["kwh_per_m3"]
            yield Flow(("product", plant, g), ((plant, g, 1.0),), worth, run, tn_kg=tn,
                       system=(self.plants[plant]["system"], g), balance=-run)  # fmt: skip
        for e, g in self.lanes:
            r = self.corridors[e]
            for sign, start, end in ((1, "from_node", "to_node"), (-1, "to_node", "from_node")):
                if sign > 0 or not r["directed"]:
                    lift = max(sign * r["static_head_m"], 0.0) * 9.80665 / 3600.0 / p.pump_efficiency
                    kwh = p.pumping_kwh_per_m3_per_km * r["length_m"] / 1000.0 + lift
                    run = r["unit_cost_cny_per_m3"] + electricity * kwh
                    yield Flow(("flow", e, g, sign), ((r[start], g, -1.0), (r[end], g, 1.0)), -run - dirty * kwh, run,
                               km=r["length_m"] / 1000.0, system=(r["system"], g), balance=-run)  # fmt: skip
        for n, r in self.demands.items():
            user = self.users[r["user"]]
            worth = (
                r["alternative_cny_per_m3"] - r["user_opex_cny_per_m3"] + dirty * r["alternative_kwh_per_m3"]
            )
            price = min(p.max_price_share * r["alternative_cny_per_m3"],
                        r["alternative_cny_per_m3"] - r["user_opex_cny_per_m3"])  # fmt: skip
            if not np.isnan(r["max_price_cny_per_m3"]):
                price = min(price, r["max_price_cny_per_m3"])
            for g in (g for need, g in self.accepts if need == r["need"]):
                at = {"used": True, "system": (user["system"], g)}
                yield Flow(("pipe", n, g), ((r["user"], g, -1.0),), worth, r["user_opex_cny_per_m3"],
                           balance=max(price, 0.0), **at)  # fmt: skip
                if user["tanker_plant"]:
                    haul = user["tanker_cny_per_m3"]
                    yield Flow(("tanker", n, g), ((user["tanker_plant"], g, -1.0),),
                               worth - haul - carbon * p.tanker_kg_co2_per_m3, r["user_opex_cny_per_m3"] + haul,
                               balance=max(price, 0.0) - haul, **at)  # fmt: skip
        for n, r in self.cascades.items():
            run = r["opex_cny_per_m3"] + electricity * r["kwh_per_m3"]
            tn = r["tn_kept_out_kg_per_m3"]
            yield Flow(("reused", n), ((r["user"], r["quality"], 1.0),), p.tn_value_cny_per_kg * tn - run - dirty * r["kwh_per_m3"],
                       run, tn_kg=tn, system=(self.users[r["user"]]["system"], r["quality"]), balance=-run)  # fmt: skip
        for n, r in self.sites.items():
            yield Flow(("in", n), ((r["node"], r["quality"], -1.0),))
            yield Flow(("out", n), ((r["node"], r["quality"], 1.0),))
            yield Flow(("level", n), ())

    # ------------------------------------------------------------------------------------- rows

    def _rows(self) -> Iterator[Row]:
        for t in range(len(self.days)):
            yield from self._rows_of_plants(t)
            yield from self._rows_of_pipes(t)
            yield from self._rows_of_users(t)
            yield from self._rows_of_storage(t)
            for node, g in {(node, g) for flow in self.flows for node, g, _ in flow.ends}:
                terms = {
                    (f.name, t): sign for f in self.flows for n, q, sign in f.ends if (n, q) == (node, g)
                }
                yield Row("W3", terms, 0.0, equal=True)
        yield from self._rows_of_clauses()

    def _rows_of_plants(self, t: int) -> Iterator[Row]:
        for plant, r in self.plants.items():
            own = {g: row for (p, g), row in self.treatment.items() if p == plant}
            drawn = {(("product", plant, g), t): -1.0 / row["recovery"] for g, row in own.items()}
            yield Row("W1", drawn, -self.available[plant][t])
            limit, nitrogen = r["tn_limit_mg_per_l"], r["tn_mg_per_l"]
            if not np.isnan(limit):
                share = {
                    (("product", plant, g), t): self.quality[g]["tn_kept_out_share"]
                    * nitrogen
                    / row["recovery"]
                    - limit
                    for g, row in own.items()
                }
                yield Row("W1 nitrogen", share, self.effluent[plant][t] * (nitrogen - limit))
            for g, row in own.items():
                yield Row("W4", {(("product", plant, g), t): -1.0},
                          lambda d, k=(plant, g), r=row: -r["existing_m3_per_d"] - self._size(d, k))  # fmt: skip

    def _size(self, design: Design, work: tuple[str, str]) -> float:
        step = design.get(("module", *work))
        return 0.0 if step is None else self.modules[(*work, step)]["capacity_m3_per_d"]

    def _rows_of_pipes(self, t: int) -> Iterator[Row]:
        for e, g in self.lanes:
            r = self.corridors[e]
            ways = [f.name for f in self.flows if f.name[:3] == ("flow", e, g)]
            standing = r["existing_m3_per_d"] if r["existing_quality"] == g else 0.0
            yield Row("W2", {(way, t): -1.0 for way in ways},
                      lambda d, k=(e, g), s=standing: -s - (self.diameters[d[k]]["capacity_m3_per_d"] if d[k] else 0.0))  # fmt: skip
            for way in ways:
                end = r["to_node"] if way[3] > 0 else r["from_node"]
                if end in self.users and self.users[end]["single_feed"]:
                    yield Row(
                        "W6 feed", {(way, t): -1.0}, lambda d, u=end, e=e: -OPEN if d["feed", u] == e else 0.0
                    )

    def _rows_of_users(self, t: int) -> Iterator[Row]:
        for n, r in self.demands.items():
            demand, least = self.demand[n][t], self.users[r["user"]]["min_take_share"]
            for way in ("pipe", "tanker"):
                flows = [f.name for f in self.flows if f.name[:2] == (way, n)]
                served = lambda d, u=r["user"], way=way: d["way", u] == way  # noqa: E731
                if flows:
                    yield Row(
                        "W6", {(f, t): -1.0 for f in flows}, lambda d, s=served, m=demand: -m if s(d) else 0.0
                    )
                if flows and way == "pipe" and least > 0:
                    yield Row("W6 least take", {(f, t): 1.0 for f in flows},
                              lambda d, s=served, m=least * demand: m if s(d) else 0.0)  # fmt: skip
        for n, r in self.cascades.items():
            own = [q for q, row in self.demands.items() if row["user"] == r["user"]]
            used, growth = sum(self.demand[q][t] for q in own), sum(self.growth[q][t] for q in own)

            def limit(d: Design, n: str = n, r: Any = r, used: float = used, growth: float = growth) -> float:
                left = used - growth * (d["way", r["user"]] == "refused")
                most = min(r["capacity_m3_per_d"], r["return_share"] * used, r["return_share"] * left)
                return -most if d["built", n] else 0.0

            yield Row("W8", {(("reused", n), t): -1.0}, limit)

    def _rows_of_storage(self, t: int) -> Iterator[Row]:
        months = [k for k, days in enumerate(self.days) if days]
        for n, r in self.sites.items():
            level, filled, taken = ((name, n) for name in ("level", "in", "out"))
            yield Row("W5", {(level, t): -1.0}, lambda d, n=n, r=r: -r["volume_m3"] if d["built", n] else 0.0)
            if self.days[t]:
                terms: dict[Any, float] = {
                    (filled, t): self.days[t],
                    (taken, t): -self.days[t],
                    (level, t): -1.0,
                }
                terms[level, months[t - 1]] = terms.get((level, months[t - 1]), 0.0) + 1.0
                yield Row("W5", terms, 0.0, equal=True)
            else:
                yield Row("W5", {(taken, t): 1.0, (level, t): -1.0}, 0.0, equal=True)
                yield Row("W5", {(filled, t): -1.0}, 0.0)

    def _over_year(self, of: Callable[[Flow], float]) -> dict[Any, float]:
        return {
            (f.name, t): of(f) * days
            for f in self.flows
            for t, days in enumerate(self.days)
            if of(f) and days
        }

    def _rows_of_clauses(self) -> Iterator[Row]:
        used = self._over_year(lambda f: float(f.used))
        if "W-VOLUME" in self.asked:
            yield Row("W13 volume", used, self.asked["W-VOLUME"])
        if "W-TN" in self.asked:
            yield Row("W13 nitrogen", self._over_year(lambda f: f.tn_kg), self.asked["W-TN"])
        if "W-NEAR" in self.asked:
            per_m3 = self.asked["W-NEAR"]
            yield Row("W13 near", self._over_year(lambda f: per_m3 * (f.name[0] == "pipe") - f.km), 0.0)
        if "W-CAP" in self.asked:
            whole = sum(float(self.demand[n] @ self.days) for n in self.demands) - self.asked["W-CAP"]
            yield Row("W11", used, lambda d: whole - sum(
                float(self.growth[n] @ self.days) for n, r in self.demands.items() if d["way", r["user"]] == "refused"
            ))  # fmt: skip
        for n, r in self.pilots.items():
            members = self.members[n]
            own = self._over_year(lambda f, m=members: float(f.used and self.demands[f.name[1]]["user"] in m))
            yield Row("W9", own, r["min_volume_m3_per_a"])
        if "W-CASCADE" in self.asked:
            mean = self._over_year(lambda f: (f.name[0] == "reused") / self.days.sum())
            yield Row("W8 clause", mean, self.asked["W-CASCADE"])
        if "W-PRICE" in self.asked:
            for key in {f.system for f in self.flows if f.system}:
                terms = self._over_year(lambda f, key=key: f.balance if f.system == key else 0.0)
                yield Row("W10", terms, lambda d, key=key: self._borne_by(d, key))

    # ---------------------------------------------------------------------------------- designs

    def _designs(self) -> Iterator[Design]:
        choices: dict[Any, list[Any]] = {lane: [None, *self.diameters] for lane in self.lanes}
        for plant, g, step in self.modules:
            choices.setdefault(("module", plant, g), [None]).append(step)
        refusable = bool({"W-QUOTA", "W-CAP"} & set(self.asked))
        for user, r in self.users.items():
            ways = [None, "pipe", *(["tanker"] if r["tanker_plant"] else [])]
            choices["way", user] = [*ways, *(["refused"] if r["quota_listed"] and refusable else [])]
            if r["single_feed"]:
                choices["feed", user] = [
                    e for e, c in self.corridors.items()
                    if c["to_node"] == user or (c["from_node"] == user and not c["directed"])
                ]  # fmt: skip
        for name in (*self.sites, *self.cascades):
            choices["built", name] = [False, True]
        choices["mix"] = self.mixes
        for chosen in itertools.product(*choices.values()):
            yield dict(zip(choices, chosen, strict=True))

    def assets(self, design: Design) -> Iterator[Asset]:
        """All that a design builds."""
        upkeep = self.p.network_o_and_m_share
        for e, g in (lane for lane in self.lanes if design[lane]):
            r, pipe = self.corridors[e], self.diameters[design[e, g]]
            per_m = pipe["capex_cny_per_m"] * self.quality[g]["pipe_capex_factor"]
            capex = r["fixed_capex_cny"] + r["length_m"] * r["terrain_factor"] * per_m
            yield Asset("pipe", capex, pipe["life_years"], upkeep * capex, (((r["system"], g), 1.0),))
        for (plant, g, step), r in self.modules.items():
            if design["module", plant, g] == step:
                key = (self.plants[plant]["system"], g)
                yield Asset(
                    "module", r["capex_cny"], r["life_years"], r["fixed_opex_cny_per_a"], ((key, 1.0),)
                )
        for user, r in self.users.items():
            kind = {"pipe": "connection", "tanker": "tanker"}.get(design["way", user])
            own = [q for q in self.demands.values() if q["user"] == user]
            total = sum(q["base_m3_per_d"] for q in own)
            shares = tuple(((r["system"], q["need"]), q["base_m3_per_d"] / total) for q in own)
            if kind:
                capex = r[f"{kind}_capex_cny"]
                yield Asset(kind, capex, r["connection_life_years"], upkeep * capex, shares)
        for name, r in self.sites.items():
            if design["built", name]:
                key = (r["system"], r["quality"])
                yield Asset(
                    "storage", r["capex_cny"], r["life_years"], upkeep * r["capex_cny"], ((key, 1.0),)
                )
        for name, r in self.cascades.items():
            if design["built", name]:
                key = (self.users[r["user"]]["system"], r["quality"])
                yield Asset("cascade", r["capex_cny"], r["life_years"], 0.0, ((key, 1.0),))

    def _capital_cny_per_a(self, asset: Asset) -> float:
        return asset.capex / annuity(asset.life, self.p.discount_rate)

    def _borne_by(self, design: Design, system: tuple[str, str]) -> float:
        """Yearly cost of a design's works that a price system bears."""
        return sum(
            share * (self.p.price_capital_share * self._capital_cny_per_a(asset) + asset.yearly)
            for asset in self.assets(design) for key, share in asset.shares if key == system
        )  # fmt: skip

    def outlay_cny(self, design: Design) -> float:
        """Present cost of what a design builds and refuses."""
        yearly = sum(self._capital_cny_per_a(asset) + asset.yearly for asset in self.assets(design))
        for n, r in self.demands.items():
            if design["way", r["user"]] == "refused":
                yearly += self.users[r["user"]]["refusal_cost_cny_per_m3"] * float(self.growth[n] @ self.days)
        return self.weight * yearly

    def holds(self, design: Design, without: str = "") -> bool:
        """Whether the rows that speak of yes and no alone hold."""
        paid = {"pipe": 1.0, "storage": 1.0, "module": float(design["mix"] == "city")}
        spent = sum(paid.get(asset.kind, 0.0) * asset.capex for asset in self.assets(design))
        upgraded = {p for p, g, _ in self.modules if design["module", p, g]}
        listed = [
            u for u, r in self.users.items() if r["quota_listed"] and design["way", u] in ("pipe", "refused")
        ]
        exact = self.p.num_plants_exact
        rows = {
            "W12 budget": spent <= self.money_cny * (1 + 1e-12),
            "W12 locks": all(self._keeps(design, lock) for lock in self.locks),
            "W7": len(listed) >= self.asked.get("W-QUOTA", 0.0),
            "W9": all(self._joined(design, n) >= r["min_users"] for n, r in self.pilots.items()),
            "W13 plants": exact in (0, len(upgraded)) and len(upgraded) >= self.asked.get("W-UPGRADE", 0.0),
        }
        return all(kept for name, kept in rows.items() if name != without)

    def _joined(self, design: Design, pilot: str) -> int:
        return sum(design["way", user] == "pipe" for user in self.members[pilot])

    def _keeps(self, design: Design, lock: dict[str, Any]) -> bool:
        done = self._done(design, lock["id"])
        if lock["kind"] in ("force_in", "force_out"):
            return done == (lock["kind"] == "force_in")
        other = self._done(design, lock["other"])
        return done == other if lock["kind"] == "together" else not (done and other)

    def _done(self, design: Design, project: str) -> bool:
        if project in self.users:
            return design["way", project] in ("pipe", "tanker")
        if project in self.corridors:
            return any(design[lane] for lane in self.lanes if lane[0] == project)
        return any(design["module", p, g] for p, g, _ in self.modules if p == project)

    # ------------------------------------------------------------------------------------- best

    def best(self, goals: tuple[str, ...], without: str = "") -> float | None:
        """Best value of the last goal over all designs and volumes, earlier goals kept; None if there is no plan."""
        designs = [d for d in self.designs if self.holds(d, without)]
        rows = [row for row in self.rows if row.equation != without]
        value: float | None = None
        for goal in goals:
            per_year = self._over_year(
                {"npv": lambda f: f.npv, "cost": lambda f: -f.cost, "volume": lambda f: float(f.used)}[goal]
            )
            scale = 1.0 if goal == "volume" else self.weight
            values = scale * self._volumes(designs, rows, per_year)
            if goal != "volume":
                values = values - np.array([self.outlay_cny(d) for d in designs])
            value = float(values.max(initial=-np.inf))
            if not np.isfinite(value):
                return None
            # only an earlier goal that needs no outlay can be kept by a row
            rows = [*rows, Row("kept", per_year, value * (1 - 1e-9))]
        return -value if goals[-1] == "cost" else value

    def _volumes(self, designs: list[Design], rows: list[Row], worth: dict[Any, float]) -> np.ndarray:
        """Best yearly worth of each design's volumes; -inf where its rows cannot all hold."""
        if not designs:
            return np.zeros(0)
        place = {
            name: k for k, name in enumerate((f.name, t) for f in self.flows for t in range(len(self.days)))
        }
        side = np.array([[row.side(d) if callable(row.side) else row.side for row in rows] for d in designs])
        equal = np.array([row.equal for row in rows])
        slack = np.flatnonzero(~equal & (side > 0).any(axis=0))  # nothing at all keeps the others
        cost = np.full(len(place) + len(slack), BROKEN_CNY_PER_A)
        cost[: len(place)] = 0.0
        for name, amount in worth.items():
            cost[place[name]] = -amount
        matrix = np.zeros((len(rows), len(cost)))
        for k, row in enumerate(rows):
            for name, factor in row.terms.items():
                matrix[k, place[name]] += factor
        matrix[slack, len(place) + np.arange(len(slack))] = 1.0
        blocks = sp.eye_array(len(designs))
        answer = linprog(
            np.tile(cost, len(designs)),
            A_ub=sp.kron(blocks, -matrix[~equal], "csr"), b_ub=-side[:, ~equal].ravel(),
            A_eq=sp.kron(blocks, matrix[equal], "csr"), b_eq=side[:, equal].ravel(),
        )  # fmt: skip
        assert answer.status == 0, answer.message
        x = answer.x.reshape(len(designs), -1)
        broken = x[:, len(place) :].sum(axis=1) > TOUCH
        return np.where(broken, -np.inf, -(x[:, : len(place)] @ cost[: len(place)]))
