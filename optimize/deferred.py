"""Functions whose module is imported when they are first called.

Half of a short command's time would go into importing solvers, kernels and weather libraries that it
does not use: who only lists runs or asks for help loads none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Deferred:
    """The function ``name`` of ``module``, to be called in its place.

    Types of the arguments are not checked through it; `tests/test_starting.py` sees that every one of
    them is there.
    """

    module: str
    name: str

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself; imports its module."""
        return getattr(importlib.import_module(self.module), self.name)  # type: ignore[no-any-return]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)
