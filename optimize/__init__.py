"""Optimal, proven and checked investment plans for a city's green programmes."""

from optimize.kernel_cache import choose_writable_folder

__version__ = "0.1.0"

choose_writable_folder()
