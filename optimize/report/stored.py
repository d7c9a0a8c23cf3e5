"""The tables of a run's folder: the plan, and what proves its bound."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optimize.programme import Programme
from optimize.result import Certificate
from optimize.solve import Solved


def run_tables(programme: Programme, solved: Solved) -> dict[str, pd.DataFrame]:
    """Tables by name; the plan's own ones first."""
    tables = dict(programme.plan_tables(solved.instance, solved.result.solution))
    certificate = solved.result.certificate
    if certificate is not None:
        tables |= certificate_tables(certificate)
    return tables


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
