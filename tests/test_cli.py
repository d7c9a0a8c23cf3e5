"""The command line: what is typed, what is seen, how it ends.

Real processes (``process``) where it matters that there is one: exit codes, streams, signals, terminals,
and that a plan does not depend on which process finds it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from optimize.cli import main
from optimize.report.text import no_plan_line

PROGRAMMES = ("datacenter", "water", "pv_siting")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("templates")
    for name in PROGRAMMES:
        assert main(["template", name, str(home / name)]) == 0
    return {name: home / name for name in PROGRAMMES}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand sites, for which a search without gap goes on for minutes."""
    folder = tmp_path_factory.mktemp("large") / "case"
    assert main(["generate", "pv_siting", "--size", "2k", "--seed", "3", str(folder)]) == 0
    return folder


@pytest.fixture
def town(templates: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the PV template that a test may spoil."""
    return Path(shutil.copytree(templates["pv_siting"], tmp_path / "town"))


@pytest.mark.parametrize("programme", PROGRAMMES)
def test_template_solves_checked_and_is_stored(
    programme: str, templates: dict[str, Path], run: Any, lines: Any, tmp_path: Path
) -> None:
    done = run("solve", templates[programme], "--json", "--gap", "1e-6")
    assert done.returncode == 0, done.stderr
    (answer,) = lines(done.stdout)
    assert answer["programme"] == programme and answer["status"] == "solved" and answer["checked"] is True
    assert answer["gap"] <= 1e-6 and answer["stop_reason"] in ("optimal", "gap reached")
    assert answer["clauses"] and all(
        set(c) >= {"id", "required", "reached", "unit", "binding"} for c in answer["clauses"]
    )
    stored = tmp_path / answer["run"]
    assert stored.is_dir()
    tables = list(stored.glob("*.csv"))
    assert tables and all(t.read_bytes().startswith(b"\xef\xbb\xbf") for t in tables)
    manifest = json.loads((stored / "manifest.json").read_text(encoding="utf-8"))
    assert {"fingerprint", "options", "versions", "timings", "trace"} <= set(manifest)
    shown = run("show", stored)
    assert shown.returncode == 0 and "passed" in shown.stdout


@pytest.mark.parametrize("programme", PROGRAMMES)
def test_both_engines_agree_on_the_template(
    programme: str, templates: dict[str, Path], run: Any, lines: Any
) -> None:
    found = []
    for engine in ("formulation", "fast"):
        done = run("solve", templates[programme], "--json", "--gap", "1e-7", "--engine", engine)
        if done.returncode == 2 and "cannot take" in done.stderr:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        found.append(lines(done.stdout)[0])
    by_formulation, by_search = found
    if by_search["gap"] <= 1e-6:
        assert by_search["objective"] == pytest.approx(by_formulation["objective"], rel=1e-5)
    assert by_search["objective"] <= by_formulation["objective"] + 1e-5 * abs(by_formulation["objective"])
    assert by_search["bound"] >= by_formulation["objective"] - 1e-5 * abs(by_formulation["objective"])


@dataclass(frozen=True)
class Paper:
    """What one process told somebody who reads it on paper, and where it put its plan."""

    done: subprocess.CompletedProcess[str]
    run: Path


@pytest.fixture(scope="module")
def on_paper(templates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Paper]:
    """Solve a template in a process of its own; the same template is answered from memory."""
    home = tmp_path_factory.mktemp("processes")
    known: dict[str, Paper] = {}

    def solve(programme: str) -> Paper:
        if programme not in known:
            words = [sys.executable, "-m", "optimize", "solve", templates[programme], "--seed", "7"]
            done = subprocess.run(
                list(map(str, words)), capture_output=True, text=True, timeout=120, cwd=home
            )
            (run,) = (home / "results" / programme).glob("*/*")
            known[programme] = Paper(done, run)
        return known[programme]

    return solve


def test_summary_on_paper_names_everything(on_paper: Callable[[str], Paper]) -> None:
    done = on_paper("pv_siting").done
    assert done.returncode == 0, done.stderr
    for word in (
        "build",
        "effect",
        "money",
        "clauses",
        "proof",
        "bound",
        "gap",
        "checked   passed",
        "tables",
        "Next:",
    ):
        assert word in done.stdout, done.stdout
    assert "\x1b" not in done.stdout and done.stderr == ""


@pytest.mark.parametrize("programme", PROGRAMMES)
def test_same_inputs_give_the_same_plan(
    programme: str,
    templates: dict[str, Path],
    run: Any,
    on_paper: Callable[[str], Paper],
    lines: Any,
    tmp_path: Path,
) -> None:
    """Also in another process, where nothing has been solved before and sets are ordered differently."""
    done = run("solve", templates[programme], "--json", "--seed", "7")
    folders = (tmp_path / lines(done.stdout)[0]["run"], on_paper(programme).run)
    first, second = ({p.name: p.read_bytes() for p in f.glob("*.csv")} for f in folders)
    assert folders[0] != folders[1] and first == second and first


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(old, text), f"{old!r} not in {path}"
    path.write_text(re.sub(old, new, text, count=1), encoding="utf-8")


def first_cells(path: Path, column: str, value: str, rows: int = 1) -> None:
    """Write ``value`` into the first rows of ``column`` of a CSV with comments above the header."""
    text = path.read_text(encoding="utf-8").splitlines()
    head = next(i for i, line in enumerate(text) if not line.startswith("#"))
    position = text[head].split(",").index(column)
    for i in range(head + 1, head + 1 + rows):
        cells = text[i].split(",")
        cells[position] = value
        text[i] = ",".join(cells)
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


BAD: dict[str, Callable[[Path], object]] = {
    "empty table": lambda t: (t / "pv_siting/sites.csv").write_text(""),
    "header only": lambda t: (t / "pv_siting/sites.csv").write_text("id\n"),
    "table missing": lambda t: (t / "pv_siting/sites.csv").unlink(),
    "binary table": lambda t: (t / "pv_siting/sites.csv").write_bytes(b"\x00\x01\x02" * 99),
    "unknown table": lambda t: (t / "pv_siting/rooves.csv").write_text("id\n1\n"),
    "toml missing": lambda t: (t / "instance.toml").unlink(),
    "toml broken": lambda t: spoil(t / "instance.toml", "base_year", "base year"),
    "parameter unknown": lambda t: spoil(t / "instance.toml", "base_year", "bose_year"),
    "parameter of wrong type": lambda t: spoil(
        t / "instance.toml", "discount_rate = .*", 'discount_rate = "high"'
    ),
    "parameter out of range": lambda t: spoil(t / "instance.toml", "discount_rate = .*", "discount_rate = 7"),
    "clause unknown": lambda t: spoil(t / "instance.toml", "PV-50MW", "PV-51MW"),
    "target negative": lambda t: spoil(t / "instance.toml", "required = .*", "required = -4"),
    "number as text": lambda t: first_cells(t / "pv_siting/sites.csv", "usable_roof_m2", "large"),
    "thousands comma": lambda t: first_cells(t / "pv_siting/sites.csv", "usable_roof_m2", "1e2e3"),
    "negative area": lambda t: first_cells(t / "pv_siting/sites.csv", "usable_roof_m2", "-5"),
    "infinite area": lambda t: first_cells(t / "pv_siting/sites.csv", "usable_roof_m2", "inf"),
    "unknown feeder": lambda t: first_cells(t / "pv_siting/sites.csv", "feeder", "F-none"),
    "unknown district": lambda t: first_cells(t / "pv_siting/sites.csv", "district", "Atlantis"),
    "unknown type": lambda t: first_cells(t / "pv_siting/sites.csv", "type", "castle"),
    "duplicate id": lambda t: first_cells(t / "pv_siting/sites.csv", "site", "same", rows=2),
    "budget negative": lambda t: first_cells(t / "pv_siting/budgets.csv", "amount_cny", "-1"),
    "budget year missing": lambda t: first_cells(t / "pv_siting/budgets.csv", "year", ""),
    "column renamed": lambda t: spoil(t / "pv_siting/sites.csv", "(?m)^(site,.*)usable_roof_m2", r"\1roof"),
}


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """The command line in this process: (exit code, stdout, stderr). For the many small cases."""
    monkeypatch.chdir(tmp_path)

    def run_here(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run_here


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_named_and_nothing_written(fault: str, town: Path, call: Any, tmp_path: Path) -> None:
    BAD[fault](town)
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    code, out, err = call("solve", town)
    assert code == 2, (out, err)
    assert "Traceback" not in err and err.strip()
    assert out == ""
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before
    assert call("check", town) == (2, "", err)


def test_many_faults_come_in_one_answer(town: Path, process: Any, lines: Any, tmp_path: Path) -> None:
    """As a process: five faults, one answer, code 2, nothing written."""
    for fault in (
        "negative area",
        "unknown feeder",
        "clause unknown",
        "budget negative",
        "parameter out of range",
    ):
        BAD[fault](town)
    done = process("check", town, "--json")
    assert done.returncode == 2
    (answer,) = lines(done.stdout)
    columns = {fault["column"] for fault in answer["faults"]}
    assert {"usable_roof_m2", "feeder", "amount_cny", "economics.discount_rate"} <= columns
    assert len(answer["faults"]) == 5
    assert all(fault["expected"] and fault["found"] for fault in answer["faults"])
    solved = process("solve", town)
    assert solved.returncode == 2 and solved.stdout == "" and "5 faults in 3 tables" in solved.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("solve", "nowhere"),
        ("solve", "TOWN", "--goal", "fame"),
        ("solve", "TOWN", "--goal", ""),
        ("solve", "TOWN", "--gap", "-1"),
        ("solve", "TOWN", "--time-limit", "0"),
        ("solve", "TOWN", "--threads", "0"),
        ("solve", "TOWN", "--engine", "magic"),
        ("solve", "TOWN", "--programme", "water"),
        ("solve", "TOWN", "--set", "budgets.scale"),
        ("solve", "TOWN", "--set", "budgets.scael=0.5"),
        ("solve", "TOWN", "--set", "budgets.scale=-3"),
        ("solve", "TOWN", "--write-model", "model.txt"),
        ("generate", "pv_siting", "--size", "giant", "out"),
        ("generate", "pv_siting", "--size", "2k", "--family", "royal", "out"),
        ("generate", "pv_siting", "--size", "2k", "--seed", "-1", "out"),
        ("template", "castles", "out"),
        ("template", "pv_siting", "TOWN"),
        ("show", "nowhere"),
        ("frobnicate",),
        (),
    ],
)
def test_bad_calls_end_with_code_2(arguments: tuple[str, ...], town: Path, call: Any, tmp_path: Path) -> None:
    code, out, err = call(*(str(town) if word == "TOWN" else word for word in arguments))
    assert code == 2, (out, err)
    assert "Traceback" not in err and err.strip()
    assert not (tmp_path / "results").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("programme", PROGRAMMES)
def test_no_money_is_infeasible_with_ways_out(
    programme: str, templates: dict[str, Path], run: Any, lines: Any, tmp_path: Path
) -> None:
    done = run("solve", templates[programme], "--json", "--set", "budgets.scale=0")
    assert done.returncode == 3, (done.stdout, done.stderr)
    (answer,) = lines(done.stdout)
    assert answer["status"] == "infeasible" and answer["relaxations"]
    for way in answer["relaxations"]:
        for row in way:
            assert row["clause"] and row["unit"] and row["required"] != row["reachable"]
    assert not (tmp_path / "results").exists()
    told = run("solve", templates[programme], "--set", "budgets.scale=0")
    assert told.returncode == 3 and "smallest ways out" in told.stdout


def test_reported_relaxation_is_enough(templates: dict[str, Path], run: Any, lines: Any) -> None:
    """Giving way by what the answer says makes the instance solvable."""
    target = "pv_siting.clauses.PV-50MW.required"
    done = run("solve", templates["pv_siting"], "--json", "--set", f"{target}=1e7")
    assert done.returncode == 3
    ways = lines(done.stdout)[0]["relaxations"]
    alone = next(w[0] for w in ways if len(w) == 1 and w[0]["clause"] == "PV-50MW")
    again = run("solve", templates["pv_siting"], "--json", "--set", f"{target}={alone['reachable'] - 1e-3}")
    assert again.returncode == 0, again.stdout
    more = run(
        "solve", templates["pv_siting"], "--json", "--set", f"{target}={alone['reachable'] * 1.01 + 1}"
    )
    assert more.returncode == 3


@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_the_model_is_written_for_other_solvers(
    ending: str, templates: dict[str, Path], run: Any, lines: Any, tmp_path: Path
) -> None:
    import highspy

    done = run("solve", templates["pv_siting"], "--json", "--write-model", f"model{ending}", "--gap", "1e-7")
    assert done.returncode == 0, done.stderr
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.readModel(str(tmp_path / f"model{ending}"))
    solver.run()
    assert solver.getInfo().objective_function_value == pytest.approx(
        lines(done.stdout)[0]["objective"], rel=1e-5
    )


@pytest.mark.parametrize(("programme", "size"), [("pv_siting", "2k"), ("datacenter", "200"), ("water", "s")])
def test_a_second_is_enough_for_an_honest_answer(
    programme: str, size: str, run: Any, lines: Any, tmp_path: Path
) -> None:
    assert run("generate", programme, "--size", size, "--seed", 3, "case").returncode == 0
    done = run("solve", "case", "--json", "--time-limit", 1)
    assert done.returncode in (0, 4), done.stderr
    assert "Traceback" not in done.stderr
    (answer,) = lines(done.stdout)
    assert answer["checked"] is (done.returncode == 0)


def start_solving(case: Path, at: Path, *, until_plan: bool) -> subprocess.Popen[str]:
    """A process that searches on, come as far as its first bound or first plan."""
    watched = at / "progress.jsonl"
    command = [sys.executable, "-m", "optimize", "solve", case, "--json", "--gap", "0", "--progress", watched]
    process = subprocess.Popen(
        [str(word) for word in command], cwd=at, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    patience = time.monotonic() + 60
    while time.monotonic() < patience and process.poll() is None:
        told = watched.read_text(encoding="utf-8").splitlines(keepends=True) if watched.exists() else []
        points = [json.loads(line) for line in told if line.endswith("\n")]
        if any(point["plan"] is not None or not until_plan for point in points):
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_keeps_the_best_plan_checked(number: int, large: Path, lines: Any, tmp_path: Path) -> None:
    process = start_solving(large, tmp_path, until_plan=True)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    (answer,) = lines(out)
    assert answer["stop_reason"] == "interrupted" and answer["checked"] is True
    assert answer["objective"] is not None and (tmp_path / answer["run"]).is_dir()


def test_a_killed_run_leaves_nothing_half_written(large: Path, run: Any, tmp_path: Path) -> None:
    process = start_solving(large, tmp_path, until_plan=False)
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    assert not list(tmp_path.glob("results/**/*.json")) and not list(tmp_path.glob("results/**/*.csv"))
    assert run("solve", large, "--time-limit", 20, "--gap", "0.05").returncode == 0


def test_instances_page_is_generated_from_the_schemas(run: Any) -> None:
    page = (ROOT / "docs" / "instances.md").read_text(encoding="utf-8")
    assert run("docs", "instances").stdout == page


def test_progress_only_on_a_terminal(templates: dict[str, Path], tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "optimize", "solve", str(templates["pv_siting"])],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=follower, text=True,
        env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(follower)
    seen = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other end has closed
            break
        if not part:
            break
        seen += part
    out, _ = process.communicate(timeout=60)
    os.close(leader)
    assert process.returncode == 0
    assert b"solving" in seen and "\x1b" not in out


@pytest.mark.parametrize(
    ("stop_reason", "words", "unsaid"),
    [("interrupted", "Stopped after 12 s", "--time-limit"), ("time limit", "--time-limit", "Stopped")],
)
def test_without_a_plan_it_is_said_what_helps(stop_reason: str, words: str, unsaid: str) -> None:
    told = no_plan_line({"bound": 3e6, "goal_unit": "CNY", "stop_reason": stop_reason, "seconds": 12.3})
    assert words in told and unsaid not in told and "proven bound 3.0 M CNY" in told
