"""The table of a batch: what is compared, what is only seemingly different, what failed and why."""

from __future__ import annotations

from typing import Any

from optimize.studies.batch_case import Case
from optimize.studies.batch_report import finished_json, finished_line, summary_lines
from optimize.studies.batch_state import Finished, finished_of
from optimize.studies.scenarios import Scenario


def _end(name: str, objective: float | None, bound: float | None, **more: Any) -> Finished:
    gap = None if objective is None or bound is None else abs(bound - objective) / abs(objective)
    told = {"status": "solved", "unit": "CNY", "run": f"pv_siting/{name}/0001", **more}
    return Finished(
        f"key {name}", name, name, name, "pv_siting", objective=objective, bound=bound, gap=gap, **told
    )


def test_differences_smaller_than_the_gaps_are_marked() -> None:
    ends = [_end("first", 100e6, 101e6), _end("more", 110e6, 111e6), _end("near", 100.5e6, 102e6)]
    told = summary_lines(ends, 3, "results")
    assert next(line for line in told if "  more" in line).split("%")[0].strip().endswith("+10.0")
    assert "+0.5 % ?" in next(line for line in told if "  near" in line)
    assert "?" not in next(line for line in told if "  more" in line)
    assert any("leave open" in line for line in told)
    assert told[-1] == "Next: optimize compare results/pv_siting/first/0001 results/pv_siting/more/0001"


def test_what_has_no_plan_is_listed_with_the_reason() -> None:
    ends = [
        _end("first", 1e6, 1e6),
        _end("bad", None, None, status="infeasible", run="", reason="too little"),
    ]
    told = "\n".join(summary_lines(ends, 3, "results"))
    assert "1 of 2 without a plan" in told and "bad · pv_siting · infeasible: too little" in told
    assert "1 not begun" in told and "leave open" not in told
    assert finished_line(ends[1]) == "bad · pv_siting: infeasible: too little"
    assert finished_json(ends[0])["scenario"] == "first" and "key" not in finished_json(ends[0])


def test_reasons_are_told_in_the_clauses_words() -> None:
    row = {
        "clause": "DC-CLOSE", "where": "", "unit": "share", "required": 0.6, "reachable": 0.1, "change": -0.5,
        "exact": True,
    }  # fmt: skip
    case = Case("city", "datacenter", Scenario("bad", "", ""))
    summary: dict[str, Any] = {
        "status": "infeasible", "relaxations": [[row]], "objective": None, "bound": None, "gap": None,
        "goal_unit": "CNY", "seconds": 1.0, "stop_reason": "infeasible",
    }  # fmt: skip
    told = finished_of("key", case, summary, "").reason
    assert "DC-CLOSE: 10 % instead of 60 % (−50 points)" in told
    stopped = finished_of("key", case, summary | {"status": "no plan", "stop_reason": "interrupted"}, "")
    assert stopped.reason == "stopped before there was a plan"
