"""``job.toml``: what a monthly job reads, plans, keeps and tells.

All keys are declared once, in `KEYS`: reading, the faults, and the commented file that ``optimize
monthly --init`` writes are derived from them.  Relative paths are seen from the file's own folder, so
that it does not matter where a scheduler starts the command.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.tables import decode
from optimize.io.validation import nearest
from optimize.io.workbook import is_workbook
from optimize.monthly.job_keys import FREE_SECTIONS, KEYS, Key
from optimize.monthly.ledger import LedgerPlace, LedgerTable
from optimize.monthly.revise import RevisionRules
from optimize.monthly.sources import Source

JOB_FILE = "job.toml"
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_TABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)?")


@dataclass(frozen=True)
class Solving:
    """What is planned, and how long."""

    programmes: tuple[str, ...]
    joint: bool
    goal: tuple[str, ...]
    gap: float
    time_limit_s: float
    threads: int
    seed: int
    checkpoint_s: float
    explain_s: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Revising:
    """What holds the plan in force.

    Attributes
    ----------
    ledger : where the ledger lies; None: none is kept, all projects of the plan are proposals.
    rules : amendment months, what a change has to be worth, how many there may be.
    min_gain : what all changes together have to be worth, in the goal's unit.
    price : also plan without stability, to tell what it costs.
    curve_points : of the curve of the goal's value against the number of changes; 0: it is not drawn.
    """

    ledger: LedgerPlace | None = None
    rules: RevisionRules = field(default_factory=RevisionRules)
    min_gain: float = 0.0
    price: bool = False
    curve_points: int = 0


@dataclass(frozen=True)
class Keeping:
    """What stays: whole periods (0: all), one period of each year beyond them, records of failures."""

    periods: int
    yearly: bool
    failures: int


@dataclass(frozen=True)
class Telling:
    """Who is told: an address that is posted to (""; none), of which ends, and the alarm's age."""

    webhook: str
    on: tuple[str, ...]
    timeout_s: float
    stale_after_days: float


@dataclass(frozen=True)
class Job:
    """A monthly job as its file says.

    Attributes
    ----------
    home : folder of the job's periods, ``<results>/monthly/<name>``.
    timezone : whose calendar a month is taken from; None: the machine's.
    max_lost_rows : share of a table's rows that may be gone since the last period.
    attempts, wait_s : how often a source that does not answer is asked, and the first wait between.
    """

    file: Path
    name: str
    timezone: ZoneInfo | None
    source: Source
    max_lost_rows: float
    solving: Solving
    revising: Revising
    keeping: Keeping
    telling: Telling
    home: Path
    attempts: int
    wait_s: float


def find_job_file(path: Path) -> Path:
    """``path`` itself, or ``job.toml`` in the folder it names; raises UsageError where there is none."""
    file = path / JOB_FILE if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{file} is not there; `optimize monthly --init {path}` writes one")
    return file


def read_job(path: Path, environment: Mapping[str, str] = os.environ) -> Job:
    """Read a job's file.

    Parameters
    ----------
    path : the file, or the folder it lies in.
    environment : where secrets are taken from.

    Raises
    ------
    UsageError : there is no such file.
    InputFaults : all faults of the file.
    """
    file = find_job_file(path)
    text = decode(file.read_bytes())
    if text is None:
        raise InputFaults([Fault(file.name, "(file)", "text in UTF-8", "other bytes")])
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputFaults([Fault(file.name, "(file)", "TOML", str(error), "see docs/monthly.md")]) from error
    reader = _Reader(file, tree, environment)
    job = reader.job()
    if reader.faults:
        raise InputFaults(reader.faults)
    return job


class _Reader:
    """Turns the file's tree into a job and collects what is wrong with it."""

    def __init__(self, file: Path, tree: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._file, self._environment = file, environment
        self.faults: list[Fault] = []
        self._values = {key.path: key.default for key in KEYS}
        self._free: dict[str, Mapping[str, Any]] = {name: {} for name in FREE_SECTIONS}
        self._take(tree)

    def job(self) -> Job:
        value = self._values
        source = self._source()
        max_changes = value["revise.max_changes"]
        return Job(
            file=self._file,
            name=self._name(),
            timezone=self._timezone(),
            source=source,
            max_lost_rows=float(value["instance.max_lost_rows"]),
            solving=Solving(
                tuple(value["plan.programmes"]), bool(value["plan.joint"]), self._goal(),
                float(value["solve.gap"]), float(value["solve.time_limit_s"]), int(value["solve.threads"]),
                int(value["solve.seed"]), float(value["solve.checkpoint_s"]), float(value["solve.explain_s"]), self._free["set"],
            ),
            revising=Revising(
                self._ledger(),
                RevisionRules(
                    amendment_months=tuple(value["revise.amendment_months"]),
                    penalty_cny_per_change=float(value["revise.penalty_cny_per_change"]),
                    max_changes=None if max_changes is None else int(max_changes),
                    lapse=bool(value["revise.lapse"]),
                ),
                float(value["revise.min_gain"]),
                bool(value["revise.price"]),
                int(value["revise.curve_points"]),
            ),
            keeping=Keeping(int(value["keep.periods"]), bool(value["keep.yearly"]), int(value["keep.failures"])),
            telling=Telling(
                self._webhook(), tuple(value["tell.on"]),
                float(value["tell.timeout_s"]), float(value["tell.stale_after_days"]),
            ),
            home=self._beside(str(value["results.folder"])) / "monthly" / self._name(),
            attempts=int(value["retry.attempts"]),
            wait_s=float(value["retry.wait_s"]),
        )  # fmt: skip

    def _fault(self, where: str, expected: str, found: str, mend: str = "") -> None:
        self.faults.append(Fault(self._file.name, where, expected, found, mend))

    def _take(self, tree: Mapping[str, Any]) -> None:
        known = {key.path: key for key in KEYS}
        for path, value in _flat(tree):
            section = next((name for name in FREE_SECTIONS if path.startswith(f"{name}.")), None)
            if section is not None:
                self._free[section] = {**self._free[section], path.removeprefix(f"{section}."): value}
            elif path not in known:
                self._fault(path, "a key of a job", "unknown key", nearest(path, known))
            elif (problem := known[path].problem(value)) is not None:
                self._fault(path, known[path].expected(), problem)
            else:
                self._values[path] = value
        for table, query in self._free["instance.tables"].items():
            if not isinstance(query, str) or not query.strip():
                self._fault(f"instance.tables.{table}", "a query, or a table of the database", repr(query))

    def _name(self) -> str:
        name = str(self._values["job.name"]) or self._file.resolve().parent.name
        if not name or name.startswith(".") or not all(c.isalnum() or c in "-_." for c in name):
            self._once("job.name", "letters, digits, - and _ (the periods' folder is called so)", f'"{name}"')
        return name

    def _once(self, where: str, expected: str, found: str) -> None:
        if all(fault.column != where for fault in self.faults):
            self._fault(where, expected, found)

    def _timezone(self) -> ZoneInfo | None:
        name = str(self._values["job.timezone"])
        if not name:
            return None
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            mend = "on a machine without time zones install the package tzdata"
            self._fault("job.timezone", "a time zone such as Asia/Shanghai", f'"{name}"', mend)
            return None

    def _goal(self) -> tuple[str, ...]:
        goals = tuple(self._values["plan.goal"])
        if not goals:
            self._fault("plan.goal", "at least one goal", "none", 'goal = ["npv"]')
        return goals

    def _source(self) -> Source:
        folder, workbook, database = (
            str(self._values[f"instance.{name}"]) for name in ("folder", "workbook", "database")
        )
        queries = self._free["instance.tables"]
        if not folder and not workbook:
            self._fault("instance.folder", "the folder or workbook the instance lies in", "missing")
        if queries and not database:
            self._fault("instance.database", "also given, because tables is", "missing")
        if database and not queries and not self._values["revise.ledger_table"]:
            self._fault("instance.tables", "also given, because database is", "missing")
        if folder and not workbook and is_workbook(self._beside(folder)):
            folder, workbook = "", folder  # named where the folder would be
        return Source(
            self._beside(folder) if folder else None,
            self._beside(workbook) if workbook else None,
            database,
            {table: str(query) for table, query in queries.items()},
        )

    def _ledger(self) -> LedgerPlace | None:
        file, table = str(self._values["revise.ledger"]), str(self._values["revise.ledger_table"])
        if not table:
            return self._beside(file) if file else None
        if file:
            self._fault("revise.ledger_table", "a file or a table", "both", "take one out")
        if not _TABLE.fullmatch(table):
            self._fault("revise.ledger_table", "a table, or schema.table", f'"{table}"')
        database = str(self._values["instance.database"])
        if not database:
            self._once("instance.database", "also given, because revise.ledger_table is", "missing")
        return LedgerTable(database, table)

    def _webhook(self) -> str:
        """The address, with what it takes from the environment."""
        text = str(self._values["tell.webhook"])
        for name in _VARIABLE.findall(text):
            if not self._environment.get(name):
                self._fault("tell.webhook", "variables of the environment that are set", f"{name} is not set")
        address = _VARIABLE.sub(lambda match: self._environment.get(match[1], ""), text)
        if address and not address.startswith(("http://", "https://")):
            self._fault("tell.webhook", "an address that begins with https:// or http://", f'"{text}"')
        return address

    def _beside(self, path: str) -> Path:
        return Path(os.path.normpath(self._file.resolve().parent / path))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, Any]]:
    """Leaves of the tree with their dotted paths."""
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        path = f"{prefix}{name}"
        found += _flat(value, f"{path}.") if isinstance(value, Mapping) else [(path, value)]
    return found


def job_template(source: str) -> str:
    """A commented ``job.toml`` that plans the instance at ``source``, a path seen from the file."""
    lines = ["# A monthly job of `optimize monthly`. Every key is here; those that are commented out",
             "# have the value they show. Relative paths are seen from this file. See docs/monthly.md."]  # fmt: skip
    sections = dict.fromkeys(key.section for key in KEYS)
    for section in sections:
        lines += ["", f"[{section}]"]
        for key in KEYS:
            if key.section == section:
                lines += _template_lines(key, source)
        for name, example in FREE_SECTIONS.items():
            if name.split(".")[0] == section and "." in name:
                lines += ["", *example]
    for name, example in FREE_SECTIONS.items():
        if "." not in name:
            lines += ["", *example]
    return "\n".join(lines) + "\n"


def _template_lines(key: Key, source: str) -> list[str]:
    told = [f"# {key.meaning}{f' ({key.unit})' if key.unit else ''}"]
    if key.choices:
        told[0] += f": {' | '.join(key.choices)}"
    if key.path == "instance.folder":
        return [*told, f"{key.name} = {_toml(source)}"]
    if key.default in (None, ""):
        return [*told, f"# {key.name} = {_toml(key.example)}  # an example; not set"]
    return [*told, f"# {key.name} = {_toml(key.default)}"]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, Sequence):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return str(value)
