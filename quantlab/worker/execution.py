"""The contract of executors in the Python worker: what their `load` returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

__all__ = ["Execution"]


@dataclass(frozen=True, slots=True)
class Execution:
    """A loaded artifact that can be called."""

    call: Callable[[Sequence[npt.NDArray[Any]]], list[npt.NDArray[Any]]]
    """Takes one batch of each input and returns one batch of each output, both in the job's order."""
    environment: dict[str, str]
    """Versions and flags that the parent does not know yet."""
