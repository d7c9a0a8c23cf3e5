"""The example city, read once, and cities drawn from it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd

from optimize.city.example import Draw, example_city
from optimize.city.instance import City, derive_city
from optimize.city.reading import read_city
from optimize.city.schema import SCHEMA
from optimize.io.instance_folder import LoadedProgramme, read_section
from optimize.io.write import write_instance
from optimize.registry import PROGRAMMES
from optimize.schema import InstanceData


@cache
def example() -> tuple[tuple[LoadedProgramme, ...], InstanceData]:
    """The parts and the city's own data of the example, from its tables."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "city"
        write_instance(folder, example_city())
        instance, _ = read_city(folder, PROGRAMMES)
        section = read_section(folder, SCHEMA, [p.name for p in PROGRAMMES])
    assert section.data is not None
    return instance.programmes, section.data


def with_tables(data: InstanceData, **tables: pd.DataFrame) -> InstanceData:
    return replace(data, tables={**data.tables, **tables})


def drawn_city(seed: int) -> City:
    """Budgets, loads, roofs, demands and the energy cap drawn by ``seed``; every cross-link in place."""
    parts, own = example()
    draft = {schema.programme: draft for schema, draft in example_city(Draw.seeded(seed))}
    varied = []
    for part in parts:
        drawn = draft[part.programme.name]
        tables = {}
        for table, columns in _DRAWN[part.programme.name].items():
            frame = part.data.tables[table].copy()
            for column in columns:
                frame[column] = drawn.tables[table][column].to_numpy()
            tables[table] = frame
        targets = dict(part.data.targets)
        for clause, body in drawn.targets.items():
            targets[clause] = replace(targets[clause], required=float(body["required"]))
        varied.append(replace(part, data=replace(with_tables(part.data, **tables), targets=targets)))
    energy = Draw.seeded(seed).energy
    targets = dict(own.targets)
    targets["CITY-ENERGY"] = replace(
        targets["CITY-ENERGY"],
        required=energy["required"],
        hard=energy["hard"],
        penalty_cny_per_unit=energy["penalty_cny_per_unit"],
    )
    return derive_city(tuple(varied), replace(own, targets=targets))


_DRAWN = {
    "datacenter": {"budgets": ["amount_cny"], "centres": ["it_load_kw"]},
    "water": {"budgets": ["amount_cny"], "user_demands": ["base_m3_per_d"], "corridors": ["length_m"]},
    "pv_siting": {"budgets": ["amount_cny"], "sites": ["usable_roof_m2"]},
}
