"""Locks resolved to positions: which project, which way of doing it, which stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optimize.water.instance import LOCKABLE, Instance


@dataclass(frozen=True)
class ProjectRef:
    """A project by table (``plants``, ``users``, ``corridors``, …) and position in it."""

    table: str
    position: int


@dataclass(frozen=True)
class ResolvedLock:
    """A lock.

    A *project* is done when anything of it is built: any module of a plant, any new pipe on a
    corridor, pipe or tanker of a user; a storage site, cascade, or near-zero-discharge pilot.
    ``value`` is as in `optimize.water.instance.fix_values`.  ``stage`` is the build year counted
    from the base year, None where the lock has none; locks of kind earliest and latest exist only
    in phased instances.
    """

    kind: str
    project: ProjectRef
    other: ProjectRef | None
    value: str
    stage: int | None


def resolve_locks(instance: Instance) -> Iterator[ResolvedLock]:
    """Locks in the order of their table."""
    place = {
        name: ProjectRef(table, position)
        for table, key in LOCKABLE
        for position, name in enumerate(getattr(instance, table)[key])
    }
    locks = instance.locks
    columns = (locks[name] for name in ("kind", "id", "other", "value", "year"))
    for kind, name, other, value, year in zip(*columns, strict=True):
        if kind in ("earliest", "latest") and not instance.parameters.phased:
            continue
        paired = kind in ("together", "not_together")
        yield ResolvedLock(
            kind=kind,
            project=place[name],
            other=place[other] if paired else None,
            value=value,
            stage=int(year) - instance.parameters.base_year if year else None,
        )
