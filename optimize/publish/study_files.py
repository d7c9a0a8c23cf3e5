"""What other commands found about a run, as they print it with ``--json``: fronts, explanations, stress tests, hydraulics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optimize.errors import UsageError

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Studies:
    """Answers of ``optimize front``, ``explain``, ``stress`` and ``hydraulics``, to be told beside a run.

    Attributes
    ----------
    explanations : objects of ``explain RUN ID … --json``, and of its ranking (``--top``, ``--all``).
    """

    fronts: tuple[Record, ...] = ()
    explanations: tuple[Record, ...] = field(default=())
    stress: tuple[Record, ...] = ()
    hydraulics: tuple[Record, ...] = ()

    def of_programme(self, name: str) -> Studies:
        """Fronts, stress tests and hydraulics of one programme; explanations name their projects themselves."""
        return Studies(
            tuple(r for r in self.fronts if r["programme"] == name),
            self.explanations,
            tuple(r for r in self.stress if r["programme"] == name),
            tuple(r for r in self.hydraulics if r["programme"] == name),
        )


def read_studies(paths: Sequence[Path]) -> Studies:
    """Read files of JSON objects, one or several (a line each) in a file; what each is shows in its keys.

    Raises
    ------
    UsageError : a file is not there, no JSON, or nothing that a report can tell; all of them at once.
    """
    fronts: list[Record] = []
    explanations: list[Record] = []
    stress: list[Record] = []
    hydraulics: list[Record] = []
    faults = []
    for path in paths:
        try:
            records = _records(path)
        except (OSError, ValueError) as error:
            faults.append(f"{path}: {error}")
            continue
        for record in records:
            if {"goals", "points", "programme"} <= record.keys():
                fronts.append(record)
            elif {"samples", "all_share", "goals"} <= record.keys():
                stress.append(record)
            elif {"hydraulics", "standards", "repaired", "programme"} <= record.keys():
                hydraulics.append(record)
            elif {"id", "decision", "approx_value"} <= record.keys():
                explanations.append(record)
            else:
                keys = ", ".join(list(record)[:6])
                faults.append(
                    f"{path}: an object with {keys} is none of what `front`, `explain`, `stress` and `hydraulics` print with --json"
                )
                break
    if faults:
        raise UsageError("; ".join(faults))
    return Studies(tuple(fronts), tuple(explanations), tuple(stress), tuple(hydraulics))


def _records(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    found = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not found or any(not isinstance(record, dict) for record in found):
        raise ValueError("holds no JSON objects, one a line, as --json prints them")
    return found
