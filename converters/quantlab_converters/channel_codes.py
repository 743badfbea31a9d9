"""8-bit codes of kernels, with one scale per output channel and integer zeros."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ChannelCodes", "by_channel", "encode", "stored_scales"]

Array = npt.NDArray[Any]

_HIGHEST = 255
_COMMON_ZERO_LOSS = 2.0
"""Largest ratio (3 dB) of the expected squared errors with one zero for all channels and with one for each, on average.

Above it, each channel has its own zero, which costs a byte per channel and one more node.
"""


@dataclass(frozen=True, slots=True)
class ChannelCodes:
    """A kernel as codes: (codes − zeros) · scales."""

    codes: npt.NDArray[np.uint8]
    """As the kernel, in its shape."""
    scales: npt.NDArray[np.float16] | npt.NDArray[np.float32]
    """One per channel, in a shape that broadcasts against the kernel; 1 for a channel of zeros. Half floats, unless one
    of them is below the normal half floats."""
    zeros: npt.NDArray[np.uint8]
    """In the shape of the scales, or () if one zero serves all channels."""

    def worst_sqnr_db(self, kernel: Array, channel_axes: tuple[int, ...]) -> float:
        """The lowest SQNR of a channel in decibels, channels of zeros aside; −∞ if there is no other."""
        others = tuple(axis for axis in range(kernel.ndim) if axis not in channel_axes)
        exact, zeros = kernel.astype(np.float64), self.zeros.astype(np.float64)
        errors = np.square((self.codes - zeros) * self.scales.astype(np.float64) - exact).sum(axis=others)
        powers = np.square(exact).sum(axis=others)
        with np.errstate(divide="ignore"):
            decibels = 10 * np.log10(powers[powers > 0] / errors[powers > 0])
        return float(decibels.min(initial=np.inf)) if decibels.size else -np.inf


def by_channel(shape: Sequence[int], channel_axes: Sequence[int]) -> tuple[int, ...]:
    """The shape of one value per channel that broadcasts against a kernel, without the axes before the first channel's.

    >>> by_channel((3, 3, 16, 8), (2,))
    (16, 1)
    """
    sizes = [size if axis in channel_axes else 1 for axis, size in enumerate(shape)]
    return tuple(sizes[min(channel_axes) :])


def encode(kernel: Array, channel_axes: tuple[int, ...]) -> ChannelCodes:
    """Encode a kernel in 8 bits with one scale per channel, rounding to the nearest code.

    The range of a channel includes 0, which every channel represents exactly. Each value is within half a scale of its
    code's value; at the end of a range, the rounding of the zero adds up to another half.

    Args:
        kernel: Finite float32 values, at least one.
        channel_axes: The axes that together index the channel; empty for one scale in all.
    """
    others = tuple(axis for axis in range(kernel.ndim) if axis not in channel_axes)
    exact = kernel.astype(np.float64)
    lowest = np.minimum(exact.min(axis=others, keepdims=True), 0)
    highest = np.maximum(exact.max(axis=others, keepdims=True), 0)
    zeros, scales = _zeros_and_scales(lowest, highest)
    stored = stored_scales(np.where(scales > 0, scales, 1))
    steps = np.rint(exact / stored.astype(np.float64)) + zeros
    shape = stored.shape[min(channel_axes, default=kernel.ndim) :]
    return ChannelCodes(
        np.clip(steps, 0, _HIGHEST).astype(np.uint8),
        stored.reshape(shape),
        zeros.astype(np.uint8).reshape(shape if zeros.ndim else ()),
    )


def _zeros_and_scales(lowest: Array, highest: Array) -> tuple[Array, Array]:
    """Zeros, one in all or one per channel, and the scales with which the range of every channel is in reach."""
    common = np.arange(_HIGHEST + 1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.where(lowest < 0, -lowest / common.reshape(-1, *[1] * lowest.ndim), 0)
        above = np.where(highest > 0, highest / (_HIGHEST - common).reshape(-1, *[1] * lowest.ndim), 0)
    reaching = np.maximum(below, above)
    own = (highest - lowest) / _HIGHEST
    # Relative to the channel's own step, so that a large channel does not decide for the others.
    errors = np.square(np.divide(reaching, own, out=np.zeros_like(reaching), where=own > 0))
    means = errors.reshape(_HIGHEST + 1, -1).sum(axis=1) / max(np.count_nonzero(own), 1)
    best = int(np.argmin(means))
    if means[best] <= _COMMON_ZERO_LOSS:
        return np.array(common[best]), reaching[best]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(own > 0, np.rint(-lowest / own), 0), own


def stored_scales(scales: Array) -> Array:
    """The scales in the type in which they are stored, rounded up, so that the ends of the ranges stay in reach."""
    narrow: type[np.floating[Any]] = np.float16
    limits = np.finfo(np.float16)
    if scales.min() < limits.smallest_normal or scales.max() > limits.max:
        narrow = np.float32
    rounded = scales.astype(narrow)
    return np.where(rounded < scales, np.nextafter(rounded, narrow(np.inf)), rounded)
