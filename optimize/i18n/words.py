"""Texts, figures, units and dates as a reader of one language expects them."""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from optimize.i18n import vocabulary
from optimize.i18n.catalogue import N_, Language, chinese
from optimize.i18n.vocabulary import COLUMNS, FIGURES, UNITS, VALUES

MISSING = "—"
_NO_SHARE = 5e-9  # rounding
_YI, _WAN, _MILLION, _THOUSAND = 1e8, 1e4, 1e6, 1e3
# By language and unit: from which size on a figure is told in larger steps, how many units a step has, and its unit.
_STEPS: Mapping[Language, Mapping[str, tuple[tuple[float, float, str], ...]]] = {
    "zh": {
        "kW": ((1e4, 1e3, "兆瓦"),),
        "kWh/a": ((1e8, 1e8, "亿千瓦时/年"), (1e4, 1e4, "万千瓦时/年")),
        "MWh/a": ((1e5, 1e5, "亿千瓦时/年"), (10.0, 10.0, "万千瓦时/年")),
        "tCO2/a": ((1e4, 1e4, "万吨CO₂/年"),),
        "tce/a": ((1e4, 1e4, "万吨标准煤/年"),),
        "kg/a": ((1e4, 1e3, "吨/年"),),
        "m3/a": ((1e8, 1e8, "亿 m³/年"), (1e4, 1e4, "万 m³/年")),
        "m3/d": ((1e4, 1e4, "万 m³/日"),),
    },
    "en": {
        "kW": ((1e4, 1e3, "MW"),),
        "kWh/a": ((1e7, 1e6, "GWh/a"), (1e4, 1e3, "MWh/a")),
        "MWh/a": ((1e4, 1e3, "GWh/a"),),
        "tCO2/a": ((1e4, 1e3, "kt CO₂/a"),),
        "tce/a": ((1e4, 1e3, "ktce/a"),),
        "kg/a": ((1e4, 1e3, "t/a"),),
        "m3/a": ((1e6, 1e6, "M m³/a"),),
        "m3/d": ((1e4, 1e3, "k m³/d"),),
    },
}


@dataclass(frozen=True)
class Column:
    """The figures of one column of a table: all in steps of ``step``, told in ``unit`` in its heading."""

    step: float
    unit: str
    digits: int
    language: Language

    def cell(self, value: float | None) -> str:
        """A figure without its unit."""
        if value is None or not math.isfinite(value):
            return MISSING
        return _decimal(value / self.step, self.digits, self.language)

    def headed(self, name: str) -> str:
        """The heading with the unit in brackets."""
        if not self.unit:
            return name
        return f"{name}（{self.unit}）" if self.language == "zh" else f"{name} ({self.unit})"


@dataclass(frozen=True)
class Words:
    """Everything said in ``language``.

    A text that the catalogue does not hold is a mistake of ours and raises KeyError: the tests, not the
    reader, are to find it.
    """

    language: Language

    # --- texts ------------------------------------------------------------------------------------------

    def text(self, msgid: str, /, **values: Any) -> str:
        """A text of the catalogue with its ``{names}`` filled in."""
        text = msgid if self.language == "en" else chinese()[msgid]
        return text.format(**values) if values else text

    def plural(self, one: str, many: str, number: float, /, **values: Any) -> str:
        """``one`` or ``many`` by ``number``, which fills ``{n}``; Chinese has one form."""
        told = values | {"n": self.number(number)}
        if self.language == "zh":
            return chinese()[one].format(**told)
        return (one if number == 1 else many).format(**told)

    def either(self, zh: str, en: str) -> str:
        """A name that the data give in both languages; the other where one is missing."""
        first, second = (zh, en) if self.language == "zh" else (en, zh)
        return first or second

    def name(self, row: Mapping[str, Any]) -> str:
        """``name_zh`` or ``name_en`` of a row of a table."""
        return self.either(str(row.get("name_zh") or ""), str(row.get("name_en") or ""))

    def heading(self, column: str, *, unit: bool = True) -> str:
        """Heading of a column of a plan table, with its unit in brackets.

        Raises
        ------
        KeyError : the column is not in `optimize.i18n.vocabulary`.
        """
        told = vocabulary.column_words(column)
        if told is None:
            raise KeyError(f"no heading for the column {column}")
        shown = self.text(told.en)
        if column not in COLUMNS:  # of a plan that revises another
            template = N_("{heading}, before") if column.endswith("_before") else N_("{heading}, now")
            shown = self.text(template, heading=shown)
        if not unit or not told.unit:
            return shown
        return (
            f"{shown}（{self.unit(told.unit)}）"
            if self.language == "zh"
            else f"{shown} ({self.unit(told.unit)})"
        )

    def value(self, column: str, value: str) -> str:
        """A value of a choice column (``type``, ``action``, ``mix`` …); ids and names stay as they are."""
        return self.text(VALUES[column][value]) if value in VALUES.get(column, {}) else value

    def figure_name(self, figure: str, programme: str = "") -> str:
        """A figure of the checker (``npv``, ``used_on_site_share``; ``pv_siting.npv`` of a city).

        ``programme`` : whose figure it is; some are called otherwise in each.
        """
        name = figure.rpartition(".")[2]
        for known in (f"{programme}.{name}", figure, name):
            if known in FIGURES:
                return self.text(FIGURES[known].en)
        return name

    def sentences(self, parts: Iterable[str]) -> str:
        """Sentences one after the other."""
        return ("" if self.language == "zh" else " ").join(part for part in parts if part)

    def listed(self, parts: list[str]) -> str:
        """Words one after the other."""
        return ("、" if self.language == "zh" else ", ").join(parts)

    # --- figures ----------------------------------------------------------------------------------------

    def unit(self, unit: str) -> str:
        """How a unit of the tables is written."""
        return self.text(UNITS[unit]) if unit in UNITS else unit

    def number(self, value: float | None, unit: str = "", digits: int | None = None) -> str:
        """A figure with thousands separated; without ``digits`` about four that count."""
        if value is None or not math.isfinite(value):
            return MISSING
        if digits is None:
            digits = _digits(value)
        shown = _decimal(value, digits, self.language)
        return _with_unit(shown, self.unit(unit)) if unit and unit != "count" else shown

    def money(self, cny: float | None, *, signed: bool = False) -> str:
        """Money: 亿元, 万元 or 元; M CNY, k CNY or CNY."""
        if cny is None or not math.isfinite(cny):
            return MISSING
        size = abs(cny)
        if self.language == "zh":
            step, unit = (
                (_YI, "亿元") if size >= _YI else (_WAN, "万元") if size >= _THOUSAND else (1.0, "元")
            )
        else:
            step, unit = (
                (_MILLION, "M CNY")
                if size >= _MILLION
                else (_THOUSAND, "k CNY")
                if size >= _THOUSAND
                else (1.0, "CNY")
            )
        digits = 0 if step == 1.0 else 2 if size / step < 100 else 1
        return self._signed(cny, _with_unit(_decimal(size / step, digits, self.language), unit), signed)

    def amount(self, value: float | None, unit: str, *, signed: bool = False) -> str:
        """A figure of the checker in a size that reads well: money, shares, and large amounts in larger units."""
        if value is None or not math.isfinite(value):
            return MISSING
        if unit == "CNY":
            return self.money(value, signed=signed)
        if unit == "share":
            return self._signed(value, self.percent(abs(value)), signed)
        for least, step, larger in _STEPS[self.language].get(unit, ()):
            if abs(value) >= least:
                return self._signed(value, _with_unit(self.number(abs(value) / step), larger), signed)
        return self._signed(value, self.number(abs(value), unit), signed)

    def column(self, unit: str, largest: float) -> Column:
        """How the figures of a column of a table are told, whose unit stands in the heading.

        Parameters
        ----------
        largest : the largest amount of the column, in ``unit``.
        """
        size = abs(largest)
        step, shown = 1.0, self.unit(unit) if unit and unit != "count" else ""
        if unit == "CNY":
            step, shown = self.money_step(size)
        elif unit == "share":
            step, shown = 0.01, "%"
        else:
            for least, divisor, larger in _STEPS[self.language].get(unit, ()):
                if size >= least:
                    step, shown = divisor, larger
                    break
        scaled = size / step
        digits = 0 if unit == "count" or scaled >= 10_000 else 1 if scaled >= 100 else 2
        return Column(step, shown, digits, self.language)

    def joined(self, parts: Sequence[str]) -> str:
        """Names one after the other, the last with "and"."""
        if len(parts) < 2:
            return "".join(parts)
        return self.text("{names} and {last}", names=self.listed(list(parts[:-1])), last=parts[-1])

    def within(self, name: str) -> str:
        """A name inside a sentence: in English without a capital, unless it is an abbreviation."""
        return name[:1].lower() + name[1:] if name[1:2].islower() else name

    def money_step(self, largest: float = 0.0) -> tuple[float, str]:
        """What a table of money is told in: CNY a unit, and the unit.

        Parameters
        ----------
        largest : the largest amount of the table, CNY.
        """
        if self.language == "zh":
            return _WAN, self.text("10 000 CNY")
        return (_MILLION, self.text("M CNY")) if largest >= 10 * _MILLION else (_THOUSAND, self.text("k CNY"))

    def money_cell(self, cny: float | None, largest: float = 0.0) -> str:
        """Money in a table whose heading has the unit of `money_step` for the same ``largest``."""
        if cny is None or not math.isfinite(cny):
            return MISSING
        step = self.money_step(largest)[0]
        digits = 2 if step == _MILLION else 1
        return _decimal(cny / step, digits, self.language)

    def percent(self, share: float | None, digits: int | None = None) -> str:
        """A share as per cent; small ones with two digits that count."""
        if share is None or not math.isfinite(share):
            return MISSING
        value = 100 * share if abs(share) > _NO_SHARE else 0.0
        if digits is None:
            digits = 0 if value == 0 or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
            if 0 < abs(value) < 0.1:
                digits = min(1 - math.floor(math.log10(abs(value))), 6)
        return f"{_decimal(value, digits, self.language)}{'%' if self.language == 'zh' else ' %'}"

    def date(self, value: str | date) -> str:
        """A day; of an ISO 8601 text its date."""
        from babel.dates import format_date

        day = datetime.fromisoformat(value) if isinstance(value, str) else value
        return format_date(
            day, "yyyy年M月d日" if self.language == "zh" else "d MMMM yyyy", locale=self.language
        )

    def time(self, value: str | datetime) -> str:
        """Date and time of day, UTC as it was written."""
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        return f"{self.date(at)} {at:%H:%M} UTC"

    def month(self, number: int) -> str:
        """The short name of a month, 1 to 12."""
        from babel.dates import get_month_names

        return str(get_month_names("abbreviated", locale=self.language)[number])

    def duration(self, seconds: float) -> str:
        """How long something took."""
        if seconds < 90:
            whole = seconds >= 10 or seconds == int(seconds)
            return self.text("{n} s", n=self.number(seconds, digits=0 if whole else 1))
        whole = seconds >= 600 or seconds % 60 == 0
        return self.text("{n} min", n=self.number(seconds / 60, digits=0 if whole else 1))

    # --- within -----------------------------------------------------------------------------------------

    def _signed(self, value: float, shown: str, signed: bool) -> str:
        sign = "−" if value < 0 else "+" if signed and value > 0 else ""
        return sign + shown


def _with_unit(figure: str, unit: str) -> str:
    """A figure and its unit; Chinese units follow without a space."""
    is_chinese = unicodedata.east_asian_width(unit[:1] or " ") == "W"
    return f"{figure}{unit}" if is_chinese else f"{figure} {unit}"


def _digits(value: float) -> int:
    size = abs(value)
    if size == round(size) or size >= 1000:
        return 0
    return 1 if size >= 100 else 2 if size >= 1 else 3


@functools.cache
def _pattern(digits: int) -> str:
    return "#,##0" + ("." + "0" * digits if digits else "")


def _decimal(value: float, digits: int, language: Language) -> str:
    from babel.numbers import format_decimal

    rounded = round(value, digits) + 0.0  # no minus zero
    return str(format_decimal(rounded, _pattern(digits), locale=language)).replace("-", "−")
