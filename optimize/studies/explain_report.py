"""Explanations in the words of a budget office, and as plain data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optimize.report.summary import relaxation_records
from optimize.report.text import amount, money, relaxation_lines
from optimize.studies.explain import BreakEven, Explanation, StoppingRow
from optimize.studies.tables import aligned

_MOST_NAMES = 6
_LONGEST_NAME = 30
_LONGEST_WORDS = 34


@dataclasses.dataclass(frozen=True)
class Wording:
    """Unit and words of the run's last goal."""

    unit: str
    goal: str
    maximise: bool

    @property
    def worse(self) -> str:
        return "less" if self.maximise else "more"

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Wording:
        return cls(summary["goal_unit"], summary["goal_en"], summary["maximise"])


def explanation_lines(e: Explanation, words: Wording) -> list[str]:
    """One project's explanation."""
    named = " · ".join(word for word in (e.id, e.name, e.district) if word)
    place = "in the plan" if e.chosen else "not in the plan"
    way = (
        f": {e.decision}"
        if e.chosen and e.decision
        else f"; its best way: {e.decision}"
        if e.decision
        else ""
    )
    lines = [f"{named} — {place}{way}"]
    parts = [*_answer_lines(e, words), *_stopping_lines(e, words)]
    if e.break_even is not None:
        sure = "" if e.low == e.high else "by the plans found: "
        parts.append(("break-even", sure + _break_even_words(e.break_even)))
    if not math.isnan(e.approx_value):
        parts.append(
            (
                "at prices",
                f"about {money(e.approx_value, words.unit)} against doing nothing, at the run's shadow prices",
            )
        )
    if e.supposing and e.question is not None:
        parts.append(("supposing", e.supposing))
    if e.enters or e.leaves:
        parts.append(("then", _changed_words(e)))
    for label, text in parts:
        lines.append(f"  {label:<11} {text}")
    if e.impossible and e.relaxations:
        lines += [f"  {line}" for line in relaxation_lines(relaxation_records(e.relaxations))[1:]]
    return lines


def _answer_lines(e: Explanation, words: Wording) -> list[tuple[str, str]]:
    label = "without it" if e.question == "without" else "with it"
    if e.forbidden:
        return [("why not" if not e.chosen else "why", e.forbidden)]
    if e.impossible:
        verb = "left out" if e.question == "without" else "taken in"
        missed = _missed_words(e)
        return [
            (
                label,
                f"it cannot be {verb}: {missed}"
                if missed
                else f"it cannot be {verb}: no plan meets every hard target then",
            )
        ]
    if e.loss is None:
        return [(label, "no plan was found in time; give more (--time-limit)")]
    lines = [(label, _loss_words(e, words)), ("proven", _proven_words(e, words.unit))]
    if e.better_by > 0:
        lines.append(
            (
                "note",
                f"the run's own plan is not the best known: one better by {money(e.better_by, words.unit)} was found on "
                "the way, and that is compared with; solve again, with more time (--time-limit), before relying on this",
            )
        )
    return lines


def _loss_words(e: Explanation, words: Wording) -> str:
    """What is lost, as sure as it is: an interval where the gaps leave one open."""
    assert e.loss is not None
    unit, less = words.unit, f"{words.worse} {words.goal}"
    if e.low is not None and e.high is not None and e.low == e.high == e.loss == 0:
        return "nothing is lost: an equally good plan was found"
    found = (
        "an equally good one was found" if e.loss == 0 else f"the plan found has {money(e.loss, unit)} {less}"
    )
    if e.indistinguishable:
        return f"indistinguishable: {found}, but the gaps leave open whether anything is lost at all"
    if e.high is None or money(e.low or 0.0, unit) == money(e.high, unit):
        return f"{money(e.loss, unit)} {less}"
    return f"{money(e.low or 0.0, unit)} to {money(e.high, unit)} {less}: {found}"


def _proven_words(e: Explanation, unit: str) -> str:
    if e.low is None or e.high is None:
        return "nothing: no bound was found"
    if e.low == e.high:
        return "exactly that" if e.loss == e.low else f"exactly {money(e.low, unit)}"
    if money(e.low, unit) == money(e.high, unit) == money(e.loss or 0.0, unit):
        return "that, to the digits shown"
    return f"the best plans differ by {money(e.low, unit)} to {money(e.high, unit)}"


def _missed_words(e: Explanation) -> str:
    """The first way out as what would be missed: "PV-BIPV would be missed by 1"."""
    if not e.relaxations:
        return ""
    row = e.relaxations[0].rows[0]
    more = "" if len(e.relaxations[0].rows) == 1 else " and more"
    name = f"{row.clause} {row.where}".strip()
    by = amount(abs(row.change), "" if row.unit == "count" else row.unit)
    verb = "exceeded" if row.change > 0 else "missed"
    return f"{name} would be {verb} by {by}{more}"


def _stopping_lines(e: Explanation, words: Wording) -> list[tuple[str, str]]:
    lines = []
    if e.own_value is not None:
        lines.append(
            (
                "by itself",
                f"{money(e.own_value if words.maximise else -e.own_value, words.unit)} {words.goal}",
            )
        )
    for position, row in enumerate(e.stopping):
        lines.append(("stopped by" if position == 0 else "", _row_words(row, words)))
    return lines


def _row_words(row: StoppingRow, words: Wording) -> str:
    if math.isnan(row.short):
        return row.name
    parts = []
    if row.short > 0:
        parts.append(f"short by {money(row.short, row.unit)} when it is added to the plan as it is")
    if not math.isnan(row.worth) and row.worth > 0:
        parts.append(f"what it takes is worth about {money(row.worth, words.unit)} elsewhere")
    return f"{row.name}: {'; '.join(parts)}"


def _break_even_words(even: BreakEven) -> str:
    ways = [f"a subsidy of {money(even.subsidy_cny, 'CNY')} (present value)"]
    if even.capex_cut_share is not None:
        ways.append(
            f"CAPEX lower by {100 * even.capex_cut_share:.1f} % (once; less where the freed budget serves others)"
        )
    if even.price_factor is not None:
        ways.append(f"prices {100 * (even.price_factor - 1):.1f} % higher for it alone")
    return " · or ".join(ways)


def _changed_words(e: Explanation) -> str:
    parts = []
    for word, names in (("in", e.enters), ("out", e.leaves)):
        if names:
            rest = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            parts.append(f"{word}: {', '.join(names[:_MOST_NAMES])}{rest}")
    return " · ".join(parts)


def ranking_lines(
    ranked: Sequence[Mapping[str, Any]], exact: Mapping[str, Explanation], words: Wording
) -> list[str]:
    """The plan's projects, the most important first; what was solved again beside the approximation."""
    rows = []
    for position, row in enumerate(ranked, start=1):
        told = exact.get(row["id"])
        value = row["approx_value"]
        rows.append(
            [
                str(position),
                row["id"],
                row["name"][:_LONGEST_NAME],
                row["district"],
                row["decision"][:_LONGEST_WORDS],
                "—" if value is None or math.isnan(value) else money(value, words.unit),
                _short_answer(told, words),
            ]
        )
    head = ["", "", "", "", "", "about", "without it, solved again"]
    return aligned(head, rows, left=5)


def _short_answer(e: Explanation | None, words: Wording) -> str:
    if e is None:
        return ""
    if e.forbidden:
        return e.forbidden
    if e.impossible:
        return f"impossible: {_missed_words(e) or 'no plan'}"
    if e.loss is None:
        return "not known in time"
    if e.indistinguishable:
        return "indistinguishable" + (
            "" if e.high is None else f": 0 to {money(e.high, words.unit)} {words.worse}"
        )
    low, high = money(e.low or 0.0, words.unit), money(e.loss if e.high is None else e.high, words.unit)
    return f"{high} {words.worse}" if low == high else f"{low} to {high} {words.worse}"


def explanation_json(e: Explanation) -> dict[str, Any]:
    """Plain data; what is not known is null."""
    content: dict[str, Any] = _finite(dataclasses.asdict(e))
    return content | {
        "indistinguishable": e.question is not None and not e.impossible and e.indistinguishable
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
