"""Funding sources: how a project's CAPEX is split over them, and their budgets where they must give way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optimize.milp import MONEY, ElasticRows, FloatArray, IntArray

SOURCE_CLASSES = ("municipal", "district", "owner")


def mixes_of(funding: pd.DataFrame, project_kind: str) -> list[str]:
    """Names of the mixes open to ``project_kind`` (its own rows, or else those of ``*``)."""
    kinds, mixes = funding["project_kind"].tolist(), funding["mix"].tolist()
    asked = project_kind if project_kind in kinds else "*"
    return list(dict.fromkeys(mix for kind, mix in zip(kinds, mixes, strict=True) if kind == asked))


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
    keys = list(zip(funding["project_kind"].tolist(), funding["mix"].tolist(), strict=True))
    asked = (project_kind if (project_kind, mix) in keys else "*", mix)
    sources = funding["source"].tolist()
    shares, ceilings = funding["share"].to_numpy(np.float64), funding["ceiling_cny"].to_numpy(np.float64)
    takes_rest = funding["takes_rest"].to_numpy(np.bool_)
    paid = np.zeros((len(capex_cny), len(SOURCE_CLASSES)))
    rest_to = SOURCE_CLASSES.index("owner")
    for row in (row for row, key in enumerate(keys) if key == asked):
        source, share, ceiling, rest = sources[row], shares[row], ceilings[row], takes_rest[row]
        column = SOURCE_CLASSES.index(source)
        top = np.inf if np.isnan(ceiling) else ceiling
        paid[:, column] = np.minimum(share * capex_cny, top)
        if rest:
            rest_to = column
    paid[:, rest_to] += capex_cny - paid.sum(axis=1)
    return paid


def elastic_budgets(
    names: Sequence[str], limit_cny: FloatArray, rows: IntArray, carry_rows: IntArray, carry_share: float
) -> list[ElasticRows]:
    """Budgets that may give way: all in proportion, then each.

    What is granted more may be carried over like the budget itself, so the carry-over row
    ``carried <= carry_share * (budget + carried in - spent)`` gives way with the budget's own.

    Parameters
    ----------
    names, limit_cny, rows : source and year, limit and row of each budget.
    carry_rows : shape of ``rows``, the carry-over row of the year, -1 where there is none.
    """
    total = float(limit_cny.sum())
    part = limit_cny / total if total > 0 else np.full(len(rows), 1.0 / max(len(rows), 1))
    some = part > 0
    carrying = some & (carry_rows >= 0)

    def giving(where: str, ids: IntArray, required: float, per_unit: FloatArray) -> ElasticRows:
        return ElasticRows("budget", where, "CNY", ids, required, per_unit=per_unit, is_cap=True, rank=MONEY)

    together = giving(
        "all sources and years in proportion",
        np.concatenate([rows[some], carry_rows[carrying]]),
        total,
        np.concatenate([part[some], carry_share * part[carrying]]),
    )
    each = [
        giving(
            name,
            np.array([row] if carried < 0 else [row, carried]),
            float(limit),
            np.array([1.0] if carried < 0 else [1.0, carry_share]),
        )
        for name, limit, row, carried in zip(names, limit_cny, rows, carry_rows, strict=True)
    ]
    return [together, *each] if len(each) > 1 else each
