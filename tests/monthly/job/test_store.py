"""Stored plans years later: made again, named where they differ, handed over, cleared away."""

from __future__ import annotations

import json
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from optimize.cli import main
from optimize.errors import ExitCode, UsageError
from optimize.io.run_store import MANIFEST, read_manifest, seal_of
from optimize.monthly.audit import export_audit
from optimize.monthly.reproduce import reproduce
from optimize.studies.store_keeping import Policy, plan_sweep, sweep_store

_DAY_S = 86_400.0


@pytest.fixture(scope="session")
def stored(hamlet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the hamlet, its instance beside the results."""
    home = tmp_path_factory.mktemp("stored")
    shutil.copytree(hamlet, home / "town")
    assert main(["solve", str(home / "town"), "--results", str(home / "results"), "--json"]) == 0
    return next((home / "results").glob("*/*/0001"))


@pytest.fixture
def run(stored: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    shutil.copytree(stored.parents[3], tmp_path / "copy")
    return next((tmp_path / "copy" / "results").glob("*/*/0001"))


def rewritten(run: Path, **entries: object) -> None:
    """The run's manifest with other entries, sealed again."""
    content = {key: value for key, value in read_manifest(run).items() if key != "seal"} | entries
    text = json.dumps(content | {"seal": seal_of(content)}, ensure_ascii=False)
    (run / MANIFEST).write_text(text, encoding="utf-8")


def test_a_run_is_made_again_bit_by_bit(run: Path) -> None:
    found = reproduce(run)
    assert found.reproduced and "projects.csv" in found.same and not found.different and not found.versions


def test_what_differs_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_manifest(run)
    files = {**manifest["files"], "projects.csv": "0" * 64}
    rewritten(run, files=files, versions={**manifest["versions"], "highspy": "1.0.0"})
    found = reproduce(run)
    assert found.different == ("projects.csv",) and found.versions["highspy"][0] == "1.0.0"
    assert found.altered and not found.reproduced
    assert main(["reproduce", str(run)]) == ExitCode.FAILED_CHECK
    said = capsys.readouterr().out
    assert "tables that differ: projects.csv" in said and "highspy: 1.0.0 then, " in said


def test_inputs_that_changed_are_not_made_again(run: Path) -> None:
    table = run.parents[3] / "town" / "datacenter" / "zones.csv"
    table.write_text(table.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"zones\.csv was changed"):
        reproduce(run, run.parents[3] / "town")


def test_an_archive_holds_all_an_auditor_needs_and_is_the_same_again(run: Path, tmp_path: Path) -> None:
    audit = export_audit(run, tmp_path / "a.zip")
    assert audit.verified and not audit.failures
    export_audit(run, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        export_audit(run, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "handed")
    part = "datacenter"
    assert {
        f"{part}/{name}"
        for name in ("run/manifest.json", "instance/instance.toml", "model.mps", "verdict.json")
    } <= names
    index = json.loads((tmp_path / "handed" / "index.json").read_text(encoding="utf-8"))
    assert set(index["files"]) == names - {"index.json"} and index["verified"]
    handed = tmp_path / "handed" / part
    assert main(["verify", str(handed / "run"), "--instance", str(handed / "instance")]) == 0


def test_a_plan_that_is_not_as_stated_is_told_by_the_archive(run: Path, tmp_path: Path) -> None:
    plan = run / "projects.csv"
    plan.write_bytes(plan.read_bytes() + b"\n")
    audit = export_audit(run, tmp_path / "a.zip")
    assert not audit.verified and "projects.csv was changed" in audit.failures[0]


def test_a_whole_store_is_verified(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = run.parents[2]
    shutil.copytree(run, run.with_name("0002"))
    plan = run.with_name("0002") / "projects.csv"
    plan.write_bytes(plan.read_bytes() + b"\n")
    code = main(["verify", str(store), "--instance", str(store.parent / "town")])
    said = capsys.readouterr().out
    assert code == ExitCode.FAILED_CHECK
    assert (
        "2 runs: 1 verified, 1 failed, 0 could not be verified" in said and "projects.csv was changed" in said
    )
    assert main(["verify", str(store.parent / "town")]) == ExitCode.BAD_INPUT


def test_old_runs_go_by_policy_and_what_others_need_stays(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, home = run.parents[2], run.parent
    for number in range(2, 7):
        shutil.copytree(run, home / f"{number:04d}")
        rewritten(home / f"{number:04d}", started_utc=f"2026-0{number}-01T00:00:00+00:00")
    rewritten(run, started_utc="2026-01-01T00:00:00+00:00")
    rewritten(home / "0006", start="../0001")
    (home / ".writing-old").mkdir()
    now = datetime(2026, 6, 15, tzinfo=UTC).timestamp()
    runs = [f"{home.relative_to(store).as_posix()}/{number:04d}" for number in range(1, 7)]
    sweep = plan_sweep(store, Policy(newest=2, days=10, named=(home / "0003",)), now)
    assert sweep.gone == (runs[1], runs[3])  # 0001 is what 0006 was started from, 0003 is named
    assert sweep.leftovers == () and sweep.kept == 4 and sweep.bytes > 0
    assert not plan_sweep(store, Policy(newest=2, days=365), now).gone
    assert main(["gc", str(store), "--keep-newest", "6"]) == 0
    assert "0 runs" in capsys.readouterr().out
    sweep_store(store, sweep)
    assert sorted(path.name for path in home.iterdir()) == [".writing-old", "0001", "0003", "0005", "0006"]
    later = datetime.now(UTC).timestamp() + 3 * _DAY_S
    assert [path.name for path in plan_sweep(store, Policy(newest=9), later).leftovers] == [".writing-old"]
