"""Solves in slices: what one finds the next begins from, and a checkpoint is what a killed run goes on from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from optimize.io.instance_folder import read_instance
from optimize.monthly import solving
from optimize.monthly.checkpoints import Checkpoint, Checkpoints, question_key
from optimize.monthly.solving import ProgrammeSubject, Slices
from optimize.programme import SolveOptions
from optimize.registry import PROGRAMMES
from optimize.result import StopReason
from optimize.warm_start import WarmStart


class Told:
    def __init__(self) -> None:
        self.events: list[str] = []

    def tell(self, event: str, text: str, **facts: Any) -> None:
        self.events.append(event)


@pytest.fixture(scope="module")
def subject(hamlet: Path) -> ProgrammeSubject:
    part = read_instance(hamlet, PROGRAMMES).programmes[0]
    return ProgrammeSubject(part.programme, part.data)


class Cut:
    """Stands for a search that meets its time limit ``times`` times before it ends by itself."""

    def __init__(self, times: int) -> None:
        self.left, self.limits, self.starts = times, list[float](), list[WarmStart | None]()

    def __call__(self, programme: Any, data: Any, options: SolveOptions) -> Any:
        self.limits.append(options.time_limit_s)
        self.starts.append(options.warm_start)
        solved = solving_whole(programme, data, options)
        if self.left:
            self.left -= 1
            bound = solved.result.bound + 10.0 - self.left
            result = dataclasses.replace(solved.result, stop=StopReason.TIME_LIMIT, bound=bound)
            return dataclasses.replace(solved, result=result)
        return solved


solving_whole = solving.solve


def test_slices_grow_begin_from_each_other_and_use_the_whole_time(
    subject: ProgrammeSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = Cut(9)
    monkeypatch.setattr(solving, "solve", cut)
    slices = Slices(100.0, Checkpoints(tmp_path / "checkpoints"), Told())
    found = subject.solve(SolveOptions(time_limit_s=1000.0, gap=1e-6), slices)
    # none of these took its time; where less than half of a slice would stay, it is the last
    assert cut.limits[:3] == [100.0, 200.0, 400.0] and 900.0 < cut.limits[3] <= 1000.0
    assert cut.starts[0] is None and cut.starts[1] is not None
    assert found.slices == 4 and found.status == "solved" and found.start is cut.starts[3]
    assert found.solved.result.stop is StopReason.TIME_LIMIT
    # the best bound of all slices, which was the first one's
    assert found.solved.result.bound == pytest.approx(found.figures["npv"] + 2.0)


def test_a_killed_solve_goes_on(
    subject: ProgrammeSubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The process ends here."""

    cut = Cut(1)

    def killed(programme: Any, data: Any, options: SolveOptions) -> Any:
        if len(cut.limits) == 1:
            raise Killed
        return cut(programme, data, options)

    told = Told()
    slices = Slices(100.0, Checkpoints(tmp_path / "checkpoints"), told)
    options = SolveOptions(time_limit_s=1000.0, gap=1e-6)
    monkeypatch.setattr(solving, "solve", killed)
    with pytest.raises(Killed):
        subject.solve(options, slices)
    monkeypatch.setattr(solving, "solve", again := Cut(0))
    found = subject.solve(options, slices)
    assert told.events == ["resumed"] and found.slices == 2
    assert again.starts[0] is not None and len(again.starts[0].projects) > 0
    assert again.limits == [200.0]
    # another question has nothing to do with it
    monkeypatch.setattr(solving, "solve", other := Cut(0))
    subject.solve(dataclasses.replace(options, gap=1e-5), slices)
    assert other.starts == [None]


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    projects = pd.DataFrame({"centre": ["一号", "b"], "year": ["2024", ""]})
    multipliers = pd.DataFrame({"row": ["budget 2024", "x"], "multiplier": [0.1 + 0.2, -1e-17]})
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    key = question_key("p", "abc", SolveOptions())
    checkpoints.keep("p", key, Checkpoint(WarmStart(projects, multipliers), 5.0, 2, 7.5))
    found, fault = checkpoints.find("p", key)
    assert found is not None and not fault and (found.objective, found.slices, found.seconds) == (5.0, 2, 7.5)
    assert found.start is not None and found.start.projects.equals(projects)
    assert np.array_equal(found.start.multipliers["multiplier"], multipliers["multiplier"])
    assert checkpoints.find("p", question_key("p", "abd", SolveOptions())) == (None, "")
    checkpoints.clear()
    assert checkpoints.find("p", key) == (None, "")
