"""Figures, money and dates as readers of both languages expect them."""

from __future__ import annotations

import math

import pytest

from optimize.i18n.words import Words

EN, ZH = Words("en"), Words("zh")


@pytest.mark.parametrize(
    ("cny", "english", "chinese"),
    [
        (565_477_400.89, "565.5 M CNY", "5.65亿元"),
        (84_077.2, "84.08 k CNY", "8.41万元"),
        (123.0, "123 CNY", "123元"),
        (-5.1e6, "−5.10 M CNY", "−510.0万元"),
        (None, "—", "—"),
        (math.nan, "—", "—"),
    ],
)
def test_money(cny: float | None, english: str, chinese: str) -> None:
    assert (EN.money(cny), ZH.money(cny)) == (english, chinese)


@pytest.mark.parametrize(
    ("value", "unit", "english", "chinese"),
    [
        (132_998.0, "MWh/a", "133.0 GWh/a", "1.33亿千瓦时/年"),
        (68_354.6, "tCO2/a", "68.35 kt CO₂/a", "6.84万吨CO₂/年"),
        (53_945.0, "kW", "53.95 MW", "53.95兆瓦"),
        (138_663_423.5, "m3/a", "138.7 M m³/a", "1.39亿 m³/年"),
        (0.9606, "share", "96.1 %", "96.1%"),
        (15.0, "count", "15", "15"),
    ],
)
def test_amounts(value: float, unit: str, english: str, chinese: str) -> None:
    assert EN.amount(value, unit) == english
    assert ZH.amount(value, unit) == chinese


def test_small_shares_keep_two_digits_that_count() -> None:
    assert [EN.percent(x) for x in (1e-11, 0.00257, 0.0000123, 0.5, 1.334)] == [
        "0 %",
        "0.26 %",
        "0.0012 %",
        "50.0 %",
        "133 %",
    ]


def test_a_column_is_told_in_one_size() -> None:
    column = EN.column("kW", 131_900.0)
    assert column.headed("Capacity") == "Capacity (MW)" and column.cell(2_847.0) == "2.8"
    assert ZH.column("CNY", 5e8).headed("投资") == "投资（万元）"
    assert EN.column("count", 12.0).cell(3.0) == "3"


def test_dates_and_plurals() -> None:
    assert EN.date("2026-11-21T22:26:00+00:00") == "21 November 2026"
    assert ZH.date("2026-11-21") == "2026年11月21日"
    assert (
        EN.plural("{n} row", "{n} rows", 1) == "1 row"
        and EN.plural("{n} row", "{n} rows", 1200) == "1,200 rows"
    )
    assert ZH.plural("{n} row", "{n} rows", 2) == "2行"
    assert EN.joined(["a", "b", "c"]) == "a, b and c" and ZH.joined(["甲", "乙"]) == "甲和乙"


def test_a_figure_is_called_as_its_programme_calls_it() -> None:
    assert EN.figure_name("energy", "pv_siting") == EN.figure_name("pv_siting.energy") == "Generation a year"
    assert EN.figure_name("energy", "datacenter") == "Electricity saved a year"
    assert EN.figure_name("npv", "water") == EN.figure_name("npv") == "Net present value"


def test_a_text_that_is_not_in_the_catalogue_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        ZH.text("nobody has translated this")
