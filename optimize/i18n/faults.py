"""What is wrong, in the reader's language: faults of data and refusals.

Both are stated in English where they are found, and go from process to process as text.  A text of `faults.zh.po`
says how such a text is put together (``at most {reachable} {unit} ({what})``); whatever reads like it is told in the
catalogue's words, with what stands in the places of the names.  The names are the catalogue's own.  A test draws all
texts of faults and refusals from the source, and fails where one of them is missing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from optimize.i18n.catalogue import N_, chinese, texts_of
from optimize.i18n.words import Words

CATALOGUE = "faults.zh.po"
# Texts that no call states as they are: put together from parts, or told by libraries.
ALSO: tuple[str, ...] = (
    N_("text"), N_("no such sheet"), N_("open the workbook in Excel and save it"), N_("mend the formula, or write the value"),
    N_("{text} -> {mend}"), N_("{file}: {what}"), N_("{one}; {other}"), N_("{what} ({more})"), N_("'{name}' (did you mean {near}?)"),
    N_("{what} (at line {line}, column {column})"), N_("{what} (at end of document)"),
    N_("Invalid value"), N_("Invalid statement"), N_("Invalid initial character for a key part"), N_("Unclosed array"),
    N_("Unclosed inline table"), N_("Unterminated string"), N_("Cannot overwrite a value"),
    N_("Expected '=' after a key in a key/value pair"), N_("Expected newline or end of document after a statement"),
    N_("Expected ']' at the end of a table declaration"), N_("Cannot declare {section} twice"),
    N_("File is not a zip file"), N_("left out"), N_("only these"), N_("{number} row added"), N_("{number} rows added"),
    N_("it is not read: that would take more than {what}"), N_("it cannot be read; the server's log says why"),
)  # fmt: skip

_FIELD = re.compile(r"\{(\w+)\}")
_DEEPEST = 4
# A text with fewer letters of its own says little: what stands between them has to be a figure, a name, or known.
_FEW_LETTERS = 5
_PLAIN = re.compile(r"[-−+]?[\d\s.,]+|\S+", re.DOTALL)


def fault_text(english: str, words: Words) -> str:
    """A fault or refusal in the reader's language; as it is where the catalogue has no words for it."""
    if words.language == "en":
        return english
    return "\n".join(_told(line, _DEEPEST)[0] for line in english.split("\n"))


@dataclass(frozen=True)
class _Pattern:
    """A text of the catalogue with names in it.

    Attributes
    ----------
    english : with as little as possible for each name but the last, and with as much.
    needle : the longest stretch without names; what reads like the text has it.
    is_vague : hardly more than names.
    """

    english: tuple[re.Pattern[str], re.Pattern[str]]
    chinese: str
    needle: str
    is_vague: bool


@functools.cache
def _patterns() -> tuple[_Pattern, ...]:
    """Those that say most first: where two leave as much as it was, the former is meant."""
    named = [(text, told) for text, told in texts_of(CATALOGUE).items() if _FIELD.search(text) is not None]
    named.sort(key=lambda pair: -len(_FIELD.sub("", pair[0])))
    return tuple(_pattern(text, told) for text, told in named)


def _pattern(text: str, told: str) -> _Pattern:
    pieces = _FIELD.split(text)  # literal, name, literal, …
    literals = pieces[::2]
    return _Pattern(
        (_expression(pieces, "*?"), _expression(pieces, "*")),
        told,
        max(literals, key=len),
        sum(c.isalpha() for literal in literals for c in literal) < _FEW_LETTERS,
    )


def _expression(pieces: Sequence[str], how_much: str) -> re.Pattern[str]:
    expression, seen = re.escape(pieces[0]), set[str]()
    for name, literal in zip(pieces[1::2], pieces[2::2], strict=True):
        expression += f"(?P={name})" if name in seen else f"(?P<{name}>.{how_much})"
        expression += re.escape(literal)
        seen.add(name)
    return re.compile(expression, re.DOTALL)


@functools.lru_cache(maxsize=8192)
def _told(english: str, deepest: int) -> tuple[str, int]:
    """The text in Chinese, and how many characters stayed as they were: of several ways to read it, the one that leaves least."""
    known = chinese().get(english)
    if known is not None:
        return known, 0
    best, left = english, len(english)
    for pattern in _patterns() if deepest else ():
        for values in _readings(pattern, english):
            within = {name: _told(value, deepest - 1) for name, value in values.items()}
            if pattern.is_vague and any(
                rest == len(values[name]) and not _PLAIN.fullmatch(values[name])
                for name, (_, rest) in within.items()
            ):
                continue
            rest = sum(rest for _, rest in within.values())
            if rest < left:
                best, left = (
                    pattern.chinese.format(**{name: text for name, (text, _) in within.items()}),
                    rest,
                )
    return best, left


def _readings(pattern: _Pattern, english: str) -> list[dict[str, str]]:
    """What can stand in the places of the names."""
    if pattern.needle not in english:
        return []
    matches = (expression.fullmatch(english) for expression in pattern.english)
    found = [match.groupdict() for match in matches if match is not None]
    return found[:1] if len(found) == 2 and found[0] == found[1] else found
