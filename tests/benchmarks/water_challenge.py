"""Best known plans and bounds of the generator's reclaimed-water cases, kept in docs/water_best_known.csv.

    python tests/benchmarks/water_challenge.py --size s,m --seeds 1,2,3 --time-limit 600 --threads 2
    python tests/benchmarks/water_challenge.py --run results/water/1a2b3c4d5e6f/run_001
    python tests/benchmarks/water_challenge.py --show

Runs each case in a process of its own, lets the checker recompute the plan, keeps what is better than all before, and
prints two tables as Markdown: the best known, and this run beside it.  The CSV is written after every case, so that a
long run may be stopped.  A case is known by the fingerprint of its instance: where the generator draws another one than
the CSV was made for, nothing is compared.  A plan beyond a known bound (or the other way round) ends the run with code
5: one of the two is wrong.  ``--run`` takes a stored run, of whatever machine, that `optimize verify` finds as it says,
with the bound that is recomputed there; ``--draw`` only notes the fingerprints.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from optimize.bench.child import Task
from optimize.bench.contenders import PRODUCT, find_contenders
from optimize.bench.marks import refutes
from optimize.bench.race import Entry, Race, instance_folder, run_race
from optimize.errors import ExitCode, OptimizeError, UsageError, gravest
from optimize.io.instance_folder import read_instance
from optimize.io.run_store import read_manifest, read_summary
from optimize.names import FAMILIES, SIZES
from optimize.registry import PROGRAMMES, find_programme
from optimize.report.summary import versions
from optimize.report.text import percent
from optimize.verification.run import verify_run

WATER = find_programme("water")
GOAL = WATER.goal("npv")
KNOWN_SIZES = [size for size in SIZES["water"] if size != "shanghai"]
BEST_KNOWN = Path(__file__).resolve().parents[2] / "docs" / "water_best_known.csv"
_GAP = 1e-6
_BETTER = 1e-9
"""Relative; a plan or bound that is better by less is the same."""


class Refuted(OptimizeError):
    """A plan lies beyond a bound."""

    exit_code = ExitCode.FAILED_CHECK


@dataclass(frozen=True)
class Case:
    family: str
    size: str
    seed: int

    @property
    def place(self) -> tuple[int, int, int]:
        """By which cases are sorted: as the generator names families and sizes."""
        return FAMILIES["water"].index(self.family), KNOWN_SIZES.index(self.size), self.seed

    def __str__(self) -> str:
        return f"{self.family} {self.size} seed {self.seed}"


@dataclass(frozen=True)
class Best:
    """The best plan and the best bound known of a case, in CNY, each with the day and how it was found.

    ``gross_cny`` is the plan's value before costs.
    """

    fingerprint: str
    plan_cny: float | None = None
    gross_cny: float | None = None
    plan_found: str = ""
    plan_by: str = ""
    bound_cny: float | None = None
    bound_found: str = ""
    bound_by: str = ""

    @property
    def gap(self) -> float | None:
        return self._share(self.plan_cny)

    @property
    def gap_of_gross(self) -> float | None:
        return self._share(self.gross_cny)

    def _share(self, whole: float | None) -> float | None:
        if self.plan_cny is None or self.bound_cny is None or not whole:
            return None
        return max(self.bound_cny - self.plan_cny, 0.0) / abs(whole)


_COLUMNS = ("family", "size", "seed", *(field.name for field in dataclasses.fields(Best)))
_FIGURES = frozenset({"plan_cny", "gross_cny", "bound_cny"})


@dataclass(frozen=True)
class Found:
    """What one run found of a case: a plan the checker holds with, and a bound."""

    fingerprint: str
    plan_cny: float | None
    gross_cny: float | None
    bound_cny: float | None
    by: str


def read_best(path: Path) -> dict[Case, Best]:
    """The table as it stands; nothing where there is no file yet."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise UsageError(f"{path}: expected the columns {', '.join(_COLUMNS)}")
        return {_case_of(row): _best_of(row) for row in rows}


def _case_of(row: Mapping[str, str]) -> Case:
    return Case(row["family"], row["size"], int(row["seed"]))


def _best_of(row: Mapping[str, str]) -> Best:
    cells = {name: row[name] for name in _COLUMNS[3:]}
    figures = {name: float(cells[name]) if cells[name] else None for name in _FIGURES}
    return Best(**{**cells, **figures})  # type: ignore[arg-type]


def write_best(path: Path, best: Mapping[Case, Best]) -> None:
    """Replace the file as a whole; cases in the generator's order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for case in sorted(best, key=lambda one: one.place):
        cells = [getattr(best[case], name) for name in _COLUMNS[3:]]
        cells = [f"{cell:.2f}" if isinstance(cell, float) else cell or "" for cell in cells]
        writer.writerow([case.family, case.size, case.seed, *cells])
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text.getvalue(), encoding="utf-8")
    fresh.replace(path)


def merged(case: Case, before: Best | None, found: Found, today: str) -> Best:
    """The best of what was known and what was found.

    Raises
    ------
    UsageError : the instance is another one than before.
    Refuted : the best plan lies beyond the best bound.
    """
    if before is None:
        before = Best(found.fingerprint)
    if before.fingerprint != found.fingerprint:
        raise UsageError(
            f"{case}: the instance is {found.fingerprint}, the table's is {before.fingerprint}: the generator has "
            "changed, and what is known is of another instance; take the row out to begin anew"
        )
    best = before
    plan, bound = found.plan_cny, found.bound_cny
    if plan is not None and (best.plan_cny is None or _improves(plan - best.plan_cny, plan)):
        best = dataclasses.replace(
            best, plan_cny=math.floor(100 * plan) / 100, gross_cny=found.gross_cny,
            plan_found=today, plan_by=found.by,
        )  # fmt: skip
    if bound is not None and (best.bound_cny is None or _improves(best.bound_cny - bound, bound)):
        best = dataclasses.replace(
            best, bound_cny=math.ceil(100 * bound) / 100, bound_found=today, bound_by=found.by
        )
    if best.plan_cny is not None and refutes(best.plan_cny, best.bound_cny, GOAL.maximise):
        raise Refuted(
            f"{case}: a plan of {best.plan_cny:.2f} CNY ({best.plan_found}: {best.plan_by}) and a bound of "
            f"{best.bound_cny:.2f} CNY ({best.bound_found}: {best.bound_by}) cannot both be true"
        )
    return best


def _improves(better_by: float, before: float) -> bool:
    return better_by > _BETTER * abs(before)


def run_case(case: Case, call: argparse.Namespace) -> Race:
    """One run of the product on one case, its plan recomputed."""
    drawing = ["--size", case.size, "--family", case.family, "--seed", str(case.seed)]
    with instance_folder(WATER, None, drawing) as folder:
        task = Task(
            contender=PRODUCT, programme=WATER.name, instance=str(folder), goal=GOAL.name, gap=_GAP,
            time_limit_s=call.time_limit, threads=call.threads, seed=_solver_seed(case, call),
        )  # fmt: skip
        race = run_race(find_contenders(PRODUCT), task, GOAL.maximise, tell=lambda entry: None)
    if race.interrupted:
        raise KeyboardInterrupt
    return race


def _solver_seed(case: Case, call: argparse.Namespace) -> int:
    return case.seed if call.solver_seed is None else int(call.solver_seed)


def found_by(case: Case, entry: Entry, call: argparse.Namespace) -> Found:
    """What counts of a run: a plan only as recomputed, a bound unless refuted."""
    by = (
        f"--time-limit {call.time_limit:g} --threads {call.threads} --solver-seed {_solver_seed(case, call)}"
        f" (source {versions()['optimize source']})"
    )
    held = entry.plan if entry.checked else None
    gross = entry.gross if entry.checked else None
    bound = entry.bound if entry.marks.gap is not None or entry.plan is None else None
    return Found(entry.fingerprint, held, gross, bound, by)


def found_in(run: Path) -> Found:
    """A stored run, by what `optimize verify` recomputes.

    Raises
    ------
    UsageError : no run of this goal, or one that is not as it says.
    """
    verdict = verify_run(run, PROGRAMMES)
    if not verdict.verified:
        raise UsageError(f"{run} is not as it says: {'; '.join(verdict.failures)}")
    if (verdict.programme, verdict.goal) != (WATER.name, GOAL.name):
        raise UsageError(f"{run} is a run of {verdict.programme} for {verdict.goal}, not of water for npv")
    manifest, summary = read_manifest(run), read_summary(run)
    by = f"a stored run of {manifest['options']['time_limit_s']:g} s, verified (source {manifest['versions']['optimize source']})"
    gross = summary["figures"][GOAL.gross]
    return Found(manifest["fingerprint"], verdict.objective, gross, verdict.bound_certified, by)


def drawn(case: Case) -> str:
    """The fingerprint of a case as the generator draws it today."""
    drawing = ["--size", case.size, "--family", case.family, "--seed", str(case.seed)]
    with instance_folder(WATER, None, drawing) as folder:
        (part,) = read_instance(folder, PROGRAMMES, [WATER.name]).programmes
        return part.data.fingerprint


def best_lines(best: Mapping[Case, Best]) -> list[str]:
    """The best known as Markdown."""
    lines = [
        "| family | size | seed | best plan, M CNY | best bound, M CNY | gap of net | of gross | plan found | bound found | instance |",
        "|---|---|---:|---:|---:|---:|---:|---|---|---|",
    ]
    for case in sorted(best, key=lambda one: one.place):
        row = best[case]
        lines.append(
            f"| {case.family} | {case.size} | {case.seed} | {_millions(row.plan_cny)} | {_millions(row.bound_cny)} | "
            f"{_percent(row.gap)} | {_percent(row.gap_of_gross)} | {row.plan_found or '–'} | {row.bound_found or '–'} | "
            f"`{row.fingerprint}` |"
        )
    return lines


def run_lines(entries: Mapping[Case, Entry], best: Mapping[Case, Best]) -> list[str]:
    """This run beside the best known."""
    lines = [
        "| family | size | seed | plan, M CNY | behind the best | bound, M CNY | gap of net | of gross | first plan | ended |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for case, entry in entries.items():
        known = best[case].plan_cny
        behind = None if entry.plan is None or not known else max(known - entry.plan, 0.0) / abs(known)
        first = entry.marks.first_plan_s
        took = "" if entry.seconds is None else f" {entry.seconds:.0f} s"
        lines.append(
            f"| {case.family} | {case.size} | {case.seed} | {_millions(entry.plan)} | {_percent(behind)} | "
            f"{_millions(entry.bound)} | {_percent(entry.marks.gap)} | {_percent(entry.gap_of_gross)} | "
            f"{'–' if first is None else f'{first:.2f} s'} | {entry.status}{took} |"
        )
    return lines


def head_line(command: Sequence[str]) -> str:
    """What ran where."""
    known = versions()
    packages = ", ".join(f"{name} {known[name]}" for name in ("optimize", "highspy", "numba", "numpy"))
    return (
        f"`{' '.join(command)}`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {known['processor']}, "
        f"Python {known['python']}, {packages}, source {known['optimize source']}"
    )


def _millions(cny: float | None) -> str:
    return "–" if cny is None else f"{cny / 1e6:,.1f}".replace(",", " ")


def _percent(share: float | None) -> str:
    return "–" if share is None else percent(share)


def main(words: Sequence[str]) -> int:
    call = _parser().parse_args(words)
    try:
        return _take(call, words)
    except OptimizeError as error:
        print(f"water_challenge: {error}", file=sys.stderr)
        return error.exit_code


def _take(call: argparse.Namespace, words: Sequence[str]) -> int:
    best, today = read_best(call.table), f"{datetime.now(UTC):%Y-%m-%d}"
    entries: dict[Case, Entry] = {}
    codes = [ExitCode.SOLVED]

    def keep(case: Case, found: Found) -> None:
        try:
            best[case] = merged(case, best.get(case), found, today)
        except Refuted as error:  # the row stays as it was; other cases can still be told
            codes.append(error.exit_code)
            print(f"water_challenge: {error}", file=sys.stderr, flush=True)
        else:
            write_best(call.table, best)

    if call.run:
        for run in call.run:
            found = found_in(run)
            keep(_known_as(found.fingerprint, best, run), found)
    elif not call.show:
        try:
            for case in _cases(call):
                if call.draw:
                    keep(case, Found(drawn(case), None, None, None, ""))
                    continue
                race = run_case(case, call)
                codes.append(race.exit_code)
                (entry,) = race.entries
                entries[case] = entry
                keep(case, found_by(case, entry, call))
                print(f"{case}: {entry.status}, gap {_percent(entry.marks.gap)}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print("stopped: the cases that ended are kept", file=sys.stderr)
    print("\n".join(best_lines(best)))
    if entries:
        print(f"\n{head_line(['water_challenge.py', *words])}\n")
        print("\n".join(run_lines(entries, best)))
    return gravest(codes)


def _cases(call: argparse.Namespace) -> Iterable[Case]:
    return (
        Case(family, size, seed) for family in call.family for size in call.size for seed in call.seeds
    )  # fmt: skip


def _known_as(fingerprint: str, best: Mapping[Case, Best], run: Path) -> Case:
    case = next((case for case, row in best.items() if row.fingerprint == fingerprint), None)
    if case is None:
        raise UsageError(f"{run}: its instance {fingerprint} is none of the table's")
    return case


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", type=_among(FAMILIES["water"]), default=FAMILIES["water"], metavar="A,B")
    parser.add_argument("--size", type=_among(KNOWN_SIZES), default=["s"], metavar="A,B", help="s")
    parser.add_argument(
        "--seeds", type=_numbers, default=[1, 2, 3], metavar="N,N", help="of the instances (1,2,3)"
    )
    parser.add_argument("--solver-seed", type=int, help="the instance's, where none is given")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for each case (600)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", type=Path, default=BEST_KNOWN, help="docs/water_best_known.csv")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--run", type=Path, nargs="+", metavar="RUN", help="take stored runs, verified")
    what.add_argument("--draw", action="store_true", help="only note the instances' fingerprints")
    what.add_argument("--show", action="store_true", help="only print the table")
    return parser


def _among(known: Sequence[str]) -> Callable[[str], list[str]]:
    def names(words: str) -> list[str]:
        asked = words.split(",")
        if not set(asked) <= set(known):
            raise argparse.ArgumentTypeError(f"{words}: known are {', '.join(known)}")
        return asked

    return names


def _numbers(words: str) -> list[int]:
    return [int(word) for word in words.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
