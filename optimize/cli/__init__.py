"""The command line: arguments, progress, exit codes. What is decided is decided elsewhere."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence

from optimize import __version__
from optimize.cli.calls import GROUPS
from optimize.errors import ExitCode, InputFaults, OptimizeError
from optimize.monthly.failures import STORAGE_ERRORS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = _parser()
    try:
        call = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse has printed the reason
        return int(stop.code or 0)
    try:
        return int(call.run(call))
    except InputFaults as error:
        from optimize.cli.output import print_faults  # with its words comes half of the product

        print_faults(error, as_json=getattr(call, "json", False), undone=getattr(call, "undone", "solved"))
        return ExitCode.BAD_INPUT
    except OptimizeError as error:
        if getattr(call, "json", False):
            print(json.dumps({"status": "error", "error": str(error)}, ensure_ascii=False))
        print(f"optimize: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # the reader of our output has gone; there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.SOLVED
    except KeyboardInterrupt:
        print("optimize: stopped before there was a plan", file=sys.stderr)
        return ExitCode.NO_PLAN
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            return _internal_error()
        print(
            f"optimize: {error.strerror}: {error.filename or 'a file'}; nothing half-written is left",
            file=sys.stderr,
        )
        return ExitCode.NOT_WRITTEN
    except Exception:  # a bug: say so, keep the trace, give job runners their code
        return _internal_error()


def _internal_error() -> int:
    traceback.print_exc()
    print("optimize: internal error, please report it with the lines above", file=sys.stderr)
    return ExitCode.INTERNAL_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="optimize", description="Optimal, proven and checked plans for a city's green programmes."
    )
    parser.add_argument("--version", action="version", version=f"optimize {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add_parsers(commands)
    return parser


def entry() -> None:
    """Console script ``optimize``."""
    sys.exit(main())
