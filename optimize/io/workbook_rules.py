"""Ranges and defaults of columns and parameters, for people and for the cells of a workbook."""

from __future__ import annotations

from typing import Any

from optimize.i18n.words import Words
from optimize.schema import REQUIRED, Column, Parameter


def number_rule(item: Column | Parameter) -> dict[str, Any] | None:
    """The range of a column or parameter as a rule for what may be typed; None where there is none."""
    kind = "integer" if item.kind == "int" else "decimal"
    low, high = item.minimum, item.maximum
    if low is not None and high is not None:
        return {"validate": kind, "criteria": "between", "minimum": low, "maximum": high}
    if low is not None:
        return {"validate": kind, "criteria": ">=", "value": low}
    return None if high is None else {"validate": kind, "criteria": "<=", "value": high}


def range_words(item: Column | Parameter) -> str:
    """Its range as one reads it; "" where there is none."""
    if item.minimum is None and item.maximum is None:
        return ""
    if item.maximum is None:
        return f"≥ {item.minimum:g}"
    return f"≤ {item.maximum:g}" if item.minimum is None else f"{item.minimum:g} … {item.maximum:g}"


def default_words(item: Column | Parameter, words: Words) -> str:
    """What an empty cell stands for."""
    if item.default is REQUIRED:
        return words.text("Must be filled in")
    if item.default is None or item.default == "":
        return words.text("none")
    if isinstance(item.default, bool):
        return words.text("yes") if item.default else words.text("no")
    return f"{item.default:g}" if isinstance(item.default, float) else str(item.default)
