"""The keys of ``job.toml``: what each says, its type, its range, its default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optimize.registry import PROGRAMMES

Kind = Literal["text", "number", "whole", "flag", "texts", "wholes"]
_WORDS: Mapping[Kind, str] = {
    "text": "a text",
    "number": "a number",
    "whole": "a whole number",
    "flag": "true or false",
    "texts": "a list of texts",
    "wholes": "a list of whole numbers",
}


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes
    ----------
    path : section and name, ``solve.gap``.
    default : where it is not given; None: nothing is said.
    minimum, maximum : inclusive, of the number or of each of a list.
    choices : of the text, or of each of a list; () means any.
    example : what the commented file shows where the default is nothing.
    """

    path: str
    kind: Kind
    meaning: str
    default: Any
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    example: Any = ""

    @property
    def section(self) -> str:
        return self.path.split(".")[0]

    @property
    def name(self) -> str:
        return self.path.split(".")[1]

    def expected(self) -> str:
        text = _WORDS[self.kind]
        if self.choices:
            text += f": {', '.join(self.choices)}"
        if self.minimum is not None:
            text += f" from {self.minimum:g}"
        return text if self.maximum is None else f"{text} to {self.maximum:g}"

    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, in words; None where nothing is."""
        items = value if self.kind in ("texts", "wholes") else [value]
        if not isinstance(items, Sequence) or isinstance(items, str):
            return repr(value)
        return next((repr(item) for item in items if not self._fits(item)), None)

    def _fits(self, item: Any) -> bool:
        if self.kind == "flag":
            return isinstance(item, bool)
        if self.kind in ("text", "texts"):
            return isinstance(item, str) and (not self.choices or item in self.choices)
        allowed = int if self.kind in ("whole", "wholes") else (int, float)
        if not isinstance(item, allowed) or isinstance(item, bool):
            return False
        low = float("-inf") if self.minimum is None else self.minimum
        high = float("inf") if self.maximum is None else self.maximum
        return low <= item <= high and abs(item) != float("inf")


KEYS: tuple[Key, ...] = (
    Key("job.name", "text", "name of the job; its periods lie in <results>/monthly/<name>", "",
        example="the name of this file's folder"),
    Key("job.timezone", "text", "whose calendar a month is taken from", "", example="Asia/Shanghai"),
    Key("instance.folder", "text", "the folder the instance lies in", ""),
    Key("instance.workbook", "text", "an .xlsx whose sheets stand instead of the folder's tables, or for all of them", "",
        example="instance.xlsx"),
    Key("instance.database", "text", "a database whose queries stand instead of the folder's tables, and that may hold the "
        "ledger (revise.ledger_table), as SQLAlchemy writes its address; ${NAME} is taken from the environment", "",
        example="postgresql+psycopg://reader:${CITY_PASSWORD}@db/city"),
    Key("instance.max_lost_rows", "number", "a table that has lost more of its rows since the last period is taken for a truncated export",
        0.2, unit="share", minimum=0, maximum=1),
    Key("plan.programmes", "texts", "programmes to plan; none: all the instance has", (),
        choices=tuple(programme.name for programme in PROGRAMMES)),
    Key("plan.joint", "flag", "plan them together under one public budget", False),
    Key("plan.goal", "texts", "goals, the first first", ("npv",)),
    Key("solve.gap", "number", "stop at this proven relative gap", 0.005, minimum=0),
    Key("solve.time_limit_s", "number", "for each programme (for all together where they are planned jointly)", 1800.0,
        unit="s", minimum=0.1),
    Key("solve.threads", "whole", "cores to use", 1, minimum=1),
    Key("solve.seed", "whole", "of whatever is drawn", 0, minimum=0),
    Key("solve.checkpoint_s", "number", "a plan found is put on disk after this time, then after twice that, …", 60.0,
        unit="s", minimum=0.1),
    Key("solve.explain_s", "number", "for all the further solves together that tell why a plan changed and what stability costs",
        1800.0, unit="s", minimum=0),
    Key("revise.ledger", "text", "what became of the projects: `optimize ledger`", "", example="ledger.csv"),
    Key("revise.ledger_table", "text", "the ledger as a table of the database of [instance], instead of a file", "",
        example="ledger"),
    Key("revise.amendment_months", "wholes", "months in which this year's list may still change; none: all", (),
        minimum=1, maximum=12),
    Key("revise.lapse", "flag", "a project that is not contracted by the end of its year starts in a later one (where the ledger has "
        "any contract of its programme)", True),
    Key("revise.max_changes", "whole", "at most so many projects added, dropped, moved or resized", None, minimum=0,
        example=20),
    Key("revise.penalty_cny_per_change", "number", "what a change has to be worth", 100_000.0, unit="CNY", minimum=0),
    Key("revise.min_gain", "number", "a new plan has to be worth this much more than the one in force, or that one stays",
        0.0, unit="unit of the goal", minimum=0),
    Key("revise.price", "flag", "also plan without any stability, to tell what it costs", True),
    Key("revise.curve_points", "whole", "points of the curve of what is reached against the number of changes; 0: none", 0,
        minimum=0, maximum=50),
    Key("results.folder", "text", "where runs and periods are kept", "results"),
    Key("keep.periods", "whole", "so many periods stay; 0: all", 0, minimum=0),
    Key("keep.yearly", "flag", "beyond them the last period of every year stays", True),
    Key("keep.failures", "whole", "records of failures that stay", 24, minimum=0),
    Key("tell.webhook", "text", "an address that hears how it ended (POST, JSON); ${NAME} is taken from the environment", "",
        example="https://example.org/hook"),
    Key("tell.on", "texts", "which ends it hears of", ("changed", "failed"), choices=("changed", "kept", "failed")),
    Key("tell.timeout_s", "number", "how long it is waited for", 10.0, unit="s", minimum=0.1, maximum=300),
    Key("tell.stale_after_days", "number", "`optimize status` raises the alarm at this age of the last good plan", 40.0,
        unit="days", minimum=0),
    Key("retry.attempts", "whole", "how often a source that does not answer is asked; faults in data are not asked again",
        3, minimum=1, maximum=20),
    Key("retry.wait_s", "number", "before the second attempt; doubled each time", 30.0, unit="s", minimum=0, maximum=3600),
)  # fmt: skip

# Sections whose keys are the user's own, with what the commented file shows.
FREE_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "instance.tables": (
        "# [instance.tables]",
        "# what is read from the database: each table with its query",
        '# "districts" = "SELECT district, name_zh, name_en FROM districts"',
        '# "pv_siting/sites" = "SELECT * FROM sites WHERE withdrawn IS NULL"',
    ),
    "set": (
        "# [set]",
        "# parameters of instance.toml that this job sets otherwise",
        '# "budgets.scale" = 0.9',
    ),
}
