"""Reclaimed water: which plants to upgrade, which pipes to lay, which user gets which water each month."""
