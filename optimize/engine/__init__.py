"""Solving on arrays: no domain word in here."""
