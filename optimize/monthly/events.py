"""What can happen to a project, as a ledger names it."""

from __future__ import annotations

LADDER = ("idea", "proposed", "budgeted", "tendered", "contracted", "on_site", "accepted")
ENDS = ("cancelled", "failed")
REMARKS = ("delayed", "paid", "measured")
EVENTS = (*LADDER, *ENDS, *REMARKS)
