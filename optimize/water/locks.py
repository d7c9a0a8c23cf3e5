"""Locks resolved to positions: which project, which way of doing it, which stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from optimize.water.instance import LOCKABLE, Instance


@dataclass(frozen=True)
class ProjectRef:
    """A project by table (``plants``, ``users``, ``corridors``, …) and position in it.

    ``quality``: of a plant or corridor, only what it holds of this quality; -1: all.
    """

    table: str
    position: int
    quality: int = -1


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
    qualities = {name: position for position, name in enumerate(instance.qualities["quality"])}

    def named(name: str) -> ProjectRef:
        if name in place:
            return place[name]
        whole, _, quality = name.rpartition(":")
        return replace(place[whole], quality=qualities[quality])

    columns = (locks[name] for name in ("kind", "id", "other", "value", "year"))
    for kind, name, other, value, year in zip(*columns, strict=True):
        if kind in ("earliest", "latest") and not instance.parameters.phased:
            continue
        paired = kind in ("together", "not_together")
        yield ResolvedLock(
            kind=kind,
            project=named(name),
            other=named(other) if paired else None,
            value=value,
            stage=int(year) - instance.parameters.base_year if year else None,
        )


def offers_zero_discharge(instance: Instance) -> bool:
    """Whether near-zero-discharge works may be built: [W-ZLD], a lock or the plan in force asks for some."""
    parks, locks = instance.parks["park"], instance.locks
    named = locks["id"].isin(parks) | locks["other"].isin(parks)
    in_force = instance.plan_in_force["project"].str.startswith("zld:")
    return "W-ZLD" in instance.targets or bool(named.any() or in_force.any())
