"""What is exported for maps, opened with a reader that is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from optimize.publish.facts import RunFacts
from optimize.publish.geo import geo_layers

pyogrio = pytest.importorskip("pyogrio")


def test_a_geopackage_opens_elsewhere_with_every_feature(
    city: RunFacts, run: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    package, collection = tmp_path / "plan.gpkg", tmp_path / "plan.geojson"
    done = run("export", city.folder, "--gpkg", package, "--geojson", collection)
    assert done.returncode == 0, done.stderr
    layers = {layer.name: layer for layer in geo_layers(city)}
    assert {name for name, _ in pyogrio.list_layers(package)} == set(layers)
    for name, layer in layers.items():
        told = pyogrio.read_info(package, layer=name)
        assert (told["features"], told["crs"], told["geometry_type"]) == (
            len(layer.attributes),
            "EPSG:4326",
            layer.kind,
        )
        assert list(told["fields"]) == list(layer.attributes.columns)
    _, _, geometry, fields = pyogrio.raw.read(package, layer="pv_siting_projects")
    projects = city.part("pv_siting").table("projects")
    assert len(geometry) == len(projects)
    assert sum(fields[list(layers["pv_siting_projects"].attributes.columns).index("kw")]) == pytest.approx(
        projects["kw"].sum()
    )
    features = json.loads(collection.read_text(encoding="utf-8"))["features"]
    assert len(features) == sum(len(layer.attributes) for layer in layers.values())
    assert {feature["properties"]["layer"] for feature in features} == set(layers)


def test_what_to_write_has_to_be_named(pv: RunFacts, run: Callable[..., CompletedProcess[str]]) -> None:
    done = run("export", pv.folder)
    assert done.returncode == 2 and "--geojson" in done.stderr


def test_the_command_writes_a_report_and_refuses_too_many_runs(
    pv: RunFacts, run: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    done = run("report", pv.folder, "--lang", "zh", "--out", tmp_path / "r.html")
    assert done.returncode == 0 and "without a network" in done.stdout
    assert run("report", *[pv.folder] * 7).returncode == 2
    assert not (tmp_path / "report.html").exists()
