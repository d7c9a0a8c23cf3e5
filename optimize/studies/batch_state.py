"""What a batch has finished, on disk: so that a batch that was stopped goes on where it was.

One small file per finished case below ``<results>/.scenarios``, written at once.  A case is known by
its inputs and its options, not by its name: the same question is not answered twice, whatever file
it stands in.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optimize.errors import UsageError
from optimize.io.run_store import read_manifest, read_summary
from optimize.io.warm_starts import read_warm_start
from optimize.report.text import way_out_words
from optimize.result import StopReason
from optimize.studies.batch_case import Case
from optimize.warm_start import WarmStart

_FOLDER = ".scenarios"
FAILED = "failed"


@dataclass(frozen=True)
class Finished:
    """The end of one case.

    Attributes
    ----------
    status : of the run's summary, or ``failed``.
    run : folder of the run, relative to the results; "" where none was stored.
    reason : why there is no plan, in words.
    """

    key: str
    scenario: str
    zh: str
    en: str
    programme: str
    status: str
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    unit: str = ""
    seconds: float = 0.0
    run: str = ""
    reason: str = ""
    varies: Mapping[str, Any] = field(default_factory=dict)


def key_of(case: Case, fingerprint: str) -> str:
    """A short name for exactly this programme, these inputs and these options."""
    options = json.dumps(dict(case.options), sort_keys=True, default=str)
    return hashlib.sha256(f"{case.programme} {fingerprint} {options}".encode()).hexdigest()[:16]


class BatchState:
    """Finished cases of one results folder."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._folder = results / _FOLDER

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Only one batch at a time writes into a results folder.

        Raises
        ------
        UsageError : another one is at work there.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"another `optimize run` is at work in {self._results}; wait for it or name other --results"
                ) from error
            yield

    def find(self, key: str, case: Case, fingerprint: str) -> Finished | None:
        """How the case ended; None where it is still to be solved (failed cases are, again)."""
        path = self._folder / f"{key}.json"
        if path.is_file():
            with contextlib.suppress(ValueError, TypeError):  # a damaged file is no answer
                found = Finished(**json.loads(path.read_text(encoding="utf-8")))
                lost = found.run and not (self._results / found.run / "summary.json").is_file()
                return None if lost or found.status == FAILED else found
        return self._adopted(key, case, fingerprint)

    def _adopted(self, key: str, case: Case, fingerprint: str) -> Finished | None:
        """A run that was stored just before the batch was killed."""
        home = self._results / case.programme / fingerprint
        for run in sorted(home.iterdir()) if home.is_dir() else ():
            if not run.name.isdigit():
                continue
            try:
                manifest, summary = read_manifest(run), read_summary(run)
            except UsageError:
                continue
            if manifest.get("case") == key:
                found = finished_of(key, case, summary, run.relative_to(self._results).as_posix())
                self.keep(found)
                return found
        return None

    def keep(self, finished: Finished) -> None:
        """Write down how a case ended, at once."""
        text = json.dumps(asdict(finished), ensure_ascii=False, indent=2, default=str)
        number, name = tempfile.mkstemp(dir=self._folder, prefix=".writing-")
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(self._folder / f"{finished.key}.json")

    def warm_start(self, finished: Finished | None) -> WarmStart | None:
        """The stored plan and multipliers of a case, to start a neighbour from; None: there are none."""
        if finished is None or not finished.run:
            return None
        return read_warm_start(self._results / finished.run)


def finished_of(key: str, case: Case, summary: Mapping[str, Any], run: str) -> Finished:
    """The end of a case that was solved, with a plan or without."""
    return Finished(
        key=key,
        scenario=case.scenario.name,
        zh=case.scenario.zh,
        en=case.scenario.en,
        programme=case.programme,
        status=summary["status"],
        objective=summary["objective"],
        bound=summary["bound"],
        gap=summary["gap"],
        unit=summary["goal_unit"],
        seconds=summary["seconds"],
        run=run,
        reason=_reason(summary),
        varies=case.scenario.varies,
    )


def _reason(summary: Mapping[str, Any]) -> str:
    status = summary["status"]
    if status == "infeasible":
        ways = summary.get("relaxations") or []
        words = [way_out_words(row) for row in (ways[0] if ways else ())]
        hint = f"; the smallest way out: {' and '.join(words)}" if words else ""
        return f"no plan meets every hard target{hint}"
    if status == "no plan":
        if summary["stop_reason"] == StopReason.INTERRUPTED.value:
            return "stopped before there was a plan"
        return "no plan found within the time limit"
    if status == "failed check":
        return f"the plan failed its check: {summary['violations'][0] if summary['violations'] else ''}"
    return ""
