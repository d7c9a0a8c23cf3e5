"""Published and generated choice cases: the product against plain HiGHS, case by case and in sum.

    python tests/benchmarks/choice_against_highs.py [--only I0,hh_] [--generated] [--time-limit 60] [--repeat 3]

Not a test and not run by pytest.  Each case is solved to proven optimality (gap 0) as an instance of
tendered offers, by the engine the product chooses itself (`auto`), by its fast engine (`fast`) and by plain
HiGHS on the same arrays, one thread each, in one process, in turn; of several repetitions the fastest
counts.  The clock starts after the tables are read and stops with the last plan or bound, before anything is
verified; what could not be closed counts with all its seconds and is marked with the gap that is left.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from optimize.bench.contenders import Course, Finish, find_contenders
from optimize.io.instance_folder import read_instance
from optimize.io.write import write_instance
from optimize.programme import SolveOptions
from optimize.pv_siting.programme import PROGRAMME
from optimize.result import relative_gap
from optimize.schema import InstanceDraft

# groups, options, rows (the instance format has room for ten years, that is ten rows)
GENERATED = ((30, 10, 10), (100, 10, 5), (100, 10, 10), (400, 10, 5), (400, 10, 10))
_CLOSED = 1e-6


def published_cases() -> ModuleType:
    """The readers of `tests/published`, which the tests use too."""
    place = Path(__file__).resolve().parents[1] / "published" / "test_choice_cases.py"
    spec = importlib.util.spec_from_file_location("published_choice_cases", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generated_case(cases: ModuleType, num_groups: int, num_options: int, num_rows: int) -> InstanceDraft:
    """Multiple choice, values correlated with what is used, each row at about half of the most use."""
    rng = np.random.default_rng([num_groups, num_options, num_rows])
    use = rng.integers(1, 11, size=(num_groups, num_options, num_rows)).astype(float)
    value = np.round(use.mean(axis=2) * 10.0 + rng.integers(0, 21, size=(num_groups, num_options)))
    groups = [
        [(float(v), u.tolist()) for v, u in zip(value[g], use[g], strict=True)] for g in range(num_groups)
    ]
    capacity = np.round(0.5 * (use.min(axis=1).sum(axis=0) + use.max(axis=1).sum(axis=0)))
    draft: InstanceDraft = cases.instance_of_groups(
        f"g{num_groups}x{num_options}x{num_rows}", groups, capacity.tolist(), must_choose=True
    )
    return draft


def run_case(draft: InstanceDraft, way: str, time_limit_s: float) -> tuple[float, Finish, str]:
    """Seconds to the last plan or bound, how it ended, what is wrong with the plan ("" if it holds)."""
    with tempfile.TemporaryDirectory() as folder:
        write_instance(Path(folder) / "case", [(PROGRAMME.schema, draft)])
        (part,) = read_instance(Path(folder) / "case", [PROGRAMME]).programmes
    stamps: list[float] = []
    options = SolveOptions(
        gap=0.0, time_limit_s=time_limit_s, progress=lambda point: stamps.append(time.perf_counter())
    )
    if way == "fast":
        options = dataclasses.replace(options, engine="fast")
    contender = find_contenders("highs")[1 if way == "highs" else 0]
    began = time.perf_counter()
    finish = contender.run(Course(PROGRAMME, part.data, options, on_built=lambda: None))
    gap = relative_gap(finish.objective, finish.bound)
    closed = gap is not None and gap <= _CLOSED
    seconds = (stamps[-1] if closed else time.perf_counter()) - began
    if finish.objective is None:
        return seconds, finish, finish.stop.value
    verdict = finish.verify()
    return seconds, finish, "" if verdict.passed else verdict.note


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose names begin so, separated by commas")
    parser.add_argument("--generated", action="store_true", help="the generated cases instead")
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--ways", default="auto,fast,highs")
    call = parser.parse_args()
    cases = published_cases()
    drafts: dict[str, tuple[InstanceDraft, float | None]] = {}
    if call.generated:
        for size in GENERATED:
            draft = generated_case(cases, *size)
            drafts[draft.name_en] = draft, None
    else:
        for _, row in cases.published().iterrows():
            drafts[row["name"]] = cases.as_instance(row["kind"], row["name"]), row["upper"]
    begins = tuple(call.only.split(","))
    drafts = {name: case for name, case in drafts.items() if name.startswith(begins)}
    if not drafts:
        raise SystemExit("no such case; the published ones are read from ../shared/benchmarks")
    ways = call.ways.split(",")
    first, _ = next(iter(drafts.values()))
    for way in ways:  # kernels are loaded and modules imported before the clock
        run_case(first, way, 5.0)
    rows = [_case_row(name, *case, ways, call) for name, case in drafts.items()]
    table = pd.DataFrame(rows).set_index("case")
    print(table.to_string(float_format=lambda seconds: f"{seconds:.3f}"))
    print("sum  " + "  ".join(f"{way} {table[way].sum():.2f} s" for way in ways))


def _case_row(
    name: str,
    draft: InstanceDraft,
    published: float | None,
    ways: list[str],
    call: argparse.Namespace,
) -> dict[str, object]:
    row: dict[str, object] = {"case": name}
    notes = []
    for way in ways:
        runs = [run_case(draft, way, call.time_limit) for _ in range(call.repeat)]
        seconds, finish, wrong = min(runs, key=lambda run: run[0])
        row[way] = seconds
        gap = relative_gap(finish.objective, finish.bound)
        if wrong:
            notes.append(f"{way}: {wrong}")
        elif gap is None or gap > _CLOSED:
            notes.append(f"{way} open: {finish.objective} to {finish.bound} ({gap or 0:.3%})")
        elif published is not None and abs((finish.objective or 0.0) - published) > 1e-6 * abs(published):
            notes.append(f"{way}: {finish.objective} instead of {published}")
    row["behind"] = "*" if "highs" in ways and any(row[way] > row["highs"] for way in ways) else ""  # type: ignore[operator]
    row["notes"] = "; ".join(notes)
    return row


if __name__ == "__main__":
    main()
