"""Plans found so far, on disk: so that a solve that was killed goes on instead of beginning anew.

One file for each programme, replaced in one step.  It carries a seal: a file that is not as it was
written is not used, and the job says so.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from optimize.io.run_store import seal_of
from optimize.io.warm_starts import warm_start_of
from optimize.programme import SolveOptions
from optimize.warm_start import WarmStart

_ENDING = ".json"


@dataclass(frozen=True)
class Checkpoint:
    """Where a solve was.

    Attributes
    ----------
    start : plan and multipliers to go on from; None: there are none.
    objective : of the plan found so far; None: there is none.
    slices : how many parts of the solve are done; seconds : what they took.
    """

    start: WarmStart | None
    objective: float | None
    slices: int
    seconds: float


def question_key(programme: str, fingerprint: str, options: SolveOptions) -> str:
    """A name for exactly this programme, these inputs and what is asked of them."""
    asked = [programme, fingerprint, list(options.goal), options.gap, options.seed, options.engine]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


class Checkpoints:
    """The checkpoints of a job, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, programme: str, key: str, checkpoint: Checkpoint) -> None:
        """Put a checkpoint that has a plan in the place of the last one, at once."""
        assert checkpoint.start is not None
        content: dict[str, Any] = {
            "key": key,
            "objective": checkpoint.objective,
            "slices": checkpoint.slices,
            "seconds": checkpoint.seconds,
            "projects": checkpoint.start.projects.to_csv(index=False),
            "multipliers": checkpoint.start.multipliers.to_csv(index=False),
        }
        self._folder.mkdir(exist_ok=True)
        fresh = self._folder / f".{programme}{_ENDING}"
        with fresh.open("w", encoding="utf-8") as stream:
            json.dump(content | {"seal": seal_of(content)}, stream, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._folder / f"{programme}{_ENDING}")

    def find(self, programme: str, key: str) -> tuple[Checkpoint | None, str]:
        """The checkpoint of this very question, and what is wrong with the file there is ("": nothing)."""
        path = self._folder / f"{programme}{_ENDING}"
        if not path.is_file():
            return None, ""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            sealed = {name: value for name, value in content.items() if name != "seal"}
            if content.get("seal") != seal_of(sealed):
                return None, "its content does not match its seal"
            if content["key"] != key:
                return None, ""
            start = warm_start_of(_cells(content["projects"]), _cells(content["multipliers"]))
            return Checkpoint(start, content["objective"], content["slices"], content["seconds"]), ""
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return None, f"it cannot be read ({type(error).__name__})"

    def clear(self) -> None:
        """Forget all of them: what was asked is answered."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                path.unlink()


def _cells(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
