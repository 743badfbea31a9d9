"""Which channels of a tensor are the worst, for outputs and for layers."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["channel_sqnr_db", "worst_first"]

Floats = NDArray[np.float64]


def channel_sqnr_db(noise: Floats, signal: Floats, spoiled: NDArray[np.bool_]) -> Floats:
    """Return the SQNR of each channel in decibels, (channels,), as `TensorError.sqnr_db` defines it.

    Args:
        noise: (channels,), sums of squared errors.
        signal: (channels,), sums of squares of the baseline.
        spoiled: (channels,), whether a channel holds NaN or infinity: then its SQNR is −∞.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = np.where(noise == 0, math.inf, 10 * (np.log10(signal) - np.log10(noise)))
    return np.where(spoiled | ~np.isfinite(noise + signal), -math.inf, decibels)


def worst_first(decibels: Floats, noise: Floats, silent: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return all channels, from the lowest to the highest SQNR; the largest error, then the first, among equals.

    A channel that is 0 in the baseline has no signal that its error could be compared with: silent channels come last.

    Args:
        decibels: (channels,), SQNR; NaN, of a channel without elements, is the highest.
        noise: (channels,), sums of squared errors.
        silent: (channels,), whether a channel is 0 in the baseline, and finite.
    """
    order: NDArray[Any] = np.lexsort((-noise, decibels, silent))  # the last key is the first to decide
    return order
