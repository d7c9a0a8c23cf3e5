"""What is wrong with data, in the reader's language.

Faults are stated in English where they are found.  Those of reading and validating tables and workbooks follow
the patterns below and are told in either language; what a programme's own checks say beyond them stays
as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from optimize.i18n.catalogue import N_, chinese
from optimize.i18n.words import Words

_NUMBER = r"[-−]?[\d  .e+]+"


class _Pattern(NamedTuple):
    """An English text with groups, the text of the catalogue that it stands for, and groups told in words."""

    english: re.Pattern[str]
    text: str
    told: tuple[str, ...] = ()


def _pattern(english: str, text: str, *told: str) -> _Pattern:
    return _Pattern(re.compile(english, re.DOTALL), text, told)


_PATTERNS: Sequence[_Pattern] = (
    # expected
    _pattern(r"one of (?P<values>.+)", N_("one of {values}")),
    _pattern(r"a whole number \((?P<unit>[^()]+)\)", N_("a whole number ({unit})")),
    _pattern(rf"(?P<what>.+) in (?P<low>{_NUMBER})…(?P<high>{_NUMBER})", N_("{what} from {low} to {high}"), "what"),
    _pattern(rf"(?P<what>.+) from (?P<low>{_NUMBER})", N_("{what} from {low} on"), "what"),
    _pattern(rf"(?P<what>.+) up to (?P<high>{_NUMBER})", N_("{what} up to {high}"), "what"),
    _pattern(r"an entry of (?P<table>.+)", N_("an entry of {table}")),
    _pattern(r"a column: (?P<meaning>.+?)(?: \((?P<unit>[^()]*)\))?", N_("a column: {meaning}"), "meaning"),
    _pattern(r"(?P<columns>.+) unique", N_("{columns} only once")),
    _pattern(r"(?P<column>\w+) once", N_("{column} only once")),
    _pattern(r"a number in (?P<unit>.+)", N_("a number in {unit}")),
    _pattern(r"about (?P<value>.+)", N_("about {value}")),
    _pattern(r"a value near the median (?P<value>.+)", N_("a value near the median {value}")),
    # found
    _pattern(r"the error (?P<error>.+)", N_("the error {error}")),
    _pattern(r"a formula without a value \((?P<formula>.*)\)", N_("a formula without a value ({formula})")),
    _pattern(r"merged cells (?P<cells>.+)", N_("merged cells {cells}")),
    _pattern(r"the date (?P<date>[-\d]+)", N_("the date {date}")),
    _pattern(r"(?P<value>.+), as in row (?P<row>\d+)", N_("{value}, as in row {row}")),
    _pattern(r"a median of (?P<value>.+)", N_("a median of {value}")),
    _pattern(r"(?P<value>.+), (?P<times>\d+) x the median", N_("{value}, {times} times the median")),
    # how to mend it
    _pattern(
        r'did you mean "(?P<name>.+)"\? format the column as text to keep its zeros',
        N_("did you mean “{name}”? Format the column as text to keep its zeros"),
    ),
    _pattern(r'did you mean "(?P<name>.+)"\?', N_("did you mean “{name}”?")),
    _pattern(r"write (?P<value>[-\d].*)", N_("write {value}")),
    _pattern(r"add it: (?P<meaning>.+)", N_("add it: {meaning}"), "meaning"),
    _pattern(
        r"give the cell the number format General: its number is (?P<number>.+)",
        N_("give the cell the number format General: its number is {number}"),
    ),
    _pattern(r"is it in (?P<unit>[^?]+)\?.*", N_("is it in {unit}?")),
    _pattern(r"known: (?P<names>.+)", N_("known: {names}")),
)  # fmt: skip

# Texts without anything to fill in.
FIXED: tuple[str, ...] = (
    N_("a number"), N_("a whole number"), N_("text"), N_("true or false"), N_("a column of this table"), N_("each column once"),
    N_("at least one row"), N_("a cell for every row and column"), N_("the name of a table (pv_siting.sites)"),
    N_("one sheet for each table"), N_("a known parameter"), N_("a known key"), N_("a clause of this programme"), N_("a value"),
    N_("each parameter once"), N_("each clause once"), N_("a parameter"), N_("a table of an instance"), N_("a row of headings"),
    N_("text in UTF-8 or GB18030"), N_("a CSV table"), N_("a header line"), N_("a programme and a clause in every row that asks for something"),
    N_("as many columns as the rows have cells"), N_("a last line with as many cells as the header"),
    N_("empty"), N_("missing"), N_("missing file"), N_("no such sheet"), N_("no such table"), N_("no such column"), N_("unknown"), N_("unknown column"),
    N_("unknown table"), N_("twice"), N_("given twice"), N_("none"), N_("an empty sheet"), N_("an empty file"), N_("other bytes"), N_("longer rows"),
    N_("fewer, and no line end"),
    N_("fill it in"), N_("rename or remove one"), N_("remove one"), N_("add it"), N_("rename or remove it"), N_("remove the row"),
    N_("rename it, or start its name with 'note' to keep it"), N_("write a plain number, the unit stands in the column name"),
    N_("remove the surplus commas"), N_("check quotes and commas"), N_("save as CSV UTF-8"), N_("see `optimize template`"),
    N_("open the workbook in Excel and save it"), N_("mend the formula, or write the value"),
    N_("take the merging away (Merge & Center) and fill in every cell"),
    N_('rename it; sheets whose titles begin with "#" are left alone'),
    N_("is the file whole? End its last line, or give all its cells"),
)  # fmt: skip


def fault_text(english: str, words: Words) -> str:
    """What is expected, was found, or mends it; as it is where the catalogue has no words for it."""
    if words.language == "en" or not english:
        return english
    known = chinese()
    if english in known:  # a fixed text, or the meaning of a table or column
        return known[english]
    for pattern in _PATTERNS:
        match = pattern.english.fullmatch(english)
        if match is None:
            continue
        groups = {name: value or "" for name, value in match.groupdict().items()}
        groups |= {name: fault_text(groups[name], words) for name in pattern.told}
        return words.text(pattern.text, **groups)
    return english
