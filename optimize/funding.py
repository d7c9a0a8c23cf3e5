"""How a project's CAPEX is split over funding sources by one of its eligible mixes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SOURCE_CLASSES = ("municipal", "district", "owner")


def mixes_of(funding: pd.DataFrame, project_kind: str) -> list[str]:
    """Names of the mixes open to ``project_kind`` (its own rows, or else those of ``*``)."""
    own = funding.loc[funding["project_kind"] == project_kind, "mix"]
    rows = own if len(own) else funding.loc[funding["project_kind"] == "*", "mix"]
    return list(dict.fromkeys(rows))


def split_capex(
    funding: pd.DataFrame, project_kind: str, mix: str, capex_cny: NDArray[np.float64]
) -> NDArray[np.float64]:
    """CAPEX paid by municipal, district and owner.

    Parameters
    ----------
    capex_cny : shape (n,), CNY.

    Returns
    -------
    shape (n, 3), CNY, columns in the order of SOURCE_CLASSES; rows sum to ``capex_cny``.  Each
    source pays ``min(share * capex, ceiling)``; the source marked ``takes_rest`` (else `owner`)
    pays what is left.
    """
    own = funding[(funding["project_kind"] == project_kind) & (funding["mix"] == mix)]
    rows = own if len(own) else funding[(funding["project_kind"] == "*") & (funding["mix"] == mix)]
    paid = np.zeros((len(capex_cny), len(SOURCE_CLASSES)))
    rest_to = SOURCE_CLASSES.index("owner")
    for source, share, ceiling, rest in zip(
        rows["source"], rows["share"], rows["ceiling_cny"], rows["takes_rest"], strict=True
    ):
        column = SOURCE_CLASSES.index(source)
        top = np.inf if np.isnan(ceiling) else ceiling
        paid[:, column] = np.minimum(share * capex_cny, top)
        if rest:
            rest_to = column
    paid[:, rest_to] += capex_cny - paid.sum(axis=1)
    return paid
