"""What the columns and sheets of a workbook may be called: in Chinese, in English, or by their names.

A heading is a column's Chinese or English words, or its name, with or without the unit in brackets behind
it.  Where the unit is another one that the tables know (万元 for 元), the figures below are read in it.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from optimize.i18n.catalogue import LANGUAGES, Language
from optimize.i18n.words import Words
from optimize.schema import Column, Schema, Table
from optimize.units import alternative_names

# Between the words for people and the name of the table in a sheet's title.
TITLE_SEPARATOR = "·"
# Stands for the "/" of a table's name, which a sheet's title must not hold.
NAME_SEPARATOR = "."
PARAMETERS, TARGETS = "instance", "targets"
# Sheets of the planner's own, or of explanations, which are left alone.
ASIDE = ("#", "_")
NOTES = ("note", "备注", "#")
# Grades are known by their letters; sources of money are ids in other tables.
_TOLD_BY_CODE = ("confidence", "source")
# Excel takes no longer title of a sheet.
LONGEST_TITLE = 31

# Alternative suffix of a column's name -> how its unit is written.
_ALTERNATIVES: Mapping[str, tuple[str, ...]] = {
    "_wan_cny": ("万元", "10 000 CNY", "10k CNY"),
    "_mcny": ("百万元", "M CNY", "million CNY"),
    "_cny_per_w": ("元/W", "CNY/W"),
    "_mw": ("MW", "兆瓦"),
    "_mwh": ("MWh",),
    "_gwh": ("GWh",),
    "_wan_m3_per_d": ("万m³/d", "万m³/日", "万吨/日", "10 000 m3/d"),
    "_ml_per_d": ("ML/d",),
    "_km": ("km", "公里"),
    "_ha": ("ha", "公顷"),
}
_CHINESE_UNITS = {"CNY": "元", "share": "0–1", "a": "年", "week": "周", "h": "小时", "d": "天", "relative": "相对值", "deg": "°", "count": "个"}  # fmt: skip
_ENGLISH_UNITS = {
    "share": "0–1",
    "a": "years",
    "week": "weeks",
    "h": "hours",
    "d": "days",
    "deg": "°",
    "count": "number",
}
_BRACKETS = re.compile(r"^(.*)\(([^()]*(?:\([^()]*\)[^()]*)*)\)$", re.DOTALL)


def unit_words(unit: str, language: Language) -> str:
    """A unit as it stands in a heading; "" for none."""
    if unit in ("", "1"):
        return ""
    words = _CHINESE_UNITS if language == "zh" else _ENGLISH_UNITS
    if unit in words:
        return words[unit]
    shown = unit.replace("m3", "m³").replace("m2", "m²").replace("CO2", "CO₂")
    if language == "zh":
        shown = re.sub(r"\bCNY\b", "元", shown)
        shown = re.sub(r"/a\b", "/年", shown).replace(" a)", "·年)")
    return shown


def heading(column: Column, language: Language, name: str = "") -> str:
    """The heading of a column, with its unit.

    Parameters
    ----------
    name : under which the column stands in the table (``capex_wan_cny``); "" for its own.
    """
    words = (column.zh or column.name) if language == "zh" else _english(column)
    unit = unit_words(column.unit, language)
    if name and name != column.name:
        written = next(units for suffix, units in _ALTERNATIVES.items() if name.endswith(suffix))
        unit = written[0] if language == "zh" else written[-1]
    if not unit:
        return words
    return f"{words}（{unit}）" if language == "zh" else f"{words} ({unit})"


def _english(column: Column) -> str:
    """The column's name as words, without the unit that it ends in."""
    unit = column.unit.lower().replace("/", "_per_")
    name = column.name
    if unit and name.endswith(f"_{unit}") and len(name) > len(unit) + 1:
        name = name[: -len(unit) - 1]
    return name.replace("_", " ")


@functools.lru_cache(maxsize=256)
def names_by_heading(table: Table) -> Mapping[str, str]:
    """The name of a column of ``table`` by everything it may be called, as `plain` writes it."""
    found: dict[str, str] = {}
    for column in table.columns:
        for word, name in _callings(column):
            found.setdefault(plain(word), name)
    return found


def _callings(column: Column) -> Iterator[tuple[str, str]]:
    names = [column.name, *alternative_names(column.name)]
    yield from ((name, name) for name in names)
    words = [word for word in (column.zh, _english(column), column.name) if word]
    units = {unit_words(column.unit, "zh"), unit_words(column.unit, "en"), column.unit} - {""}
    for word in words:
        yield word, column.name
        yield from ((f"{word}({unit})", column.name) for unit in units)
        for name in names[1:]:
            suffix = max((s for s in _ALTERNATIVES if name.endswith(s)), key=len)
            yield from ((f"{word}({unit})", name) for unit in _ALTERNATIVES[suffix])


def column_name(table: Table, shown: str) -> str:
    """The name of the column that a heading means; the heading itself where it is none of the table's."""
    text = shown.strip()
    return names_by_heading(table).get(plain(text), text)


def choice_words(column: Column, language: Language) -> dict[str, str]:
    """What each choice of a column is called, as far as it has words of its own."""
    words = Words(language)
    told = {choice: words.value(column.name, choice) for choice in column.choices}
    return {choice: word for choice, word in told.items() if word != choice}


@functools.lru_cache(maxsize=256)
def choices_by_words(column: Column) -> Mapping[str, str]:
    """The choice by what it is called in Chinese or English, as `plain` writes it; none that means two."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for language in LANGUAGES:
        for choice, word in choice_words(column, language).items():
            if found.setdefault(plain(word), choice) != choice:
                twice.add(plain(word))
    return {word: choice for word, choice in found.items() if word not in twice}


def choices_told(column: Column, language: Language) -> dict[str, str]:
    """Choices as a workbook of the language offers them, by code: in words where each has its own; {} for codes."""
    if language == "en" or column.name in _TOLD_BY_CODE:
        return {}
    words, known = choice_words(column, language), choices_by_words(column)
    in_words = all(choice in words and known.get(plain(words[choice])) == choice for choice in column.choices)
    return words if in_words else {}


def plain(text: str) -> str:
    """A heading without what does not tell headings apart: width, case, spaces, marks of what is required."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\s_*　]+", "", folded).replace("⁄", "/")


# --- sheets ---------------------------------------------------------------------------------------


def sheet_name(schema: Schema, table: Table) -> str:
    """The name of a table's sheet, as it is written in faults: ``pv_siting.sites``, ``districts``."""
    return table.name if table.shared else f"{schema.programme}{NAME_SEPARATOR}{table.name}"


def sheet_title(name: str, words: str, taken: Sequence[str] = ()) -> str:
    """The title of a sheet: its name, after words for people where there is room."""
    title = f"{words}{TITLE_SEPARATOR}{name}" if words else name
    return title if len(title) <= LONGEST_TITLE and title not in taken else name


def name_of_title(title: str) -> str:
    """The name in a sheet's title."""
    return title.rpartition(TITLE_SEPARATOR)[2].strip()


def is_aside(title: str) -> bool:
    """Whether a sheet is left alone."""
    return title.strip().startswith(ASIDE)


def cell_name(row: int, column: int) -> str:
    """``H118`` for row 118, column 8 (both from 1)."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row}"
