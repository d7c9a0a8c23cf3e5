"""Parameters and targets of ``instance.toml`` as fields of a form; the file keeps its comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument

from optimize.clauses import Clause
from optimize.errors import Fault, InputFaults, UsageError
from optimize.i18n.words import Words
from optimize.io.tables import decode
from optimize.io.validation import TOML
from optimize.io.workbook_headings import unit_words
from optimize.programme import Programme
from optimize.registry import PROGRAMMES
from optimize.schema import COMMON_PARAMETERS, REQUIRED, Parameter
from optimize.web.cells import replace_text
from optimize.web.toml_files import parse, refuse_outside_files

_TRUE, _FALSE = "true", "false"
_LONGEST = 500
_SPECIAL = ("revision.", "stress.", "robust.")


@dataclass(frozen=True)
class Setting:
    """One field: ``path`` is where it stands in the file.

    Attributes
    ----------
    value : as text, "" where the file does not say; ``default`` is what holds then.
    unit : in words; "" where there is none.
    kind : float, int, str or bool.
    """

    path: str
    label: str
    unit: str
    kind: str
    value: str
    default: str
    choices: Sequence[str] = ()

    @property
    def is_special(self) -> bool:
        """Whether only other studies than a plain solve ask for it."""
        return self.path.startswith(_SPECIAL)


@dataclass(frozen=True)
class Target:
    """A clause of a policy paper: what is required, whether it must be met, and what missing it costs."""

    clause: str
    label: str
    sense: str
    fields: tuple[Setting, ...]


@dataclass(frozen=True)
class Group:
    """The settings of one programme, or those that all share (``programme`` "")."""

    programme: str
    title: str
    settings: tuple[Setting, ...]
    targets: tuple[Target, ...]


def settings_of(folder: Path, words: Words, given: Mapping[str, str]) -> list[Group]:
    """All settings of an instance, those of the whole first; what a form gave stands before what the file has."""
    tree = parse(_text(folder))
    shared = {parameter.path for parameter in COMMON_PARAMETERS}
    groups = [
        Group("", words.text("For all programmes"), _settings(COMMON_PARAMETERS, tree, given, words), ())
    ]
    for programme in _present(folder):
        own = [p for p in programme.schema.parameters if p.path not in shared]
        groups.append(
            Group(
                programme.name,
                words.either(programme.zh, programme.en),
                _settings(own, tree, given, words),
                tuple(_target(programme, clause, tree, given, words) for clause in programme.schema.clauses),
            )
        )
    return groups


def write_settings(folder: Path, given: Mapping[str, str]) -> None:
    """Write what a form gave into the file; fields it does not have stay as they are.

    Raises
    ------
    InputFaults : values that are none; the file stays as it was.
    """
    document = tomlkit.parse(_text(folder))
    faults = []
    for path, kind in _known(folder).items():
        if path not in given:
            continue
        text = given[path].strip()
        value = _typed(kind, text)
        if value is None and text:
            expected = {"int": "a whole number", "float": "a number", "bool": "true or false"}
            faults.append(Fault(TOML, path, expected.get(kind, f"at most {_LONGEST} characters"), text))
        elif _said(document, path) != text:
            _write(document, path, value)
    if faults:
        raise InputFaults(faults)
    text = tomlkit.dumps(document)
    refuse_outside_files(parse(text))
    replace_text(folder / TOML, text)


def _text(folder: Path) -> str:
    text = decode((folder / TOML).read_bytes())
    if text is None:
        raise UsageError(f"{TOML} is no text in UTF-8; upload the instance again")
    return text


def _present(folder: Path) -> list[Programme]:
    return [programme for programme in PROGRAMMES if (folder / programme.name).is_dir()]


def _known(folder: Path) -> dict[str, str]:
    """Paths a form may name, with their kinds: nothing else of the file can be written."""
    known: dict[str, str] = {parameter.path: parameter.kind for parameter in COMMON_PARAMETERS}
    for programme in _present(folder):
        known |= {parameter.path: parameter.kind for parameter in programme.schema.parameters}
        for clause in programme.schema.clauses:
            known |= {f"{_home(programme, clause)}.{key}": kind for key, kind, _ in _OF_TARGETS}
    return known


def _settings(
    parameters: Sequence[Parameter], tree: Mapping[str, Any], given: Mapping[str, str], words: Words
) -> tuple[Setting, ...]:
    return tuple(
        Setting(
            p.path,
            words.text(p.meaning),
            "" if p.path.endswith("year") else unit_words(p.unit, words.language),  # a year counts nothing
            p.kind,
            given.get(p.path, _said(tree, p.path)),
            "" if p.default is REQUIRED or p.default is None else _shown(p.default),
            p.choices,
        )
        for p in parameters
    )


# What a target says besides being there: key, kind, default.
_OF_TARGETS = (
    ("required", "float", ""),
    ("hard", "bool", _TRUE),
    ("penalty_cny_per_unit", "float", "0"),
    ("deadline_year", "int", ""),
)


def _home(programme: Programme, clause: Clause) -> str:
    return f"{programme.name}.clauses.{clause.id}"


def _target(
    programme: Programme, clause: Clause, tree: Mapping[str, Any], given: Mapping[str, str], words: Words
) -> Target:
    home = _home(programme, clause)
    fields = tuple(
        Setting(
            f"{home}.{key}",
            key,
            words.unit(clause.unit) if key == "required" else "",
            kind,
            given.get(f"{home}.{key}", _said(tree, f"{home}.{key}")),
            default,
        )
        for key, kind, default in _OF_TARGETS
    )
    return Target(clause.id, words.either(clause.zh, clause.en), clause.sense, fields)


def _typed(kind: str, text: str) -> Any:
    """The value of a field; None where it is empty or none of its kind."""
    if not text or len(text) > _LONGEST:
        return None
    if kind == "bool":
        return {_TRUE: True, _FALSE: False}.get(text)
    if kind == "str":
        return text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return None


def _said(tree: Mapping[str, Any] | TOMLDocument, path: str) -> str:
    node: Any = tree
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return ""
        node = node[key]
    return "" if isinstance(node, Mapping) else _shown(node)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)


def _write(document: TOMLDocument, path: str, value: Any) -> None:
    """Set a value, or take it out; sections are made as they are needed, and go when they are empty."""
    node: Any = document
    *parents, leaf = path.split(".")
    chain = []
    for parent in parents:
        if parent not in node:
            if value is None:
                return
            node[parent] = tomlkit.table()
        chain.append((node, parent))
        node = node[parent]
        if not isinstance(node, Mapping):
            raise UsageError(f"{TOML}: {parent!r} is a value, not a section; upload the instance again")
    if value is not None:
        node[leaf] = value
        return
    node.pop(leaf, None)
    for above, name in reversed(chain):
        if not above[name]:
            above.pop(name)
