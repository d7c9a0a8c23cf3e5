"""What a hydraulic calculation needs and the tables of an instance do not say; each with its reason.

Grades as in ``SOURCES.md``: B a published standard, cited from knowledge of it (the clause is named, its text
was not at hand when this was written), C common practice, D an assumption of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from optimize.errors import UsageError


@dataclass(frozen=True)
class Standards:
    """Loads, limits and unit costs; every one can be set where the command is called.

    Attributes
    ----------
    peak_hour_factor : largest hour over the mean of its day.
    min_pressure_m : head above ground at a user's connection (m of water), where the user states none.
    max_pressure_m : head above ground anywhere (m of water).
    max_velocity_m_per_s : in the peak hour.
    slow_m_per_s : below it in the peak hour a pipe is told to be slow; no violation.
    roughness_c : Hazen-Williams C of new pipes, where the diameter states none.
    existing_roughness_c : of pipes that lie already.
    booster_cny : a pumping station on the way, without its power.
    booster_cny_per_kw : of its power.
    """

    peak_hour_factor: float = 1.4
    min_pressure_m: float = 10.0
    max_pressure_m: float = 100.0
    max_velocity_m_per_s: float = 2.5
    slow_m_per_s: float = 0.6
    roughness_c: float = 120.0
    existing_roughness_c: float = 100.0
    booster_cny: float = 1_500_000.0
    booster_cny_per_kw: float = 8_000.0

    def __post_init__(self) -> None:
        if self.peak_hour_factor < 1:
            raise UsageError(
                f"the peak hour is no smaller than the mean: {self.peak_hour_factor:g} is below 1"
            )
        if not self.min_pressure_m < self.max_pressure_m:
            raise UsageError(
                f"the least pressure ({self.min_pressure_m:g} m) has to be below the largest "
                f"({self.max_pressure_m:g} m)"
            )


@dataclass(frozen=True)
class Assumption:
    """One of the `Standards` as a reader is told it."""

    name: str
    unit: str
    meaning: str
    source: str
    grade: str


ASSUMPTIONS = (
    Assumption(
        "peak_hour_factor", "1", "largest hour over the mean of its day",
        "GB 50013-2018, 4.0.9: 1.2 to 1.6 for a city's water use as a whole where nothing was measured; the middle", "B",
    ),
    Assumption(
        "min_pressure_m", "m", "pressure at a user's connection whose row states none",
        "GB 50013-2018, 3.0.10: least service head of a one-storey building 10 m; larger users have tanks of their own", "B",
    ),
    Assumption(
        "max_pressure_m", "m", "pressure anywhere in the network",
        "pipes and fittings of nominal pressure 1.0 MPa", "C",
    ),
    Assumption(
        "max_velocity_m_per_s", "m/s", "velocity in the peak hour",
        "handbook of water engineering (给水排水设计手册 vol. 3): at most 2.5 to 3.0 m/s against water hammer; the lower", "C",
    ),
    Assumption(
        "slow_m_per_s", "m/s", "below it in the peak hour a pipe is told to be slow",
        "least velocity against deposits in the same handbook; reclaimed water is filtered, so it is a remark", "C",
    ),
    Assumption(
        "roughness_c", "1", "Hazen-Williams C of diameters whose row states none",
        "GB 50013-2018, appendix A: 120 to 130 for iron or steel lined with cement mortar, 140 to 150 for plastics; "
        "the lowest, which leaves room for age and for bends and valves", "B",
    ),
    Assumption(
        "existing_roughness_c", "1", "Hazen-Williams C of pipes that lie already",
        "GB 50013-2018, appendix A: 90 to 100 for old iron or steel without lining; the upper", "B",
    ),
    Assumption(
        "booster_cny", "CNY", "a pumping station on the way, without its power", "order of magnitude of small packaged stations", "D",
    ),
    Assumption(
        "booster_cny_per_kw", "CNY/kW", "power of a pumping station, with its stand-by set", "order of magnitude", "D",
    ),
)  # fmt: skip

assert {a.name for a in ASSUMPTIONS} == {field.name for field in fields(Standards)}
