"""Stored runs verified without the engine: the plan from the raw tables, the bound from multipliers."""
