"""``optimize status``: how a monthly job is."""

from __future__ import annotations

import argparse
import json

from optimize.cli import clock
from optimize.monthly.job import read_job
from optimize.monthly.status import status_lines, status_of_job


def run_status(call: argparse.Namespace) -> int:
    job = read_job(call.job)
    status = status_of_job(job, clock.clock_of(job)(), call.stale_after)
    if call.json:
        print(json.dumps(status.record(), ensure_ascii=False))
    else:
        print("\n".join(status_lines(status)))
    return status.code
