"""Every text that a reader may see is in the catalogue, in Chinese, with the same names to fill in."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

import optimize
from optimize.i18n.catalogue import chinese
from optimize.i18n.vocabulary import COLUMNS, FIGURES, TABLES, UNITS, VALUES
from optimize.i18n.words import Words
from optimize.registry import PROGRAMMES

_HOME = Path(optimize.__file__).parent
_FIELD = re.compile(r"\{(\w*)\}")
_IN_TEMPLATE = re.compile(r'words\.(?:text|plural)\(\s*"((?:[^"\\]|\\.)*)"(?:,\s*"((?:[^"\\]|\\.)*)")?')


def _messages() -> Iterator[tuple[str, str]]:
    """Where a text stands in code or templates, and the text (of a plural, its singular and its plural)."""
    for path in sorted(_HOME.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "i18n" in source:  # others say nothing to a reader of pages
            for call, texts in _calls(source):
                for text in texts:
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        yield f"{path.relative_to(_HOME)}:{call.lineno}", text.value
    for path in sorted(_HOME.rglob("templates/*.html")):
        place = str(path.relative_to(_HOME))
        content = path.read_bytes()
        for line, text, _, _ in extract(
            "jinja2.ext:babel_extract", io.BytesIO(content), keywords={"_": None}
        ):
            yield f"{place}:{line}", text if isinstance(text, str) else text[0]
        for found in _IN_TEMPLATE.findall(content.decode()):
            yield from ((place, text) for text in found if text)


def _calls(source: str) -> Iterator[tuple[ast.Call, list[ast.expr]]]:
    """Calls of `words.text`, `words.plural` and `N_`, with the arguments that are texts."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("N_", "_"):
            yield node, node.args[:1]
        elif isinstance(function, ast.Attribute) and function.attr in ("text", "plural"):
            is_drawn = isinstance(function.value, ast.Name) and function.value.id == "drawing"
            yield node, [] if is_drawn else node.args[: 1 if function.attr == "text" else 2]


def test_every_text_of_code_and_templates_is_in_the_catalogue() -> None:
    messages = list(_messages())
    singular = {text for _, text in messages}
    assert len(singular) > 200
    known = chinese()
    plurals = _plurals_of_catalogue()
    missing = [f"{place}: {text}" for place, text in messages if text not in known and text not in plurals]
    assert not missing, "\n".join(missing)


def test_no_text_is_put_together_before_it_is_looked_up() -> None:
    """`words.text(f"...")` or `words.text("a" if b else "c")` could never be found by looking at the code."""
    wrong = (ast.JoinedStr, ast.IfExp, ast.BinOp)
    found = [
        f"{path.relative_to(_HOME)}:{call.lineno}"
        for path in _HOME.rglob("*.py")
        if "i18n" in (source := path.read_text(encoding="utf-8"))
        for call, texts in _calls(source)
        if any(isinstance(text, wrong) and not _is_marked(text) for text in texts)
    ]
    assert not found, "\n".join(found)


def _is_marked(text: ast.expr) -> bool:
    """A choice of texts, each within `N_()`."""
    return isinstance(text, ast.IfExp) and all(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "N_"
        for part in (text.body, text.orelse)
    )


def test_a_text_is_translated_once() -> None:
    places: dict[str, list[str]] = {}
    for path in (_HOME / "i18n").glob("*.po"):
        with path.open("rb") as stream:
            for message in read_po(stream):
                if message.id:
                    text = message.id if isinstance(message.id, str) else message.id[0]
                    places.setdefault(text, []).append(path.name)
    assert not {text: files for text, files in places.items() if len(files) > 1}


def test_translations_fill_in_the_same_names() -> None:
    wrong = [
        f"{text!r} → {translated!r}"
        for text, translated in chinese().items()
        if set(_FIELD.findall(text)) != set(_FIELD.findall(translated))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_chinese_is_left_empty_or_english() -> None:
    same = [
        text for text, translated in chinese().items() if text == translated and re.search("[a-z]{4}", text)
    ]
    assert not same


def test_columns_of_a_revised_plan_are_told_before_and_now() -> None:
    assert Words("en").heading("action_before") == "What is done, before"
    assert Words("zh").heading("year_after") == "年份（现方案）"
    assert Words("en").heading("pue_before") == "PUE before"
    with pytest.raises(KeyError, match="nobody"):
        Words("en").heading("nobody_knows")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_whole_vocabulary_is_told(language: str) -> None:
    words = Words("zh" if language == "zh" else "en")
    for column in COLUMNS:
        assert words.heading(column)
    for group in VALUES.values():
        assert all(words.text(text) for text in group.values())
    assert all(words.figure_name(figure) for figure in FIGURES)
    assert all(words.text(text) for text in (*TABLES.values(), *UNITS.values()))


def test_every_choice_that_a_reader_of_a_plan_meets_has_words() -> None:
    """Choices of the schemas whose columns go into a plan's tables."""
    shown = {"type", "level", "owner_kind", "action", "confidence"}
    missing = [
        (column.name, choice)
        for programme in PROGRAMMES
        for table in programme.schema.tables
        for column in table.columns
        if column.name in shown
        for choice in column.choices
        if choice not in VALUES[column.name]
    ]
    users = next(p for p in PROGRAMMES if p.name == "water").schema.table("users").column("kind")
    missing += [("kind", choice) for choice in users.choices if choice not in VALUES["kind"]]
    assert not missing


def _plurals_of_catalogue() -> set[str]:
    found = set()
    for path in (_HOME / "i18n").glob("*.po"):
        with path.open("rb") as stream:
            for message in read_po(stream):
                if isinstance(message.id, tuple | list):
                    found |= set(message.id)
    return found
