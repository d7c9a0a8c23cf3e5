"""The catalogue as it is read: Chinese by English text."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
# What each language calls itself, and its tag in a page.
NAMES: Mapping[Language, str] = {"zh": "中文", "en": "English"}
TAGS: Mapping[Language, str] = {"zh": "zh-Hans", "en": "en"}

HOME = Path(__file__).parent


def N_(msgid: str) -> str:  # noqa: N802 - the name that gettext's tools look for
    """Marks a text that is translated where it is shown, not where it is declared."""
    return msgid


@functools.cache
def chinese() -> Mapping[str, str]:
    """Chinese text by message id (of a plural, by its singular), from every ``*.po`` file of this folder.

    Read once with babel; there is no compiled catalogue to be forgotten.
    """
    return {
        english: told for path in sorted(HOME.glob("*.po")) for english, told in texts_of(path.name).items()
    }


@functools.cache
def texts_of(file: str) -> Mapping[str, str]:
    """Chinese text by message id, of one ``*.po`` file."""
    from babel.messages.pofile import read_po  # costs 50 ms that `optimize --help` need not pay

    with (HOME / file).open("rb") as stream:
        catalogue = read_po(stream, locale="zh", abort_invalid=True)
    return {
        _first(message.id): _first(message.string) for message in catalogue if message.id and message.string
    }


def _first(text: str | list[str] | tuple[str, ...]) -> str:
    return text if isinstance(text, str) else text[0]
