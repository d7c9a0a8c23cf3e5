"""The same batch on a Dask scheduler with two workers, one of which is killed half-way."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from optimize.errors import UsageError
from optimize.io.run_store import read_summary
from optimize.io.write import write_instance
from optimize.pv_siting.programme import PROGRAMME
from optimize.studies.batch import Batch, run_batch
from optimize.studies.batch_case import Case, name_folder
from optimize.studies.batch_state import Finished
from optimize.studies.scenarios import Scenario
from tests.pv_siting.conftest import simple_draft
from tests.studies.test_batch import DirectPool

pytest.importorskip("distributed", reason="Dask is not installed (extra: cluster)")

from optimize.studies.cluster import cluster_pool

SCENARIOS = [Scenario(f"s{k}", "", "", {"budgets.scale": 0.01 * k}) for k in range(1, 4)]
OPTIONS = {"goal": ("npv",), "gap": 0.0, "time_limit_s": 120.0}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "town"
    write_instance(folder, [(PROGRAMME.schema, simple_draft())])
    return folder


@contextlib.contextmanager
def _process(*words: str, at: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", *words]
    process = subprocess.Popen(command, cwd=at, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, each a process: address, workers."""
    told = tmp_path / "scheduler.json"
    words = ("--scheduler-file", str(told), "--no-dashboard")
    with contextlib.ExitStack() as stack:
        scheduler = ("distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1", *words)
        stack.enter_context(_process(*scheduler, at=tmp_path))
        worker = ("distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", *words)
        workers = [stack.enter_context(_process(*worker, at=tmp_path)) for _ in range(2)]
        for _ in range(600):
            if told.is_file():
                break
            time.sleep(0.1)
        address = pd.read_json(told, typ="series")["address"]
        yield str(address), workers


class KillOneWorker:
    """Kills a worker as soon as the first case has ended."""

    def __init__(self, worker: subprocess.Popen[bytes]) -> None:
        self._worker = worker
        self.killed_before = 0

    def checking(self, done: int, number: int) -> None: ...

    def solving(self, number: int, already: object) -> None: ...

    def started(self, case: Case) -> None: ...

    def finished(self, finished: Finished) -> None:
        if self._worker.poll() is None:
            self._worker.kill()
            self._worker.wait()
        else:
            self.killed_before += 1


def _batch(town: Path, results: Path) -> Batch:
    return Batch("town", town, results, ["pv_siting"], SCENARIOS, OPTIONS)


def _plans(results: Path) -> dict[str, tuple[float, bytes]]:
    """Objective and projects of every run, to the last digit."""
    return {
        run.parent.name: (read_summary(run)["objective"], (run / "projects.csv").read_bytes())
        for run in results.glob("pv_siting/*/*")
    }


def test_a_lost_workers_scenarios_run_elsewhere_with_the_same_results(
    town: Path, tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    here, there = tmp_path / "here", tmp_path / "there"
    watcher = KillOneWorker(workers[0])
    with cluster_pool(address, 1, "town", town) as pool:
        for _ in range(600):  # both workers have come
            if pool.width == 4:
                break
            time.sleep(0.1)
        assert pool.width == 4
        ends = run_batch(_batch(town, there), pool, watcher, threading.Event())
    assert [end.status for end in ends] == ["solved"] * len(SCENARIOS)
    assert watcher.killed_before == len(SCENARIOS) - 1
    name_folder("town", town)
    run_batch(_batch(town, here), DirectPool(), KillOneWorker(workers[0]), threading.Event())
    assert len(list(there.glob("pv_siting/*/*"))) == len(SCENARIOS)
    assert _plans(here) == _plans(there)


def test_nobody_at_the_address(town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optimize.studies.cluster._CONNECT_S", 0.5)
    with pytest.raises(UsageError, match="no scheduler"), cluster_pool("tcp://127.0.0.1:9", 1, "town", town):
        pass
    with pytest.raises(UsageError, match="tcp://"), cluster_pool("somewhere", 1, "town", town):
        pass
