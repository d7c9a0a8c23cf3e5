"""The catalogue of measures and their contractor weeks (order-of-magnitude facts, graded row by row)."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd


def read_fact(name: str) -> pd.DataFrame:
    """A table of `facts`; empty cells stay empty strings in text columns."""
    with files("optimize.datacenter").joinpath("facts", name).open(encoding="utf-8") as stream:
        frame = pd.read_csv(stream)
    text = frame.select_dtypes(["object", "string"]).columns
    frame[text] = frame[text].fillna("")
    return frame


def measures() -> pd.DataFrame:
    """Table `measures`: the 19 measures; the 20th of the catalogue, closing, is an option of its own."""
    frame = read_fact("measures.csv")
    for column in ("requires", "exclusion_groups", "cooling_types"):
        frame[column] = frame[column].fillna("").astype(str)
    return frame


def measure_trades() -> pd.DataFrame:
    """Table `measure_trades`."""
    return read_fact("measure_trades.csv")
