"""``optimize report | export``: stored runs as a document for people, and for geographic information systems."""

from __future__ import annotations

import argparse

from optimize.errors import ExitCode, UsageError
from optimize.i18n.catalogue import LANGUAGES
from optimize.publish.document import write_report
from optimize.publish.facts import read_run
from optimize.publish.geo import geo_layers, write_geojson, write_geopackage
from optimize.publish.study_files import read_studies

_MOST_RUNS = 6


def run_report(call: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    if len(call.runs) > _MOST_RUNS:
        raise UsageError(f"a report takes 1 to {_MOST_RUNS} runs, got {len(call.runs)}")
    studies = read_studies(call.studies)
    runs = [read_run(folder, instance=call.instance) for folder in call.runs]
    languages = LANGUAGES if call.lang == "both" else (call.lang,)
    write_report(runs, call.out, languages, studies)
    kilobytes = call.out.stat().st_size / 1e3
    size = f"{kilobytes / 1e3:.1f} MB" if kilobytes >= 1e3 else f"{kilobytes:.0f} kB"
    print(
        f"{call.out}: {len(runs)} run{'' if len(runs) == 1 else 's'}, {size}, opens in any browser without a network"
    )
    for run in runs:
        if run.instance_folder is None:
            print(f"  without maps and sources of the data: {run.instance_missing}")
        if run.shapes_fault:
            print(f"  without shapes of districts: {run.shapes_fault}")
    return ExitCode.SOLVED


def run_export(call: argparse.Namespace) -> int:
    """Write the layers of a run."""
    if call.geojson is None and call.gpkg is None:
        raise UsageError("name what to write: --geojson FILE, --gpkg FILE, or both")
    layers = geo_layers(read_run(call.run_folder, instance=call.instance))
    if call.geojson is not None:
        write_geojson(layers, call.geojson)
    if call.gpkg is not None:
        write_geopackage(layers, call.gpkg)
    told = ", ".join(f"{layer.name} {len(layer.attributes)}" for layer in layers)
    for path in (call.geojson, call.gpkg):
        if path is not None:
            print(f"{path}: {told}")
    return ExitCode.SOLVED
