"""Runs side by side: figures, clauses, money and effects, and the projects that differ.

Every column of sums adds up to the checker's figure of its run: what the projects' own figures do not
account for stands in a row of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimize.errors import UsageError
from optimize.programme import Programme
from optimize.report.text import amount
from optimize.studies.stored_runs import StoredRun

# Sums and figures that are nearer than this are the same money.
_CENT = 0.005
# Ageing of what stands, penalties of missed targets, works whose cost the plan's tables do not list.
REST = "(rest)"
NO_DISTRICT = "(no district)"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Comparison:
    """Runs of one programme; every frame has a column for each of ``labels``.

    Attributes
    ----------
    figures : figure, unit: the checker's figures.
    clauses : clause, where, sense, unit, required_*, and what each run reaches; met_*.
    money : by (year, source, district, total), name: CNY spent.
    effects : figure, unit, by (year, district, total), name.
    projects : the projects that differ: kind, id, name_zh, name_en, district, difference (``only
        A`` where few have it, ``all, differently`` …), and decision_*, capex_*, of each run.
    num_same : projects that all runs have, done in the same way.
    inputs : by label, what its inputs and goal were where they differ.
    verdicts : what objectives and bounds prove about runs of the same one goal.
    """

    programme: Programme
    labels: tuple[str, ...]
    runs: tuple[StoredRun, ...]
    figures: pd.DataFrame
    clauses: pd.DataFrame
    money: pd.DataFrame
    effects: pd.DataFrame
    projects: pd.DataFrame
    num_same: int
    inputs: Mapping[str, tuple[str, ...]]
    verdicts: tuple[str, ...]


def compare_runs(runs: Sequence[StoredRun]) -> Comparison:
    """Compare two to 26 runs of one programme.

    Raises
    ------
    UsageError : fewer or more runs, or of several programmes.
    """
    if not 2 <= len(runs) <= len(_LETTERS):
        raise UsageError(f"compare takes 2 to {len(_LETTERS)} runs, got {len(runs)}")
    names = list(dict.fromkeys(run.programme.name for run in runs))
    if len(names) > 1:
        raise UsageError(f"the runs are of several programmes ({', '.join(names)}); compare those of one")
    labels = tuple(_LETTERS[: len(runs)])
    projects, num_same = _projects(labels, runs)
    return Comparison(
        programme=runs[0].programme,
        labels=labels,
        runs=tuple(runs),
        figures=_figures(labels, runs),
        clauses=_clauses(labels, runs),
        money=_money(labels, runs),
        effects=_effects(labels, runs),
        projects=projects,
        num_same=num_same,
        inputs=_inputs(labels, runs),
        verdicts=_verdicts(labels, runs),
    )


def unit_of(programme: Programme, figure: str) -> str:
    """Unit of a checker's figure: that of the goal, or the one its name ends in."""
    for goal in programme.goals:
        if goal.name == figure:
            return goal.unit
    is_money = figure.endswith("_cny") or figure in ("capex", "penalty")
    return "CNY" if is_money else ""


# --- figures and clauses --------------------------------------------------------------------------


def _figures(labels: Sequence[str], runs: Sequence[StoredRun]) -> pd.DataFrame:
    programme = runs[0].programme
    names = dict.fromkeys(name for run in runs for name in run.summary["figures"])
    rows = [
        {"figure": name, "unit": unit_of(programme, name)}
        | {label: _figure(run, name) for label, run in zip(labels, runs, strict=True)}
        for name in names
    ]
    return pd.DataFrame(rows, columns=["figure", "unit", *labels])


def _figure(run: StoredRun, name: str) -> float:
    value = run.summary["figures"].get(name)
    return math.nan if value is None else float(value)


def _clauses(labels: Sequence[str], runs: Sequence[StoredRun]) -> pd.DataFrame:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for label, run in zip(labels, runs, strict=True):
        for clause in run.summary["clauses"]:
            row = rows.setdefault(
                (clause["id"], clause["where"]),
                {key: clause[key] for key in ("en", "zh", "sense", "unit")},
            )
            row[label] = clause["reached"]
            row[f"required_{label}"], row[f"met_{label}"] = clause["required"], clause["met"]
    columns = ["clause", "where", "en", "zh", "sense", "unit", *labels]
    columns += [f"{word}_{label}" for word in ("required", "met") for label in labels]
    named = [{"clause": key[0], "where": key[1], **row} for key, row in rows.items()]
    return pd.DataFrame(named, columns=columns)


# --- money and effects ----------------------------------------------------------------------------


def _money(labels: Sequence[str], runs: Sequence[StoredRun]) -> pd.DataFrame:
    columns: dict[tuple[str, str], dict[str, float]] = {}
    for label, run in zip(labels, runs, strict=True):
        spent = run.summary["money"]
        for by, key in (("year", "year"), ("source", "source")):
            _fill(columns, by, label, _summed((str(row[key]), row["spent_cny"]) for row in spent))
        total = math.fsum(row["spent_cny"] for row in spent)
        _fill(columns, "district", label, _with_rest(_money_by_district(run), total))
        _fill(columns, "total", label, {"": total})
    return _as_frame(columns, ("by", "name"), labels)


def _money_by_district(run: StoredRun) -> dict[str, float]:
    """What is paid for the projects of each district, whoever pays."""
    if run.payments is not None:
        table, amount = run.payments, "amount_cny"
    else:
        table, amount = run.projects.dropna(subset="capex_cny"), "capex_cny"
    return _summed(zip(_district(table), table[amount], strict=True))


def _effects(labels: Sequence[str], runs: Sequence[StoredRun]) -> pd.DataFrame:
    parts = []
    for figure in runs[0].effects:
        columns: dict[tuple[str, str], dict[str, float]] = {}
        for label, run in zip(labels, runs, strict=True):
            total, values = _figure(run, figure), run.projects[figure]
            for by, names in (
                ("year", run.projects["year"].astype(str)),
                ("district", _district(run.projects)),
            ):
                sums = _summed(zip(names, values, strict=True))
                _fill(columns, by, label, _with_rest(sums, total))
            _fill(columns, "total", label, {"": total})
        frame = _as_frame(columns, ("by", "name"), labels)
        frame.insert(0, "figure", figure)
        frame.insert(1, "unit", unit_of(runs[0].programme, figure))
        parts.append(frame)
    return (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=["figure", "unit", "by", "name", *labels])
    )


def _district(table: pd.DataFrame) -> pd.Series:
    return table["district"].where(table["district"] != "", NO_DISTRICT)


def _summed(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Exact sums by name, in the order of the names."""
    parts: dict[str, list[float]] = {}
    for name, value in pairs:
        parts.setdefault(name, []).append(value)
    return {name: math.fsum(parts[name]) for name in sorted(parts)}


def _with_rest(sums: dict[str, float], total: float) -> dict[str, float]:
    rest = total - math.fsum(sums.values())
    return sums if abs(rest) < _CENT else sums | {REST: rest}


def _fill(
    columns: dict[tuple[str, str], dict[str, float]], by: str, label: str, values: Mapping[str, float]
) -> None:
    for name, value in values.items():
        columns.setdefault((by, name), {})[label] = value


def _as_frame(
    columns: Mapping[tuple[str, str], Mapping[str, float]], keys: Sequence[str], labels: Sequence[str]
) -> pd.DataFrame:
    """A row for each key, those of one kind together and in order; nothing is 0."""
    kinds = list(dict.fromkeys(by for by, _ in columns))
    order = sorted(columns, key=lambda key: (kinds.index(key[0]), key[1] == REST, key[1]))
    rows = [[*key, *(columns[key].get(label, 0.0) for label in labels)] for key in order]
    return pd.DataFrame(rows, columns=[*keys, *labels])


# --- projects -------------------------------------------------------------------------------------


def _projects(labels: Sequence[str], runs: Sequence[StoredRun]) -> tuple[pd.DataFrame, int]:
    about = ["kind", "id", "name_zh", "name_en", "district"]
    whole: pd.DataFrame | None = None
    for label, run in zip(labels, runs, strict=True):
        part = run.projects[[*about, "decision", "capex_cny"]].rename(
            columns={"decision": f"decision_{label}", "capex_cny": f"capex_{label}"}
        )
        whole = part if whole is None else whole.merge(part, on=about, how="outer")
    assert whole is not None
    decisions = whole[[f"decision_{label}" for label in labels]]
    present = decisions.notna().to_numpy()
    decisions = decisions.fillna("")
    same = present.all(axis=1) & decisions.eq(decisions.iloc[:, 0], axis=0).all(axis=1).to_numpy()
    whole[decisions.columns] = decisions
    whole.insert(len(about), "difference", [_difference(labels, row) for row in present])
    money = whole[[f"capex_{label}" for label in labels]].fillna(0.0).to_numpy(np.float64)
    most = pd.Series(np.abs(money).max(axis=1, initial=0.0), index=whole.index)
    differing = whole[~same].assign(_most=most[~same])
    ordered = differing.sort_values(["_most", "kind", "id"], ascending=[False, True, True], kind="stable")
    return ordered.drop(columns="_most").reset_index(drop=True), int(same.sum())


def _difference(labels: Sequence[str], present: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    if present.all():
        return "all, differently"
    return "only " + " ".join(label for label, there in zip(labels, present, strict=True) if there)


# --- what was asked of each run -------------------------------------------------------------------


def _inputs(labels: Sequence[str], runs: Sequence[StoredRun]) -> dict[str, tuple[str, ...]]:
    """Goals, overrides and tables of each run, as far as they are not the same everywhere."""
    told: dict[str, list[str]] = {label: [] for label in labels}
    goals = [", ".join(run.summary["goal"]) for run in runs]
    if len(set(goals)) > 1:
        for label, goal in zip(labels, goals, strict=True):
            told[label].append(f"goal {goal}")
    overrides = [dict(run.manifest.get("overrides", {})) for run in runs]
    keys = dict.fromkeys(key for mapping in overrides for key in mapping)
    for key in keys:
        values = [repr(mapping[key]) if key in mapping else "as in the instance" for mapping in overrides]
        if len(set(values)) > 1:
            for label, value in zip(labels, values, strict=True):
                told[label].append(f"{key} {value}" if value == "as in the instance" else f"{key} = {value}")
    first = dict(runs[0].manifest.get("instance_files", {}))
    for label, run in zip(labels[1:], runs[1:], strict=True):
        files = dict(run.manifest.get("instance_files", {}))
        other = [name for name in first | files if files.get(name) != first.get(name)]
        if other:
            told[label].append(f"other {', '.join(other)} than {labels[0]}")
    return {label: tuple(words) for label, words in told.items()}


def _verdicts(labels: Sequence[str], runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """What is proven about the best plans there are for each run's inputs, given the gaps."""
    base, words = runs[0], []
    goal = base.summary["goal"]
    for label, run in zip(labels[1:], runs[1:], strict=True):
        if run.summary["goal"] != goal or len(goal) > 1:
            continue
        plans = [float(r.summary["objective"]) for r in (base, run)]
        bounds = [r.summary["bound"] for r in (base, run)]
        unit, sign = base.summary["goal_unit"], 1.0 if base.summary["maximise"] else -1.0
        if run.manifest.get("fingerprint") == base.manifest.get("fingerprint"):
            gain = sign * (plans[1] - plans[0])
            if gain == 0.0:
                words.append(f"{label} and {labels[0]} are equally good plans for the same question")
            else:
                better, worse = (label, labels[0]) if gain > 0 else (labels[0], label)
                words.append(
                    f"{better} is the better plan for the same question, by {amount(abs(gain), unit)} "
                    f"over {worse}"
                )
        elif None not in bounds:
            # The best plan of each question lies between the plan in hand and its bound.
            ends = sorted(sign * x for x in (plans[1] - bounds[0], bounds[1] - plans[0]))
            words.append(_between(label, labels[0], ends[0], ends[1], unit))
    return tuple(words)


def _between(label: str, base: str, low: float, high: float, unit: str) -> str:
    """The proven interval of what the best plan for ``label`` gains over that for ``base``."""
    best = f"the best plan for {label}'s question is"
    if low > 0.0:
        return f"{best} {amount(low, unit)} to {amount(high, unit)} better than for {base}'s"
    if high < 0.0:
        return f"{best} {amount(-high, unit)} to {amount(-low, unit)} worse than for {base}'s"
    return (
        f"the gaps leave open whether {best} better or worse than for {base}'s "
        f"(at most {amount(high, unit)} better, {amount(-low, unit)} worse)"
    )
