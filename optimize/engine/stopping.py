"""One clock for a solve: limits, interruption, and the trace of plans and bounds."""

from __future__ import annotations

import time
from typing import Self

import numpy as np

from optimize.programme import SolveOptions
from optimize.result import Certificate, StopReason, TracePoint, relative_gap

OPTIMAL_GAP = 1e-9
"""Relative gap that is nothing but rounding: the plan is optimal, and nobody goes on for less."""


class Watch:
    """Keeps the time, the best plan and the best proven bound of a solve.

    ``offer_plan`` and ``offer_bound`` keep the best value only, add a point to ``trace`` and tell
    the caller's progress function.  A ``child`` shares clock and interruption, has its own
    deadline, and passes on plans or bounds only where they hold for its parent.
    """

    def __init__(self, options: SolveOptions, maximise: bool) -> None:
        self.options = options
        self.maximise = maximise
        self.gap = options.gap
        self.plan: float | None = None
        self.bound: float | None = None
        self.certificate: Certificate | None = None
        self.trace: list[TracePoint] = []
        self._started = time.monotonic()
        self._deadline = self._started + options.time_limit_s
        self._parent: Self | None = None
        self._passes_plans = False
        self._passes_bounds = False

    def child(
        self,
        *,
        seconds: float | None = None,
        gap: float | None = None,
        plans: bool = False,
        bounds: bool = False,
        maximise: bool | None = None,
    ) -> Watch:
        """A watch for a part of the solve, of at most ``seconds``."""
        part = Watch(self.options, self.maximise if maximise is None else maximise)
        part._started = self._started
        own = self._deadline if seconds is None else time.monotonic() + max(seconds, 0.0)
        part._deadline = min(self._deadline, own)
        part.gap = self.gap if gap is None else gap
        part._parent = self
        part._passes_plans, part._passes_bounds = plans, bounds
        return part

    def end(self) -> None:
        """Let whoever works by this watch stop; may be called from another thread."""
        self._deadline = time.monotonic()

    def seconds(self) -> float:
        """Wall seconds since the solve began."""
        return time.monotonic() - self._started

    def remaining(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self._deadline

    @property
    def interrupted(self) -> bool:
        return self.options.interrupt.is_set()

    @property
    def must_stop(self) -> bool:
        return self.interrupted or self.expired

    @property
    def gap_reached(self) -> bool:
        gap = relative_gap(self.plan, self.bound)
        return gap is not None and gap <= max(self.gap, OPTIMAL_GAP)

    def within_gap(self, bound: float) -> float:
        """Objective from which on a plan is within the wanted gap of ``bound``."""
        side = -1.0 if self.maximise else 1.0
        return bound + side * self.gap / (1.0 + self.gap) * abs(bound)  # the gap is relative to the plan

    def offer_plan(self, value: float) -> None:
        if self.plan is None or (value > self.plan if self.maximise else value < self.plan):
            self.plan = value
            self._record()
        if self._parent is not None and self._passes_plans:
            self._parent.offer_plan(value)

    def offer_bound(self, value: float) -> None:
        if self.bound is None or (value < self.bound if self.maximise else value > self.bound):
            self.bound = value
            self._record()
        if self._parent is not None and self._passes_bounds:
            self._parent.offer_bound(value)

    def offer_certificate(self, certificate: Certificate) -> None:
        """Keep the certificate of the best bound; what it proves is a bound like any other."""
        bound, held = certificate.closest(self.maximise), self.certificate
        if not np.isfinite(bound):
            return
        if held is not None:
            closest = held.closest(self.maximise)
            better = bound < closest if self.maximise else bound > closest
            # of one too large to be kept it is told what it proved
            if not (better or (bound == closest and held.network is None)):
                return
        self.certificate = certificate
        self.offer_bound(bound)

    def stop_reason(self) -> StopReason:
        """Why a solve with the present plan and bound ends here."""
        gap = relative_gap(self.plan, self.bound)
        if gap is not None and gap <= OPTIMAL_GAP:
            return StopReason.OPTIMAL
        if gap is not None and gap <= self.gap:
            return StopReason.GAP_REACHED
        if self.interrupted:
            return StopReason.INTERRUPTED
        return StopReason.TIME_LIMIT if self.expired else StopReason.SEARCH_ENDED

    def _record(self) -> None:
        point = TracePoint(self.seconds(), self.plan, self.bound)
        self.trace.append(point)
        if self._parent is None and self.options.progress is not None:
            self.options.progress(point)
