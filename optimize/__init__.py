"""Optimal, proven and checked investment plans for a city's green programmes."""

__version__ = "0.1.0"
