"""Arithmetic that all resizers share, in NumPy alone, so that exported code can contain it.

An image is (height, width, channels). A resize is separable: each output row is made of a few input rows, each output
column of a few input columns. Sums are taken tap by tap, in the order of the pixels, so that another language can
repeat them to the last bit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "Between",
    "Doubles",
    "Floats",
    "Kernel",
    "Places",
    "Taps",
    "area",
    "between",
    "bicubic",
    "gather",
    "lanczos3",
    "lerp",
    "summed",
    "triangle",
]

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]
Kernel = Callable[[Array], Array]
"""Weight of a pixel at a distance from the centre, in pixels."""


@dataclass(frozen=True, slots=True)
class Taps:
    """Which input pixels make each output pixel along one dimension, and with which weights."""

    places: Places
    """(n out, taps): positions of input pixels; those behind the last tap repeat an edge and have weight 0."""
    weights: Array
    """(n out, taps)."""


@dataclass(frozen=True, slots=True)
class Between:
    """The two input pixels between which each output pixel lies along one dimension."""

    lower: Places
    """(n out,)."""
    upper: Places
    """(n out,)."""
    share: Array
    """(n out,): 0 at the lower pixel, 1 at the upper; float32 or float64, in which the values are computed."""


def triangle(x: Array) -> Array:
    """1 − |x| for |x| < 1, otherwise 0."""
    return np.maximum(1.0 - np.abs(x), 0.0)


def bicubic(x: Array) -> Array:
    """Keys' cubic convolution with a = −1/2; 0 for |x| ≥ 2."""
    a, x = -0.5, np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def lanczos3(x: Array) -> Array:
    """sinc(x) · sinc(x / 3) for |x| < 3, otherwise 0."""
    angle = np.where(x == 0.0, 1.0, x * np.pi)
    value = np.sin(angle) / angle * (np.sin(angle / 3.0) / (angle / 3.0))
    return np.where(x == 0.0, 1.0, np.where((x >= -3.0) & (x < 3.0), value, 0.0))


def area(x: Array) -> Array:
    """1 for −1/2 < x ≤ 1/2, otherwise 0."""
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


def gather(image: Array, rows: Places, columns: Places) -> Array:
    """Take whole pixels: (rows, columns, channels), of the image's own data type."""
    return image[rows][:, columns]


def between(lower: Array, upper: Array, share: Array, *, n: int) -> Between:
    """Clip positions to an input of n pixels."""
    places = [np.clip(place.astype(np.intp), 0, n - 1) for place in (lower, upper)]
    return Between(places[0], places[1], share)


def lerp(image: Array, rows: Between, columns: Between) -> Floats:
    """Interpolate along columns, then along rows, in the data type of `share`; the result is float32.

    `value = lower + (upper − lower) × share`.
    """
    values = image.astype(rows.share.dtype)
    left, right = values[:, columns.lower], values[:, columns.upper]
    across = left + (right - left) * columns.share[:, None]
    top, bottom = across[rows.lower], across[rows.upper]
    down: Floats = (top + (bottom - top) * rows.share[:, None, None]).astype(np.float32)
    return down


def summed(image: Array, taps: Taps, *, axis: int, start: Array) -> Array:
    """Add weight × pixel along rows (axis 0) or columns (axis 1), tap by tap, in the data type of `start`.

    Args:
        image: (height, width, channels).
        taps: Of the output along `axis`.
        axis: 0 or 1.
        start: A number that each sum begins with, as an array of shape (): half a step of a fixed point, or 0.
    """
    weights = taps.weights.astype(start.dtype)
    shape = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    values = image.astype(start.dtype)
    total = start
    for tap in range(weights.shape[1]):
        total = total + np.take(values, taps.places[:, tap], axis=axis) * weights[:, tap].reshape(shape)
    return total
