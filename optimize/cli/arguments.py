"""Arguments that several commands take, and the types of their values."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

from optimize.errors import UsageError
from optimize.i18n.catalogue import LANGUAGES
from optimize.names import PROGRAMME_NAMES, Engine

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_instance_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("path", type=Path, help="instance folder or workbook (.xlsx)")
    command.add_argument(
        "--programme",
        action="append",
        default=[],
        choices=PROGRAMME_NAMES,
        help="only this programme (may be repeated)",
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override a parameter of instance.toml, e.g. budgets.scale=0.8",
    )


def add_language_argument(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--lang", choices=LANGUAGES, default="zh", help=f"language {what} (zh)")


def add_stored_run_arguments(command: argparse.ArgumentParser) -> None:
    """A stored run that is asked about on its instance, and the seed of what is drawn or searched."""
    command.add_argument("run_folder", type=Path, metavar="RUN")
    command.add_argument("--seed", type=seed, default=0)
    command.add_argument(
        "--instance", type=Path, metavar="PATH", help="the instance folder, if it has been moved"
    )


def add_solve_arguments(command: argparse.ArgumentParser) -> None:
    """How to solve: goals, limits, engine, and where runs are stored."""
    command.add_argument(
        "--goal", default="npv", help="goal, or several separated by commas, the first first"
    )
    command.add_argument("--engine", choices=get_args(Engine), default="auto")
    add_run_arguments(command, "programme", 300.0)


def add_run_arguments(command: argparse.ArgumentParser, each: str, seconds: float) -> None:
    """When each solve stops, how it runs, and where runs are stored.

    Parameters
    ----------
    each : what the time limit is for, in a word.
    seconds : the limit where none is given.
    """
    command.add_argument("--gap", type=share, default=1e-3, help="stop each solve at this proven gap (0.001)")
    command.add_argument(
        "--time-limit",
        type=positive,
        default=seconds,
        metavar="S",
        help=f"seconds for each {each} ({seconds:g})",
    )
    command.add_argument("--threads", type=count, default=1, help="cores to use (1)")
    command.add_argument("--seed", type=seed, default=0)
    command.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="where runs are stored (results)",
    )


def overrides_of(settings: Sequence[str]) -> dict[str, Any]:
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {setting}: write KEY=VALUE, e.g. budgets.scale=0.8")
        try:
            overrides[key.strip()] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            overrides[key.strip()] = value
    return overrides


def positive(word: str) -> float:
    value = float(word)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} is not a positive number")
    return value


def share(word: str) -> float:
    value = float(word)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} is not a number from 0")
    return value


def count(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 1")
    return value


def seed(word: str) -> int:
    value = int(word)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 0")
    return value


def seeds(words: str) -> tuple[int, ...]:
    """Seeds separated by commas, each once."""
    return tuple(dict.fromkeys(seed(word) for word in words.split(",")))
