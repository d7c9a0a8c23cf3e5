"""What time it is for a monthly job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from optimize.monthly.job import Job


def clock_of(job: Job) -> Callable[[], datetime]:
    """The time in the job's time zone, or the machine's."""
    return lambda: datetime.now(job.timezone).astimezone(job.timezone)
