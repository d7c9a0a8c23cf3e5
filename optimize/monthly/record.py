"""What of a period is kept: its runs in the shape of the run store, and its manifest."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from optimize.city.stored import is_city_run
from optimize.city.verify import verify_city
from optimize.errors import FailedCheck
from optimize.io.run_store import save_run, text_cells
from optimize.io.warm_starts import MULTIPLIERS, PROJECTS
from optimize.monthly.decide import Plan
from optimize.monthly.explaining import Explained
from optimize.monthly.inputs import Inputs
from optimize.monthly.job import Job
from optimize.monthly.periods import Name, Period
from optimize.monthly.solving import CitySubject, Found, ProgrammeSubject
from optimize.registry import PROGRAMMES
from optimize.report.city import store_city
from optimize.report.stored import run_files
from optimize.report.summary import manifest_of, place_of_instance, plain_mapping, versions
from optimize.verification.run import verify_run

CHECKPOINTS = "checkpoints"
RUNS, STARTS = "runs", "start"


def store(plan: Plan, place: Path, instance: Path, known_as: Path, started: datetime) -> Path:
    """Write the run of a plan below ``place``; its folder.

    Parameters
    ----------
    instance : folder of the revised instance; known_as : where that will lie once it is published.
    """
    found = plan.found
    more: dict[str, Any] = {"kept": found.kept, "slices": found.slices, "slice_s": found.slice_s}
    if found.start is not None:
        more["start"] = _stored_start(plan, found, place)
    summary = plan.subject.summary(found)
    stamp = started.isoformat(timespec="seconds")
    if isinstance(plan.subject, CitySubject):
        run = store_city(
            place / RUNS,
            instance,
            found.solved,
            found.options,
            summary,
            {},
            stamp,
            known_as=known_as,
            more=more,
        )
        assert run is not None
        return run
    assert isinstance(plan.subject, ProgrammeSubject)
    programme, data = plan.subject.programme, plan.subject.data
    home = place / RUNS / programme.name / data.fingerprint
    where = place_of_instance(instance, programme, home, known_as)
    manifest = manifest_of(data, found.solved, found.options, where, {}, stamp)
    return save_run(
        place / RUNS, programme.name, data.fingerprint, plan.subject.tables(found), summary,
        {**manifest, "changes": [], **more}, run_files(found.solved.result.certificate),
    )  # fmt: skip


def verify(runs: Mapping[str, Path], instance: Path) -> None:
    """Read the stored runs again and verify plan, figures and bound from the files that will be published.

    Raises
    ------
    FailedCheck : something is not as stated.
    """
    for name, run in runs.items():
        verdict = (verify_city if is_city_run(run) else verify_run)(run, PROGRAMMES, instance)
        if not verdict.verified:
            raise FailedCheck(f"{name}: the stored plan does not verify: {'; '.join(verdict.failures[:3])}")


def manifest(
    job: Job,
    name: Name,
    in_force: Period | None,
    outcome: str,
    read: Inputs,
    planned: Sequence[Plan],
    runs: Mapping[str, Path],
    explained: Explained,
    now: datetime,
) -> dict[str, Any]:
    """What a period's manifest says beside the hashes of its files."""
    programmes = {programme.name for plan in planned for programme in plan.subject.programmes}
    return plain_mapping(
        {
            "job": job.name,
            "period": name.month,
            "edition": name.edition,
            "outcome": outcome,
            "in_force": None if in_force is None else str(in_force.name),
            "published_at": now.isoformat(timespec="seconds"),
            "published_by": _who(),
            "job_file": job.file.read_text(encoding="utf-8", errors="replace"),
            "origins": dict(read.read.origins),
            "rows": dict(read.rows),
            "ledger": {"entries": len(read.ledger.entries), "head": read.ledger.head},
            "programmes": [programme.name for programme in PROGRAMMES if programme.name in programmes],
            "runs": {subject: "/".join(run.parts[-4:]) for subject, run in runs.items()},
            "plans": [_told(plan) for plan in planned],
            "changes": explained.record(),
            "versions": versions(),
        }
    )


def _stored_start(plan: Plan, found: Found, place: Path) -> str:
    """Write what the solve began from; its folder as seen from the run's."""
    assert found.start is not None
    folder = place / STARTS / plan.subject.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in ((PROJECTS, found.start.projects), (MULTIPLIERS, found.start.multipliers)):
        text_cells(frame).to_csv(folder / name, index=False, encoding="utf-8-sig", lineterminator="\n")
    return os.path.relpath(folder, place / RUNS / plan.subject.name / "inputs" / "run")


def _told(plan: Plan) -> dict[str, Any]:
    summary = plan.subject.summary(plan.found)
    keys = ("programme", "status", "stop_reason", "goal", "goal_unit", "objective", "bound", "gap", "seconds")
    value = plan.subject.unfined(plan.found)
    return {
        **{key: summary[key] for key in keys},
        "value": value,
        "kept": plan.found.kept,
        "slices": plan.found.slices,
    }


def _who() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = str(os.getuid())
    return {"user": user, "host": socket.gethostname()}
