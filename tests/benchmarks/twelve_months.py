"""A simulated year of the monthly job on Shanghai's public PV: python tests/benchmarks/twelve_months.py instances/shanghai.

Every month prices and costs drift, 5 % of the candidates change, projects of the year are tendered, contracted at
what they cost in fact, built and paid; in April the roof of a school fails, in June a plant is late, in August the
budget is cut.  The job plans each month with its default penalty for changes.  Beside it every month is planned
from nothing, without a penalty, as if there were no plan before but for what is contracted.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from optimize.io.instance_folder import read_instance
from optimize.io.run_store import read_summary, read_text_table, save_run
from optimize.io.warm_starts import read_warm_start
from optimize.monthly.due import Asked
from optimize.monthly.job import Job, read_job
from optimize.monthly.ledger import Entry, append_entries, read_ledger
from optimize.monthly.ledger_states import FROZEN, Standing, entry_faults, fold
from optimize.monthly.period import run_period
from optimize.monthly.periods import last_good
from optimize.monthly.revise import RevisionRules, revise, write_revised
from optimize.monthly.stability import without_fines
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES, find_programme
from optimize.report.stored import run_tables
from optimize.schema import InstanceData
from optimize.solve import Solved, solve

PV = find_programme("pv_siting")
NAME = PV.name
YEAR = 2022
MONTHS = tuple(f"{YEAR}-{month:02d}" for month in range(1, 13))
BEFORE = f"{YEAR - 1}-12"
_ROOF_FAILS, _PLANT_IS_LATE, _BUDGET_IS_CUT = f"{YEAR}-04", f"{YEAR}-06", f"{YEAR}-08"
_CHANGING = 0.05
# Of a part of the city: other programmes, and targets of a few pilots, which a few institutions hardly meet.
_LEFT_OUT = (
    "[datacenter", "[water", *(f"[pv_siting.clauses.PV-{name}]" for name in ("BIPV", "CARPORT", "HEAT", "FLEX", "EMC")),
)  # fmt: skip

JOB = """
[job]
name = "shanghai"
[instance]
folder = "instance"
[plan]
programmes = ["pv_siting"]
[solve]
gap = {gap}
time_limit_s = {limit}
explain_s = 0
[revise]
ledger = "ledger.csv"
price = false
"""


def reduced(instance: Path, out: Path, districts: tuple[str, ...], share_of_sites: float) -> Path:
    """Some districts of Shanghai with a share of their institutions; targets and city-wide money in proportion."""
    shutil.copytree(
        instance, out, ignore=shutil.ignore_patterns("datacenter", "water", "*.md", "scenarios.toml")
    )
    home = out / NAME
    sites = pd.read_csv(home / "sites.csv")
    kept = sites[sites["district"].isin(districts)].iloc[:: round(1 / share_of_sites)]
    share = len(kept) / len(sites)
    kept.to_csv(home / "sites.csv", index=False)
    feeders = pd.read_csv(home / "feeders.csv")
    feeders[feeders["feeder"].isin(kept["feeder"])].to_csv(home / "feeders.csv", index=False)
    budgets = pd.read_csv(home / "budgets.csv")
    budgets = budgets[budgets["source"].isin(["municipal", *districts])]
    city = budgets["source"] == "municipal"
    budgets["amount_cny"] = (budgets["amount_cny"] * np.where(city, share, share_of_sites)).round()
    budgets.to_csv(home / "budgets.csv", index=False)
    for name, column in (("installers", "capacity_kw"), ("district_minima", "capacity_kw")):
        table = pd.read_csv(home / f"{name}.csv")
        if "district" in table:
            table = table[table["district"].isin(districts)]
        scale = share if name == "installers" else 0.5 * share_of_sites
        table.assign(**{column: table[column] * scale}).to_csv(home / f"{name}.csv", index=False)
    configurations = pd.read_csv(home / "configurations.csv")
    few = configurations["configuration"].isin(["roof50", "roof100", "roof75_air_heat", "carport"])
    configurations[few].to_csv(home / "configurations.csv", index=False)
    weather = pd.read_csv(home / "weather.csv")
    some = weather["month"].isin([1, 4, 7, 10])
    weather[some].assign(
        days=weather["days"] * weather["days"].sum() / weather.loc[some, "days"].sum()
    ).to_csv(home / "weather.csv", index=False)
    toml = out / "instance.toml"
    sections = toml.read_text(encoding="utf-8").split("\n\n")
    kept_sections = [part for part in sections if not part.startswith(_LEFT_OUT)]
    text = "\n\n".join(kept_sections)
    capacity = math.floor(0.7 * share * 50_000)
    toml.write_text(text.replace("required = 50000", f"required = {capacity}"), encoding="utf-8")
    return out


@dataclass(frozen=True)
class Month:
    """What one month came to.

    Attributes
    ----------
    value, free_value : net present value without fines, of the published plan and of the one without a penalty, CNY (None: not compared).
    changes, free_changes : of the plan before, forced ones among them.
    forced : changes that no plan could have avoided.
    moved_contracts : contracted projects that are not as they were contracted.
    gap, free_gap : proven, of either.
    seconds, cold_seconds : processor time of the month's solve from the plan before, and of the one from nothing.
    """

    period: str
    value: float
    free_value: float | None
    changes: int
    free_changes: int | None
    forced: int
    contracted: int
    moved_contracts: int
    gap: float
    free_gap: float
    seconds: float
    cold_seconds: float


@dataclass
class Year:
    """The city, its ledger and its job in a folder of their own.

    Parameters
    ----------
    gap, limit_s : of every solve.
    timed : solve each month's question once more outside of the job, to tell its time.
    through_job : plan by the job itself, which checks, verifies and publishes; else by its steps alone.
    compared_every : plan from nothing in every so-manieth month.
    """

    home: Path
    gap: float
    limit_s: float
    seed: int = 0
    timed: bool = True
    through_job: bool = True
    compared_every: int = 1
    _in_force: Path | None = None
    _revised: Path = Path()
    _contracts: dict[str, dict[str, str]] = field(default_factory=dict)
    _read: dict[Path, InstanceData] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.home / "job.toml").write_text(JOB.format(gap=self.gap, limit=self.limit_s), encoding="utf-8")
        self._random = np.random.default_rng(self.seed)
        self._ledger = self.home / "ledger.csv"
        append_entries(
            self._ledger, [Entry(BEFORE, NAME, self._sites()["site"].iloc[0], "idea")], entry_faults
        )
        self._job: Job = read_job(self.home)

    def run(self) -> Iterator[Month]:
        """Plan the year's first list, then month by month."""
        self._publish(BEFORE)
        for period in MONTHS:
            before = self._in_force
            assert before is not None
            self._change_tables(period)
            self._write_down(period, read_text_table(before / "projects.csv"))
            self._publish(period)
            yield self._month(period, before)

    # --- what happens -----------------------------------------------------------------------------

    def _table(self, name: str) -> Path:
        return self.home / "instance" / NAME / f"{name}.csv"

    def _sites(self) -> pd.DataFrame:
        return pd.read_csv(self._table("sites"), dtype={"site": str})

    def _change_tables(self, period: str) -> None:
        random = self._random
        self._scale("tariffs", "price_cny_per_kwh", random.normal(1.0, 0.004, 3))
        self._scale("kinds", "capex_cny_per_kw", random.normal(0.998, 0.004, 4))
        if period == _BUDGET_IS_CUT:
            budgets = pd.read_csv(self._table("budgets"))
            cut = np.where(budgets["year"] > YEAR, 0.93, 1.0)
            budgets.assign(amount_cny=(budgets["amount_cny"] * cut).round()).to_csv(
                self._table("budgets"), index=False
            )
        sites, known = self._sites(), {key[2] for key in self._standing(period).projects}
        open_sites = sites.index[~sites["site"].isin(known)].to_numpy()
        number = max(round(_CHANGING * len(sites)), 4)
        chosen = random.choice(open_sites, size=min(number, len(open_sites)), replace=False)
        gone, fresh, other = np.split(chosen, [len(chosen) // 5, 2 * (len(chosen) // 5)])
        for column in ("usable_roof_m2", "annual_load_kwh"):
            sites[column] = sites[column].astype(float)
            sites.loc[other, column] *= random.uniform(0.85, 1.15, len(other)).round(3)
        born = sites.loc[fresh].assign(site=[f"new-{period}-{k}" for k in range(len(fresh))])
        pd.concat([sites.drop(index=gone), born]).to_csv(self._table("sites"), index=False)

    def _scale(self, name: str, column: str, factor: np.ndarray) -> None:
        table = pd.read_csv(self._table(name))
        table.assign(**{column: (table[column] * factor[: len(table)]).round(6)}).to_csv(
            self._table(name), index=False
        )

    def _write_down(self, period: str, plan: pd.DataFrame) -> None:
        """Tenders come in, contracts are signed and paid; what fails or is late."""
        standing, random, entries = self._standing(period), self._random, []
        state = {key[2]: record.state for key, record in standing.projects.items()}
        due = plan[plan["year"] == str(YEAR)].set_index("site")
        there = set(self._sites()["site"])
        open_sites = [s for s in due.index if state.get(s, "") in ("", "idea", "proposed") and s in there]
        for site in open_sites[: max(len(open_sites) // 6, 1)]:
            owed = 0.02 * float(due.at[site, "capex_cny"])
            entries.append(Entry(period, NAME, site, "tendered", cancellation_cost_cny=round(owed, 2)))
        for site in [s for s in due.index if state.get(s) == "tendered"]:
            cost = round(float(due.at[site, "capex_cny"]) * float(random.lognormal(0.0, 0.05)), 2)
            entries.append(Entry(period, NAME, site, "contracted", actual_cost_cny=cost, year=YEAR))
            self._contracts[site] = dict(due.loc[site]) | {"actual": repr(cost)}
        for site in [s for s, known in state.items() if known == "contracted" and random.random() < 0.4]:
            entries.append(Entry(period, NAME, site, "on_site", paid_cny=1e4, source="municipal"))
        if period == _ROOF_FAILS:
            schools = plan.loc[(plan["type"] == "school") & plan["site"].isin(there), "site"]
            failed = next(site for site in schools if state.get(site, "") in ("", "tendered"))
            entries = [entry for entry in entries if entry.project != failed]
            self._contracts.pop(failed, None)
            entries.append(Entry(period, NAME, failed, "failed", note="the roof does not carry it"))
        if period == _PLANT_IS_LATE:
            late = next(site for site in self._contracts if state.get(site) in ("contracted", "on_site"))
            entries.append(Entry(period, NAME, late, "delayed", year=YEAR + 1, note="the installer is late"))
            self._contracts[late]["year"] = str(YEAR + 1)
        append_entries(self._ledger, entries, entry_faults)

    def _standing(self, period: str) -> Standing:
        return fold(read_ledger(self._ledger), period)

    # --- what is planned --------------------------------------------------------------------------

    def _publish(self, period: str) -> None:
        if self.through_job:
            run_period(self._job, Asked(period), lambda: datetime.now(UTC), threading.Event())
            published, _ = last_good(self._job.home)
            assert published is not None
            self._in_force, self._revised = published.runs[NAME], published.folder / "instance"
            return
        runs = {} if self._in_force is None else {NAME: self._in_force}
        self._revised = self.home / f"instance-{period}"
        rules = self._job.revising.rules
        revision = revise(self.home / "instance", read_ledger(self._ledger), runs, period, rules)
        write_revised(self.home / "instance", revision, self._revised)
        data = self._data(self._revised)
        solved, _ = self._solve(data, self._in_force)
        assert solved.check is not None and solved.check.passed
        told = {"programme": NAME, "figures": dict(solved.check.figures), "gap": solved.result.gap}
        self._in_force = save_run(self.home / "results", NAME, period, run_tables(PV, solved), told, {})

    def _month(self, period: str, before: Path) -> Month:
        run = self._in_force
        assert run is not None
        held, data = read_summary(run), self._data(self._revised)
        then, now = _decisions(before), _decisions(run)
        compared = (MONTHS.index(period) + 1) % self.compared_every == 0
        free, cold_seconds = self._from_nothing(period, before) if compared else (None, 0.0)
        free_changes = None if free is None else _differ(then, _decisions_of(free))
        figures = held["figures"]
        warm, seconds = self._solve(data, before) if self.timed else (None, 0.0)
        return Month(
            period=period,
            value=without_fines("npv", figures["npv"], figures["changes"], data),
            free_value=_npv(free),
            changes=_differ(then, now),
            free_changes=free_changes,
            forced=self._forced(then, now, data),
            contracted=len(self._contracts),
            moved_contracts=self._moved(run),
            gap=_gap(held if warm is None else {"gap": warm.result.gap}),
            free_gap=math.inf if free is None else _gap({"gap": free.result.gap}),
            seconds=seconds,
            cold_seconds=cold_seconds,
        )

    def _from_nothing(self, period: str, before: Path) -> tuple[Solved, float]:
        """The plan of who has no plan yet but for what is contracted; a solve would begin from the plan in force."""
        folder, raw = self.home / f"free-{period}", self.home / "instance"
        revision = revise(raw, read_ledger(self._ledger), {NAME: before}, period, RevisionRules())
        write_revised(raw, revision, folder)
        file = folder / NAME / "plan_in_force.csv"
        rows = read_text_table(file)
        rows[rows["state"].isin(FROZEN)].to_csv(file, index=False)
        solved, seconds = self._solve(self._data(folder), None)
        assert solved.check is not None and solved.check.passed
        shutil.rmtree(folder)
        return solved, seconds

    def _solve(self, data: InstanceData, start: Path | None) -> tuple[Solved, float]:
        options = SolveOptions(
            gap=self.gap, time_limit_s=self.limit_s,
            warm_start=None if start is None else read_warm_start(start),
        )  # fmt: skip
        began = time.process_time()
        return solve(PV, data, options), time.process_time() - began

    def _data(self, folder: Path) -> InstanceData:
        """The revised instance of a month, which nobody changes any more."""
        if folder not in self._read:
            self._read[folder] = read_instance(folder, PROGRAMMES, [NAME]).programmes[0].data
        return self._read[folder]

    def _forced(self, then: Mapping[str, str], now: Mapping[str, str], data: InstanceData) -> int:
        """Changes of projects that failed, were withdrawn or put off."""
        rows = data.tables["plan_in_force"]
        in_force = {r["site"]: _decision({k: str(v) for k, v in r.items()}) for r in rows.to_dict("records")}
        there = set(data.tables["sites"]["site"])
        changed = [s for s in then.keys() | now.keys() if then.get(s) != now.get(s)]
        return sum(
            s not in in_force or s not in there or in_force[s] == now.get(s) for s in changed if s in then
        )

    def _moved(self, run: Path) -> int:
        """Contracts that the plan has otherwise than they were signed, or at another cost."""
        plan = read_text_table(run / "projects.csv").set_index("site")
        wrong = 0
        for site, contract in self._contracts.items():
            if site not in plan.index:
                wrong += 1
                continue
            row = plan.loc[site]
            same = all(row[name] == contract[name] for name in ("configuration", "offer", "year", "mix"))
            size = math.isclose(float(row["kw"]), float(contract["kw"]), rel_tol=1e-9)
            cost = math.isclose(float(row["capex_cny"]), float(contract["actual"]), rel_tol=1e-9)
            wrong += not (same and size and cost)
        return wrong


def _npv(solved: Solved | None) -> float | None:
    return None if solved is None or solved.check is None else solved.check.figures["npv"]


def _decisions_of(solved: Solved) -> dict[str, str]:
    rows = solved.result.solution.projects.astype(str).to_dict("records")
    return {str(row["site"]): _decision({str(k): str(v) for k, v in row.items()}) for row in rows}


def _gap(told: Mapping[str, float | None]) -> float:
    return math.inf if told["gap"] is None else told["gap"]


def _decision(row: Mapping[str, str]) -> str:
    return " ".join(row[name] for name in ("configuration", "offer", "year", "mix"))


def _decisions(run: Path) -> dict[str, str]:
    rows = read_text_table(run / "projects.csv").to_dict("records")
    return {str(row["site"]): _decision({str(k): str(v) for k, v in row.items()}) for row in rows}


def _differ(then: Mapping[str, str], now: Mapping[str, str]) -> int:
    return sum(then.get(site) != now.get(site) for site in then.keys() | now.keys())


def line(month: Month) -> str:
    """A month in a line."""
    told = (
        f"{month.period}  {month.changes:4d} changes ({month.forced} forced) · {month.value / 1e6:.2f} M CNY"
    )
    if month.free_value is not None:
        price = month.free_value - month.value
        told += f" · without a penalty {month.free_changes} and {price / 1e6:+.2f} M ({price / month.free_value:+.2%})"
    told += f" · {month.contracted} contracted, {month.moved_contracts} moved"
    if month.seconds:
        told += f" · {month.seconds:.1f} of {month.cold_seconds:.1f} s"
    return f"{told} · gaps {month.gap:.2%} {month.free_gap:.2%}"


def chosen_changes(months: Sequence[Month]) -> tuple[float, float]:
    """Changes a month that were chosen: with the penalty, and without it in the months that were compared."""
    held = [month.changes - month.forced for month in months]
    free = [month.free_changes - month.forced for month in months if month.free_changes is not None]
    return sum(held) / len(held), sum(free) / len(free)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("instance", type=Path)
    arguments.add_argument("--months", type=int, default=12)
    arguments.add_argument("--gap", type=float, default=0.005)
    arguments.add_argument("--time-limit", type=float, default=120.0)
    arguments.add_argument("--districts", default="", help="only these, separated by commas")
    arguments.add_argument("--share", type=float, default=1.0, help="of their institutions")
    call = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        if call.districts:
            reduced(call.instance, home / "instance", tuple(call.districts.split(",")), call.share)
        else:
            ignored = shutil.ignore_patterns("datacenter", "water")
            shutil.copytree(call.instance, home / "instance", ignore=ignored)
        months = []
        for month in Year(home, call.gap, call.time_limit).run():
            print(line(month), flush=True)
            months.append(month)
            if len(months) == call.months:
                break
    held, free = chosen_changes(months)
    price = sum((m.free_value or 0.0) - m.value for m in months) / len(months)
    print(f"changes a month that were chosen: {held:.1f} with the default penalty, {free:.1f} without ({held / free:.1%}); "
          f"that costs {price / 1e6:+.2f} M CNY on average")  # fmt: skip
    warm, cold = sum(m.seconds for m in months), sum(m.cold_seconds for m in months)
    print(f"processor time of the solves: {warm:.0f} s of {cold:.0f} s from nothing ({warm / cold:.0%}), "
          f"largest month {max(m.seconds / m.cold_seconds for m in months):.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
