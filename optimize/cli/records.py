"""``optimize reproduce | audit``: stored plans made again, and handed to an auditor."""

from __future__ import annotations

import argparse
import json
import sys

from optimize.errors import ExitCode, UsageError
from optimize.io.run_store import SUMMARY, folders_below
from optimize.monthly.audit import export_audit
from optimize.monthly.reproduce import reproduce, reproduction_lines


def run_reproduce(call: argparse.Namespace) -> int:
    codes = []
    for place in call.places:
        runs = [place] if (place / SUMMARY).is_file() else folders_below(place)[0]
        if not runs:
            raise UsageError(f"{place} holds no run")
        for run in runs:
            found = reproduce(run, call.instance)
            if call.json:
                print(json.dumps(found.record(), ensure_ascii=False), flush=True)
            else:
                print("\n".join(reproduction_lines(found)), flush=True)
            codes.append(ExitCode.SOLVED if found.reproduced else ExitCode.FAILED_CHECK)
    return max(codes)


def run_audit(call: argparse.Namespace) -> int:
    audit = export_audit(call.subject, call.file)
    print(f"{audit.file}: {audit.num_files} files, {'verified' if audit.verified else 'NOT as stated'}")
    for failure in audit.failures:
        print(f"  ✘ {failure}", file=sys.stderr)
    return ExitCode.SOLVED if audit.verified else ExitCode.FAILED_CHECK
