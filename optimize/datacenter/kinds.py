"""The kinds of options and the columns by which one is named."""

from __future__ import annotations

NOTHING, PACKAGE, STAGED, CLOSE, OFFER = range(5)
NONE = -1
ACTIONS = {NOTHING: "nothing", PACKAGE: "retrofit", STAGED: "staged", CLOSE: "close", OFFER: "offer"}
COLUMNS = (
    "centre", "kind", "first", "second", "year", "second_year", "host", "link", "offer", "mix"
)  # fmt: skip
