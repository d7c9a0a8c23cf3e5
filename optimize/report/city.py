"""A city's run as plain data, as lines for the terminal, and as a run in the store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.city.checker import CityCheck
from optimize.city.instance import City
from optimize.city.plan import SILOS, CityPlan, plan_tables, split_table, tables_below
from optimize.city.reading import city_files
from optimize.city.result import CityResult, SolvedCity
from optimize.io.run_store import file_digest, save_run
from optimize.names import CITY
from optimize.programme import Goal, SolveOptions
from optimize.report import text
from optimize.report.stored import certificate_tables
from optimize.report.summary import (
    clause_records,
    frame_records,
    json_line,
    money_records,
    outcome_manifest,
    outcome_record,
    plain_mapping,
)

_ZH, _EN = "全市统筹", "One budget for the city"
_LABEL = 10
# Of the plan on fixed shares in the line for programs; the rest stands in the summary.
_TOLD_OF_SILOS = ("objective", "bound", "stop_reason", "checked", "figures")
# A difference this small beside the plan is rounding.
_NOTHING = 1e-7
# A gap on fixed shares from this share of the difference on is told beside it.
_SEARCH = 0.1


def summarise_city(solved: SolvedCity, seconds: float) -> dict[str, Any]:
    """Everything a reader of the run needs; the same keys as a programme's summary, and the split."""
    result, city = solved.result, solved.result.city
    report = None if solved.check is None else solved.check.report
    content = {
        "programme": CITY,
        "programme_zh": _ZH,
        "programme_en": _EN,
        "instance_zh": city.name_zh,
        "instance_en": city.name_en,
        "programmes": [
            {"name": part.programme.name, "zh": part.programme.zh, "en": part.programme.en}
            for part in city.parts
        ],
        **outcome_record(result, goal_of(result), report, seconds),
        "silos": _silos(solved),
        "price_of_silos": _price(result),
        "split": [] if result.plan is None else frame_records(split_table(city, result.plan.share_cny)),
        "parts": {} if solved.check is None else _parts(result.plan, city, solved.check),
    }
    return plain_mapping(content)


def goal_of(result: CityResult) -> Goal:
    return result.city.parts[0].programme.goal(result.goal[-1])


def _silos(solved: SolvedCity) -> dict[str, Any]:
    silos, check = solved.result.silos, solved.silo_check
    return {
        "objective": silos.objective,
        "bound": silos.bound,
        "stop_reason": silos.stop.value,
        "checked": check is not None and check.report.passed,
        "figures": {} if check is None else dict(check.report.figures),
        "clauses": [] if check is None else clause_records(check.report),
        "money": [] if check is None else money_records(check.report),
        "parts": {} if check is None else _parts(silos.plan, solved.result.city, check),
    }


def _price(result: CityResult) -> dict[str, Any]:
    least, most = result.price_range
    return {"found": result.price_of_silos, "at_least": least, "at_most": most}


def _parts(plan: CityPlan | None, city: City, check: CityCheck) -> dict[str, Any]:
    assert plan is not None
    parts = {}
    for part in city.parts:
        name, report = part.programme.name, check.parts[part.programme.name]
        summary = part.programme.summarise(check.instances[name], plan.solutions[name], report)
        parts[name] = {
            "build": list(summary.build),
            "effect": list(summary.effect),
            "clauses": clause_records(report),
            "figures": dict(report.figures),
            "money": money_records(report),
        }
    return parts


# --- the terminal -----------------------------------------------------------------------------------


def city_lines(summary: Mapping[str, Any], run: str | None) -> list[str]:
    """The whole summary of a city's run."""
    head = f"{summary['programme_en']} · {summary['programme_zh']} · {summary['instance_en']}"
    if summary["status"] == "infeasible":
        return [head, *text.relaxation_lines(summary["relaxations"])]
    if summary["status"] == "no plan":
        return [head, text.no_plan_line(summary)]
    unit = summary["goal_unit"]
    lines = [head]
    lines += _labelled("plan", [_sum_line(summary, summary["objective"], summary["figures"])])
    silos = summary["silos"]
    if silos["objective"] is None:
        lines += _labelled("silos", [f"on today's fixed shares there is no plan ({silos['stop_reason']})"])
    else:
        lines += _labelled(
            "silos", [_sum_line(summary, silos["objective"], silos["figures"]) + " on today's fixed shares"]
        )
        lines += _labelled("price", price_lines(summary))
    lines += _labelled("split", split_lines(summary))
    for part in summary["programmes"]:
        lines += _labelled(part["name"], summary["parts"][part["name"]]["build"])
    lines += _labelled("money", text.money_lines(summary["money"]))
    clauses = [c for part in summary["parts"].values() for c in part["clauses"]] + summary["clauses"]
    lines += _labelled("clauses", text.clause_lines(clauses))
    lines += _labelled("proof", [text.proof_line(summary), *_proof_remarks(summary, unit)])
    lines += _labelled("checked", [text.checked_line(summary)])
    lines += [f"             {violation}" for violation in summary["violations"][:20]]
    if run is not None:
        lines += _labelled("tables", [run])
    return lines


def _sum_line(summary: Mapping[str, Any], value: float, figures: Mapping[str, float]) -> str:
    goal, unit = summary["goal"][-1], summary["goal_unit"]
    parts = [
        f"{part['en'].lower() if part['en'][1:].islower() else part['en']} "
        f"{text.amount(figures[part['name'] + '.' + goal], unit)}"
        for part in summary["programmes"]
        if f"{part['name']}.{goal}" in figures
    ]
    return f"{summary['goal_en']} {text.amount(value, unit)} = {' + '.join(parts)}"


def price_lines(summary: Mapping[str, Any]) -> list[str]:
    """What planning in silos costs, and how sure that is, in plain words."""
    unit, price = summary["goal_unit"], summary["price_of_silos"]
    found, least, most = price["found"], price["at_least"], price["at_most"]
    base = abs(summary["silos"]["objective"])
    share = f" ({text.percent(abs(found) / base)})" if base > 0 else ""
    if abs(found) <= _NOTHING * max(base, 1.0):
        told = "planning together is worth nothing here"
    else:
        worth = "is worth {} more" if summary["maximise"] else "saves {}"
        told = f"planning together {worth.format(text.amount(found, unit))}{share}"
    lines = [f"{told}: this plan against the one on fixed shares"]
    if most is None:
        lines.append(f"for certain: at least {text.amount(least, unit)}; no upper limit is proven")
    elif text.amount(least, unit) == text.amount(most, unit):
        lines.append("for certain: that much, to the digits shown")
    else:
        lines.append(
            f"for certain: between {text.amount(least, unit)} and {text.amount(most, unit)}, "
            "because better plans may exist on either side"
        )
    silo_bound = summary["silos"]["bound"]
    if silo_bound is not None and abs(silo_bound - summary["silos"]["objective"]) > _SEARCH * abs(found):
        lines.append(
            f"the plan on fixed shares may be up to {text.amount(abs(silo_bound - summary['silos']['objective']), unit)} "
            "short of its best: part of the difference may be search; a longer --time-limit tells"
        )
    return lines


def split_lines(summary: Mapping[str, Any]) -> list[str]:
    """Programme by year and source group, M CNY, today's share in brackets."""
    rows = summary["split"]
    years = sorted({row["year"] for row in rows})
    names = {part["name"]: part["en"] for part in summary["programmes"]}
    lines = ["M CNY of public money (today's fixed share); all sources and years: split.csv"]
    width = max(len(name) for name in (*names.values(), "left in the pool"))

    def cell(chosen: Sequence[Mapping[str, Any]]) -> str:
        share, today = (sum(row[key] for row in chosen) / 1e6 for key in ("share_cny", "today_cny"))
        return f"{share:,.1f} ({today:,.1f})".replace(",", " ")

    header = [*(str(year) for year in years), "municipal", "districts", "all"]
    table = []
    for name, label in names.items():
        own = [row for row in rows if row["programme"] == name]
        cells = [cell([row for row in own if row["year"] == year]) for year in years]
        cells.append(cell([row for row in own if row["source"] == "municipal"]))
        cells.append(cell([row for row in own if row["source"] != "municipal"]))
        table.append([label, *cells, cell(own)])
    table.append(["left in the pool", *_left(rows, years)])
    widths = [max(len(header[k]), *(len(row[k + 1]) for row in table)) for k in range(len(header))]
    lines.append(" " * width + "  " + "  ".join(h.rjust(w) for h, w in zip(header, widths, strict=True)))
    for label, *cells in table:
        lines.append(
            label.ljust(width) + "  " + "  ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
        )
    return lines


def _left(rows: Sequence[Mapping[str, Any]], years: Sequence[int]) -> list[str]:
    pool: dict[tuple[str, int], float] = {(row["source"], row["year"]): row["pool_cny"] for row in rows}
    for row in rows:
        pool[row["source"], row["year"]] -= row["share_cny"]

    def sum_of(keys: Sequence[tuple[str, int]]) -> str:
        left = sum(pool[key] for key in keys) / 1e6
        return f"{max(left, 0.0):,.1f}".replace(",", " ")

    return [
        *(sum_of([key for key in pool if key[1] == year]) for year in years),
        sum_of([key for key in pool if key[0] == "municipal"]),
        sum_of([key for key in pool if key[0] != "municipal"]),
        sum_of(list(pool)),
    ]


def _proof_remarks(summary: Mapping[str, Any], unit: str) -> list[str]:
    certificate = summary["certificate"]
    remarks = []
    if summary["engine"] == "decomposition" and any(p["name"] == "water" for p in summary["programmes"]):
        remarks.append(
            "most of the gap is reclaimed water's own: at a city's size its proof leaves 100 % and more "
            "open, whoever plans it; --programme datacenter --programme pv_siting plans without it"
        )
    if certificate is not None:
        remarks.append(
            f"multipliers prove {text.amount(certificate['bound'], unit)}, gap {text.percent(certificate['gap'])}"
        )
    return remarks


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    return [f"  {label if k == 0 else '':<{_LABEL}} {line}" for k, line in enumerate(lines)]


def city_json(summary: Mapping[str, Any], run: str | None) -> dict[str, Any]:
    """The object that ``--json`` prints for a joint plan."""
    keys = ("engine", "price_of_silos", "split")
    silos = {key: summary["silos"][key] for key in _TOLD_OF_SILOS}
    return json_line(summary, run) | {key: summary[key] for key in keys} | {"silos": silos}


# --- the store --------------------------------------------------------------------------------------


def city_tables(solved: SolvedCity) -> dict[str, pd.DataFrame]:
    """Tables of a checked joint plan, of today's fixed shares beside it, and of what proves its bound."""
    result = solved.result
    assert result.plan is not None and solved.check is not None
    tables = plan_tables(result.city, result.plan, solved.check.instances)
    if result.silos.plan is not None and solved.silo_check is not None:
        own = plan_tables(result.city, result.silos.plan, solved.silo_check.instances)
        tables |= tables_below(SILOS, own)
    if result.certificate is not None:
        tables |= certificate_tables(result.certificate)
    return tables


def store_city(
    results: Path,
    instance: Path,
    solved: SolvedCity,
    options: SolveOptions,
    summary: Mapping[str, Any],
    overrides: Mapping[str, Any],
    started_utc: str,
    *,
    known_as: Path | None = None,
    more: Mapping[str, Any] | None = None,
) -> Path | None:
    """Write the run below ``results``; None where there is no checked plan.

    Parameters
    ----------
    known_as : where the instance will lie when run and instance have been moved together; None: where it is.
    more : further entries of the manifest.
    """
    result = solved.result
    if summary["status"] != "solved":
        return None
    tables = city_tables(solved)
    manifest = {
        **_place(result.city, instance, results / CITY / result.city.fingerprint, known_as or instance),
        "programmes": list(result.city.names),
        "fingerprint": result.city.fingerprint,
        "network": result.network,
        **outcome_manifest(result, options, result.engine, overrides, started_utc),
        **(more or {}),
    }
    return save_run(results, CITY, result.city.fingerprint, tables, summary, plain_mapping(manifest))


def _place(city: City, path: Path, home: Path, known_as: Path) -> dict[str, Any]:
    files = city_files(path, [part.programme for part in city.parts])
    return {
        "instance": str(known_as),
        "instance_from_run": os.path.relpath(path.resolve(), home.resolve() / "run"),
        "instance_files": {name: file_digest(file) for name, file in files.items()},
    }
