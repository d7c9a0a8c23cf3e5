"""``optimize workbook``: stored runs as an Excel workbook."""

from __future__ import annotations

import argparse

from optimize.errors import ExitCode
from optimize.publish.workbook import write_plan_workbook


def run_workbook(call: argparse.Namespace) -> int:
    """Write the workbook and say where it is."""
    write_plan_workbook(call.runs, call.out, call.lang)
    plural = "" if len(call.runs) == 1 else "s"
    print(f"{call.out}: {len(call.runs)} plan{plural}, every figure as it was checked")
    return ExitCode.SOLVED
