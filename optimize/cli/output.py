"""Lines that several commands print: the instance, its warnings, its faults."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from optimize.errors import InputFaults
from optimize.io.instance_folder import LoadedInstance
from optimize.report import text


def instance_line(instance: LoadedInstance, path: Path) -> str:
    parts = instance.programmes
    tables, rows = sum(p.num_tables for p in parts), sum(p.num_rows for p in parts)
    warnings = sum(len(p.warnings) for p in parts)
    first = parts[0].data.parameters
    years = f"{first['base_year']}–{first['base_year'] + first['num_years'] - 1}"
    plural = "" if len(parts) == 1 else "s"
    return (
        f"{instance.name_en} {years} · {len(parts)} programme{plural} · {path} · checked: {tables} tables, "
        f"{text.grouped(rows)} rows, {warnings} warning{'' if warnings == 1 else 's'}"
    )


def print_warnings(instance: LoadedInstance) -> None:
    warnings = [w for part in instance.programmes for w in part.warnings]
    if warnings:
        print("\n".join(text.fault_lines(warnings, word="warning")))


def print_faults(error: InputFaults, *, as_json: bool, undone: str = "solved") -> None:
    if as_json:
        records = [fault.record() for fault in error.faults]
        print(json.dumps({"status": "bad input", "faults": records}, ensure_ascii=False))
        return
    head, *rows = text.fault_lines(error.faults)
    print("\n".join([f"{head} — nothing was {undone}", *rows]), file=sys.stderr)
