"""The city's tables: every fault at once, and what is taken where nothing is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from optimize.city.example import example_city
from optimize.city.reading import holds_city, read_city
from optimize.errors import Fault, InputFaults
from optimize.io.write import write_instance
from optimize.registry import PROGRAMMES


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("written") / "city"
    write_instance(place, example_city())
    return place


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(written, tmp_path / "city"))


def faults_of(folder: Path) -> list[Fault]:
    with pytest.raises(InputFaults) as caught:
        read_city(folder, PROGRAMMES)
    return list(caught.value.faults)


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_without_a_pool_of_its_own_it_is_the_sum_of_the_programmes(folder: Path) -> None:
    _, city = read_city(folder, PROGRAMMES)
    assert city.names == ("datacenter", "water", "pv_siting")
    assert city.pool_cny == pytest.approx(city.today_cny.sum(axis=0))
    assert city.today_cny[0, 0] == pytest.approx([560_000.0, 640_000.0])


def test_a_given_pool_is_split_today_as_the_own_budgets_are(folder: Path) -> None:
    _, before = read_city(folder, PROGRAMMES)
    rows = "source,year,amount_wan_cny\nmunicipal,2024,100\nEast,2025,30\n"
    (folder / "city" / "budgets.csv").write_text(rows, encoding="utf-8")
    _, city = read_city(folder, PROGRAMMES)
    assert city.pool_cny[0, 0] == 1_000_000.0 and city.pool_cny.sum() == 1_300_000.0
    share = before.today_cny[:, 0, 0] / before.today_cny[:, 0, 0].sum()
    assert city.today_cny[:, 0, 0] == pytest.approx(1_000_000.0 * share)
    assert city.fingerprint != before.fingerprint


def test_a_part_of_the_programmes_keeps_the_links_between_them(folder: Path) -> None:
    _, city = read_city(folder, PROGRAMMES, ["datacenter", "pv_siting"])
    assert not len(city.cooling_water) and len(city.shared_heat) == 1 and len(city.pv_at_centres) == 1
    assert city.today_cny.shape == (2, 3, 2)


def test_all_faults_come_at_once_and_say_how_to_mend_them(folder: Path) -> None:
    rows = "source,year,amount_cny\nowner,2024,1\nEsat,2024,1\nEast,2030,-3\n"
    (folder / "city" / "budgets.csv").write_text(rows, encoding="utf-8")
    replace_in(folder / "city" / "cooling_water.csv", "cooling-DC1", "cooling-DC2")
    replace_in(folder / "city" / "shared_heat.csv", "clinic,", "clinc,")
    replace_in(folder / "instance.toml", "baseline_co2_t", "baseline_co2")
    replace_in(folder / "datacenter" / "centres.csv", "water_chiller", "water_chillr")
    found = faults_of(folder)
    assert {(f.table, f.column) for f in found} >= {
        ("datacenter/centres.csv", "cooling_type"),
        ("city/budgets.csv", "amount_cny"),
        ("instance.toml", "city.baseline_co2"),
    }
    replace_in(folder / "datacenter" / "centres.csv", "water_chillr", "water_chiller")
    replace_in(folder / "city" / "budgets.csv", "-3", "3")
    replace_in(folder / "instance.toml", "baseline_co2", "baseline_co2_t")
    found = faults_of(folder)
    assert {(f.table, f.column, f.line) for f in found} == {
        ("city/budgets.csv", "source", 2),
        ("city/budgets.csv", "source", 3),
        ("city/budgets.csv", "year", 4),
        ("city/cooling_water.csv", "demand", 2),
        ("city/shared_heat.csv", "site", 2),
    }
    mends = {f.found: f.mend for f in found}
    assert mends['"Esat"'] == 'did you mean "East"?' and mends['"clinc"'] == 'did you mean "clinic"?'


def test_links_that_could_not_be_kept_exactly_are_faults(folder: Path) -> None:
    for table, old, new in (
        ("instance.toml", "required = 3970.0", "required = 3970.0\ndeadline_year = 2025"),
        ("instance.toml", "periods = 4", "periods = 4\npeak_day = true\nphased = true"),
        ("instance.toml", "baseline_energy_tce = 4000.0", ""),
        ("instance.toml", "[water.clauses.W-CAP]", "[water.clauses.W-CAP]\nhard = false"),
        ("water/users.csv", "DC1-towers,East,90000,0", "DC1-towers,East,90000,0.4"),
        ("water/user_demands.csv", "cooling-DC1,DC1-towers,cooling,70", "cooling-DC1,DC1-towers,cooling,7"),
        ("water/user_demands.csv", "gardens-u,gardens", "gardens-u,DC1-towers"),
        ("pv_siting/sites.csv", "480000", "6480000"),
    ):
        replace_in(folder / table, old, new)
    found = [f"{fault.table} {fault.column} {fault.expected}" for fault in faults_of(folder)]
    for told in (
        "instance.toml city.clauses.CITY-ENERGY.deadline_year no deadline",
        "instance.toml water.peak_day false where cooling_water links",
        "instance.toml water.phased false where cooling_water links",
        "instance.toml city.baseline_energy_tce a number, because CITY-ENERGY is asked for",
        "instance.toml water.clauses.W-CAP.hard true where cooling_water links",
        "city/cooling_water.csv demand a user with min_take_share 0",
        "city/cooling_water.csv demand a user with this demand only",
        "city/cooling_water.csv demand a demand of at least the centres' present water",
        "city/shared_heat.csv sink sinks that take the hot water of their sites",
    ):
        assert any(line.startswith(told) for line in found), told


def test_only_folders_that_say_something_of_the_city_hold_one(folder: Path) -> None:
    assert holds_city(folder)
    bare = folder.parent / "bare"
    write_instance(bare, example_city()[:3])
    assert not holds_city(bare)
    _, city = read_city(bare, PROGRAMMES, ["water"], {"budgets.scale": 0.5})
    assert not city.is_coupled and city.pool_cny[0] == pytest.approx(
        0.5 * np.array([1_260_000.0, 1_440_000.0])
    )
