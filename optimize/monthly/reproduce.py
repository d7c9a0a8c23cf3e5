"""A stored plan made again from its inputs, and compared bit by bit; or what differs, by its name.

A solve that ended by itself gives the same tables again from the same inputs, start, options, threads and
versions.  One that a time limit cut off need not: its plan can be verified, but not be expected twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimize.city.reading import read_city_of
from optimize.city.stored import is_city_run
from optimize.errors import UsageError
from optimize.io.run_instance import folder_of, read_instance_of
from optimize.io.run_store import altered_files, read_manifest, read_summary, table_digest
from optimize.io.warm_starts import read_warm_start
from optimize.monthly.decide import tables_in
from optimize.monthly.solving import CitySubject, ProgrammeSubject, Slices, Subject
from optimize.names import Engine
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.report.summary import versions
from optimize.result import StopReason
from optimize.warm_start import WarmStart

_ENDED_BY_ITSELF = {StopReason.OPTIMAL.value, StopReason.GAP_REACHED.value, StopReason.SEARCH_ENDED.value}


@dataclass(frozen=True)
class Reproduction:
    """What came of making a run again.

    Attributes
    ----------
    same, different : names of tables.
    altered : files of the run that are not as they were written.
    versions : by name, then and now, where they differ.
    remarks : why a difference had to be expected.
    """

    run: Path
    same: tuple[str, ...]
    different: tuple[str, ...]
    altered: tuple[str, ...]
    versions: Mapping[str, tuple[str, str]]
    remarks: tuple[str, ...]
    seconds: float = 0.0

    @property
    def reproduced(self) -> bool:
        return not self.different and not self.altered

    def record(self) -> dict[str, Any]:
        """As plain data."""
        told = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        return {**told, "run": self.run.as_posix(), "reproduced": self.reproduced,
                "versions": {name: list(pair) for name, pair in self.versions.items()}}  # fmt: skip


class _Nobody:
    """Nobody is told how a solve made again goes on."""

    def tell(self, event: str, text: str, **facts: Any) -> None:
        """Nothing."""


def reproduce(run: Path, instance: Path | None = None) -> Reproduction:
    """Solve a stored run's instance again as it was solved and compare every table of the run.

    Parameters
    ----------
    instance : the instance folder, where it has been moved.

    Raises
    ------
    UsageError : there is no run, its inputs are not there or no longer the same, or its start is gone.
    """
    began = time.monotonic()
    manifest, summary = read_manifest(run), read_summary(run)
    if "repaired_from" in manifest:
        raise UsageError(
            f"{run} is a plan that `optimize hydraulics` repaired, no solve; reproduce {manifest['repaired_from']} "
            "(seen from it) and repair that, or verify it"
        )
    altered = altered_files(run, manifest)
    subject = _subject_of(run, manifest, instance)
    options = _options_of(run, manifest, summary)
    found = subject.solve(options, Slices(options.time_limit_s, None, _Nobody()))
    if manifest.get("kept"):
        found = subject.keep(found, tables_in(run)) or found
    tables = subject.tables(found) if found.status == "solved" else {}
    made = {f"{name}.csv": table_digest(frame) for name, frame in tables.items()}
    stored = {name: digest for name, digest in manifest["files"].items() if name.endswith(".csv")}
    different = sorted(name for name in {*made, *stored} if made.get(name) != stored.get(name))
    then, now = manifest.get("versions", {}), versions()
    return Reproduction(
        run=run,
        same=tuple(sorted(name for name in stored if made.get(name) == stored[name])),
        different=tuple(different),
        altered=tuple(altered),
        versions={name: (then.get(name, "not told"), now.get(name, "not told"))
                  for name in sorted({*then, *now}) if then.get(name) != now.get(name)},
        remarks=tuple(_remarks(summary, manifest)) if different else (),
        seconds=time.monotonic() - began,
    )  # fmt: skip


def reproduction_lines(found: Reproduction) -> list[str]:
    """For a person."""
    number = len(found.same)
    if found.reproduced:
        return [f"{found.run}: reproduced bit by bit ({number} tables, {found.seconds:.1f} s)"]
    lines = [f"{found.run}: not reproduced"]
    lines += [f"  ✘ {fault}" for fault in found.altered]
    if found.different:
        lines.append(f"  tables that differ: {', '.join(found.different)} ({number} are the same)")
    lines += [f"  {name}: {then} then, {now} now" for name, (then, now) in found.versions.items()]
    if found.different and not found.versions:
        lines.append("  all versions are the same")
    return lines + [f"  {remark}" for remark in found.remarks]


def _subject_of(run: Path, manifest: Mapping[str, Any], instance: Path | None) -> Subject:
    if is_city_run(run):
        return CitySubject(read_city_of(run, manifest, PROGRAMMES, folder_of(run, manifest, instance)))
    name = read_summary(run).get("programme")
    programme = next((programme for programme in PROGRAMMES if programme.name == name), None)
    if programme is None:
        raise UsageError(f"{run} is a run of '{name}', which is no programme")
    _, data = read_instance_of(run, manifest, programme, PROGRAMMES, instance)
    return ProgrammeSubject(programme, data)


def _options_of(run: Path, manifest: Mapping[str, Any], summary: Mapping[str, Any]) -> SolveOptions:
    asked = manifest["options"]
    # a joint run names the way it was solved, which is not for the caller to choose
    engine: Engine = "auto" if is_city_run(run) else asked["engine"]
    return SolveOptions(
        goal=tuple(asked["goal"]),
        gap=asked["gap"],
        time_limit_s=manifest.get("slice_s") or asked["time_limit_s"],
        threads=asked["threads"],
        seed=asked["seed"],
        engine=engine,
        warm_start=_start_of(run, manifest),
    )


def _start_of(run: Path, manifest: Mapping[str, Any]) -> WarmStart | None:
    place = manifest.get("start")
    if place is None:
        return None
    start = read_warm_start((run.resolve() / str(place)).resolve())
    if start is None:
        raise UsageError(
            f"what {run} was started from ({place}) is no longer there, so that it cannot be made again"
        )
    return start


def _remarks(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    remarks = []
    if summary["stop_reason"] not in _ENDED_BY_ITSELF:
        remarks.append(
            f"the solve was ended by its {summary['stop_reason']}: another plan had to be expected; `optimize verify` "
            "checks the stored one"
        )
    if manifest.get("slices", 1) > 1:
        remarks.append("it was solved in several slices; the last one was made again from where it began")
    return remarks
