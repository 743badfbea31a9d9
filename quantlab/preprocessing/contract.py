"""The contracts of the families of steps: decoders and resizers."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Decode", "Decoder", "Pixels", "Resize", "ResizeMethod", "Resizer"]

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]
Decode = Callable[[Path, bool], Pixels]
"""Function from a file, and whether it must be grey, to uint8 (height, width, 3 or 1), red first.

It raises SamplesError for a file that it does not decode.
"""
Resize = Callable[[Array, tuple[int, int], str], Array]
"""Function from (height, width, channels) and the wanted height, width and method to the resized image."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """Turns the bytes of an image file into pixels."""

    library: str
    """The function that it calls, with its options."""
    package: str
    """The package to install if its module is absent."""
    module: str
    """The module that must be importable."""
    opened: Callable[[], AbstractContextManager[Decode]]
    """Function that starts what decoding needs, and gives the function that decodes; threads may share that."""
    grey: str
    """The formula that turns colours into grey."""
    grey_of: Callable[[Pixels], Pixels]
    """Function from uint8 (height, width, 3), red first, to grey (height, width, 1)."""
    behaviour: Mapping[str, str]
    """Kind of file → what happens to it; all decoders have the same kinds."""


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
