"""`optimize verify`: passes on honest runs of both engines, and names every kind of tampering."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.cli import main
from optimize.cli import verify as verify_command
from optimize.engine import goals
from optimize.io import run_instance
from optimize.io.instance_folder import LoadedInstance, read_instance
from optimize.io.run_store import MANIFEST, SUMMARY, altered_files, file_digest, seal_of
from optimize.programme import Programme
from optimize.registry import PROGRAMMES
from optimize.verification.run import Verdict, _compare_blocks

Answer = tuple[int, dict[str, Any]]


def command(*arguments: object) -> tuple[int, str]:
    """The command line in this process: exit code and stdout."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in arguments])
    return code, out.getvalue()


def verify(run: Path, *arguments: object) -> Answer:
    code, out = command("verify", run, "--json", *arguments)
    return code, json.loads(out)


def solve(instance: Path, results: Path, *arguments: object) -> Path:
    code, out = command("solve", instance, "--json", "--results", results, *arguments)
    answer = json.loads(out)
    assert code == 0, answer
    return Path(answer["run"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Templates of all programmes."""
    home = tmp_path_factory.mktemp("verify")
    for name in ("datacenter", "water", "pv_siting"):
        assert command("template", name, home / name)[0] == 0
    return home


@pytest.fixture(scope="module")
def town(home: Path) -> Path:
    """A run of the PV template by the engine's large-scale path: multipliers and a block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(goals, "_CORE_FROM", 10)
        run = solve(home / "pv_siting", home / "results", "--engine", "fast")
    assert read(run, MANIFEST)["certificate"]["kind"] == "lagrangian" and (run / "blocks.csv").is_file()
    return run


@pytest.fixture(scope="module")
def known(home: Path) -> tuple[LoadedInstance, Programme]:
    """The template read once, and PV with its arrays built once: only runs differ between tests."""
    loaded = read_instance(home / "pv_siting", PROGRAMMES, ["pv_siting"], {})
    programme = loaded.programmes[0].programme
    instance = programme.load(loaded.programmes[0].data)
    arrays = programme.state_arrays(instance, ("npv", "energy"))
    return loaded, replace(programme, load=lambda data: instance, state_arrays=lambda *_: arrays)


@pytest.fixture
def copy(
    town: Path,
    known: tuple[LoadedInstance, Programme],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A copy of that run that a test may spoil."""
    loaded, programme = known
    monkeypatch.setattr(run_instance, "read_instance", lambda *_: loaded)
    monkeypatch.setattr(verify_command, "PROGRAMMES", (programme,))
    return Path(shutil.copytree(town, tmp_path / "run"))


def altered(run: Path) -> list[str]:
    return altered_files(run, read(run, MANIFEST))


def seal(run: Path) -> None:
    """Make all hashes right again, as one who tampers would."""
    manifest = read(run, MANIFEST)
    manifest.pop("seal")
    manifest["files"] = {name: file_digest(run / name) for name in manifest["files"]}
    write(run, MANIFEST, manifest | {"seal": seal_of(manifest)})


def read(run: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / name).read_text(encoding="utf-8"))
    return content


def write(run: Path, name: str, content: dict[str, Any]) -> None:
    (run / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def edit(run: Path, name: str, *keys: Any, by: Callable[[Any], Any]) -> None:
    content = read(run, name)
    node: Any = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = by(node[keys[-1]])
    write(run, name, content)


def edit_cell(run: Path, table: str, column: str, by: Callable[[str], str], row: int = 0) -> None:
    path = run / f"{table}.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    position = lines[0].split(",").index(column)
    cells = lines[row + 1].split(",")
    cells[position] = by(cells[position])
    lines[row + 1] = ",".join(cells)
    path.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")


def largest_row(run: Path, table: str, column: str) -> int:
    lines = (run / f"{table}.csv").read_text(encoding="utf-8-sig").splitlines()
    position = lines[0].split(",").index(column)
    values = [abs(float(line.split(",")[position])) for line in lines[1:]]
    return values.index(max(values))


def claim_better_bound(run: Path, factor: float = 0.99) -> None:
    edit(run, MANIFEST, "certificate", "bound", by=lambda bound: bound * factor)
    edit(run, SUMMARY, "certificate", "bound", by=lambda bound: bound * factor)


# --- honest runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("programme", "engine", "goal"),
    [
        ("datacenter", "fast", "energy,npv"),
        ("pv_siting", "formulation", "cost"),
        ("water", "formulation", "npv"),
        ("water", "formulation", "cost,volume"),
    ],
)
def test_honest_runs_pass(programme: str, engine: str, goal: str, home: Path, tmp_path: Path) -> None:
    run = solve(home / programme, tmp_path, "--engine", engine, "--goal", goal)
    code, answer = verify(run)
    assert (code, answer["status"], answer["failures"]) == (0, "verified", [])
    assert answer["certificate"] == "linear"
    sign = -1 if goal.endswith("cost") else 1
    assert sign * answer["bound_certified"] >= sign * answer["bound_stated"] - 1e-6 * abs(answer["objective"])
    assert answer["gap_certified"] >= answer["gap_stated"] - 1e-9


@pytest.mark.parametrize(
    ("programme", "size", "kind"), [("pv_siting", "2k", "lagrangian"), ("datacenter", "200", "linear")]
)
def test_runs_of_the_fast_engine_pass(programme: str, size: str, kind: str, tmp_path: Path) -> None:
    """All of the gap of a run that ends with a gap is certified."""
    assert command("generate", programme, "--size", size, "--seed", 4, tmp_path / "case")[0] == 0
    limits = ("--engine", "fast", "--gap", "0.3", "--time-limit", "60")
    run = solve(tmp_path / "case", tmp_path / "results", *limits)
    code, answer = verify(run)
    assert (code, answer["failures"], answer["certificate"]) == (0, [], kind)
    assert answer["gap_certified"] == pytest.approx(answer["gap_stated"], rel=1e-6)
    claim = read(run, MANIFEST)["certificate"]["bound"]
    assert answer["bound_certified"] == pytest.approx(claim, rel=1e-9)


def test_a_run_without_multipliers_passes_and_says_what_its_bound_rests_on(copy: Path) -> None:
    """As phased water runs are: the plan is verified, the bound is not."""
    edit(copy, MANIFEST, "certificate", by=lambda _: None)
    seal(copy)
    code, answer = verify(copy)
    assert (code, answer["status"]) == (0, "verified")
    assert answer["certificate"] is None and "not certified by multipliers" in answer["remarks"][0]


def test_verdict_in_plain_words(copy: Path) -> None:
    """The template is closed by branch and cut: not all of its gap is certified."""
    code, out = command("verify", copy)
    assert code == 0 and "VERIFIED" in out and "certified by multipliers" in out
    assert "rests on the solver's branch and cut" in out


# --- tampering ------------------------------------------------------------------------------------

YEAR = "2025"
PLAN_CHANGES: dict[str, Callable[[list[str]], list[str]]] = {
    "row dropped": lambda lines: lines[:1] + lines[2:],
    "row twice": lambda lines: [*lines, lines[1]],
    "cell changed": lambda lines: [lines[0], lines[1].replace(YEAR, "2099", 1), *lines[2:]],
    "columns gone": lambda lines: [line.split(",", 1)[1] for line in lines],
    "no rows": lambda lines: lines[:1],
}


@pytest.mark.parametrize("change", PLAN_CHANGES)
@pytest.mark.parametrize("table", ["projects", "payments"])
def test_a_changed_plan_is_found(table: str, change: str, copy: Path) -> None:
    path = copy / f"{table}.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    lines.sort(key=lambda line: (not line.startswith("site"), YEAR not in line))
    path.write_text("\ufeff" + "\n".join(PLAN_CHANGES[change](lines)) + "\n", encoding="utf-8")
    assert altered(copy)[0].startswith(f"{table}.csv was changed")
    seal(copy)
    code, answer = verify(copy)
    assert code == 5 and any(f.startswith(("plan: ", "summary.json: ")) for f in answer["failures"])


def test_a_multiplier_that_claims_too_much_is_found(copy: Path) -> None:
    row = largest_row(copy, "multipliers", "multiplier")
    edit_cell(copy, "multipliers", "multiplier", lambda cell: repr(float(cell) * 0.5), row)
    claim_better_bound(copy)
    assert any(found.startswith("multipliers.csv was changed") for found in altered(copy))
    seal(copy)
    code, answer = verify(copy)
    assert code == 5
    assert any(f.startswith("bound: the certificate claims") for f in answer["failures"])


@pytest.mark.parametrize("cell", ["-{}", "nan", "1e400", "many"])
def test_a_multiplier_that_is_none_is_found(cell: str, copy: Path) -> None:
    """Of the wrong sign for its row, or no number at all: left out, so the bound is still one."""
    edit_cell(copy, "multipliers", "multiplier", lambda old: cell.format(old).replace("--", ""))
    seal(copy)
    code, answer = verify(copy)
    assert code == 5 and any(f.startswith("multipliers.csv: ") for f in answer["failures"])
    assert answer["bound_certified"] >= answer["objective"]


@pytest.mark.parametrize("name", ["feeder_hosts[99999999]", "no_such_row[0]", "objective", ""])
def test_a_multiplier_of_no_row_is_found(name: str, copy: Path) -> None:
    edit_cell(copy, "multipliers", "row", lambda _: name)
    seal(copy)
    code, answer = verify(copy)
    assert code == 5 and any("is no row of" in f for f in answer["failures"])


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("shadow_prices", "approx_gain_per_unit"),
        ("shadow_prices", "clause"),
        ("candidate_values", "approx_value"),
        ("candidate_values", "site"),
    ],
)
def test_a_changed_price_is_found(table: str, column: str, copy: Path) -> None:
    edit_cell(copy, table, column, lambda cell: "1" + cell, row=3)
    assert any(found.startswith(f"{table}.csv was changed") for found in altered(copy))
    seal(copy)
    code, answer = verify(copy)
    assert code == 5 and all(f.startswith(f"{table}.csv: ") for f in answer["failures"])


def test_a_better_block_bound_is_found(copy: Path) -> None:
    row = largest_row(copy, "blocks", "block_bound")
    edit_cell(copy, "blocks", "block_bound", lambda cell: repr(float(cell) - 1000.0), row)
    assert any(found.startswith("blocks.csv was changed") for found in altered(copy))
    seal(copy)
    code, answer = verify(copy)
    assert code == 5 and [f for f in answer["failures"] if f.startswith("blocks.csv: ")] == answer["failures"]


def test_the_last_digits_of_large_blocks_are_no_claim_of_small_ones() -> None:
    true = np.array([4.0e6, 1.1e-8])
    for claim, found in ((8.0e-10, 0), (-0.1, 1)):
        verdict = Verdict("run", "pv_siting")
        _compare_blocks(["large", "small"], np.array([4.0e6, claim]), true, 1.0, verdict)
        assert len(verdict.failures) == found


def test_a_row_named_as_block_that_is_none_is_found(copy: Path) -> None:
    edit_cell(copy, "blocks", "row", lambda _: "PV-50MW[0]")
    seal(copy)
    code, answer = verify(copy)
    assert code == 5 and any("cannot be solved as a block" in f for f in answer["failures"])


def test_a_bound_without_its_multipliers_is_found(copy: Path) -> None:
    (copy / "multipliers.csv").write_text("row,multiplier\n")
    seal(copy)
    code, answer = verify(copy)
    assert code == 5 and any(f.startswith("bound: the certificate claims") for f in answer["failures"])


@pytest.mark.parametrize(
    ("keys", "by"),
    [
        (("objective",), lambda value: value * 1.001),
        (("bound",), lambda value: value * 0.5),
        (("bound",), lambda value: value * 2.0),
        (("gap",), lambda value: value + 0.01),
        (("figures", "co2"), lambda value: value + 1.0),
        (("clauses", 0, "reached"), lambda value: value + 1.0),
        (("clauses", 0, "met"), lambda value: not value),
        (("money", 0, "spent_cny"), lambda value: value + 1.0),
        (("maximise",), lambda value: not value),
        (("goal",), lambda value: ["energy"]),
    ],
)
def test_a_changed_summary_is_found(keys: tuple[Any, ...], by: Callable[[Any], Any], copy: Path) -> None:
    edit(copy, SUMMARY, *keys, by=by)
    assert [found.split(":")[0] for found in altered(copy)] == ["summary.json was changed"]
    seal(copy)
    code, answer = verify(copy)
    assert code == 5 and any(f.startswith(("summary.json", "bound: ")) for f in answer["failures"])


@pytest.mark.parametrize(
    ("keys", "by"),
    [
        (("files", "projects.csv"), lambda digest: digest[::-1]),
        (("seal",), lambda digest: digest[::-1]),
        (("engine",), lambda engine: "another"),
        (("certificate", "bound"), lambda bound: bound * 0.99),
    ],
)
def test_a_changed_manifest_is_found(keys: tuple[Any, ...], by: Callable[[Any], Any], copy: Path) -> None:
    edit(copy, MANIFEST, *keys, by=by)
    code, answer = verify(copy)
    assert code == 5 and any("manifest.json was changed" in f for f in answer["failures"])


def test_a_missing_file_is_found(copy: Path) -> None:
    (copy / "by_type.csv").unlink()
    code, answer = verify(copy)
    assert code == 5 and answer["failures"] == ["by_type.csv is missing"]


def test_a_kept_goal_that_was_not_reached_is_found(home: Path, tmp_path: Path) -> None:
    """Claiming more of the first goal than the plan reaches would make the second one's bound too good."""
    run = solve(home / "pv_siting", tmp_path, "--goal", "energy,npv")
    edit(run, MANIFEST, "certificate", "kept", 0, "reached", by=lambda value: value * 1.01)
    seal(run)
    code, answer = verify(run)
    assert code == 5 and any("kept goal energy" in f for f in answer["failures"])


# --- the instance ---------------------------------------------------------------------------------


@pytest.fixture
def village(home: Path, tmp_path: Path) -> tuple[Path, Path]:
    """An instance of its own and a run of it."""
    instance = Path(shutil.copytree(home / "pv_siting", tmp_path / "village"))
    return instance, solve(instance, tmp_path / "results", "--set", "budgets.scale=0.9")


def test_a_changed_instance_is_named(village: tuple[Path, Path]) -> None:
    instance, run = village
    table = instance / "pv_siting" / "tariffs.csv"
    table.write_text(table.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    code, answer = verify(run)
    assert code == 2 and "pv_siting/tariffs.csv was changed" in answer["error"]
    manifest = read(run, MANIFEST)
    manifest["instance_files"]["pv_siting/tariffs.csv"] = file_digest(table)
    write(run, MANIFEST, manifest)
    code, answer = verify(run)
    assert code == 2 and "fingerprint" in answer["error"]


def test_parameters_of_other_programmes_are_no_faults(home: Path, tmp_path: Path) -> None:
    instance = Path(shutil.copytree(home / "pv_siting", tmp_path / "city"))
    toml = instance / "instance.toml"
    toml.write_text(toml.read_text(encoding="utf-8") + "\n[water]\nphased = true\n", encoding="utf-8")
    assert verify(solve(instance, tmp_path))[0] == 0


def test_other_overrides_are_another_instance(village: tuple[Path, Path]) -> None:
    _, run = village
    edit(run, MANIFEST, "overrides", by=lambda overrides: {"budgets.scale": 1.1})
    code, answer = verify(run)
    assert code == 2 and "fingerprint" in answer["error"]


def test_a_moved_instance_is_found_or_named(
    village: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, run = village
    (tmp_path / "archive").mkdir()
    for folder in (instance, tmp_path / "results"):
        shutil.move(folder, tmp_path / "archive" / folder.name)
    moved = tmp_path / "archive" / run.relative_to(tmp_path)
    monkeypatch.chdir(tmp_path / "archive")
    assert verify(moved)[0] == 0, "instance and results moved together"
    shutil.move(tmp_path / "archive" / "village", tmp_path / "elsewhere")
    code, answer = verify(moved)
    assert code == 2 and "--instance" in answer["error"]
    assert verify(moved, "--instance", tmp_path / "elsewhere")[0] == 0


def test_what_is_no_run_is_said_so_and_others_are_verified(town: Path, tmp_path: Path) -> None:
    code, out = command("verify", tmp_path, town, "--json")
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 2 and "not a run" in first["error"] and second["status"] == "verified"


def test_as_a_process(town: Path, process: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(town, tmp_path / "copy")
    (copy / "multipliers.csv").unlink()
    done = process("verify", town, copy)
    assert done.returncode == 5 and done.stderr == ""
    assert "VERIFIED" in done.stdout and "multipliers.csv is missing" in done.stdout
