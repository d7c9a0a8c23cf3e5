"""``optimize verify``: stored runs checked again."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from optimize.city.stored import is_city_run
from optimize.errors import ExitCode, UsageError
from optimize.io.run_store import SUMMARY, altered_files, folders_below, read_manifest
from optimize.programme import Programme
from optimize.registry import PROGRAMMES
from optimize.report.verdict import verdict_json, verdict_lines
from optimize.verification.run import Verdict, verify_run


def run_verify(call: argparse.Namespace) -> int:
    below = {place: folders_below(place) for place in call.runs if not (place / SUMMARY).is_file()}
    if any(runs or sealed for runs, sealed in below.values()):
        return _verify_stores(below, call)
    return max(_verify_run(run, call) for run in call.runs)


def _verify_run(run: Path, call: argparse.Namespace) -> ExitCode:
    verdict = _verdict(run, call)
    if verdict is None:
        return ExitCode.BAD_INPUT
    if not call.json:
        print("\n".join(verdict_lines(verdict)), flush=True)
    return ExitCode.SOLVED if verdict.verified else ExitCode.FAILED_CHECK


def _verify_stores(
    below: Mapping[Path, tuple[Sequence[Path], Sequence[Path]]], call: argparse.Namespace
) -> int:
    """Everything ``below`` the folders named: a line for what is not as it should be, and the sums."""
    runs: list[Path] = []
    sealed: list[Path] = []
    for place in call.runs:
        own_runs, own_sealed = below.get(place, ((place,), ()))
        sealed += own_sealed
        runs += own_runs if own_runs or own_sealed else (place,)  # what holds nothing is said to be no run
    codes = [_verify_sealed(folder, call) for folder in sealed]
    for run in runs:
        verdict = _verdict(run, call)
        if verdict is None:
            codes.append(ExitCode.BAD_INPUT)
            continue
        codes.append(ExitCode.SOLVED if verdict.verified else ExitCode.FAILED_CHECK)
        if not verdict.verified and not call.json:
            print("\n".join(verdict_lines(verdict)), flush=True)
    if not call.json:
        words = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
        words += f" and {len(sealed)} period{'' if len(sealed) == 1 else 's'}" if sealed else ""
        failed, unknown = codes.count(ExitCode.FAILED_CHECK), codes.count(ExitCode.BAD_INPUT)
        print(
            f"{words}: {len(codes) - failed - unknown} verified, {failed} failed, {unknown} could not be verified"
        )
    return max(codes)


def _verify_sealed(folder: Path, call: argparse.Namespace) -> ExitCode:
    """A published period is as it was written, file by file; its runs are verified by themselves."""
    manifest = read_manifest(folder)
    faults = altered_files(folder, manifest)
    if call.json:
        record = {
            "period": folder.as_posix(),
            "status": "failed" if faults else "verified",
            "failures": faults,
        }
        print(json.dumps(record, ensure_ascii=False), flush=True)
    elif faults:
        print(
            "\n".join([f"{folder.as_posix()}: FAILED", *(f"    ✘ {fault}" for fault in faults)]), flush=True
        )
    return ExitCode.FAILED_CHECK if faults else ExitCode.SOLVED


def _verdict(run: Path, call: argparse.Namespace) -> Verdict | None:
    """The verdict on a run, printed if as JSON; None where it cannot be had, which is told."""
    try:
        verdict = _verify_of(run)(run, PROGRAMMES, call.instance)
    except UsageError as error:
        if call.json:
            status = {"run": run.as_posix(), "status": "not verified", "error": str(error)}
            print(json.dumps(status, ensure_ascii=False), flush=True)
        print(f"optimize: {error}", file=sys.stderr)
        return None
    if call.json:
        print(json.dumps(verdict_json(verdict), ensure_ascii=False, allow_nan=False), flush=True)
    return verdict


def _verify_of(run: Path) -> Callable[[Path, Sequence[Programme], Path | None], Verdict]:
    if not is_city_run(run):
        return verify_run
    from optimize.city.verify import verify_city  # loads all programmes and what ties them

    return verify_city
