"""A repaired plan as a run of its own, beside the run it came from, which stays as it is."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from optimize.io.run_store import HYDRAULICS, NETWORK_MULTIPLIERS, save_run
from optimize.programme import SolveOptions
from optimize.report.stored import run_tables
from optimize.report.summary import manifest_of, place_of_instance, plain_mapping, summarise_run
from optimize.report.text import money
from optimize.result import Result, StopReason, relative_gap
from optimize.solve import Solved
from optimize.studies.hydraulics import Hydraulics, RepairedPlan
from optimize.studies.hydraulics_report import hydraulics_json
from optimize.studies.stored_runs import StoredRun
from optimize.water.hydraulics.epanet import write_inp

NETWORK = "plan.inp"


def store_repaired(results: Path, found: Hydraulics, seconds: float) -> Path | None:
    """Write the repaired plan below ``results``; None where there is none that passed its check.

    Its figures are those of the instance alone, so that `verify` finds them again; the pumping stations that the
    instance does not know stand in ``hydraulics.json``.  The bound is that of the run it came from, with what
    proves it: no plan of the instance is better, repaired or not.
    """
    repaired = found.repaired
    if found.verdict != "repaired" or repaired is None or not repaired.plain_check.passed:
        return None
    run, programme = found.run, found.run.programme
    manifest, summary = run.manifest, run.summary
    options = SolveOptions(**{**manifest["options"], "goal": tuple(summary["goal"])})
    figure = repaired.plain_check.figures[options.goal[-1]]
    solution = dataclasses.replace(repaired.solution, reported={options.goal[-1]: figure})
    result = Result(
        stop=StopReason.SEARCH_ENDED, solution=solution, objective=figure, bound=summary["bound"],
        maximise=bool(summary["maximise"]), goal=options.goal, engine="hydraulics",
    )  # fmt: skip
    solved = Solved(found.instance, result, repaired.plain_check)
    home = results / programme.name / found.data.fingerprint
    told = summarise_run(programme, found.data, solved, options, seconds)
    told["effect"] = [*told["effect"], _in_a_line(found, repaired)]
    place = place_of_instance(found.folder, programme, home)
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    kept = {key: manifest[key] for key in ("changes", "scenario") if key in manifest}
    if "scenario" in summary:
        told["scenario"] = summary["scenario"]
    made = manifest_of(found.data, solved, options, place, manifest.get("overrides", {}), started) | kept
    made["versions"] |= {"wntr": importlib.metadata.version("wntr")}
    made["repaired_from"] = os.path.relpath(run.folder.resolve(), home.resolve() / "run")
    made["certificate"], proof = _proof_of(run)
    if made["certificate"] is not None:
        own = summary["certificate"]
        told["certificate"] = own | {"gap": relative_gap(figure, own["bound"])}
    files = proof | {
        HYDRAULICS: _json_bytes(hydraulics_json(found, run.folder.as_posix(), None)),
        NETWORK: network_bytes(found),
    }
    return save_run(
        results, programme.name, found.data.fingerprint, run_tables(programme, solved), told, made, files
    )


def _proof_of(run: StoredRun) -> tuple[dict[str, Any] | None, dict[str, bytes]]:
    """The certificate of a run's bound and the files it rests on; none where it keeps what that plan reached."""
    claim = run.manifest.get("certificate")
    if claim is None or claim["kept"]:
        return None, {}
    paths = [run.folder / name for name in ("multipliers.csv", "blocks.csv", NETWORK_MULTIPLIERS)]
    return claim, {path.name: path.read_bytes() for path in paths if path.is_file()}


def network_bytes(found: Hydraulics) -> bytes:
    """The plan as it can be built, as an EPANET input file."""
    with tempfile.TemporaryDirectory(prefix="optimize-inp-") as place:
        path = Path(place) / NETWORK
        write_network(found, path)
        return path.read_bytes()


def write_network(found: Hydraulics, path: Path) -> None:
    """`network_bytes` as a file; raises UsageError where it cannot be written."""
    state = found.final[-1]
    title = [
        f"{found.instance.name_en} · reclaimed water {state.network.year} · {found.verdict}",
        "hour 0: peak hour; hour 1: average day. Head loss by Hazen and Williams; pumps as designed by optimize.",
    ]
    write_inp(state.network, state.duty, title, path)


def _json_bytes(content: dict[str, Any]) -> bytes:
    text = json.dumps(plain_mapping(content), ensure_ascii=False, indent=2, allow_nan=False)
    return (text + "\n").encode()


def _in_a_line(found: Hydraulics, repaired: RepairedPlan) -> str:
    stations = repaired.stations
    besides = (
        f"; {len(stations)} pumping stations for {money(stations['capex_cny'].sum(), 'CNY')} besides"
        if len(stations)
        else ""
    )
    return (
        f"hydraulics hold in the peak hour ({found.standards.peak_hour_factor:g}) and on the average day: "
        f"{len(repaired.pipes)} pipes larger than first planned{besides}"
    )
