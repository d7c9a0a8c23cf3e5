"""``scenarios.toml``: named changes of an instance, one by one, as grids and as samples.

A scenario sets parameters and changes tables; ``base`` begins from another one.  A grid makes one
scenario of every combination of its lists, a sample draws from its distributions.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from optimize.errors import Fault, InputFaults, UsageError
from optimize.io.table_changes import TableChange
from optimize.io.tables import decode
from optimize.io.validation import nearest

_KINDS = ("scenarios", "grids", "samples")
_TEXTS = ("zh", "en", "base")
_KEYS = {
    "scenarios": (*_TEXTS, "set", "change"),
    "grids": (*_TEXTS, "set", "change"),
    "samples": (*_TEXTS, "set", "change", "number", "seed"),
}
_CHANGE_KEYS = ("table", "where", "set", "scale", "add", "drop", "only", "rows")
_DRAWS = ({"from", "to"}, {"mean", "sd"}, {"choose"})
_MOST = 100_000


@dataclass(frozen=True)
class Scenario:
    """One expanded scenario.

    Attributes
    ----------
    name, zh, en : how it is called; the titles are the name where none is given.
    overrides : dotted parameter path -> value.
    changes : of tables, in order.
    varies : what a grid or sample chose for it, by parameter or ``table column``.
    """

    name: str
    zh: str
    en: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[TableChange, ...] = ()
    varies: Mapping[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, str]:
        """How a run names its scenario."""
        return {"name": self.name, "zh": self.zh, "en": self.en}


def read_scenarios(path: Path) -> list[Scenario]:
    """All scenarios of a file, grids and samples expanded, in the order of the file.

    Raises
    ------
    UsageError : there is no such file.
    InputFaults : all faults of the file.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file; docs/scenarios.md says what it holds")
    text = decode(path.read_bytes())
    shown = path.name
    if text is None:
        raise InputFaults([Fault(shown, "(file)", "text in UTF-8", "other bytes")])
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputFaults([Fault(shown, "(file)", "TOML", str(error), "see docs/scenarios.md")]) from error
    reader = _Reader(shown)
    found = reader.read(tree)
    if reader.faults:
        raise InputFaults(reader.faults)
    return found


def find_scenario(scenarios: Sequence[Scenario], name: str, path: Path) -> Scenario:
    """The scenario called ``name`` of those that were read from ``path``.

    Raises
    ------
    UsageError : there is none.
    """
    for scenario in scenarios:
        if scenario.name == name:
            return scenario
    hint = nearest(name, [scenario.name for scenario in scenarios])
    raise UsageError(f"{path} has no scenario {name!r}" + (f"; {hint}" if hint else ""))


class _Reader:
    """Turns the file's tree into scenarios and collects what is wrong with it."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._entries: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self.faults: list[Fault] = []

    def fault(self, where: str, expected: str, found: str, mend: str = "") -> None:
        self.faults.append(Fault(self._shown, where, expected, found, mend))

    def read(self, tree: Mapping[str, Any]) -> list[Scenario]:
        for section in tree:
            if section not in _KINDS:
                self.fault(
                    section, f"one of {', '.join(_KINDS)}", "unknown section", nearest(section, _KINDS)
                )
        for kind in _KINDS:
            entries = tree.get(kind, {})
            if not isinstance(entries, Mapping):
                self.fault(kind, f"[{kind}.NAME] sections", repr(entries))
                continue
            for name, entry in entries.items():
                self._enter(kind, name, entry)
        if not self._entries and not self.faults:
            self.fault("(file)", "at least one [scenarios.NAME]", "none", "see docs/scenarios.md")
        if self.faults:
            return []
        return self._expanded(tree)

    def _enter(self, kind: str, name: str, entry: Any) -> None:
        where = f"{kind}.{name}"
        if not isinstance(entry, Mapping):
            self.fault(where, "a section", repr(entry))
            return
        if name in self._entries:
            self.fault(where, "each name once", "twice", "rename one of them")
        if not name or not all(c.isalnum() or c in "-_." for c in name):
            self.fault(where, "a name of letters, digits, - and _", repr(name))
        self._entries[name] = (kind, entry)
        for key in entry:
            if key not in _KEYS[kind]:
                self.fault(f"{where}.{key}", ", ".join(_KEYS[kind]), "unknown key", nearest(key, _KEYS[kind]))
        for key in _TEXTS:
            if not isinstance(entry.get(key, ""), str):
                self.fault(f"{where}.{key}", "a text", repr(entry[key]))
        if not isinstance(entry.get("set", {}), Mapping):
            self.fault(f"{where}.set", 'a table, e.g. { "budgets.scale" = 0.8 }', repr(entry["set"]))
        changes = entry.get("change", [])
        if not isinstance(changes, list) or not all(isinstance(c, Mapping) for c in changes):
            self.fault(f"{where}.change", f"[[{where}.change]] sections", repr(changes))
        else:
            for number, change in enumerate(changes, start=1):
                self._look_at_change(f"{where}.change {number}", change)
        if kind == "samples":
            for key, least in (("number", 1), ("seed", 0)):
                value = entry.get(key, least)
                if not isinstance(value, int) or isinstance(value, bool) or value < least:
                    self.fault(f"{where}.{key}", f"a whole number from {least}", repr(value))
            if "number" not in entry:
                self.fault(f"{where}.number", "how many scenarios to draw", "missing", "number = 20")

    def _look_at_change(self, where: str, change: Mapping[str, Any]) -> None:
        for key in change:
            if key not in _CHANGE_KEYS:
                self.fault(
                    f"{where}.{key}", ", ".join(_CHANGE_KEYS), "unknown key", nearest(key, _CHANGE_KEYS)
                )
        if not isinstance(change.get("table"), str):
            self.fault(f"{where}.table", 'a table, e.g. "pv_siting/sites"', repr(change.get("table")))
        for key in ("where", "set", "scale", "add"):
            if not isinstance(change.get(key, {}), Mapping):
                self.fault(f"{where}.{key}", "a table of columns and values", repr(change[key]))
        for key in ("drop", "only"):
            if not isinstance(change.get(key, False), bool):
                self.fault(f"{where}.{key}", "true or false", repr(change[key]))
        rows = change.get("rows", [])
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            self.fault(f"{where}.rows", "a list of rows, each { column = value }", repr(rows))
        if not set(change) & set(_CHANGE_KEYS[2:]):
            self.fault(where, "one of set, scale, add, drop, only, rows", "none of them")
        if change.get("drop") and change.get("only"):
            self.fault(where, "drop or only", "both")

    # --- bases, grids, samples ---------------------------------------------------------------------

    def _expanded(self, tree: Mapping[str, Any]) -> list[Scenario]:
        scenarios: list[Scenario] = []
        # sections in the order in which the file names them
        for kind in [key for key in tree if key in _KINDS]:
            for name in tree[kind]:
                settings, changes = self._with_bases(name, ())
                axes = _choices(settings, changes, _KIND_OF_CHOICE[kind])
                scenarios += self._of_entry(kind, name, settings, changes, axes)
        if len(scenarios) > _MOST:
            self.fault("(file)", f"at most {_MOST} scenarios", str(len(scenarios)), "shorten a grid")
        return scenarios

    def _with_bases(
        self, name: str, above: tuple[str, ...]
    ) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
        """Settings and changes of an entry after those of its bases."""
        kind, entry = self._entries[name]
        settings: dict[str, Any] = {}
        changes: list[Mapping[str, Any]] = []
        base = entry.get("base")
        where = f"{kind}.{name}.base"
        if base is not None:
            known = [n for n, (k, _) in self._entries.items() if k == "scenarios"]
            if base in (*above, name):
                self.fault(where, "a scenario that does not build on this one", base)
            elif base not in known:
                self.fault(where, "the name of a scenario", repr(base), nearest(base, known))
            else:
                settings, changes = self._with_bases(base, (*above, name))
        return {**settings, **entry.get("set", {})}, [*changes, *entry.get("change", [])]

    def _of_entry(
        self,
        kind: str,
        name: str,
        settings: dict[str, Any],
        changes: list[Mapping[str, Any]],
        axes: dict[tuple[Any, ...], Any],
    ) -> list[Scenario]:
        entry = self._entries[name][1]
        zh, en = entry.get("zh", entry.get("en", name)), entry.get("en", entry.get("zh", name))
        if kind == "scenarios":
            return [Scenario(name, zh, en, settings, _built(changes), {})]
        if not axes:
            wanted = "a list" if kind == "grids" else "a distribution such as { from = 0.8, to = 1.2 }"
            self.fault(f"{kind}.{name}", f"{wanted} somewhere in set, scale or add", "none")
            return []
        if kind == "grids":
            points = list(itertools.product(*axes.values()))
        else:
            points = self._drawn(name, entry, axes)
        digits = len(str(len(points)))
        found = []
        for number, point in enumerate(points, start=1):
            chosen = dict(zip(axes, point, strict=True))
            own, table_changes = _chosen(settings, changes, chosen)
            varies = {_shown(place, changes): value for place, value in chosen.items()}
            told = ", ".join(f"{_last(what)} {_short(value)}" for what, value in varies.items())
            found.append(
                Scenario(
                    f"{name}-{number:0{digits}d}", f"{zh}（{told}）", f"{en} ({told})", own,
                    _built(table_changes), varies,
                )
            )  # fmt: skip
        return found

    def _drawn(
        self, name: str, entry: Mapping[str, Any], axes: dict[tuple[Any, ...], Any]
    ) -> list[tuple[Any, ...]]:
        random = np.random.default_rng(entry.get("seed", 0))
        points = []
        for _ in range(entry["number"]):
            try:
                points.append(tuple(_draw(distribution, random) for distribution in axes.values()))
            except (TypeError, ValueError) as error:
                self.fault(f"samples.{name}", "from <= to, sd >= 0, a list to choose from", str(error))
                return []
        return points


_KIND_OF_CHOICE: Mapping[str, Callable[[Any], bool]] = {
    "scenarios": lambda value: False,
    "grids": lambda value: isinstance(value, list),
    "samples": lambda value: isinstance(value, Mapping) and set(value) in _DRAWS,
}


def _choices(
    settings: Mapping[str, Any], changes: Sequence[Mapping[str, Any]], is_choice: Callable[[Any], bool]
) -> dict[tuple[Any, ...], Any]:
    """Places at which a grid or a sample has something to choose, and from what."""
    found: dict[tuple[Any, ...], Any] = {("set", k): v for k, v in settings.items() if is_choice(v)}
    for number, change in enumerate(changes):
        for key in ("set", "scale", "add"):
            for column, value in change.get(key, {}).items():
                if is_choice(value):
                    found[(number, key, column)] = value
    return found


def _chosen(
    settings: Mapping[str, Any],
    changes: Sequence[Mapping[str, Any]],
    chosen: Mapping[tuple[Any, ...], Any],
) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    own = dict(settings)
    table_changes = [
        {**change, **{key: dict(change[key]) for key in ("set", "scale", "add") if key in change}}
        for change in changes
    ]
    for place, value in chosen.items():
        if place[0] == "set":
            own[place[1]] = value
        else:
            table_changes[place[0]][place[1]][place[2]] = value
    return own, list(table_changes)


def _shown(place: tuple[Any, ...], changes: Sequence[Mapping[str, Any]]) -> str:
    return str(place[1]) if place[0] == "set" else f"{changes[place[0]]['table']} {place[2]}"


def _built(changes: Sequence[Mapping[str, Any]]) -> tuple[TableChange, ...]:
    return tuple(TableChange(**change) for change in changes)


def _draw(distribution: Mapping[str, Any], random: np.random.Generator) -> Any:
    if "choose" in distribution:
        if not isinstance(distribution["choose"], list) or not distribution["choose"]:
            raise ValueError(f"choose = {distribution['choose']!r}")
        return distribution["choose"][int(random.integers(len(distribution["choose"])))]
    if "mean" in distribution:
        return float(random.normal(distribution["mean"], distribution["sd"]))
    if distribution["from"] > distribution["to"]:
        raise ValueError(f"from {distribution['from']} to {distribution['to']}")
    return float(random.uniform(distribution["from"], distribution["to"]))


def _last(what: str) -> str:
    """A parameter or column without where it stands, for titles."""
    return what.split(" ")[-1].split(".")[-1]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
