"""A process that has loaded everything and forks one that runs the command line, as often as it is asked.

The fault drill starts some sixty processes; loading the libraries anew in each would take two minutes.
Each request is a line of JSON on stdin: ``{"call": [words], "cwd": …, "out": file, "now": ISO time or null,
"largest_file": bytes or null}`` is answered with ``{"pid": …}``; ``{"wait": pid}`` with ``{"code": …}``, the exit
code, negative for a signal.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib
import json
import os
import resource
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

# What commands load only where they need it.
_LATE = (
    "optimize.cli.ledger", "optimize.cli.monthly", "optimize.cli.output", "optimize.cli.records",
    "optimize.cli.status", "optimize.cli.verify", "optimize.engine.pyomo_bridge",
    "optimize.monthly.change_workbook", "optimize.verification.kernels",
)  # fmt: skip


def load_everything() -> None:
    """Import what a run imports on its way, and have the compiled kernels read from their cache."""
    for name in _LATE:
        importlib.import_module(name)
    from optimize.cli import main
    from optimize.deferred import Deferred
    from optimize.io.instance_folder import read_instance
    from optimize.registry import PROGRAMMES

    with tempfile.TemporaryDirectory() as folder:
        town = Path(folder) / "town"
        main(["template", "datacenter", str(town)])
        part = read_instance(town, PROGRAMMES).programmes[0]
        for field in dataclasses.fields(part.programme):
            deferred = getattr(part.programme, field.name)
            if isinstance(deferred, Deferred):
                assert callable(deferred.function)
        part.programme.state_arrays(part.programme.load(part.data), ("npv",))
    # what is loaded stays: no child need look through it, nor copy its pages
    gc.collect()
    gc.freeze()
    gc.disable()


def run(request: dict[str, Any]) -> None:
    """In the child: run the command line and end."""
    from optimize import cli
    from optimize.cli import clock

    out = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(request["cwd"])
    if request.get("largest_file") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"], request["largest_file"]))
    if request.get("now") is not None:
        now = datetime.fromisoformat(request["now"])
        clock.clock_of = lambda job: lambda: now
    code = 1
    try:
        code = int(cli.main(request["call"]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the warm-up prints is nobody's answer
    load_everything()
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), file=answers)
            continue
        pid = os.fork()
        if pid == 0:
            run(request)
        print(json.dumps({"pid": pid}), file=answers)
    os._exit(0)  # what was frozen need not be cleared away


if __name__ == "__main__":
    main()
