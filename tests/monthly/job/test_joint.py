"""A job that plans two programmes under one budget: a contract stands, less money moves the rest, a month is planned once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optimize.cli import main
from tests.monthly.job.conftest import Place, Zygote

_JOB = """
[job]
name = "town"
[instance]
folder = "town"
[plan]
programmes = ["datacenter", "pv_siting"]
joint = true
[solve]
gap = 0.01
explain_s = 0
[revise]
ledger = "ledger.csv"
penalty_cny_per_change = 1000
price = false
"""


@pytest.fixture
def joint(tmp_path: Path, zygote: Zygote) -> Place:
    """The example of a city, without what no city needs: reading is most of a tiny run."""
    place = Place(tmp_path, zygote)
    assert main(["template", "city", str(place.instance)]) == 0
    for name in ("cooling_water", "shared_heat", "pv_at_centres"):
        (place.instance / "city" / f"{name}.csv").unlink()
    for file in (place.instance / "water").iterdir():
        file.unlink()
    (place.instance / "water").rmdir()
    place.file.write_text(_JOB, encoding="utf-8")
    return place


def _projects(place: Place, month: str) -> pd.DataFrame:
    (file,) = (place.home / month / "runs").rglob("pv_siting.projects.csv")
    return pd.read_csv(file, encoding="utf-8-sig").set_index("site")


def test_a_joint_plan_keeps_its_contracts_when_money_is_cut(joint: Place) -> None:
    assert joint.run("2024-01")[0] == 0
    before = _projects(joint, "2024-01")
    site = str(before["capex_cny"].idxmax())
    cost = 1.1 * float(before.loc[site, "capex_cny"])
    contract = ("contracted", "pv_siting", site, "--cost", cost, "--period", "2024-01")
    assert joint.zygote.run("ledger", "add", joint.file, *contract)[0] == 0
    settings = joint.instance / "instance.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(re.sub(r"(?m)^scale = 1\.0$", "scale = 0.6", text), encoding="utf-8")

    code, said = joint.run("2024-02")
    assert code == 0 and "0 to contracted projects" in said and "checked: passed" in said, said
    after = _projects(joint, "2024-02")
    assert after.loc[site, "capex_cny"] == pytest.approx(cost)
    assert (after.loc[site, ["configuration", "year"]] == before.loc[site, ["configuration", "year"]]).all()
    told: dict[str, Any] = json.loads((joint.home / "2024-02" / "manifest.json").read_text(encoding="utf-8"))
    (subject,) = told["changes"]["subjects"]
    assert (
        subject["changes"] > 0
        and subject["frozen"] == 0
        and subject["objective"] < subject["objective_before"]
    )

    published = joint.seals()
    code, said = joint.run("2024-02")
    assert code == 0 and "is published already" in said and joint.seals() == published
    joint.assert_settled("2024-02")
