"""Names that a call chooses from: what the command line has to know before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Engine = Literal["auto", "formulation", "fast"]

PROGRAMME_NAMES = ("datacenter", "water", "pv_siting")
# All programmes under one budget, where they are chosen among the programmes.
CITY = "city"

# What `optimize generate` makes of each programme; its generator knows what they stand for.
SIZES: Mapping[str, tuple[str, ...]] = {
    "datacenter": ("200", "1k", "10k", "100k", "shanghai"),
    "water": ("s", "m", "l", "xl", "shanghai"),
    "pv_siting": ("2k", "10k", "100k", "1m", "shanghai"),
}
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "datacenter": ("mixed",),
    "water": ("parks", "sparse"),
    "pv_siting": ("standard", "tight"),
}
