"""The templates for schedulers, looked at by the schedulers' own tools where these are installed."""

from __future__ import annotations

import ast
import json
import re
import runpy
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from optimize.cli import _parser
from optimize.errors import ExitCode

DEPLOY = Path(__file__).resolve().parents[3] / "docs" / "deploy"
_CALL = re.compile(r"optimize (?:monthly|status) /\S+(?: --[a-z-]+)*")


def test_every_call_is_one_the_command_line_takes() -> None:
    unquoted = {
        file.name: re.sub(r"[\"',\[\]]", "", file.read_text(encoding="utf-8")) for file in DEPLOY.iterdir()
    }
    # in lists the words stand apart from the program
    unquoted["kubernetes-cronjob.yaml"] = unquoted["kubernetes-cronjob.yaml"].replace("args: ", "optimize ")
    unquoted["airflow_dag.py"] = re.sub(
        r"OPTIMIZE (\w+) JOB", r"optimize \1 /job.toml", unquoted["airflow_dag.py"]
    )
    for name, text in unquoted.items():
        calls = _CALL.findall(text)
        assert calls or name.endswith(".timer"), f"{name} calls nothing"
        for call in calls:
            _parser().parse_args(call.split()[1:])


def test_systemd_takes_service_and_timer(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("optimize-monthly.service", "optimize-monthly.timer"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        # the program is looked for where the template has it
        (tmp_path / name).write_text(
            text.replace("/opt/optimize/.venv/bin/optimize", "/bin/true"), encoding="utf-8"
        )
    units = [str(tmp_path / f"optimize-monthly.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    (tmp_path / "optimize-monthly.timer").write_text("[Timer]\nOnCalendar=*-*-41\n", encoding="utf-8")
    assert subprocess.run(["systemd-analyze", "verify", units[1]], capture_output=True).returncode != 0


def test_kubernetes_knows_every_field() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    yaml = pytest.importorskip("yaml")
    file = DEPLOY / "kubernetes-cronjob.yaml"
    read = ["kubectl", "set", "image", "--local", "-f", str(file), "optimize=image", "-o", "json"]
    done = subprocess.run(read, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # read into its own types, a field that kubectl does not know is gone
    assert _lost(yaml.safe_load(file.read_text(encoding="utf-8")), json.loads(done.stdout)) == ["image"]


def _lost(asked: Any, known: Any, name: str = "") -> list[str]:
    """Names of what stands in ``asked`` and not in ``known``."""
    if isinstance(asked, dict):
        known = known if isinstance(known, dict) else {}
        return [lost for key, value in asked.items() for lost in _lost(value, known.get(key), str(key))]
    if isinstance(asked, list):
        same = isinstance(known, list) and len(known) == len(asked)
        return [
            lost for k, value in enumerate(asked) for lost in _lost(value, known[k] if same else None, name)
        ]
    return [] if asked == known else [name]


def test_cron_takes_the_table() -> None:
    """Only some crons can test a table."""
    crontab = shutil.which("crontab")
    if crontab is None:
        pytest.skip("cron is not installed")
    help_text = subprocess.run([crontab, "-h"], capture_output=True, text=True)
    if "-T" not in help_text.stdout + help_text.stderr:
        pytest.skip("this crontab has no -T to test a table with")
    done = subprocess.run([crontab, "-T", str(DEPLOY / "optimize.cron")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_airflow_loads_the_dag() -> None:
    file = DEPLOY / "airflow_dag.py"
    ast.parse(file.read_text(encoding="utf-8"))
    models = pytest.importorskip("airflow.models", reason="Airflow is not installed")
    bag = models.DagBag(dag_folder=str(file), include_examples=False)
    assert not bag.import_errors and len(bag.dags) == 1


class _Task:
    """What Airflow makes of a function: something to be put in order, and run later."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function

    def __call__(self) -> _Task:
        return self

    def __rshift__(self, other: _Task) -> _Task:
        return other


@pytest.mark.parametrize("code", [*ExitCode])
def test_airflow_tries_again_only_what_may_go_better(code: ExitCode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file itself is run, with stand-ins for the four names it takes from Airflow."""
    again, at_once = (
        type("AirflowException", (Exception,), {}),
        type("AirflowFailException", (Exception,), {}),
    )
    tasks: dict[str, _Task] = {}

    def task(function: Callable[[], None]) -> _Task:
        return tasks.setdefault(function.__name__, _Task(function))

    airflow = {
        "airflow": {},
        "airflow.decorators": {"dag": lambda **_: lambda function: function, "task": task},
        "airflow.exceptions": {"AirflowException": again, "AirflowFailException": at_once},
    }
    for name, content in airflow.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    runpy.run_path(str(DEPLOY / "airflow_dag.py"))
    ended = subprocess.CompletedProcess([], code)
    monkeypatch.setattr(subprocess, "run", lambda call, **_: ended)
    waits_for_a_person = {ExitCode.BAD_INPUT, ExitCode.INFEASIBLE, ExitCode.FAILED_CHECK, ExitCode.STALE}
    if code == ExitCode.SOLVED:
        tasks["plan"].function()
        tasks["watch"].function()
        return
    with pytest.raises(at_once if code in waits_for_a_person else again):
        tasks["plan"].function()
    with pytest.raises(at_once):
        tasks["watch"].function()
