"""What was asked of each run of a comparison, and what is proven about the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optimize.io.table_changes import changes_of
from optimize.names import CITY
from optimize.registry import PROGRAMMES
from optimize.report.text import money
from optimize.studies.compare_sides import Side

_PROGRAMMES = {programme.name for programme in PROGRAMMES}
_AS_IT_IS = "as in the instance"


def differing_inputs(labels: Sequence[str], sides: Sequence[Side]) -> dict[str, tuple[str, ...]]:
    """Goals, settings and tables of each run, as far as they are not the same everywhere."""
    told: dict[str, list[str]] = {
        label: list(side.remarks) for label, side in zip(labels, sides, strict=True)
    }
    _tell_where_different(told, [f"goal {', '.join(side.goal)}" for side in sides])
    _tell_where_different(told, [_planning(side) for side in sides])
    for key, values in _overrides(sides).items():
        _tell_where_different(told, [_setting(key, value) for value in values])
    _tell_changes(told, sides)
    first = _files(sides[0], sides)
    for label, side in list(zip(labels, sides, strict=True))[1:]:
        files = _files(side, sides)
        other = [name for name in first | files if files.get(name) != first.get(name)]
        if other:
            told[label].append(f"other {', '.join(other)} than {labels[0]}")
    return {label: tuple(words) for label, words in told.items()}


def _tell_where_different(told: dict[str, list[str]], words: Sequence[str]) -> None:
    if len(set(words)) > 1:
        for own, word in zip(told.values(), words, strict=True):
            if word:
                own.append(word)


def _planning(side: Side) -> str:
    if side.remarks:
        return ""  # says it already
    if side.joint:
        return "under one budget"
    return (
        "each by itself, under its own budgets" if len(side.parts) > 1 else "by itself, under its own budgets"
    )


def _overrides(sides: Sequence[Side]) -> dict[str, list[str | None]]:
    """By parameter, its value in each side (None: as in the instance); of other programmes nothing is told."""
    mappings = []
    for side in sides:
        own: dict[str, str] = {}
        for part in side.parts:
            own |= {key: repr(value) for key, value in part.manifest.get("overrides", {}).items()}
        mappings.append({key: value for key, value in own.items() if _concerns(key.partition(".")[0], sides)})
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    return {key: [mapping.get(key) for mapping in mappings] for key in keys}


def _concerns(name: str, sides: Sequence[Side]) -> bool:
    """Whether settings and files that begin with ``name`` matter to the programmes compared."""
    if name == CITY:
        return all(side.city is not None for side in sides)
    return name not in _PROGRAMMES or name in {programme.name for programme in sides[0].programmes}


def _setting(key: str, value: str | None) -> str:
    return f"{key} {_AS_IT_IS}" if value is None else f"{key} = {value}"


def _tell_changes(told: dict[str, list[str]], sides: Sequence[Side]) -> None:
    """Changes of tables that not all sides have."""
    changes = [_changes(side, sides) for side in sides]
    common = set(changes[0]).intersection(*changes[1:])
    own = [[word for word in words if word not in common] for words in changes]
    unchanged = "nothing more changed in the tables" if common else f"tables {_AS_IT_IS}"
    for words, listed in zip(told.values(), own, strict=True):
        words.extend(listed or ([unchanged] if any(own) else []))


def _changes(side: Side, sides: Sequence[Side]) -> list[str]:
    changes = [change for part in side.parts for change in changes_of(part.manifest.get("changes", ()))]
    kept = [change for change in changes if _concerns(change.table.partition("/")[0], sides)]
    return list(dict.fromkeys(change.words() for change in kept))


def _files(side: Side, sides: Sequence[Side]) -> dict[str, Any]:
    """Hashes of the instance's files that concern what is compared."""
    files: Mapping[str, Any] = {}
    for part in side.parts:
        files = {**files, **part.manifest.get("instance_files", {})}
    return {name: digest for name, digest in files.items() if _concerns(name.partition("/")[0], sides)}


# --- what is proven -------------------------------------------------------------------------------


def proven_differences(labels: Sequence[str], sides: Sequence[Side]) -> tuple[str, ...]:
    """What is proven about the best plans there are for each run's inputs, given the gaps."""
    base, words = sides[0], []
    for label, side in zip(labels[1:], sides[1:], strict=True):
        if side.goal != base.goal or len(base.goal) > 1:
            continue
        unit, sign = base.main_goal.unit, 1.0 if base.main_goal.maximise else -1.0
        gain = sign * (side.objective - base.objective)
        if side.question is not None and side.question == base.question:
            words.append(_same_question(label, labels[0], gain, unit))
        elif side.bound is not None and base.bound is not None:
            # The best plan of each question lies between the plan in hand and its bound.
            ends = sorted(sign * x for x in (side.objective - base.bound, side.bound - base.objective))
            words.append(_between(label, labels[0], ends[0], ends[1], unit))
    return tuple(words)


def _same_question(label: str, base: str, gain: float, unit: str) -> str:
    if gain == 0.0:
        return f"{label} and {base} are equally good plans for the same question"
    better, worse = (label, base) if gain > 0 else (base, label)
    return f"{better} is the better plan for the same question, by {money(abs(gain), unit)} over {worse}"


def _between(label: str, base: str, low: float, high: float, unit: str) -> str:
    """The proven interval of what the best plan for ``label`` gains over that for ``base``."""
    best = f"the best plan for {label}'s question is"
    if low > 0.0:
        return f"{best} {money(low, unit)} to {money(high, unit)} better than for {base}'s"
    if high < 0.0:
        return f"{best} {money(-high, unit)} to {money(-low, unit)} worse than for {base}'s"
    return (
        f"the gaps leave open whether {best} better or worse than for {base}'s "
        f"(at most {money(high, unit)} better, {money(-low, unit)} worse)"
    )
