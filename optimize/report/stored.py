"""The tables of a run's folder: the plan, what proves its bound, and what follows from that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optimize.io.run_store import NETWORK_MULTIPLIERS
from optimize.programme import Programme
from optimize.result import Certificate, Prices, Result, relative_gap

if TYPE_CHECKING:  # the engine would come with it
    from optimize.solve import Solved


def run_tables(programme: Programme, solved: Solved) -> dict[str, pd.DataFrame]:
    """Tables by name; the plan's own ones first."""
    tables = dict(programme.plan_tables(solved.instance, solved.result.solution))
    certificate = solved.result.certificate
    if certificate is not None:
        tables |= certificate_tables(certificate)
        if solved.result.prices is not None:
            tables |= price_tables(programme, solved.result, solved.result.prices, tables["projects"])
    return tables


def run_files(certificate: Certificate | None) -> dict[str, bytes]:
    """Files of a run besides its tables, by name: what proves its bound and is no table."""
    if certificate is None or certificate.network is None or certificate.network.content is None:
        return {}
    return {NETWORK_MULTIPLIERS: certificate.network.content}


def price_tables(
    programme: Programme, result: Result[Any], prices: Prices, projects: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Shadow prices of rows, and every candidate's value with whether the plan has it."""
    assert result.certificate is not None
    kind = str(prices.candidates.columns[0])
    gap = relative_gap(result.objective, result.certificate.bound)
    return {
        "shadow_prices": prices.rows.assign(
            goal_unit=programme.goal(result.goal[-1]).unit,
            certified_gap=float("nan") if gap is None else gap,
        ),
        "candidate_values": prices.candidates.assign(
            chosen=prices.candidates[kind].isin(projects[kind]).to_numpy()
        ),
    }


def certificate_tables(certificate: Certificate) -> dict[str, pd.DataFrame]:
    """Rows that are priced with their multipliers, and rows solved exactly with their blocks' bounds."""
    names = certificate.row_names
    priced = np.flatnonzero(certificate.multipliers)
    tables = {
        "multipliers": pd.DataFrame(
            {"row": [names[row] for row in priced.tolist()], "multiplier": certificate.multipliers[priced]}
        )
    }
    if len(certificate.block_rows):
        tables["blocks"] = pd.DataFrame(
            {
                "row": [names[row] for row in certificate.block_rows.tolist()],
                "block_bound": certificate.block_bounds,
            }
        )
    return tables
