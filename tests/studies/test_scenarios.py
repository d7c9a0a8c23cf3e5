"""Scenario files: what they expand to, and every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimize.errors import InputFaults, UsageError
from optimize.studies.neighbours import order_by_neighbours
from optimize.studies.scenarios import Scenario, read_scenarios


def _read(tmp_path: Path, text: str) -> list[Scenario]:
    path = tmp_path / "scenarios.toml"
    path.write_text(text, encoding="utf-8")
    return read_scenarios(path)


def _faults(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputFaults) as caught:
        _read(tmp_path, text)
    return str(caught.value)


def test_a_scenario_builds_on_its_base(tmp_path: Path) -> None:
    text = """
    [scenarios.less]
    zh = "少"
    set = { "budgets.scale" = 0.8, "base_year" = 2024 }
    [[scenarios.less.change]]
    table = "pv_siting/kinds"
    scale = { capex_cny_per_kw = 1.1 }
    [scenarios.least]
    base = "less"
    set = { "budgets.scale" = 0.5 }
    [[scenarios.least.change]]
    table = "pv_siting/sites"
    where = { district = "East" }
    drop = true
    """
    less, least = _read(tmp_path, text)
    assert (less.name, less.zh, less.en) == ("less", "少", "少")
    assert least.overrides == {"budgets.scale": 0.5, "base_year": 2024}
    assert [change.table for change in least.changes] == ["pv_siting/kinds", "pv_siting/sites"]


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    text = """
    [grids.g]
    en = "Money"
    set = { "budgets.scale" = [0.8, 1.0, 1.2], "base_year" = 2024 }
    [[grids.g.change]]
    table = "pv_siting/kinds"
    scale = { capex_cny_per_kw = [0.9, 1.1] }
    """
    found = _read(tmp_path, text)
    assert [scenario.name for scenario in found] == [f"g-{k}" for k in range(1, 7)]
    points = {(s.overrides["budgets.scale"], s.changes[0].scale["capex_cny_per_kw"]) for s in found}
    assert points == {(a, b) for a in (0.8, 1.0, 1.2) for b in (0.9, 1.1)}
    assert found[0].varies == {"budgets.scale": 0.8, "pv_siting/kinds capex_cny_per_kw": 0.9}
    assert found[0].en == "Money (scale 0.8, capex_cny_per_kw 0.9)"


def test_a_sample_is_drawn_by_its_seed(tmp_path: Path) -> None:
    text = """
    [samples.s]
    number = 40
    seed = 7
    set = { "budgets.scale" = { from = 0.8, to = 1.2 }, "base_year" = { choose = [2024, 2025] } }
    [[samples.s.change]]
    table = "pv_siting/kinds"
    scale = { capex_cny_per_kw = { mean = 1.0, sd = 0.1 } }
    """
    once, twice = _read(tmp_path, text), _read(tmp_path, text)
    assert once == twice and len(once) == 40
    scales = [scenario.overrides["budgets.scale"] for scenario in once]
    assert all(0.8 <= scale <= 1.2 for scale in scales) and len(set(scales)) == 40
    assert {scenario.overrides["base_year"] for scenario in once} == {2024, 2025}
    other = _read(tmp_path, text.replace("seed = 7", "seed = 8"))
    assert [s.overrides for s in other] != [s.overrides for s in once]


def test_every_fault_of_the_file_is_told_at_once(tmp_path: Path) -> None:
    told = _faults(
        tmp_path,
        """
        [scenario.a]
        [scenarios.b]
        sett = { x = 1 }
        [scenarios.c]
        set = 3
        [[scenarios.c.change]]
        scale = { x = 1.1 }
        [samples.d]
        seed = -1
        """,
    )
    for words in ("scenario: expected", 'did you mean "scenarios"', "scenarios.b.sett", "scenarios.c.set",
                  "change 1.table", "samples.d.number", "samples.d.seed"):  # fmt: skip
        assert words in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[scenarios.a]\nbase = "b"\n[scenarios.b]\nbase = "a"', "does not build on this one"),
        ('[scenarios.alpha]\n[scenarios.b]\nbase = "alfa"', 'did you mean "alpha"'),
        ('[grids.a]\nset = { "budgets.scale" = 1 }', "a list"),
        ('[samples.a]\nnumber = 2\nset = { "x" = { from = 2, to = 1 } }', "from <= to"),
        ("", "at least one"),
        ("[scenarios.a", "TOML"),
        ('[[scenarios.a.change]]\ntable = "t"\ndrop = true\nonly = true', "both"),
        ('[[scenarios.a.change]]\ntable = "t"', "none of them"),
    ],
)
def test_what_cannot_be_expanded_is_a_fault(tmp_path: Path, text: str, words: str) -> None:
    assert words in _faults(tmp_path, text)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a file"):
        read_scenarios(tmp_path / "none.toml")


def _at(scale: float, price: float = 0.0) -> Scenario:
    return Scenario(f"{scale} {price}", "", "", {"budgets.scale": scale, "price": price})


def _apart(a: Scenario, b: Scenario) -> float:
    """In shares of the larger scale."""
    scales = a.overrides["budgets.scale"], b.overrides["budgets.scale"]
    return (max(scales) - min(scales)) / max(scales)


def test_each_scenario_starts_from_its_nearest_neighbour_so_far() -> None:
    scenarios = [_at(1.0 + 0.01 * k) for k in range(33)]
    steps = order_by_neighbours(scenarios)
    assert sorted(step.position for step in steps) == list(range(33))
    assert steps[0].parent is None
    done: list[int] = []
    depth: dict[int, int] = {}
    for step in steps:
        if step.parent is not None:
            apart = [_apart(scenarios[d], scenarios[step.position]) for d in done]
            assert _apart(scenarios[step.parent], scenarios[step.position]) == min(apart)
        depth[step.position] = 0 if step.parent is None else depth[step.parent] + 1
        done.append(step.position)
    # a path from one end to the other could not be solved in parallel
    assert max(depth.values()) <= 8


def test_a_scenario_starts_rather_from_one_with_the_same_budgets() -> None:
    """Nearer by its figures is the one with the other budgets; a plan for these would be none here."""
    scenarios = [_at(1.0, 50.0), _at(0.96, 60.0), _at(1.0, 60.0)]
    parents = {step.position: step.parent for step in order_by_neighbours(scenarios)}
    assert parents == {0: None, 1: 0, 2: 0}


def test_the_order_does_not_depend_on_anything_else() -> None:
    scenarios = [_at(scale, price) for scale in (0.8, 1.0, 1.2) for price in (0.0, 50.0)]
    assert order_by_neighbours(scenarios) == order_by_neighbours(list(scenarios))
    assert order_by_neighbours([]) == []
