"""Multipliers of a network's bound as a run keeps them: rounded to a grid, with the names they belong to, in an npz file.

Any multipliers prove a bound, so they are rounded first, and the bound claimed is that of the rounded ones.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optimize.errors import UnreadableProof
from optimize.water.coefficients import BoolArray, Coefficients
from optimize.water.instance import Instance
from optimize.water.investments import FloatArray, IntArray

GRID_BITS = 22
"""The largest multiplier is about this many bits of the grid: bounds move by less than a millionth."""
COARSE_BITS = 15
"""Where the file would be too large otherwise; bounds move by some ten thousandths."""
MOST_BYTES = 48_000_000
"""Of a run's file.  Above, the run is certified by its linear relaxation only."""
STEERED = ("W-VOLUME", "W-TN", "W-NEAR")
"""Clauses whose totals have a multiplier where they are hard."""
_MOST_UNPACKED = 2_000_000_000
_FORMAT = 1


@dataclass(frozen=True)
class NetworkMultipliers:
    """Multipliers of all seasons T; N nodes, W commodities, O origins (plants, then cascades), G qualities.

    Attributes
    ----------
    season : shape (periods,), season of each period of the instance, -1: of none (no days).
    potential : shape (T, N, W), by season, node and commodity (`commodities`).
    birth : shape (T, N, O, G), by season, node, origin and quality.
    purse : shape (F,), price of money by source; 0 where it is unlimited.
    raw : shape (T, O), price of raw water.
    effect : shape (M,), price of the totals of `steered_clauses`.
    """

    season: IntArray
    potential: FloatArray
    birth: FloatArray
    purse: FloatArray
    raw: FloatArray
    effect: FloatArray

    @property
    def num_seasons(self) -> int:
        return len(self.potential)

    @property
    def size(self) -> int:
        """How many multipliers there are."""
        return sum(array.size for array in (self.potential, self.birth, self.purse, self.raw, self.effect))


def makeable(c: Coefficients) -> BoolArray:
    """Qualities that some plant or cascade makes, (G,)."""
    made: BoolArray = np.array(c.can_treat.any(axis=0))
    made[c.cascade_quality] = True
    return made


def commodities(c: Coefficients) -> tuple[IntArray, IntArray]:
    """Quality and demand of every commodity, by quality, then in the order of the table."""
    quality, demand = np.nonzero(c.accepts.T & makeable(c)[:, None])
    return quality, demand


def steered_clauses(instance: Instance) -> tuple[str, ...]:
    """Clauses whose totals the relaxation keeps."""
    targets = instance.targets
    return tuple(clause for clause in STEERED if clause in targets and targets[clause].hard)


def names_of(instance: Instance, c: Coefficients) -> dict[str, list[str]]:
    """What each axis of the multipliers stands for, by axis."""
    quality, demand = commodities(c)
    return {
        "nodes": list(c.node_ids),
        "commodities": [
            f"{c.demand_ids[q]} {c.quality_ids[g]}"
            for g, q in zip(quality.tolist(), demand.tolist(), strict=True)
        ],
        "origins": [*c.plant_ids, *instance.cascades["cascade"]],
        "qualities": list(c.quality_ids),
        "purses": list(c.budgets.sources),
        "effects": list(steered_clauses(instance)),
    }


def shapes_of(names: Mapping[str, Sequence[str]], num_seasons: int) -> dict[str, tuple[int, ...]]:
    """Shape of every array of multipliers."""
    length = {axis: len(own) for axis, own in names.items()}
    nodes, origins = length["nodes"], length["origins"]
    return {
        "potential": (num_seasons, nodes, length["commodities"]),
        "birth": (num_seasons, nodes, origins, length["qualities"]),
        "purse": (length["purses"],),
        "raw": (num_seasons, origins),
        "effect": (length["effects"],),
    }


def rounded(multipliers: NetworkMultipliers, bits: int = GRID_BITS) -> tuple[NetworkMultipliers, float]:
    """Potentials and births as multiples of a power of two, and that power."""
    largest = max(np.abs(multipliers.potential).max(initial=0.0), np.abs(multipliers.birth).max(initial=0.0))
    grid = float(2.0 ** (np.ceil(np.log2(largest)) - bits)) if largest > 0 else 1.0
    return (
        NetworkMultipliers(
            multipliers.season,
            np.rint(multipliers.potential / grid) * grid,
            np.rint(multipliers.birth / grid) * grid,
            multipliers.purse,
            multipliers.raw,
            multipliers.effect,
        ),
        grid,
    )


def pack(multipliers: NetworkMultipliers, grid: float, names: Mapping[str, Sequence[str]]) -> bytes:
    """The file's content; `numpy.load` reads it.  The same multipliers give the same bytes.

    Parameters
    ----------
    multipliers, grid : of `rounded`.
    """
    arrays: dict[str, np.ndarray] = {
        "format": np.array(_FORMAT),
        "grid": np.array(grid),
        "season": multipliers.season,
        "potential": np.rint(multipliers.potential / grid).astype(np.int32),
        "birth": np.rint(multipliers.birth / grid).astype(np.int32),
        "purse": multipliers.purse,
        "raw": multipliers.raw,
        "effect": multipliers.effect,
    }
    arrays |= {f"names_{axis}": np.array(own, dtype=np.str_) for axis, own in names.items()}
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def unpack(content: bytes, names: Mapping[str, Sequence[str]]) -> NetworkMultipliers:
    """Multipliers of a file for an instance whose axes have these names.

    Raises
    ------
    UnreadableProof : the file is damaged, or belongs to another instance.
    """
    arrays = _arrays(content)
    for axis, own in names.items():
        told = [str(name) for name in arrays[f"names_{axis}"].ravel()]
        if told != list(own):
            raise UnreadableProof(f"its {axis} are not those of the instance")
    season = arrays["season"]
    if season.ndim != 1 or season.dtype.kind != "i":
        raise UnreadableProof("season: expected one whole number for each period")
    shapes = shapes_of(names, int(season.max(initial=-1)) + 1)
    grid = float(arrays["grid"]) if arrays["grid"].shape == () else np.nan
    if not (np.isfinite(grid) and grid > 0):
        raise UnreadableProof("grid: expected a number above 0")
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise UnreadableProof(f"{name}: shape {arrays[name].shape}, expected {shape}")
        if arrays[name].dtype.kind not in "if":
            raise UnreadableProof(f"{name}: expected numbers")
        if not np.isfinite(arrays[name]).all():
            raise UnreadableProof(f"{name}: holds what is no number")
    for name in ("purse", "raw", "effect"):
        if (arrays[name] < 0).any():
            raise UnreadableProof(f"{name}: a price below 0 proves nothing")
    return NetworkMultipliers(
        season.astype(np.int64),
        arrays["potential"] * grid,
        arrays["birth"] * grid,
        *(arrays[name].astype(np.float64) for name in ("purse", "raw", "effect")),
    )


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    axes = ("nodes", "commodities", "origins", "qualities", "purses", "effects")
    wanted = [
        "format", "grid", "season", "potential", "birth", "purse", "raw", "effect",
        *(f"names_{axis}" for axis in axes),
    ]  # fmt: skip
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_UNPACKED:
                raise UnreadableProof("it unpacks to more than any run stores")
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            missing = sorted(set(wanted) - set(found.files))
            if missing:
                raise UnreadableProof(f"it lacks {', '.join(missing)}")
            arrays = {name: np.asarray(found[name]) for name in wanted}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, zlib.error) as error:
        raise UnreadableProof(f"it cannot be read: {error}") from error
    if arrays["format"].shape != () or int(arrays["format"]) != _FORMAT:
        raise UnreadableProof("it is of another format")
    return arrays
