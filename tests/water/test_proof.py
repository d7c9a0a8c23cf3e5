"""Multipliers of the Lagrangian bound: evaluated apart from the engine, stored with a run, verified."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optimize.cli import main
from optimize.engine import network_bound
from optimize.engine.network_bound import IN_FULL, Prices
from optimize.engine.stopping import Watch
from optimize.errors import UnreadableProof
from optimize.io.run_store import MANIFEST, NETWORK_MULTIPLIERS, file_digest, seal_of
from optimize.io.validation import data_from_draft
from optimize.io.write import write_instance
from optimize.programme import SolveOptions
from optimize.verification import bound as verification
from optimize.water import fast, fast_proof, fast_rounds
from optimize.water.coefficients import derive_coefficients
from optimize.water.example import example
from optimize.water.fast_bound import WaterBound
from optimize.water.fast_goal import MINIMISED
from optimize.water.fast_locks import locked_decisions
from optimize.water.fast_proof import Order
from optimize.water.instance import Instance, load
from optimize.water.proof.multipliers import names_of, pack, rounded, unpack
from optimize.water.proof.prove import bound_by, prove_bound
from optimize.water.schema import SCHEMA
from optimize.water.stated import state_bounding
from tests.water import test_formulation_rows as rows
from tests.water.conftest import make_town
from tests.water.test_bound import two_plants_by_season
from tests.water.test_fast_phased import phase

# --- the evaluation, beside the compiled one ------------------------------------------------------


def steered(town: Any) -> None:
    """A volume, a nitrogen load and a mean distance that have to be met, over seasons."""
    two_plants_by_season(town, 1)
    town.aim("W-VOLUME", 20_000.0)
    town.aim("W-TN", 100.0)
    town.rows["corridors"]["AB"]["directed"] = True


def everything(town: Any) -> None:
    """The template: cascades, tankers, two mixes, near-zero discharge, soft and hard clauses."""
    draft = example()
    town.draft = lambda: draft
    town.instance = lambda: load(data_from_draft(SCHEMA, draft))


KINDS: dict[str, Callable[[Any], None]] = {
    "steered": steered,
    "everything": everything,
    "tanker": rows.tanker,
    "cascade": rows.cascade,
    "quota": rows.quota,
    "mixes": rows.mix_would_switch,
    "little money": rows.little_money,
    "forced out": rows.forced_out,
    "fixed": rows.fixed,
    "storage": rows.seasons_with_tank,
    "contracted": rows.contracted,
}


@pytest.mark.parametrize("most_multipliers", [IN_FULL, 8])
@pytest.mark.parametrize("goal", ["npv", "cost"])
@pytest.mark.parametrize("kind", KINDS)
def test_numpy_and_compiled_evaluation_agree_on_any_multipliers(
    kind: str, goal: str, most_multipliers: int, town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_bound, "ROUNDING", 0.0)
    KINDS[kind](town)
    instance = town.instance()
    c = derive_coefficients(instance)
    locks = locked_decisions(instance, c)
    bound = WaterBound(instance, c, locks, goal)
    watch = Watch(SolveOptions(time_limit_s=60.0), maximise=True)
    bound.start(watch)
    bound.improve(watch, -1e9, 20)
    if bound._may_refine():
        bound._refine()
    lagrangian = bound._lagrangian
    assert lagrangian is not None
    lagrangian = lagrangian.widened(most_multipliers)
    network, shared = lagrangian.network, lagrangian.multipliers
    order = Order(c, lagrangian, bound._groups)
    rng = np.random.default_rng(0)
    potential, birth, prices = lagrangian.best_multipliers()
    scale = float(np.abs(potential).mean()) + 1.0
    for share in (0.0, 0.3, 2.0):
        noisy = shared.from_full(
            potential + share * rng.normal(0.0, scale, potential.shape),
            birth + share * rng.normal(0.0, 0.3 * scale, birth.shape),
            network,
        )
        drawn = (
            *shared.in_full(noisy, network),
            Prices(
                prices.purse + share * rng.uniform(0.0, 0.1, prices.purse.shape),
                prices.raw + share * rng.uniform(0.0, scale, prices.raw.shape),
                prices.effect + share * rng.uniform(0.0, 0.1, prices.effect.shape),
            ),
        )
        compiled = lagrangian.value_at(*drawn)
        own = bound_by(instance, c, locks, goal, order.stated(*drawn))
        own *= -1.0 if goal in MINIMISED else 1.0
        assert own == pytest.approx(compiled, rel=1e-9, abs=1e-5)


# --- the file -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def improved() -> tuple[Instance, WaterBound, float]:
    """A town of four seasons and its best bound."""
    instance = seasonal_town().instance()
    c = derive_coefficients(instance)
    bound = WaterBound(instance, c, locked_decisions(instance, c))
    watch = Watch(SolveOptions(time_limit_s=60.0), maximise=True)
    linear = bound.start(watch)
    assert linear is not None
    best = [bound.improve(watch, 0.85 * linear, 100) for _ in range(8)][-1]
    assert best is not None
    return instance, bound, best


@pytest.fixture(scope="module")
def proven(improved: tuple[Instance, WaterBound, float]) -> tuple[Instance, bytes, float]:
    """That town, its stored multipliers, and the bound they are said to prove."""
    instance, bound, best = improved
    certificate = bound.prove()
    assert certificate is not None and certificate.network is not None
    network = certificate.network
    assert network.content is not None and network.num_seasons == 4
    assert network.bound < certificate.bound
    assert network.bound == pytest.approx(best, rel=1e-6)
    return instance, network.content, network.bound


def seasonal_town() -> Any:
    town = make_town()
    two_plants_by_season(town, 1)
    return town


def test_stored_multipliers_prove_the_claimed_bound(proven: tuple[Instance, bytes, float]) -> None:
    instance, content, bound = proven
    found = prove_bound(instance, ("npv",), content)
    assert found.bound == pytest.approx(bound, rel=1e-8)
    assert found.num_seasons == 4
    c = derive_coefficients(instance)
    multipliers = unpack(content, names_of(instance, c))
    assert pack(*rounded(multipliers), names_of(instance, c)) == content


def test_what_there_is_no_time_to_store_is_told_and_proves_nothing(
    improved: tuple[Instance, WaterBound, float],
) -> None:
    certificate = improved[1].prove(stored=False)
    assert certificate is not None and certificate.network is not None
    assert certificate.network.content is None and certificate.network.bound == pytest.approx(improved[2])
    assert certificate.closest(maximise=True) == certificate.bound


def test_multipliers_of_no_use_are_refused(proven: tuple[Instance, bytes, float]) -> None:
    instance, content, _ = proven
    names = names_of(instance, derive_coefficients(instance))

    def refused(**changed: Any) -> str:
        with np.load(io.BytesIO(content)) as arrays:
            own = {name: arrays[name] for name in arrays.files}
        stream = io.BytesIO()
        np.savez_compressed(stream, **(own | changed))
        with pytest.raises(UnreadableProof) as error:
            prove_bound(instance, ("npv",), stream.getvalue())
        return str(error.value)

    season = np.arange(4)
    assert "purse: a price below 0" in refused(purse=-np.ones(len(names["purses"])))
    assert "raw: holds what is no number" in refused(raw=np.full((4, len(names["origins"])), np.nan))
    assert "potential: shape" in refused(potential=np.zeros((4, 1, 1)))
    assert "potential: shape" in refused(season=season // 2)
    assert "seasons are not made of the periods" in refused(season=np.array([0, 1, 2, 3, -1]))
    assert "a season has no period" in refused(season=np.array([0, 1, 3, 3]))
    assert "nodes are not those" in refused(names_nodes=np.array(["X", *names["nodes"][1:]]))
    assert "grid" in refused(grid=np.array(0.0))
    for broken in (b"", content[: len(content) // 2], b"PK nothing"):
        with pytest.raises(UnreadableProof):
            prove_bound(instance, ("npv",), broken)


def test_seasons_are_refused_where_storage_joins_them(town: Any) -> None:
    rows.seasons_with_tank(town)
    instance = town.instance()
    c = derive_coefficients(instance)
    bound = WaterBound(instance, c, locked_decisions(instance, c))
    watch = Watch(SolveOptions(time_limit_s=60.0), maximise=True)
    bound.start(watch)
    for _ in range(3):
        bound.improve(watch, 0.0, 100)
    certificate = bound.prove()
    assert certificate is not None and certificate.network is not None and certificate.network.content
    names = names_of(instance, c)
    whole_year = unpack(certificate.network.content, names)
    assert whole_year.num_seasons == 1
    periods = len(c.days)
    split = replace(
        whole_year,
        season=np.arange(periods),
        potential=np.repeat(whole_year.potential / periods, periods, axis=0),
        birth=np.repeat(whole_year.birth / periods, periods, axis=0),
        raw=np.repeat(whole_year.raw / periods, periods, axis=0),
    )
    with pytest.raises(UnreadableProof, match="storage"):
        prove_bound(instance, ("npv",), pack(*rounded(split), names))


def test_a_file_that_would_unpack_to_too_much_is_refused(
    proven: tuple[Instance, bytes, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    instance, content, _ = proven
    monkeypatch.setattr("optimize.water.proof.multipliers._MOST_UNPACKED", 1000)
    with pytest.raises(UnreadableProof, match="unpacks"):
        prove_bound(instance, ("npv",), content)


@pytest.mark.parametrize("goal", ["npv", "volume"])
def test_a_phased_plan_is_certified_by_the_stage_that_bounds_it(
    goal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = make_town()
    two_plants_by_season(town, 0)
    phase(town, 500_000.0)
    town.targets.clear()
    instance = town.instance()
    monkeypatch.setattr(fast_rounds, "is_worth_branching", lambda c: False)
    monkeypatch.setattr(fast_rounds, "STILL_ITERATIONS", 800)
    monkeypatch.setattr(fast_rounds, "PATIENCE", 1)
    result = fast.solve_fast(instance, SolveOptions(goal=(goal,), gap=1e-9, time_limit_s=20.0))
    certificate = result.certificate
    assert result.objective is not None and certificate is not None
    stated = state_bounding(instance, (goal,))
    assert stated is not None
    by_rows = verification.prove_bound(
        stated.for_goals((goal,), ()), certificate.multipliers, certificate.block_rows
    )
    assert by_rows.bound == pytest.approx(certificate.bound, rel=1e-8)
    assert by_rows.bound >= result.objective > 0.0
    if goal == "npv":
        assert certificate.network is not None and certificate.network.content is not None
        by_network = prove_bound(instance, (goal,), certificate.network.content)
        assert by_network.bound == pytest.approx(certificate.network.bound, rel=1e-8)
        assert by_rows.bound > by_network.bound >= result.objective


# --- a run ----------------------------------------------------------------------------------------


def command(*arguments: object) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in arguments])
    return code, out.getvalue() + err.getvalue()


def solved(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose bound is the Lagrangian's: what would close the gap of so small a town is left out."""
    write_instance(home / "town", [(SCHEMA, seasonal_town().draft())])
    monkeypatch.setattr(fast_rounds, "is_worth_branching", lambda c: False)
    for module in (fast, fast_rounds):
        monkeypatch.setattr(module, "improve_by_model", lambda solve, seconds, plan=None: None)
    monkeypatch.setattr(fast_rounds, "STILL_ITERATIONS", 800)
    monkeypatch.setattr(fast_rounds, "PATIENCE", 1)
    code, out = command(
        "solve", home / "town", "--engine", "fast", "--json", "--gap", "1e-9", "--time-limit", 20,
        "--results", home / "results",
    )  # fmt: skip
    assert code == 0, out
    return Path(json.loads(out.splitlines()[-1])["run"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return solved(tmp_path_factory.mktemp("proof"), patch)


def verified(run: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    code, out = command("verify", run, "--json", *arguments)
    return code, json.loads(out.splitlines()[0])


def spoiled(run: Path, place: Path, change: Callable[[Path], None]) -> tuple[int, dict[str, Any]]:
    """The verdict on a copy of the run with something changed, and all hashes made right again."""
    copy = Path(shutil.copytree(run, place / "run"))
    change(copy)
    manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    manifest.pop("seal")
    manifest["files"] = {
        name: file_digest(copy / name) for name in manifest["files"] if (copy / name).is_file()
    }
    content = json.dumps(manifest | {"seal": seal_of(manifest)}, ensure_ascii=False)
    (copy / MANIFEST).write_text(content, encoding="utf-8")
    return verified(copy, "--instance", run.parents[3] / "town")


def with_claim(**changed: Any) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        manifest = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
        network = manifest["certificate"]["network"]
        for key, value in changed.items():
            network[key] = value(network[key]) if callable(value) else value
        (run / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")

    return change


def with_multipliers(name: str, by: Callable[[Any], Any]) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        with np.load(run / NETWORK_MULTIPLIERS) as arrays:
            own = {key: arrays[key] for key in arrays.files}
        np.savez_compressed(run / NETWORK_MULTIPLIERS, **(own | {name: by(own[name])}))

    return change


def test_an_honest_run_is_certified_by_its_network(run: Path) -> None:
    code, verdict = verified(run)
    assert code == 0, verdict["failures"]
    assert verdict["certificate"] == "network"
    assert verdict["bound_certified"] == verdict["bound_by_network"] < verdict["bound_by_rows"]
    assert verdict["gap_certified"] == pytest.approx(verdict["gap_stated"], abs=1e-6)
    _, out = command("verify", run)
    assert "multipliers of the network over 4 seasons" in out
    assert "all of it certified by multipliers" in out and "the linear relaxation alone certifies" in out
    told = json.loads((run / "summary.json").read_text(encoding="utf-8"))["certificate"]
    assert told["kind"] == "network" and told["bound"] == pytest.approx(verdict["bound_certified"], rel=1e-8)


def _noise(values: Any) -> Any:
    return (values * np.random.default_rng(0).uniform(0.7, 1.3, values.shape)).astype(values.dtype)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (with_multipliers("potential", _noise), "its network multipliers prove"),
        (with_multipliers("purse", lambda purse: -purse - 1.0), "a price below 0 proves nothing"),
        (with_multipliers("season", lambda season: season[::-1]), "its network multipliers prove"),
        (with_multipliers("names_nodes", lambda names: names[::-1]), "its nodes are not those"),
        (with_claim(bound=lambda bound: bound * (1 - 1e-6)), "its network multipliers prove"),
        (with_claim(bound=None), "its network multipliers prove"),
        (lambda run: (run / NETWORK_MULTIPLIERS).unlink(), "cannot be read"),
        (lambda run: (run / NETWORK_MULTIPLIERS).write_bytes(b"PK"), "cannot be read"),
    ],
)  # fmt: skip
def test_what_was_falsified_is_named(
    run: Path, tmp_path: Path, change: Callable[[Path], None], word: str
) -> None:
    code, verdict = spoiled(run, tmp_path, change)
    assert code == 5
    assert any(word in failure for failure in verdict["failures"]), verdict["failures"]


def test_a_touched_file_is_named_by_its_hash(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    with_multipliers("raw", lambda raw: raw + 1.0)(copy)
    code, verdict = verified(copy, "--instance", run.parents[3] / "town")
    assert code == 5
    assert any(f"{NETWORK_MULTIPLIERS} was changed" in failure for failure in verdict["failures"])


def test_an_instance_that_has_changed_since_is_refused(run: Path, tmp_path: Path) -> None:
    town = Path(shutil.copytree(run.parents[3] / "town", tmp_path / "town"))
    table = town / "water" / "corridors.csv"
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    table.write_text("\n".join([*lines[:2], lines[2].replace("J", "P", 1), *lines[3:]]) + "\n")
    code, verdict = verified(run, "--instance", town)
    assert code == 2 and verdict["status"] == "not verified"


def test_multipliers_too_large_to_keep_are_told(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_proof, "MOST_BYTES", 100)
    large = solved(tmp_path, monkeypatch)
    assert not (large / NETWORK_MULTIPLIERS).exists()
    code, verdict = verified(large)
    assert code == 0, verdict["failures"]
    assert verdict["certificate"] == "linear"
    assert "too large to be stored" in verdict["remarks"][0]
