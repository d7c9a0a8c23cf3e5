"""What a run of a job says: lines for a person, and a message for a webhook."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from optimize.monthly import failures
from optimize.monthly.decide import Plan
from optimize.monthly.explaining import Explained, SubjectChange
from optimize.monthly.job import Job, Telling
from optimize.monthly.periods import Name, Period
from optimize.report.text import amount, grouped

# Changes this small beside the figure are none.
_NOTHING = 1e-7


def stamped(now: datetime, text: str) -> str:
    return f"{now:%Y-%m-%d %H:%M}  {text}"


def period_lines(
    job: Job,
    name: Name,
    in_force: Period | None,
    planned: Sequence[Plan],
    explained: Explained,
    revised: Sequence[str],
    now: datetime,
) -> tuple[str, ...]:
    """What a period has brought: a line for its inputs, what the revision has to say, a line for each plan."""
    inputs = ", ".join(f"{number} {group}" for group, number in explained.inputs.items() if number)
    first = "the first plan" if in_force is None else f"inputs changed: {inputs or 'nothing'}"
    lines = [f"period {name}  {first}", *revised]
    several = len(planned) > 1
    for plan, change in zip(planned, explained.subjects, strict=True):
        prefix = f"{plan.subject.name}: " if several else ""
        lines.append(f"{prefix}{_plan_words(job, plan, change)}")
    return tuple(stamped(now, line) for line in lines)


def _plan_words(job: Job, plan: Plan, change: SubjectChange) -> str:
    gap = plan.found.solved.result.gap
    proof = "" if gap is None else f", proven to {100 * gap:.2f} %"
    if change.objective_before is None:
        return f"plan: {change.goal} {amount(change.objective, change.unit)}{proof}"
    most = job.revising.rules.max_changes
    aside = [f"{change.num_forced} without a choice"] * (change.num_forced > 0)
    aside += [] if most is None else [f"limit {most}"]
    limit = f" ({', '.join(aside)})" if aside else ""
    number = change.num_changes
    words = (
        f"plan: {number} change{'' if number == 1 else 's'}{limit}, {change.frozen} to contracted projects"
    )
    words += f", {change.goal} {_difference(change.objective - change.objective_before, change)}"
    if change.stability is not None:
        free = change.stability.free
        words += f" (without stability {_difference(free.value - change.objective_before, change)}"
        words += f", {free.changes:g} changes)"
    return words + proof


def _difference(value: float, change: SubjectChange) -> str:
    if abs(value) <= _NOTHING * max(1.0, abs(change.objective)):
        return "±0"
    if change.unit == "CNY" and abs(value) < 1e5:
        shown = f"{grouped(abs(value) / 1e4, 2)} 万元"
    elif change.unit == "CNY" and abs(value) < 1e7:  # two plans often differ in the second digit only
        shown = f"{grouped(abs(value) / 1e6, 2)} M CNY"
    else:
        shown = amount(abs(value), change.unit)
    return f"{'+' if value > 0 else '−'}{shown}"


# --- the webhook ------------------------------------------------------------------------------------


def ended(job: Job, outcome: str, period: Period, lines: Sequence[str]) -> dict[str, Any] | None:
    """The message about a published period; None where nobody wants it."""
    if outcome not in job.telling.on:
        return None
    return {
        "job": job.name, "period": str(period.name), "outcome": outcome, "code": 0,
        "text": "\n".join(lines), "folder": period.folder.as_posix(),
    }  # fmt: skip


def failed(job: Job, period: str, error: BaseException) -> dict[str, Any] | None:
    """The message about a failure; None where nobody wants it."""
    if "failed" not in job.telling.on:
        return None
    return {
        "job": job.name, "period": period, "outcome": "failed", "code": int(failures.code_of(error)),
        "text": failures.words_of(error), "folder": job.home.as_posix(),
    }  # fmt: skip


def post(telling: Telling, message: Mapping[str, Any]) -> str:
    """Post ``message`` as JSON; what went wrong, or "" where nothing did or nobody is to be told."""
    if not telling.webhook:
        return ""
    data = json.dumps(message, ensure_ascii=False).encode()
    request = urllib.request.Request(
        telling.webhook, data, {"Content-Type": "application/json; charset=utf-8", "User-Agent": "optimize"}
    )
    try:
        with urllib.request.urlopen(request, timeout=telling.timeout_s):
            return ""
    except (urllib.error.URLError, OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
