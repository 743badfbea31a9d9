"""What an executor in the Python worker gives back: the contract of that family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

__all__ = ["Execution"]


@dataclass(frozen=True, slots=True)
class Execution:
    """A loaded artifact that can be called."""

    call: Callable[[Sequence[npt.NDArray[Any]]], list[npt.NDArray[Any]]]
    """From one batch of each of the job's inputs to one of each of its outputs, both in the job's order."""
    environment: dict[str, str]
    """What it runs on, beyond what the parent knows."""
