"""Seconds of many levels of the public budget against those of one: python tests/benchmarks/sweep_levels.py FOLDER."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from optimize.io.instance_folder import read_instance
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.studies.sweep import sweep


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--levels", type=int, default=100)
    arguments.add_argument("--from", dest="lowest", type=float, default=0.95)
    arguments.add_argument("--to", dest="highest", type=float, default=1.05)
    arguments.add_argument("--gap", type=float, default=0.005)
    call = arguments.parse_args()
    part = read_instance(call.folder, PROGRAMMES).programmes[0]
    scales = np.linspace(call.lowest, call.highest, call.levels).tolist()
    began, spent, gaps = time.monotonic(), time.process_time(), []
    first = 0.0
    for level in sweep(
        part.programme, part.data, "budgets.scale", scales, SolveOptions(gap=call.gap, time_limit_s=120)
    ):
        gaps.append(np.inf if level.gap is None else level.gap)
        first = first or time.process_time() - spent
    seconds, processor = time.monotonic() - began, time.process_time() - spent
    print(
        f"{call.levels} levels: {seconds:.1f} s, {processor:.1f} s of processor time, largest gap {max(gaps):.3%}"
    )
    print(
        f"the first level alone: {first:.1f} s of processor time; all cost {processor / first:.1f} such solves"
    )


if __name__ == "__main__":
    main()
