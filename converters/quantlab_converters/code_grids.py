"""The values that codes of few bits can stand for, chosen by the error of the layer's output.

A grid is a scale and an integer zero for each output channel, or one of both for all. Every grid represents 0 exactly.
Its ends may cut off the largest weights, where that lowers the squared error of the output that nearest codes make.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlab.types import Sharing
from quantlab_converters.channel_codes import stored_scales

__all__ = ["Grid", "costs", "decode", "fit_grid", "powers", "relative", "round_to_nearest"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

CLIPPINGS: tuple[float, ...] = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6)
"""Shares of a range that are tried."""
_CLIPPED_BITS = 6
"""Above so many bits only the first three of them are tried: clipping then gains next to nothing."""
_COMMON_ZEROS = 17
"""Zeros that are tried for all channels, at most."""
_OWN_ZERO_GAIN = 2.0
"""Ratio of the costs (3 dB) above which each channel has a zero of its own, which costs a byte and a node."""

_FLOOR = 1e-3
"""Share of the mean power of the inputs of its group that each input has at least."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The values that weights can have: (code − zero) · scale, with codes from 0 to `highest`."""

    scales: Floats
    """(groups, 1, outputs), above 0; as they are stored."""
    zeros: Floats
    """(groups, 1, outputs) integers, or (1, 1, 1) for one in all."""
    highest: int
    """2^bits − 1."""


def decode(codes: Codes, grid: Grid) -> Floats:
    """The weights that codes stand for, in the shape of the codes."""
    decoded: Floats = (codes - grid.zeros) * grid.scales
    return decoded


def round_to_nearest(weights: Floats, grid: Grid) -> Codes:
    """The nearest codes; halves are rounded to even.

    Args:
        weights: (groups, inputs, outputs), finite.
        grid: The grid of each output.
    """
    steps = np.rint(weights / grid.scales) + grid.zeros
    codes: Codes = np.clip(steps, 0, grid.highest).astype(np.int64)
    return codes


def costs(weights: Floats, codes: Codes, grid: Grid, hessians: Floats | None) -> Floats:
    """The squared error of each output, summed over the samples of the Hessian: (groups, outputs).

    Args:
        weights: (groups, inputs, outputs).
        codes: The same shape.
        grid: The grid of the codes.
        hessians: (groups, inputs, inputs), symmetric and positive semidefinite, or (groups, inputs, 1), the diagonal
            of inputs that are not correlated; None for inputs that are also alike.
    """
    errors = decode(codes, grid) - weights
    summed: Floats = np.einsum("gio,gio->go", errors, _weighted(errors, hessians))
    return np.maximum(summed, 0.0)  # a negative sum is rounding error


def _weighted(errors: Floats, hessians: Floats | None) -> Floats:
    if hessians is None:
        return errors
    weighted: Floats = hessians * errors if hessians.shape[2] != errors.shape[1] else hessians @ errors
    return weighted


def fit_grid(
    weights: Floats, hessians: Floats | None, bits: int, *, sharing: Sharing = "channel", clipped: bool = True
) -> Grid:
    """The grid whose nearest codes cost least, of grids that end at shares of the range.

    Args:
        weights: (groups, inputs, outputs), finite.
        hessians: See `costs`.
        bits: From 2 to 8.
        sharing: Whether each output has its own scale. Then scales are half floats, unless one is too small.
        clipped: Whether the grid may end at a share of the range, and not at its end.

    Raises:
        ValueError: If the bits are outside of this range.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits} and must be from 2 to 8")
    hessians = _floored(hessians)
    axes = 1 if sharing == "channel" else (0, 1, 2)
    lowest = np.minimum(weights.min(axis=axes, keepdims=True), 0)
    largest = np.maximum(weights.max(axis=axes, keepdims=True), 0)
    highest = 2**bits - 1
    clippings = CLIPPINGS[: 1 if not clipped else len(CLIPPINGS) if bits <= _CLIPPED_BITS else 3]
    if sharing == "tensor":
        shape = (len(weights), 1, weights.shape[2])
        shared = [_stored(_own_zeros(share * lowest, share * largest, highest)) for share in clippings]
        everywhere = [Grid(np.broadcast_to(one.scales, shape), one.zeros, highest) for one in shared]
        return min(everywhere, key=lambda grid: _nearest_costs(weights, grid, hessians).sum())
    power = powers(weights, hessians)
    plain = _own_zeros(lowest, largest, highest)
    common = _common_zero(weights, _diagonal(hessians), lowest, largest, highest)
    # By the diagonal alone, which is much faster and tells the two apart as well.
    own_cost, common_cost = (
        relative(_nearest_costs(weights, _stored(grid), _diagonal(hessians)), power).mean() for grid in (plain, common)
    )
    if common_cost <= _OWN_ZERO_GAIN * own_cost:
        grids = [Grid(share * common.scales, common.zeros, highest) for share in clippings]
    else:
        grids = [_own_zeros(share * lowest, share * largest, highest) for share in clippings]
    return _least(weights, hessians, [_stored(grid) for grid in grids])


def _floored(hessians: Floats | None) -> Floats | None:
    """The Hessians with a little of the identity: weights of inputs that are always 0 must keep their range, too."""
    if hessians is None:
        return None
    diagonal = hessians if hessians.shape[2] == 1 else np.einsum("gii->gi", hessians)[:, :, None]
    means = diagonal.mean(axis=1, keepdims=True)
    if not means.any():
        return None
    means = np.where(means > 0, means, means.mean())  # of a group without inputs: any, as all its inputs are alike
    identity: Floats = np.ones((1, 1)) if hessians.shape[2] == 1 else np.eye(hessians.shape[1])
    floored: Floats = hessians + _FLOOR * means * identity
    return floored


def _own_zeros(lowest: Floats, largest: Floats, highest: int) -> Grid:
    scales = (largest - lowest) / highest
    scales = np.where(scales > 0, scales, 1.0)
    return Grid(scales, np.rint(-lowest / scales), highest)


def _common_zero(weights: Floats, diagonal: Floats | None, lowest: Floats, largest: Floats, highest: int) -> Grid:
    """The grid with one zero for all channels whose nearest codes cost least, with all ranges in reach."""
    power = powers(weights, diagonal)
    grids = [
        Grid(_reaching(lowest, largest, zero, highest), np.full((1, 1, 1), zero), highest) for zero in _zeros(highest)
    ]
    return min(grids, key=lambda grid: relative(_nearest_costs(weights, grid, diagonal), power).mean())


def _zeros(highest: int) -> Iterator[float]:
    count = min(_COMMON_ZEROS, highest + 1)
    yield from np.unique(np.rint(np.linspace(0, highest, count)))


def _reaching(lowest: Floats, largest: Floats, zero: float, highest: int) -> Floats:
    """The smallest scales with which the range of each channel is in reach; a side without codes is cut off."""
    below = -lowest / zero if zero > 0 else np.zeros_like(lowest)
    above = largest / (highest - zero) if zero < highest else np.zeros_like(largest)
    scales = np.maximum(below, above)
    return np.where(scales > 0, scales, 1.0)


def _diagonal(hessians: Floats | None) -> Floats | None:
    if hessians is None or hessians.shape[1] != hessians.shape[2]:
        return hessians
    diagonal: Floats = np.einsum("gii->gi", hessians)[:, :, None]
    return diagonal


def _stored(grid: Grid) -> Grid:
    return Grid(stored_scales(grid.scales).astype(np.float64), grid.zeros, grid.highest)


def _nearest_costs(weights: Floats, grid: Grid, hessians: Floats | None) -> Floats:
    return costs(weights, round_to_nearest(weights, grid), grid, hessians)


def powers(weights: Floats, hessians: Floats | None) -> Floats:
    """The power of each output, summed over the samples of the Hessian: (groups, outputs)."""
    power: Floats = np.einsum("gio,gio->go", weights, _weighted(weights, hessians))
    return power


def relative(summed: Floats, power: Floats) -> Floats:
    """Costs in relation to the power of each output, so that a large one does not decide for the others.

    It is 0 for an output without power.
    """
    return np.divide(summed, power, out=np.zeros_like(summed), where=power > 0)


def _least(weights: Floats, hessians: Floats | None, grids: Iterable[Grid]) -> Grid:
    """Of several grids with the same kind of zeros, for each channel the one that costs least."""
    grids = list(grids)
    summed = np.stack([_nearest_costs(weights, grid, hessians) for grid in grids])
    best = np.argmin(summed, axis=0)[None, :, None, :]
    scales = np.take_along_axis(np.stack([grid.scales for grid in grids]), best, axis=0)[0]
    if grids[0].zeros.size == 1:
        return Grid(scales, grids[0].zeros, grids[0].highest)
    zeros = np.take_along_axis(np.stack([grid.zeros for grid in grids]), best, axis=0)[0]
    return Grid(scales, zeros, grids[0].highest)
