"""Recognizes float weights that were quantized before: their values lie on a grid of at most 256 steps."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.types import StoredWeight

__all__ = ["share_on_grid"]

_LEAST_VALUES = 8
"""Fewer values per scale lie on a grid of 256 steps too often by chance."""
_LARGEST_CODE = 255
_TOLERANCE = 0.01
"""Allowed distance from a grid point, in steps; decoding rounds each value to float32."""


def share_on_grid(weights: Iterable[StoredWeight]) -> tuple[float, bool]:
    """Share of the values of float kernels that lie on a grid of 8 bits, and whether one grid per tensor does for all.

    A kernel is a weight with two dimensions or more. A grid has equal steps and at most 256 points; it may be shifted,
    as with a zero point. A kernel counts if all its values are on one grid, or those of each channel on one. Kernels
    with one value, such as those of a mean, tell nothing and are ignored.

    Args:
        weights: Weights of a float32 artifact; read once.

    Returns:
        The share, 0 without kernels, and True if no kernel needs one grid per channel.
    """
    total, on_grid, shared = 0, 0, True
    for weight in weights:
        values = weight.values
        if weight.reason is not None or values.dtype.kind != "f" or values.ndim < 2 or values.size < _LEAST_VALUES:
            continue
        if values.min() == values.max():
            continue
        total += values.size
        if _has_grid(values.reshape(-1)):
            on_grid += values.size
        elif all(map(_has_grid, _by_channel(values, weight.channel_axes))):
            on_grid, shared = on_grid + values.size, False
    return (on_grid / total if total else 0.0), shared


def _by_channel(values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """(channels, values per channel); one channel without enough values fails, as does an unknown channel axis."""
    count = math.prod(values.shape[axis] for axis in axes) if axes else 1
    return np.moveaxis(values, axes, range(len(axes))).reshape(count, -1)


def _has_grid(values: NDArray[Any]) -> bool:
    """Whether values are multiples of one step, at most 255 apart; a constant vector has no grid of its own."""
    if values.size < _LEAST_VALUES or not np.isfinite(values).all():
        return False
    points = np.unique(values).astype(np.float64)
    if not 2 <= len(points) <= _LARGEST_CODE + 1:
        return len(points) == 1
    spread = points[-1] - points[0]
    # The difference of two neighbours is a step, or a few where no value has the codes between; rounding to float32
    # changes it more than it changes the spread, which is a whole number of steps.
    between = spread / np.diff(points).min()
    for divisor in (1, 2, 3):
        steps = np.rint(between * divisor)
        if steps > _LARGEST_CODE:
            return False
        codes = (points - points[0]) * (steps / spread)
        if np.abs(codes - np.rint(codes)).max() <= _TOLERANCE:
            return True
    return False
