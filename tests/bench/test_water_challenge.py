"""The table of best known plans and bounds: what counts, what is refused, and that its cases stay the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from optimize.cli import main as optimize
from optimize.errors import ExitCode, UsageError
from optimize.io.instance_folder import read_instance
from optimize.io.run_store import read_manifest, read_summary
from optimize.io.write import write_instance
from tests.benchmarks import water_challenge
from tests.benchmarks.water_challenge import (
    BEST_KNOWN,
    WATER,
    Best,
    Case,
    Found,
    Refuted,
    best_lines,
    main,
    merged,
    read_best,
    write_best,
)
from tests.water.conftest import make_town

CASE = Case("parks", "s", 1)
KNOWN = Best("abc", 100e6, 150e6, "2026-01-01", "before", 120e6, "2026-01-02", "earlier")
TODAY = "2026-02-03"


def found(plan: float | None = None, bound: float | None = None, **keys: Any) -> Found:
    return Found(**{"fingerprint": "abc", "plan_cny": plan, "gross_cny": 160e6, "bound_cny": bound, "by": "now", **keys})  # fmt: skip


def test_the_better_plan_and_the_closer_bound_stay_each_with_its_origin() -> None:
    assert merged(CASE, KNOWN, found(99e6, 121e6), TODAY) == KNOWN
    better = merged(CASE, KNOWN, found(101e6, 121e6), TODAY)
    assert better == dataclasses.replace(
        KNOWN, plan_cny=101e6, gross_cny=160e6, plan_found=TODAY, plan_by="now"
    )
    closer = merged(CASE, KNOWN, found(None, 110e6), TODAY)
    assert closer == dataclasses.replace(KNOWN, bound_cny=110e6, bound_found=TODAY, bound_by="now")
    assert (closer.gap, closer.gap_of_gross) == pytest.approx((0.1, 10 / 150))


def test_rounding_never_claims_more_than_was_found() -> None:
    first = merged(CASE, None, found(100.0199, 120.0101), TODAY)
    assert (first.plan_cny, first.bound_cny) == (100.01, 120.02)


def test_another_instance_is_not_compared() -> None:
    with pytest.raises(UsageError, match="instance is xyz, the table's is abc"):
        merged(CASE, KNOWN, found(101e6, fingerprint="xyz"), TODAY)


@pytest.mark.parametrize(("plan", "bound"), [(121e6, None), (None, 99e6)])
def test_a_plan_beyond_a_bound_is_told_with_both_origins(plan: float | None, bound: float | None) -> None:
    with pytest.raises(Refuted, match=r"now.*cannot both be true"):
        merged(CASE, KNOWN, found(plan, bound), TODAY)


def test_the_table_is_read_as_written_in_the_generators_order(tmp_path: Path) -> None:
    best = {Case("sparse", "s", 1): Best("b"), Case("parks", "m", 2): KNOWN, Case("parks", "s", 10): KNOWN}
    write_best(tmp_path / "best.csv", best)
    again = read_best(tmp_path / "best.csv")
    assert again == best
    assert [str(case) for case in again] == ["parks s seed 10", "parks m seed 2", "sparse s seed 1"]
    assert best_lines(again)[2].startswith("| parks | s | 10 | 100.0 | 120.0 | 20.0 % | 13.3 % |")


@pytest.mark.parametrize("family", ["parks", "sparse"])
def test_the_generator_still_draws_what_the_published_table_is_of(family: str, tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    assert optimize(["generate", "water", "--size", "s", "--seed", "2", "--family", family, str(folder)]) == 0
    (part,) = read_instance(folder, [WATER]).programmes
    assert part.data.fingerprint == read_best(BEST_KNOWN)[Case(family, "s", 2)].fingerprint


def test_a_stored_run_counts_as_far_as_it_is_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_instance(tmp_path / "town", [(WATER.schema, make_town().draft())])
    solving = ["solve", str(tmp_path / "town"), "--engine", "fast", "--time-limit", "3", "--gap", "0"]
    assert optimize([*solving, "--results", str(tmp_path / "results")]) == ExitCode.SOLVED
    (run,) = (place.parent for place in (tmp_path / "results").rglob("summary.json"))
    summary, table = read_summary(run), tmp_path / "best.csv"
    call = ["--run", str(run), "--table", str(table)]
    assert main(call) == ExitCode.BAD_INPUT
    assert "none of the table's" in capsys.readouterr().err
    write_best(table, {CASE: Best(read_manifest(run)["fingerprint"])})
    assert main(call) == ExitCode.SOLVED
    best = read_best(table)[CASE]
    assert best.plan_cny == pytest.approx(summary["objective"], rel=1e-6)
    assert best.bound_cny is not None and best.bound_cny >= best.plan_cny
    assert best.gross_cny == pytest.approx(summary["figures"]["gross_benefit_cny"])
    write_best(table, {CASE: dataclasses.replace(best, plan_cny=2 * best.bound_cny)})
    assert main(call) == ExitCode.FAILED_CHECK
    (run / "plants.csv").write_text("nothing\n")
    assert main(call) == ExitCode.BAD_INPUT
    assert "is not as it says" in capsys.readouterr().err


def test_a_wrong_call_names_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--size", "s,huge"])
    assert "s, m, l, xl" in capsys.readouterr().err
    assert water_challenge.main(["--show", "--table", str(BEST_KNOWN)]) == 0
