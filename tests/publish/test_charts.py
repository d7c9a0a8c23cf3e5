"""Charts and maps say what the plan says, and can be read without colour."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from optimize.cli import main
from optimize.i18n.words import Words
from optimize.io.shapes import read_shapes, shape_faults
from optimize.io.write import write_instance
from optimize.publish import charts, charts_effects, charts_water
from optimize.publish.charts_studies import Proven, front_chart, scenario_chart, stress_chart
from optimize.publish.document import look
from optimize.publish.facts import RunFacts
from optimize.publish.map import plan_map
from optimize.publish.map_frame import dense_window, window_of
from optimize.publish.svg import _HATCHES, FILLS, Drawing, shortened, text_width, ticks
from optimize.publish.water_balance import STORE, water_balance_of
from optimize.registry import find_programme

EN = Words("en")


def test_fills_differ_in_lightness_or_in_hatching() -> None:
    colours = dict(re.findall(r"--c(\d): #([0-9a-f]{6})", look()))
    lightness = {f"f{k}": _lightness(colour) for k, colour in colours.items()}
    for k, one in enumerate(FILLS):
        for other in FILLS[k + 1 :]:
            if _HATCHES.get(one) == _HATCHES.get(other):
                assert abs(lightness[one] - lightness[other]) > 0.25, (one, other)


def _lightness(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float((0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** (1 / 2.2))


def test_text_on_white_has_contrast() -> None:
    for name in ("ink", "soft", "good", "bad", "warn", "accent"):
        (colour,) = re.findall(rf"--{name}: #([0-9a-f]{{6}})", look())
        assert (1.05) / (_lightness(colour) ** 2.2 + 0.05) >= 4.5, name


def test_a_drawing_escapes_and_keeps_its_patterns_to_itself() -> None:
    drawings = []
    for title in ("one", "two"):
        drawing = Drawing(10, 10, f"<{title}>", 'a "b"')
        drawing.bar(0, 0, 5, 5, "f2", "<tip>", "javascript:\"'")
        drawings.append(str(drawing.markup()))
    one, two = (re.findall(r'pattern id="([^"]+)"', text) for text in drawings)
    assert one and two and one != two
    assert "<tip>" not in drawings[0] and "&lt;tip&gt;" in drawings[0]
    assert f"url(#{one[0]})" in drawings[0]
    assert 'style="' not in drawings[0] and "<script" not in drawings[0]


@pytest.mark.parametrize(("most", "wished"), [(1.0, 4), (7.3, 4), (123456.0, 3), (0.0, 4)])
def test_ticks_are_round_and_reach_the_largest(most: float, wished: int) -> None:
    found = ticks(most, wished)
    assert found[0] == 0 and found[-1] >= most and 2 <= len(found) <= 2 * wished + 2


def test_names_are_shortened_to_their_room() -> None:
    assert shortened("上海市", 100) == "上海市"
    assert shortened("中国电信上海信息园", 60).endswith("…")
    assert text_width(shortened("中国电信上海信息园", 60)) <= 60


def test_money_panels_tell_every_year_and_group(city: RunFacts) -> None:
    panels = charts.money_panels(city.money, EN)
    assert len(panels) == len(charts.source_groups(city.money))
    for rows, svg in zip(charts.source_groups(city.money).values(), panels, strict=True):
        assert EN.money(math.fsum(rows["spent_cny"])) in svg
        assert all(f">{year}<" in svg for year in rows["year"])


def test_a_map_marks_every_site_once_and_links_it(pv: RunFacts) -> None:
    (plan,) = pv.parts
    maps = plan_map(plan, EN, lambda project: f"/projects/{project}")
    sites = plan.table("projects")["site"]
    assert sorted(re.findall(r'href="/projects/([^"]+)"', maps[0])) == sorted(sites)
    assert "<a " not in plan_map(plan, EN)[0]


def test_a_map_of_water_tells_served_from_unserved(city: RunFacts) -> None:
    plan = city.part("water")
    (first, *_) = plan_map(plan, EN)
    assert plan.instance is not None
    tips = re.findall(r"<title>([^<]*)</title>", first)
    served = sum(tip.endswith(", served") for tip in tips)
    assert served == len(plan.table("users"))
    assert served + sum(tip.endswith(", not served") for tip in tips) == len(plan.instance.tables["users"])
    assert sum("pipe s" in part for part in first.split("<line")) >= len(plan.table("pipes"))


def test_a_programme_without_places_has_no_map(city: RunFacts) -> None:
    plan = city.part("datacenter")
    assert plan.instance is not None
    if not np.isfinite(plan.instance.tables["centres"]["lon"]).any():
        assert plan_map(plan, EN) == []


def test_the_water_balance_is_the_checkers_volume(city: RunFacts) -> None:
    plan = city.part("water")
    balance = water_balance_of(plan)
    assert balance is not None
    assert balance.total(None) == pytest.approx(plan.figures["volume"], rel=1e-9)
    for period in range(balance.num_periods):
        for quality in set(balance.used["quality"]):
            made = balance.amounts(balance.made[balance.made["quality"] == quality], period).sum()
            used = balance.amounts(balance.used[balance.used["quality"] == quality], period).sum()
            assert made == pytest.approx(used, rel=1e-6, abs=1e-6)
    assert STORE not in set(balance.made["origin"]) or len(plan.table("storage"))
    assert charts_water.water_flows(plan, EN) is not None
    assert len(charts_water.water_periods(plan, EN)) in (0, balance.num_periods)


def test_charts_of_effects_tell_the_checkers_figures(pv: RunFacts, city: RunFacts) -> None:
    generation = charts_effects.generation(pv.parts[0], EN)
    assert generation is not None and EN.percent(pv.figures["used_on_site_share"]) in generation
    plan = city.part("datacenter")
    pue = charts_effects.pue_before_after(plan, EN)
    if plan.figures["num_retrofits"]:
        assert pue is not None and EN.number(plan.figures["pue_after_of_treated"], digits=2) in pue


def test_pictures_of_studies(pv: RunFacts) -> None:
    goals = {goal.name: goal for goal in pv.parts[0].programme.goals}
    points = [
        {"npv": 5e6, "co2": 100.0, "bound_npv": 5.2e6, "knee": False, "best_of": "npv"},
        {"npv": 4e6, "co2": 150.0, "bound_npv": 4.1e6, "knee": True, "best_of": ""},
    ]
    front = front_chart({"goals": ["npv", "co2"], "points": points}, goals, EN)
    assert "most net present value" in front and "gives up least of all together" in front
    chart = scenario_chart([Proven("A", 5e6, 5.1e6), Proven("B", 4e6, None)], "CNY", "net present value", EN)
    assert "5.00 M CNY" in chart and "4.00 M CNY" in chart
    row = {"goal": "npv", "en": "net present value", "zh": "净现值", "unit": "CNY", "planned": 5.0e6}
    shares = {"p05": 3e6, "p25": 4e6, "p50": 4.5e6, "p75": 5e6, "p95": 6e6}
    assert "3.00 M CNY to 6.00 M CNY" in stress_chart({"samples": 10, "goals": [row | shares]}, EN)


def test_a_dense_part_is_found_where_most_points_are() -> None:
    rng = np.random.default_rng(0)
    lon = np.append(rng.uniform(120.0, 122.0, 40), rng.normal(121.5, 0.02, 80))
    lat = np.append(rng.uniform(30.0, 32.0, 40), rng.normal(31.2, 0.02, 80))
    window = window_of(lon, lat, {})
    assert window.holds(lon, lat).all()
    dense = dense_window(lon, lat, window)
    assert dense is not None and dense.holds(np.array([121.5]), np.array([31.2]))[0]
    assert dense_window(lon[:40], lat[:40], window) is None


@pytest.fixture
def shapes_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(content: str) -> Path:
        (tmp_path / "districts.geojson").write_text(content, encoding="utf-8")
        return tmp_path

    return write


def test_shapes_of_districts_are_read(shapes_file: Callable[[str], Path], tmp_path: Path) -> None:
    assert read_shapes(tmp_path) == {}
    ring = "[[120, 30], [121, 30], [121, 31], [120, 30]]"
    geometry = f'{{"type": "Polygon", "coordinates": [{ring}]}}'
    folder = shapes_file(
        f'{{"features": [{{"properties": {{"district": "East"}}, "geometry": {geometry}}}]}}'
    )
    assert read_shapes(folder) == {"East": [[[(120.0, 30.0), (121.0, 30.0), (121.0, 31.0), (120.0, 30.0)]]]}


def _feature(ring: str, name: str = '"E"', kind: str = "Polygon") -> str:
    geometry = f'{{"type": "{kind}", "coordinates": [{ring}]}}'
    return f'{{"properties": {{"district": {name}}}, "geometry": {geometry}}}'


_SQUARE = "[[120, 30], [121, 30], [121, 31], [120, 30]]"


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("no json", "(file): expected GeoJSON"),
        ("[" * 100_000, "JSON nested too deeply"),
        ('{"properties": {}, "geometry": null}', "feature 1: expected a property `district`"),
        (_feature("[1, 2]", kind="Point"), "feature 1 geometry: expected a Polygon or MultiPolygon, found Point"),
        (_feature("7"), "expected rings of [longitude, latitude]"),
        (_feature("[[500000, 3400000], [5, 3], [5, 4], [500000, 3400000]]"), "in degrees, found 500000, 3.4e+06"),
        (_feature("[[120, 30], [121, 30], [121, 31], [122, 30]]"), "the last as the first"),
        (_feature("[[120, 30], [121, 30], [120, 30]]"), "at least four points"),
        (_feature(_SQUARE, '"Est"'), 'found "Est" -> did you mean "East"?'),
        (_feature(_SQUARE, '"East"') + "," + _feature(_SQUARE, '"East"'), "feature 2 district: expected each district once"),
    ],
)  # fmt: skip
def test_wrong_shapes_are_told_as_faults(
    features: str, said: str, shapes_file: Callable[[str], Path]
) -> None:
    content = features if features[0] in "n[" else f'{{"features": [{features}]}}'
    found = shape_faults(shapes_file(content), ["East", "West"])
    assert said in " ".join(map(str, found))


def test_check_looks_at_shapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pv = find_programme("pv_siting")
    write_instance(tmp_path / "town", [(pv.schema, pv.example())])
    (tmp_path / "town" / "districts.geojson").write_text(f'{{"features": [{_feature(_SQUARE)}]}}')
    assert main(["check", str(tmp_path / "town")]) == 2
    told = capsys.readouterr().err
    assert "districts.geojson" in told and "feature 1 district" in told


def test_a_plan_is_reported_without_shapes_that_are_wrong(
    pv: RunFacts, run: Callable[..., CompletedProcess[str]]
) -> None:
    assert pv.instance_folder is not None
    shapes = pv.instance_folder / "districts.geojson"
    shapes.write_text("no json", encoding="utf-8")
    try:
        done = run("report", pv.folder, "--out", "r.html")
    finally:
        shapes.unlink()
    assert done.returncode == 0 and "without shapes of districts" in done.stdout
    assert "expected GeoJSON" in done.stdout
