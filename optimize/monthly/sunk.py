"""Money that was paid for projects that are given up: the budgets it came from no longer have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from optimize.errors import Fault
from optimize.io.instance_folder import LoadedProgramme
from optimize.io.table_changes import TableChange
from optimize.io.tables import RawTable, find_table, read_table
from optimize.io.validation import nearest, typed_table
from optimize.monthly.instance_files import SCHEMAS
from optimize.monthly.ledger_states import Standing

_BUDGETS = "budgets"
_CITY = "city"
# A budget that is not limited unless it has rows.
_UNLIMITED = "owner"

Sums: TypeAlias = Mapping[tuple[str, int], float]
"""CNY by source and year."""


def less_sunk_money(
    folder: Path, parts: Sequence[LoadedProgramme], standing: Standing
) -> tuple[list[TableChange], list[tuple[str, str]], list[Fault]]:
    """Budgets of the programmes, and of the city where it has a pool, without what is sunk.

    Returns
    -------
    (changes, words, faults); a budget of which more is sunk than it holds keeps nothing, which is told.
    """
    changes, words, faults = [], list[tuple[str, str]](), list[Fault]()
    together: dict[tuple[str, int], float] = defaultdict(float)
    for part in parts:
        sunk = _sunk(standing, part.programme.name)
        for key, amount in sunk.items():
            together[key] += amount
        scale = float(part.data.parameters["budgets.scale"])
        found = _taken(part.programme.name, part.data.tables[_BUDGETS], sunk, scale)
        changes += found[0]
        words += found[1]
        faults += found[2]
    pool = _pool(folder)
    if pool is not None and together:
        scale = float(parts[0].data.parameters["budgets.scale"])
        public = {key: amount for key, amount in together.items() if key[0] != _UNLIMITED}
        found = _taken(_CITY, pool, public, scale)
        changes += found[0]
        words += found[1]
    return changes, words, faults


def _sunk(standing: Standing, programme: str) -> Sums:
    """What was paid for the programme's projects that are given up."""
    sums: dict[tuple[str, int], float] = defaultdict(float)
    for record in standing.of(programme).values():
        if record.ended:
            for payment in record.payments:
                sums[payment.source, payment.year] += payment.amount_cny
    return sums


def _taken(
    programme: str, budgets: pd.DataFrame, sunk: Sums, scale: float
) -> tuple[list[TableChange], list[tuple[str, str]], list[Fault]]:
    """``scale`` multiplies every budget once more when it is spent from."""
    changes, words, faults = [], [], []
    there = {
        (str(source), int(year)): float(amount)
        for source, year, amount in zip(
            budgets["source"], budgets["year"], budgets["amount_cny"], strict=True
        )
    }
    sources = {source for source, _ in there}
    for (source, year), amount in sorted(sunk.items()):
        if source not in sources and source != _UNLIMITED:
            expected = f"a source of {programme}/{_BUDGETS}"
            faults.append(Fault("ledger", "source", expected, f'"{source}"', nearest(source, sources)))
            continue
        if (source, year) not in there:
            continue  # a year the plan has no money for, or money that is not limited
        left = there[source, year] - amount / scale if scale > 0 else there[source, year]
        if left < 0:
            words.append(
                (
                    f"{programme} {source} {year}：已放弃项目支出 {amount:,.0f} 元，超过该预算",
                    f"{programme} {source} {year}: {amount:,.0f} CNY were paid for projects that are given up, "
                    "more than that budget holds",
                )
            )
        where = {"source": source, "year": year}
        changes.append(
            TableChange(f"{programme}/{_BUDGETS}", where=where, set={"amount_cny": repr(max(left, 0.0))})
        )
    return changes, words, faults


def _pool(folder: Path) -> pd.DataFrame | None:
    """The city's own pool, where there is one."""
    file = find_table(folder / _CITY, _BUDGETS)
    raw = None if file is None else read_table(file, f"{_CITY}/{_BUDGETS}")
    if not isinstance(raw, RawTable):
        return None
    schema = next(schema for schema in SCHEMAS if schema.programme == _CITY)
    frame, _, _ = typed_table(schema.table(_BUDGETS), raw)
    return frame
