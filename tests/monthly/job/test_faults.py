"""The fault drill, with real processes: whatever happens, the last good plan stays and the next run succeeds."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimize.errors import ExitCode
from optimize.monthly.lock import holder
from optimize.monthly.periods import CURRENT, read_current

from .conftest import Place

pytestmark = pytest.mark.xdist_group("drill")  # fixtures of the folder that take seconds

_KILLS = 20


def months(first: str = "2026-01") -> Iterator[str]:
    year, month = int(first[:4]), int(first[5:])
    while True:
        yield f"{year}-{month:02d}"
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def assert_failed(place: Place, before: dict[str, bytes], code: ExitCode, found: tuple[int, str]) -> None:
    """The run failed with ``code``; what was published is as it was, and what happened is recorded."""
    assert found[0] == code, found[1]
    assert place.seals() == before
    assert str(read_current(place.home)) == max(before)
    assert place.failures[-1]["code"] == code and place.failures[-1]["reason"]


def test_killed_at_twenty_random_moments(begun: Place) -> None:
    place, coming = begun, months("2026-02")
    began = time.monotonic()
    assert place.run(next(coming))[0] == 0
    whole = time.monotonic() - began
    moments = random.Random(20261121)
    killed = 0
    for month, _ in zip(coming, range(_KILLS), strict=False):
        before = place.manifests()
        process = place.start(month)
        time.sleep(moments.uniform(0.02, 1.0) * whole)
        os.kill(process.pid, signal.SIGKILL)
        killed += process.wait()[0] == -signal.SIGKILL
        after = place.manifests()
        assert before.items() <= after.items()
        assert str(read_current(place.home)) in after
        assert place.newest() == max(after)  # with all its files as they were written
        code, said = place.run(month)
        assert code == 0, said
        assert before.items() <= place.manifests().items()
        place.assert_settled(month)
    assert place.seals().keys() == place.manifests().keys()
    assert killed >= _KILLS // 2  # the others had ended by themselves


def test_two_at_once(place: Place) -> None:
    processes = [place.start("2026-01"), place.start("2026-01")]
    ends = sorted(process.wait() for process in processes)
    assert [code for code, _ in ends] == [0, ExitCode.BUSY], ends
    assert "another run of this job is at work" in ends[1][1]
    place.assert_settled("2026-01")
    assert place.events().count("published") == 1 and not place.failures
    assert place.run("2026-02")[0] == 0


def test_who_holds_the_lock_is_known_until_it_is_killed(place: Place) -> None:
    process = place.start("2026-01")
    place.wait_for("begun", 0)
    whose = holder(place.home)
    assert whose is not None and whose["pid"] == process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert holder(place.home) is None


def test_stopped_by_a_signal_goes_on_from_what_was_found(begun: Place) -> None:
    place = begun
    before, since = place.seals(), len(place.log)
    process = place.start("2026-02")
    place.wait_for("begun", since)
    os.kill(process.pid, signal.SIGTERM)
    assert_failed(place, before, ExitCode.NO_PLAN, process.wait())
    assert place.run("2026-02")[0] == 0
    place.assert_settled("2026-02")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def moved_to(place: Place, disk: Path) -> Place:
    """The job with its results on another file system."""
    shutil.copytree(place.folder / "results", disk, symlinks=True, dirs_exist_ok=True)
    place.say('[results]\nfolder = "disk"\n')
    return place


def test_full_disk(begun: Place, disk: Path) -> None:
    place = moved_to(begun, disk)
    before = place.seals()
    for room_kb in (0, 16, 48):
        filler = disk / "filler"
        free = shutil.disk_usage(disk).free
        filler.write_bytes(b"x" * max(free - room_kb * 1024, 0))
        code, said = place.run("2026-02")
        assert code == ExitCode.NOT_WRITTEN, said
        assert "No space left on device" in said
        assert place.seals() == before and str(read_current(place.home)) == "2026-01"
        assert room_kb or "could not be recorded" in said
        filler.unlink()
    assert place.failures and {found["code"] for found in place.failures} == {ExitCode.NOT_WRITTEN}
    assert place.run("2026-02")[0] == 0
    place.assert_settled("2026-02")


def test_a_file_that_may_not_grow(begun: Place) -> None:
    """The same without a mount: writes beyond a limit fail as on a full disk."""
    place = begun
    before = place.seals()
    for largest in (500, 2500, 5000):
        code, said = place.run("2026-02", largest_file=largest)
        assert code == ExitCode.NOT_WRITTEN, said
        assert place.seals() == before and str(read_current(place.home)) == "2026-01"
    assert place.run("2026-02")[0] == 0
    place.assert_settled("2026-02")


def test_read_only_results(begun: Place, disk: Path) -> None:
    place = moved_to(begun, disk)
    before = place.seals()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, said = place.run("2026-02")
    assert code == ExitCode.NOT_WRITTEN and "Read-only file system" in said, said
    assert place.seals() == before and str(read_current(place.home)) == "2026-01"
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert place.run("2026-02")[0] == 0
    place.assert_settled("2026-02")


def test_clock_going_back_and_far_ahead(begun: Place) -> None:
    place, before = begun, begun.seals()
    found = place.run("2025-12")
    assert_failed(place, before, ExitCode.BAD_INPUT, found)
    assert "is the clock right?" in found[1]
    assert_failed(place, before, ExitCode.BAD_INPUT, place.run("2062-04"))
    assert_failed(place, before, ExitCode.BAD_INPUT, place.run("2026-01", "--period", "2025-12"))
    assert place.run("2026-02")[0] == 0
    place.assert_settled("2026-02")
    # asked for in so many words, an earlier month is planned; the plan in force stays the newest
    code, said = place.run("2026-02", "--period", "2025-12", "--force")
    assert code == 0 and "stays at 2026-02" in said, said
    assert str(read_current(place.home)) == "2026-02" and "2025-12" in place.seals()


def test_truncated_input(begun: Place) -> None:
    place = begun
    before = place.seals()
    table = place.instance / "datacenter" / "centres.csv"
    whole = table.read_bytes()
    # nothing; within a row; before the last line's end
    for kept in (0, len(whole) - 5, len(whole) - 1):
        table.write_bytes(whole[:kept])
        found = place.run("2026-02")
        assert_failed(place, before, ExitCode.BAD_INPUT, found)
        assert "centres.csv" in found[1] and place.failures[-1]["faults"]
    table.write_bytes(whole)
    assert place.run("2026-02")[0] == 0
    place.assert_settled("2026-02")


def test_corrupted_checkpoint(begun: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    since = len(begun.log)
    process = begun.start("2026-02")
    begun.wait_for("solved", since)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for spoil, word in (
        (lambda data: data, "resumed"),
        (lambda data: data.replace(b"contain", b"c0ntain", 1), "checkpoint ignored"),
        (lambda data: data[: len(data) // 2], "checkpoint ignored"),
    ):
        place = Place(tmp_path_factory.mktemp("killed"), begun.zygote).copy_of(begun.folder)
        (checkpoint,) = (place.home / "checkpoints").glob("*.json")
        content = checkpoint.read_bytes()
        assert spoil(content) != content or word == "resumed"
        checkpoint.write_bytes(spoil(content))
        assert place.run("2026-02")[0] == 0
        assert word in place.events()[since:]
        place.assert_settled("2026-02")


def test_corrupted_current(begun: Place) -> None:
    place, pointer = begun, begun.home / CURRENT

    def nothing() -> None:
        pointer.unlink()

    def dangling() -> None:
        pointer.unlink()
        pointer.symlink_to("2019-01")

    def garbage() -> None:
        pointer.unlink()
        pointer.write_bytes(b"\xff\xfe\x00 not a period")

    def folder() -> None:
        pointer.unlink()
        shutil.copytree(place.home / "2026-01", pointer)

    for spoil in (nothing, dangling, garbage, folder):
        spoil()
        code, status = place.status("2026-01")
        assert code == 0 and status["period"] == "2026-01" and status["current"] == ""
        since = len(place.log)
        # any run mends it, also one that has nothing else to do
        assert place.run("2026-01")[0] == 0
        assert place.events()[since:] == ["current mended"]
        assert str(read_current(place.home)) == "2026-01"
    (place.home / f"{CURRENT}.displaced-1" / "manifest.json").unlink()  # kept for whoever put it there
    shutil.rmtree(place.home / f"{CURRENT}.displaced-1")
    pointer.unlink()
    assert place.run("2026-02")[0] == 0
    place.assert_settled("2026-02")


def test_damaged_period_is_left_aside(begun: Place) -> None:
    place = begun
    assert place.run("2026-02")[0] == 0
    (plan,) = (place.home / "2026-02" / "runs").rglob("projects.csv")
    plan.write_bytes(plan.read_bytes().replace(b"2", b"3", 1))
    code, status = place.status("2026-03")
    assert code == ExitCode.STALE and status["period"] == "2026-01"  # that is what is left, and it is old
    assert "projects.csv" in status["damaged"]["2026-02"]
    since = len(place.log)
    assert place.run("2026-03")[0] == 0
    assert {"damaged", "current mended"} <= set(place.events()[since:])
    assert next(e for e in place.log[since:] if e["event"] == "begun")["since"] == "2026-01"
    assert str(read_current(place.home)) == place.newest() == "2026-03"
