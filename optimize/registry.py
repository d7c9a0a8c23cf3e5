"""The one list of programmes."""

from __future__ import annotations

from optimize.datacenter.programme import PROGRAMME as DATACENTER
from optimize.errors import UsageError
from optimize.programme import Programme
from optimize.pv_siting.programme import PROGRAMME as PV_SITING
from optimize.water.programme import PROGRAMME as WATER

PROGRAMMES: tuple[Programme, ...] = (DATACENTER, WATER, PV_SITING)


def find_programme(name: str) -> Programme:
    """The programme called ``name``.

    Raises
    ------
    UsageError : there is none.
    """
    for programme in PROGRAMMES:
        if programme.name == name:
            return programme
    raise UsageError(f"no programme '{name}'; known: {', '.join(p.name for p in PROGRAMMES)}")
