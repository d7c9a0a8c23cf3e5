"""Errors that a user or a job runner meets, each with its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What the process tells the job runner."""

    SOLVED = 0
    INTERNAL_ERROR = 1
    BAD_INPUT = 2
    INFEASIBLE = 3
    NO_PLAN = 4
    FAILED_CHECK = 5
    BUSY = 6
    NOT_WRITTEN = 7
    UNAVAILABLE = 8
    STALE = 9


_GRAVEST_FIRST = (
    ExitCode.INTERNAL_ERROR,
    ExitCode.NOT_WRITTEN,
    ExitCode.BAD_INPUT,
    ExitCode.FAILED_CHECK,
    ExitCode.INFEASIBLE,
    ExitCode.NO_PLAN,
    ExitCode.UNAVAILABLE,
    ExitCode.BUSY,
    ExitCode.STALE,
    ExitCode.SOLVED,
)


def gravest(codes: Sequence[ExitCode]) -> ExitCode:
    """What a job runner hears of several ends (at least one): the gravest of them."""
    return next(code for code in _GRAVEST_FIRST if code in codes)


@dataclass(frozen=True)
class Fault:
    """One thing wrong (or suspicious) in the data.

    ``row`` is the position in the table (0-based) until the reader replaces it by
    the line of the file, in ``line``.  ``cell`` names sheet and cell where the data are a workbook
    (``pv_siting.sites!H118``); ``line`` is then the row of the sheet.
    """

    table: str
    column: str
    expected: str
    found: str
    mend: str = ""
    row: int | None = None
    line: int | None = None
    cell: str = ""

    def at_line(self, line: int | None) -> Fault:
        return replace(self, line=line)

    def record(self) -> dict[str, Any]:
        """As plain data; ``row`` is the line of the file."""
        return {
            "table": self.table,
            "row": self.line,
            "cell": self.cell,
            "column": self.column,
            "expected": self.expected,
            "found": self.found,
            "mend": self.mend,
        }

    def __str__(self) -> str:
        where = self.cell or (f"{self.table} row {self.line}" if self.line is not None else self.table)
        text = f"{where} {self.column}: expected {self.expected}, found {self.found}"
        return f"{text} -> {self.mend}" if self.mend else text


class OptimizeError(Exception):
    """Base of every error raised on purpose."""

    exit_code = ExitCode.INTERNAL_ERROR


class UsageError(OptimizeError):
    """The call itself is wrong: unknown option value, path or parameter."""

    exit_code = ExitCode.BAD_INPUT


class InputFaults(OptimizeError):
    """All faults of an instance at once."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class SolverError(OptimizeError):
    """A solver returned a status that must not be read as an answer."""


class FailedCheck(OptimizeError):
    """The independent checker disagrees with the engine."""

    exit_code = ExitCode.FAILED_CHECK


class UnreadableProof(OptimizeError):
    """What a run stores to prove its bound is damaged, or belongs to another instance."""

    exit_code = ExitCode.FAILED_CHECK


class UnreadablePlan(OptimizeError):
    """A stored plan's tables are not what was written."""

    exit_code = ExitCode.FAILED_CHECK
