"""``optimize ledger begin | add | show | verify``: what became of the projects of a monthly job."""

from __future__ import annotations

import argparse
import datetime
import getpass
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from optimize.errors import ExitCode, InputFaults, UsageError
from optimize.monthly.job import read_job
from optimize.monthly.ledger import (
    LedgerPlace,
    LedgerTable,
    append_entries,
    begin_ledger,
    is_begun,
    read_entries,
    read_ledger,
)
from optimize.monthly.ledger_rows import Entry, Ledger, decision_of, is_period
from optimize.monthly.ledger_states import Key, ProjectRecord, Standing, entry_faults, fold
from optimize.monthly.sources import address_of
from optimize.report.text import grouped, money


def _place(path: Path) -> tuple[LedgerPlace, datetime.tzinfo | None]:
    """Where the ledger lies, and whose calendar its months are of."""
    if path.suffix == ".csv":
        return path, None
    job = read_job(path)
    if job.revising.ledger is None:
        raise UsageError(f'{job.file} names no ledger; add ledger = "ledger.csv" below [revise]')
    return job.revising.ledger, job.timezone


def run_begin(call: argparse.Namespace) -> int:
    place, _ = _place(call.job)
    if call.print:
        if not isinstance(place, LedgerTable):
            raise UsageError(f"{place} is a file; --print shows what makes a table")
        from optimize.monthly.ledger_table import statements_of  # loaded where there is one

        statements = statements_of(address_of(place.database), place.name)
        print("\n".join(f"{statement};" for statement in statements))
        return ExitCode.SOLVED
    if call.file is not None and not call.file.is_file():
        raise UsageError(f"{call.file} is not a file")
    ledger = Ledger() if call.file is None else read_ledger(call.file)
    begin_ledger(place, ledger)
    print(f"{place}: {_closing(ledger)}")
    return ExitCode.SOLVED


def _closing(ledger: Ledger) -> str:
    return f"{grouped(len(ledger.entries))} entries, ending with {ledger.head[:12] or '(nothing)'}"


def run_add(call: argparse.Namespace) -> int:
    path, timezone = _place(call.job)
    entries = read_entries(call.file) if call.file is not None else [_entry(call, timezone)]
    if call.file is not None and call.event is not None:
        raise UsageError("--from brings the entries; leave EVENT, PROGRAMME and PROJECT out")
    shown = "entry" if call.file is None else call.file.name
    ledger = append_entries(path, entries, partial(entry_faults, shown=shown))
    for entry in ledger.entries[-len(entries) :]:
        print(f"{entry.period} {entry.words}")
    print(f"{path}: {_closing(ledger)}")
    return ExitCode.SOLVED


def _entry(call: argparse.Namespace, timezone: datetime.tzinfo | None) -> Entry:
    if call.event is None or call.programme is None:
        raise UsageError("say EVENT PROGRAMME PROJECT, or give many entries with --from FILE.csv")
    period = call.period or datetime.datetime.now(timezone).strftime("%Y-%m")
    if not is_period(period):
        raise UsageError(f"--period {period}: write YYYY-MM")
    try:
        decision = decision_of(call.decision)
    except ValueError as error:
        raise UsageError(f"--decision: '{error}' is not COLUMN=VALUE") from error
    for name, value in (
        ("cost", call.cost),
        ("paid", call.paid),
        ("cancellation-cost", call.cancellation_cost),
    ):
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"--{name} {value}: not an amount of money from 0")
    return Entry(
        period=period,
        programme=call.programme,
        project=call.project,
        event=call.event,
        table=call.table,
        decision=decision,
        year=call.year,
        actual_cost_cny=call.cost,
        paid_cny=call.paid,
        cancellation_cost_cny=call.cancellation_cost,
        source=call.source,
        who=call.who or getpass.getuser(),
        note=call.note,
    )


def run_show(call: argparse.Namespace) -> int:
    if not is_period(call.period):
        raise UsageError(f"--period {call.period}: write YYYY-MM")
    ledger = read_ledger(_place(call.job)[0]).until(call.period)
    entries = [e for e in ledger.entries if not call.project or e.project == call.project]
    if call.project and not entries:
        raise UsageError(f"the ledger has no entry of {call.project}")
    standing = fold(ledger)
    projects = {k: r for k, r in standing.projects.items() if not call.project or k[2] == call.project}
    if call.json:
        print(json.dumps(_standing_json(ledger, projects, standing), ensure_ascii=False))
        return ExitCode.SOLVED
    lines = [_entry_line(entry) for entry in entries] if call.project else []
    print("\n".join([*lines, *_project_lines(projects), *_closing_lines(ledger, standing)]))
    return ExitCode.SOLVED


def _entry_line(entry: Entry) -> str:
    told = [entry.words]
    for word, value in (("cost", entry.actual_cost_cny), ("paid", entry.paid_cny)):
        told += [] if value is None else [f"{word} {money(value, 'CNY')}"]
    return f"  {entry.period}  {' · '.join([*told, *filter(None, (entry.who, entry.note))])}"


def _project_lines(projects: dict[Key, ProjectRecord]) -> Sequence[str]:
    rows = [("project", "state", "since", "year", "cost", "paid", "note")]
    for key, record in sorted(projects.items()):
        rows.append(
            (
                "/".join(key),
                record.state or "in the plan",
                record.since,
                str(record.year or ""),
                "" if record.actual_cost_cny is None else money(record.actual_cost_cny, "CNY"),
                money(record.paid_cny, "CNY") if record.payments else "",
                record.note,
            )
        )
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _closing_lines(ledger: Ledger, standing: Standing) -> Sequence[str]:
    measured = [
        f"measured: {path} of {row or 'all'} = {value}" for (path, row), value in standing.measured.items()
    ]
    return [
        *measured,
        _closing(ledger),
    ]


def _standing_json(ledger: Ledger, projects: dict[Key, ProjectRecord], standing: Standing) -> dict[str, Any]:
    return {
        "head": ledger.head,
        "entries": len(ledger.entries),
        "projects": [
            {
                "programme": programme,
                "table": table,
                "project": project,
                "state": record.state,
                "since": record.since,
                "decision": dict(record.decision),
                "year": record.year or None,
                "actual_cost_cny": record.actual_cost_cny,
                "paid_cny": record.paid_cny,
                "cancellation_cost_cny": record.cancellation_cost_cny,
                "note": record.note,
            }
            for (programme, table, project), record in sorted(projects.items())
        ],
        "measured": [
            {"what": path, "row": row, "value": value} for (path, row), value in standing.measured.items()
        ],
    }


def run_verify(call: argparse.Namespace) -> int:
    path, _ = _place(call.job)
    if not is_begun(path):
        raise UsageError(f"{path} is not there")
    _warn_of_missing_guards(path)
    try:
        ledger = read_ledger(path)
    except InputFaults as error:
        return _verdict(call, path, [str(fault) for fault in error.faults], 0)
    lost = call.head and not any(own.startswith(call.head) for own in ledger.hashes)
    told = (
        [f"no row has the hash {call.head}: rows behind it were cut off, or it is another ledger"]
        if lost
        else []
    )
    told += [str(fault) for fault in entry_faults(Ledger(), ledger.entries, path.name)]
    return _verdict(call, path, told, len(ledger.entries), ledger.head)


def _warn_of_missing_guards(place: LedgerPlace) -> None:
    """Rows that anybody may change are told, although none was changed."""
    if not isinstance(place, LedgerTable):
        return
    from optimize.monthly.ledger_table import missing_guards  # loaded where there is one

    gone = missing_guards(address_of(place.database), place.name)
    if gone:
        print(
            f"{place}: the database lets rows be changed, its trigger {', '.join(gone)} is missing or off; "
            "`optimize ledger begin JOB --print` shows the statement",
            file=sys.stderr,
        )


def _verdict(
    call: argparse.Namespace, path: LedgerPlace, told: Sequence[str], entries: int, head: str = ""
) -> int:
    if call.json:
        print(json.dumps({"ledger": str(path), "verified": not told, "entries": entries, "head": head, "faults": list(told)}, ensure_ascii=False))  # fmt: skip
    elif told:
        print("\n".join([f"{path}  NOT AS IT WAS WRITTEN", *(f"  {line}" for line in told)]))
    else:
        print(f"{path}  VERIFIED  {grouped(entries)} entries, ending with {head}")
    return ExitCode.FAILED_CHECK if told else ExitCode.SOLVED
