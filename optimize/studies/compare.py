"""Runs side by side: figures, clauses, money and effects, and the projects that differ.

Every column of sums adds up to the checkers' figure of its run: what the projects' own figures do not
account for stands in a row of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from optimize.city.instance import shared_goals
from optimize.errors import UsageError
from optimize.programme import Programme
from optimize.studies.compare_inputs import differing_inputs, proven_differences
from optimize.studies.compare_sides import Side

# Sums and figures that are nearer than this are the same money.
_CENT = 0.005
# Ageing of what stands, penalties of missed targets, works whose cost the plan's tables do not list.
REST = "(rest)"
NO_DISTRICT = "(no district)"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Comparison:
    """Plans of the same programmes; every frame has a column for each of ``labels``.

    Attributes
    ----------
    figures : figure, unit: the checkers' figures.
    clauses : clause, where, sense, unit, required_*, and what each run reaches; met_*.
    money : by (year, source, district, programme, total), name: CNY spent.
    effects : figure, unit, by (year, district, programme, total), name.
    projects : the projects that differ: programme, kind, id, name_zh, name_en, district, difference
        (``only A`` where few have it, ``all, differently`` …), and decision_*, capex_*, of each run.
    num_same : projects that all runs have, done in the same way.
    inputs : by label, what its inputs and goal were where they differ.
    verdicts : what objectives and bounds prove about runs of the same one goal.
    """

    programmes: tuple[Programme, ...]
    labels: tuple[str, ...]
    sides: tuple[Side, ...]
    figures: pd.DataFrame
    clauses: pd.DataFrame
    money: pd.DataFrame
    effects: pd.DataFrame
    projects: pd.DataFrame
    num_same: int
    inputs: Mapping[str, tuple[str, ...]]
    verdicts: tuple[str, ...]


def compare_runs(sides: Sequence[Side]) -> Comparison:
    """Compare two to 26 plans of the same programmes (`compare_sides.in_common`).

    Raises
    ------
    UsageError : fewer or more.
    """
    if not 2 <= len(sides) <= len(_LETTERS):
        raise UsageError(
            f"compare takes 2 to {len(_LETTERS)} runs, or one joint run (beside its fixed shares), got {len(sides)}"
        )
    labels = labels_of(sides)
    projects, num_same = _projects(labels, sides)
    money, effects = sums_of(sides)
    return Comparison(
        programmes=sides[0].programmes,
        labels=labels,
        sides=tuple(sides),
        figures=_figures(labels, sides),
        clauses=_clauses(labels, sides),
        money=money,
        effects=effects,
        projects=projects,
        num_same=num_same,
        inputs=differing_inputs(labels, sides),
        verdicts=proven_differences(labels, sides),
    )


def labels_of(sides: Sequence[Side]) -> tuple[str, ...]:
    """A letter for each plan."""
    return tuple(_LETTERS[: len(sides)])


def sums_of(sides: Sequence[Side]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Money and effects of one plan or several, as `Comparison` has them."""
    labels = labels_of(sides)
    return _money(labels, sides), _effects(labels, sides)


def unit_of(programmes: Sequence[Programme], figure: str) -> str:
    """Unit of a checker's figure: that of the goal, or the one its name ends in."""
    name = figure.rpartition(".")[2]
    for goal in (goal for programme in programmes for goal in programme.goals):
        if goal.name == name:
            return goal.unit
    is_money = name.endswith("_cny") or name in ("capex", "penalty")
    return "CNY" if is_money else ""


def title_of(programmes: Sequence[Programme], figure: str) -> str:
    """A figure in words: the goal's, after the programme where it is one programme's own."""
    owner, _, name = figure.rpartition(".")
    meant = [programme for programme in programmes if not owner or programme.name == owner]
    goals = {goal.name: goal.en for programme in reversed(meant) for goal in programme.goals}
    words = goals.get(name, name)
    return f"{meant[0].en}: {words}" if owner and meant else words


# --- figures and clauses --------------------------------------------------------------------------


def _figures(labels: Sequence[str], sides: Sequence[Side]) -> pd.DataFrame:
    told = [side.figures() for side in sides]
    rows = [
        {"figure": name, "unit": unit_of(sides[0].programmes, name)}
        | {label: figures.get(name, math.nan) for label, figures in zip(labels, told, strict=True)}
        for name in dict.fromkeys(name for figures in told for name in figures)
    ]
    return pd.DataFrame(rows, columns=["figure", "unit", *labels])


def _clauses(labels: Sequence[str], sides: Sequence[Side]) -> pd.DataFrame:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for label, side in zip(labels, sides, strict=True):
        for clause in side.clauses():
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


def _money(labels: Sequence[str], sides: Sequence[Side]) -> pd.DataFrame:
    columns: dict[tuple[str, str], dict[str, float]] = {}
    by_share = all(side.city is not None for side in sides)
    for label, side in zip(labels, sides, strict=True):
        spent = side.money(by_share=by_share)
        for by, key in (("year", "year"), ("source", "source")):
            _fill(columns, by, label, _summed((str(row[key]), row["spent_cny"]) for row in spent))
        total = math.fsum(row["spent_cny"] for row in spent)
        _fill(columns, "district", label, _with_rest(_money_by_district(side), total))
        if len(side.parts) > 1:
            own = {
                part.programme.en: math.fsum(row["spent_cny"] for row in part.summary["money"])
                for part in side.parts
            }
            _fill(columns, "programme", label, _with_rest(own, total))
        _fill(columns, "total", label, {"": total})
    return _as_frame(columns, ("by", "name"), labels)


def _money_by_district(side: Side) -> dict[str, float]:
    """What is paid for the projects of each district, whoever pays."""
    pairs: list[tuple[str, float]] = []
    for part in side.parts:
        if part.payments is not None:
            table, amount = part.payments, "amount_cny"
        else:
            table, amount = part.projects.dropna(subset="capex_cny"), "capex_cny"
        pairs += zip(_district(table), table[amount], strict=True)
    return _summed(pairs)


def _effects(labels: Sequence[str], sides: Sequence[Side]) -> pd.DataFrame:
    frames = []
    for figure in _figures_of_projects(sides[0]):
        columns: dict[tuple[str, str], dict[str, float]] = {}
        for label, side in zip(labels, sides, strict=True):
            _add_effect(columns, label, side, figure)
        frame = _as_frame(columns, ("by", "name"), labels)
        frame.insert(0, "figure", figure)
        frame.insert(1, "unit", unit_of(sides[0].programmes, figure))
        frames.append(frame)
    return (
        pd.concat(frames, ignore_index=True)
        if frames
        else pd.DataFrame(columns=["figure", "unit", "by", "name", *labels])
    )


def _figures_of_projects(side: Side) -> list[str]:
    """Figures that projects add up to: those all programmes share once, the others by programme."""
    if len(side.parts) == 1:
        return list(side.parts[0].effects)
    shared = shared_goals(side.programmes)
    common = [goal for goal in shared if any(goal in part.effects for part in side.parts)]
    own = [
        f"{part.programme.name}.{name}" for part in side.parts for name in part.effects if name not in shared
    ]
    return [*common, *own]


def _add_effect(
    columns: dict[tuple[str, str], dict[str, float]], label: str, side: Side, figure: str
) -> None:
    owner, _, name = figure.rpartition(".")
    parts = [part for part in side.parts if not owner or part.programme.name == owner]
    figures = side.figures()
    total = figures.get(figure, math.nan)
    whole = {part.programme.en: float(part.summary["figures"][name]) for part in parts}
    # a programme whose projects are not listed with this figure stands in a row of its own
    apart = {f"({part.programme.en})": whole[part.programme.en] for part in parts if name not in part.effects}
    listed = [part.projects for part in parts if name in part.effects]
    for by in ("year", "district"):
        names = [frame["year"].astype(str) if by == "year" else _district(frame) for frame in listed]
        pairs = [
            pair
            for keys, frame in zip(names, listed, strict=True)
            for pair in zip(keys, frame[name], strict=True)
        ]
        _fill(columns, by, label, _with_rest(_summed(pairs) | apart, total))
    if len(parts) > 1:
        _fill(columns, "programme", label, _with_rest(whole, total))
    _fill(columns, "total", label, {"": total})


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
    order = sorted(columns, key=lambda key: (kinds.index(key[0]), key[1] == REST, key[1][:1] == "(", key[1]))
    rows = [[*key, *(columns[key].get(label, 0.0) for label in labels)] for key in order]
    return pd.DataFrame(rows, columns=[*keys, *labels])


# --- projects -------------------------------------------------------------------------------------


def _projects(labels: Sequence[str], sides: Sequence[Side]) -> tuple[pd.DataFrame, int]:
    about = ["programme", "kind", "id", "name_zh", "name_en", "district"]
    whole: pd.DataFrame | None = None
    for label, side in zip(labels, sides, strict=True):
        part = _listed(side)[[*about, "decision", "capex_cny"]].rename(
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


def _listed(side: Side) -> pd.DataFrame:
    """The projects of all programmes, each with its own."""
    frames = [part.projects.assign(programme=part.programme.name) for part in side.parts]
    return pd.concat(frames, ignore_index=True)


def _difference(labels: Sequence[str], present: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    if present.all():
        return "all, differently"
    return "only " + " ".join(label for label, there in zip(labels, present, strict=True) if there)
