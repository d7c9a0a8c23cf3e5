"""What solving a city returns: the joint plan, today's fixed shares beside it, and what is proven of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from optimize.city.checker import CityCheck
from optimize.city.instance import City
from optimize.city.plan import CityPlan
from optimize.result import Certificate, Relaxation, StopReason, TracePoint, relative_gap

Engine = Literal["monolith", "decomposition"]
Network = Literal["whole", "relaxed"] | None


@dataclass(frozen=True)
class Silos:
    """Every programme on today's fixed share: the best plan found and the bound on all such plans."""

    plan: CityPlan | None
    objective: float | None
    bound: float | None
    stop: StopReason

    def bounded_by(self, joint_bound: float | None, maximise: bool) -> Silos:
        """With a bound on all splits as one on today's: every plan on fixed shares is a joint plan."""
        if joint_bound is None:
            return self
        tighter = min if maximise else max
        return replace(self, bound=joint_bound if self.bound is None else tighter(self.bound, joint_bound))


@dataclass(frozen=True)
class CityResult:
    """The joint plan; ``objective`` and ``bound`` belong to the last goal, as in `result.Result`.

    ``network`` says how water stands in the arrays of the certificate: whole, relaxed over the averaged
    year, or (None) not at all.
    """

    city: City
    goal: tuple[str, ...]
    maximise: bool
    stop: StopReason
    plan: CityPlan | None
    objective: float | None
    bound: float | None
    silos: Silos
    engine: Engine
    trace: tuple[TracePoint, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    relaxations: tuple[Relaxation, ...] = ()
    certificate: Certificate | None = None
    network: Network = None

    @property
    def gap(self) -> float | None:
        return relative_gap(self.objective, self.bound)

    @property
    def price_of_silos(self) -> float | None:
        """How much better the joint plan is than the plans on fixed shares."""
        if self.objective is None or self.silos.objective is None:
            return None
        sign = 1.0 if self.maximise else -1.0
        return sign * (self.objective - self.silos.objective)

    @property
    def price_range(self) -> tuple[float, float | None]:
        """Between what the true price of silos lies for certain (optimum against optimum); None: not known."""
        sign = 1.0 if self.maximise else -1.0
        least, most = 0.0, None
        if self.objective is not None and self.silos.bound is not None:
            least = max(sign * (self.objective - self.silos.bound), 0.0)
        if self.bound is not None and self.silos.objective is not None:
            most = sign * (self.bound - self.silos.objective)
        return least, most


@dataclass(frozen=True)
class SolvedCity:
    """A result with the independent checks of both plans (None where there is no plan)."""

    result: CityResult
    check: CityCheck | None
    silo_check: CityCheck | None
