"""A finished solve as a run in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optimize.io.run_store import save_run
from optimize.io.table_changes import TableChange
from optimize.programme import Programme, SolveOptions
from optimize.report.stored import run_files, run_tables
from optimize.report.summary import manifest_of, place_of_instance
from optimize.schema import InstanceData

if TYPE_CHECKING:  # the engine would come with it
    from optimize.solve import Solved


def store_run(
    results: Path,
    instance: Path,
    programme: Programme,
    data: InstanceData,
    solved: Solved,
    options: SolveOptions,
    summary: Mapping[str, Any],
    overrides: Mapping[str, Any],
    started_utc: str,
    scenario: Mapping[str, Any] | None = None,
    changes: Sequence[TableChange] = (),
) -> Path | None:
    """Write the run below ``results`` and return its folder; None where there is no checked plan.

    Parameters
    ----------
    instance : the instance folder, as the user named it.
    summary : of `optimize.report.summary.summarise_run`.
    started_utc : ISO 8601, to the second.
    scenario : name, zh and en of the scenario that was solved; None: the instance as it is.
    changes : of tables, which the scenario makes.
    """
    if summary["status"] != "solved":
        return None
    home = results / programme.name / data.fingerprint
    place = place_of_instance(instance, programme, home)
    manifest = manifest_of(data, solved, options, place, overrides, started_utc)
    if scenario is not None:
        summary = {**summary, "scenario": dict(scenario)}
        manifest |= {"changes": [change.record() for change in changes], "scenario": dict(scenario)}
    return save_run(
        results, programme.name, data.fingerprint, run_tables(programme, solved), summary, manifest,
        run_files(solved.result.certificate),
    )  # fmt: skip
