"""Faults and refusals are told in Chinese, whoever states them."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from optimize.errors import Fault
from optimize.i18n.catalogue import chinese, texts_of
from optimize.i18n.faults import ALSO, CATALOGUE, fault_text
from optimize.i18n.words import Words
from optimize.web import api
from tests.i18n.drawn_texts import Drawn, drawn_texts

ZH = Words("zh")
# What is typed as it stands, in any language.
_TYPED = {
    "true", "false", "TOML", "GeoJSON", "number = 20", 'goal = ["npv"]', "column=value;column=value", "pv_siting.emc.allowed = true",
    "--set {DEVIATION}=0.2", "--set stress.prices_sd=0.1",
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    return drawn_texts()


def _shape(text: str) -> str:
    """A text without the names of what is filled in: those are the code's own, and the catalogue's."""
    return re.sub(r"\{\w+\}", "{}", text)


def test_every_text_of_a_fault_or_refusal_is_told_in_chinese(drawn: list[Drawn]) -> None:
    """What is missing is printed as the entries to be filled in."""
    known = {_shape(text) for text in chinese()}
    missing = {
        text.text: text.place for text in drawn if _shape(text.text) not in known and text.text not in _TYPED
    }
    assert not missing, f"add to optimize/i18n/{CATALOGUE}:\n" + "\n".join(
        f'# {place}\nmsgid "{_escaped(text)}"\nmsgstr ""\n' for text, place in missing.items()
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def test_the_catalogue_of_faults_holds_nothing_that_nobody_says(drawn: list[Drawn]) -> None:
    said = {_shape(text) for text in (*(d.text for d in drawn), *ALSO)}
    assert not [text for text in texts_of(CATALOGUE) if _shape(text) not in said]


def test_texts_are_found_wherever_the_code_hides_them(drawn: list[Drawn]) -> None:
    texts = {_shape(text.text) for text in drawn}
    assert len(texts) > 600
    assert "at most {} {} ({})" in texts  # an f-string in a call
    assert "a whole number ({})" in texts  # returned by another function
    assert "the date {}" in texts  # in a tuple a function returns, by a class of its own
    assert "links to other files" in texts  # in a mapping a loop runs over
    assert "a section" in texts  # passed on by a method
    assert "{} row {}" in texts  # how a fault reads as one text


@pytest.mark.parametrize(
    ("english", "told"),
    [
        ("one of school, hospital", "下列之一：school, hospital"),
        ("a whole number in 2000…2100", "整数，范围 2000–2100"),
        # of two ways to read it ("a number in UNIT") the one that leaves less as it is
        ("a number in 0…1", "数值，范围 0–1"),
        ("at most 12,345 m3/a (supply and demand)", "不超过 12,345 m3/a（供给与需求）"),
        # a refusal that holds a fault
        ("a.xlsx: sites.csv row 5 year: expected a number, found \"x\" -> write 12",
         "a.xlsx：sites.csv 第 5 行 year：应为数值，实际为\"x\"；请写作 12"),
        ("a.zip is damaged: 'x/y.csv' ends too early", "a.zip 已损坏：'x/y.csv' 提前结束"),
        ("this is no TOML: Invalid value (at line 3, column 5)", "不是有效的 TOML：值无效（第 3 行第 5 列）"),
        ("first line\nan empty file", "first line\n空文件"),
        # nothing of ours is seen in what is not ours
        ("from North to East or West in 3 days", "from North to East or West in 3 days"),
    ],
)  # fmt: skip
def test_what_is_filled_in_is_told_too(english: str, told: str) -> None:
    assert fault_text(english, ZH) == told
    assert fault_text(english, Words("en")) == english


def test_a_fault_as_one_text_is_told(drawn: list[Drawn]) -> None:
    fault = Fault("pv_siting/sites.csv", "year", "a whole number", '"x"', "fill it in", line=5)
    assert not re.search("expected|found|row", fault_text(str(fault), ZH))


def test_every_call_of_the_rest_api_is_told_in_chinese() -> None:
    summaries = [route.summary for route in api.router.routes if isinstance(route, APIRoute)]
    assert len(summaries) > 20
    assert not [summary for summary in summaries if summary not in chinese()]
