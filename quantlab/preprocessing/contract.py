"""The contract of resizers, and the arrays that steps give to each other.

It imports nothing of quantlab: exported programs have a copy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Pixels", "Resize", "ResizeMethod", "Resizer"]

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]
Resize = Callable[[Array, tuple[int, int], str], Array]
"""Function from (height, width, channels) and the wanted height, width and method to the resized image."""


@dataclass(frozen=True, slots=True)
class ResizeMethod:
    """One method of a resizer."""

    formula: str
    """How a value is computed, for the table in the documentation."""
    equals: str
    """The call of the library that it equals."""
    keeps_pixels: bool
    """Whether pixels stay whole numbers from 0 to 255 (uint8); otherwise they become float32."""


@dataclass(frozen=True, slots=True)
class Resizer:
    """The resize functions of a library."""

    resize: Resize
    """Raises KeyError for a method that is not in `methods`."""
    methods: Mapping[str, ResizeMethod]
    """Name of a method → its definition; `bilinear` first if the library has it."""
    native: Callable[[], Resize | None] = lambda: None
    """Function that gives the library's own resize, if the version that `resize` repeats is installed."""

    @property
    def fastest(self) -> Resize:
        """The library's own function if possible, otherwise `resize`; their results are equal."""
        return self.native() or self.resize
