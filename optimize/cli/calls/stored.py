"""Calls of ``optimize show | verify | compare | workbook | report | export | hydraulics | runs | reproduce | audit | gc``: stored runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from optimize.cli.arguments import Commands, add_language_argument, count, positive, share
from optimize.deferred import Deferred
from optimize.names import CITY, PROGRAMME_NAMES
from optimize.water.hydraulics.assumptions import ASSUMPTIONS, Standards


def add_parsers(commands: Commands) -> None:
    _add_show(commands)
    _add_verify(commands)
    _add_compare(commands)
    _add_workbook(commands)
    _add_report(commands)
    _add_export(commands)
    _add_hydraulics(commands)
    _add_runs(commands)
    _add_reproduce(commands)
    _add_audit(commands)
    _add_gc(commands)


def _add_show(commands: Commands) -> None:
    command = commands.add_parser("show", help="print the summary of a stored run")
    command.set_defaults(run=Deferred("optimize.cli.listing", "run_show"))
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    command.add_argument("--json", action="store_true")


def _add_verify(commands: Commands) -> None:
    command = commands.add_parser(
        "verify", help="check stored runs again from the raw tables and the stored multipliers"
    )
    command.set_defaults(run=Deferred("optimize.cli.verify", "run_verify"))
    command.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="runs, published periods, or whole stores"
    )
    _add_instance(command)
    command.add_argument("--json", action="store_true", help="one JSON object per run on stdout")


def _add_compare(commands: Commands) -> None:
    command = commands.add_parser(
        "compare", help="runs side by side: projects that differ, money, effects, clauses"
    )
    command.set_defaults(run=Deferred("optimize.cli.compare", "run_compare"))
    command.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="two or more runs; RUN+RUN takes runs of different programmes together; one joint run "
        "stands beside its own plan on today's fixed shares",
    )
    command.add_argument("--csv", type=Path, metavar="FOLDER", help="also write the tables, all rows, as CSV")
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_workbook(commands: Commands) -> None:
    command = commands.add_parser(
        "workbook", help="stored runs as one Excel workbook: summary, projects, money, charts, comparison"
    )
    command.set_defaults(run=Deferred("optimize.cli.workbook", "run_workbook"))
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="one run, or several to compare")
    command.add_argument("--out", type=Path, required=True, metavar="PLAN.xlsx")
    add_language_argument(command, "of headings and texts")


def _add_report(commands: Commands) -> None:
    command = commands.add_parser(
        "report",
        help="stored runs as one HTML file: the answer, maps, money, clauses, proof, data; prints to PDF",
    )
    command.set_defaults(run=Deferred("optimize.cli.report", "run_report"))
    command.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="one run, or up to six to compare")
    command.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE.html", help="(report.html)"
    )
    command.add_argument(
        "--lang",
        choices=("zh", "en", "both"),
        default="both",
        help="of the report; both: switched in the page (both)",
    )
    command.add_argument(
        "--with", dest="studies", type=Path, action="append", default=[], metavar="FILE.json",
        help="what `front`, `explain`, `stress` or `hydraulics` printed with --json, to be told in the report; may be repeated",
    )  # fmt: skip
    _add_instance(command)


def _add_export(commands: Commands) -> None:
    command = commands.add_parser("export", help="a stored run for maps: GeoJSON and GeoPackage (QGIS)")
    command.set_defaults(run=Deferred("optimize.cli.report", "run_export"))
    command.add_argument("run_folder", type=Path, metavar="RUN")
    command.add_argument("--geojson", type=Path, metavar="FILE", help="one file with all layers")
    command.add_argument(
        "--gpkg", type=Path, metavar="FILE", help="GeoPackage, a layer for each kind of works"
    )
    _add_instance(command)


def _add_hydraulics(commands: Commands) -> None:
    command = commands.add_parser(
        "hydraulics",
        help="a plan of reclaimed water simulated with EPANET: pressures, velocities, pumps; repaired where it has to be",
    )
    command.set_defaults(run=Deferred("optimize.cli.hydraulics", "run_hydraulics"))
    command.add_argument("run_folder", type=Path, metavar="RUN")
    _add_instance(command)
    for flag, name, metavar in (
        ("--peak-hour", "peak_hour_factor", "FACTOR"),
        ("--min-pressure", "min_pressure_m", "M"),
        ("--max-pressure", "max_pressure_m", "M"),
        ("--max-velocity", "max_velocity_m_per_s", "M/S"),
        ("--roughness", "roughness_c", "C"),
        ("--existing-roughness", "existing_roughness_c", "C"),
        ("--station-cny", "booster_cny", "CNY"),
        ("--station-cny-per-kw", "booster_cny_per_kw", "CNY"),
    ):
        (assumed,) = (a for a in ASSUMPTIONS if a.name == name)
        default = getattr(Standards, name)
        command.add_argument(
            flag,
            dest=name,
            type=positive,
            default=default,
            metavar=metavar,
            help=f"{assumed.meaning} ({default:.10g})",
        )
    command.add_argument(
        "--no-repair",
        dest="repair",
        action="store_false",
        help="only say what is broken (code 5 if anything)",
    )
    command.add_argument(
        "--inp", type=Path, metavar="FILE.inp", help="write the network for EPANET, repaired"
    )
    command.add_argument("--csv", type=Path, metavar="FOLDER", help="also write all tables as CSV")
    command.add_argument(
        "--results", type=Path, default=Path("results"), metavar="FOLDER",
        help="where a repaired plan is stored as a run of its own (results)",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_runs(commands: Commands) -> None:
    command = commands.add_parser("runs", help="list the stored runs, or those that answer a question")
    command.set_defaults(run=Deferred("optimize.cli.listing", "run_runs"))
    command.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")
    command.add_argument("--programme", choices=[*PROGRAMME_NAMES, CITY], help="only of this programme")
    command.add_argument(
        "--where", default="", metavar="SQL", help='condition on the columns, e.g. "npv > 5e8 and gap < 0.01"'
    )
    command.add_argument("--newest", type=count, metavar="N", help="only the N newest")
    command.add_argument("--json", action="store_true", help="one JSON object per run on stdout")


def _add_reproduce(commands: Commands) -> None:
    command = commands.add_parser(
        "reproduce", help="make stored plans again from their inputs and compare them bit by bit"
    )
    command.set_defaults(run=Deferred("optimize.cli.records", "run_reproduce"))
    command.add_argument("places", type=Path, nargs="+", metavar="RUN", help="runs, or published periods")
    _add_instance(command)
    command.add_argument("--json", action="store_true", help="one JSON object per run on stdout")


def _add_audit(commands: Commands) -> None:
    command = commands.add_parser(
        "audit", help="one archive of a plan: inputs, model, bound, check, versions, who and when"
    )
    command.set_defaults(run=Deferred("optimize.cli.records", "run_audit"))
    command.add_argument("subject", type=Path, metavar="RUN", help="a run, or a published period")
    command.add_argument("file", type=Path, metavar="FILE.zip")


def _add_gc(commands: Commands) -> None:
    command = commands.add_parser(
        "gc", help="remove old runs of a store by policy (says what; --yes does it)"
    )
    command.set_defaults(run=Deferred("optimize.cli.listing", "run_gc"))
    command.add_argument("store", type=Path, nargs="?", default=Path("results"), metavar="STORE")
    command.add_argument("--keep-newest", type=_count_or_none, default=3, metavar="N",
                         help="runs of each programme, instance and scenario that stay (3)")  # fmt: skip
    command.add_argument(
        "--keep-days", type=share, default=90.0, metavar="D", help="all runs within D days stay (90)"
    )
    command.add_argument(
        "--keep", type=Path, action="append", default=[], metavar="RUN", help="this run stays"
    )
    command.add_argument("--yes", action="store_true", help="remove them")
    command.add_argument("--json", action="store_true")


def _add_instance(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--instance", type=Path, metavar="PATH", help="the instance folder, if it has been moved"
    )


def _count_or_none(word: str) -> int:
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 0")
    return value
