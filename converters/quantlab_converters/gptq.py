"""Rounds weights by the data: GPTQ, with the second-order error of a layer's output as its cost.

Frantar et al. 2022, GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers
(arXiv:2210.17323), algorithm 1: the weights of one input after the other are rounded, and the weights of the inputs
that follow take over the error, as far as the inputs of the layer are correlated. Its cost is the squared error of the
layer's output, summed over calibration samples: eᵀ·H·e for each output, where e is the error of its weights and H the
sum of x·xᵀ over the layer's inputs x.

A layer with several groups of inputs, such as a depthwise convolution, has a Hessian for each group.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "costs", "decode", "fitted_grid", "round_by_hessian", "round_to_nearest"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

DAMPING = 0.01
"""Share of the mean of the Hessian's diagonal that is added to it, as in the paper (§3.3, step 3)."""
CLIPPINGS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7)
"""Shares of a channel's range that `fitted_grid` tries."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The values that weights can have: (code − zero) · scale, with codes from 0 to `highest`."""

    scales: Floats
    """(groups, 1, outputs), above 0."""
    zeros: Floats
    """(groups, 1, outputs), integers."""
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


def costs(weights: Floats, codes: Codes, grid: Grid, hessians: Floats) -> Floats:
    """The squared error of each output, summed over the samples of the Hessian: (groups, outputs).

    Args:
        weights: (groups, inputs, outputs).
        codes: The same shape.
        grid: The grid of the codes.
        hessians: (groups, inputs, inputs), symmetric and positive semidefinite.
    """
    errors = decode(codes, grid) - weights
    summed: Floats = np.einsum("gio,gio->go", errors, hessians @ errors)
    return np.maximum(summed, 0.0)  # a negative sum is rounding error


def round_by_hessian(weights: Floats, grid: Grid, hessians: Floats, *, damping: float = DAMPING) -> Codes:
    """The codes of GPTQ, or of an output the nearest codes where these cost no more.

    With a Hessian that is a multiple of the identity the result is `round_to_nearest`. An input that is 0 in all
    samples takes over no error, so that its weights are rounded to the nearest code.

    Args:
        weights: (groups, inputs, outputs), finite.
        grid: The grid of each output.
        hessians: (groups, inputs, inputs), symmetric and positive semidefinite; it may be singular.
        damping: See `DAMPING`; above 0.

    Returns:
        (groups, inputs, outputs).

    Raises:
        ValueError: If the shapes do not fit, or a weight or a Hessian is not finite.
    """
    _check(weights, hessians)
    nearest = round_to_nearest(weights, grid)
    compensated = _compensated(weights, grid, _factors(hessians, damping))
    better = costs(weights, compensated, grid, hessians) < costs(weights, nearest, grid, hessians)
    return np.where(better[:, None, :], compensated, nearest)


def _check(weights: Floats, hessians: Floats) -> None:
    groups, inputs, _ = weights.shape
    if hessians.shape != (groups, inputs, inputs):
        raise ValueError(f"weights of shape {weights.shape} need Hessians of {(groups, inputs, inputs)}")
    if not np.isfinite(weights).all() or not np.isfinite(hessians).all():
        raise ValueError("a weight or a Hessian is NaN or infinite, and rounding needs finite ones")


def _factors(hessians: Floats, damping: float) -> Floats:
    """Upper triangular factors U of the inverse of the damped Hessians, H⁻¹ = Uᵀ·U: (groups, inputs, inputs)."""
    damped = hessians.copy()
    diagonal = np.einsum("gii->gi", damped)  # a view, so that additions change the matrices
    means = diagonal.mean(axis=1, keepdims=True)
    # Inputs that are always 0 get the mean, so that the matrix can be inverted; they are correlated with no other.
    diagonal += np.where(diagonal == 0, np.where(means > 0, means, 1.0), 0.0)
    diagonal += damping * np.where(means > 0, means, 1.0)
    inverse = np.linalg.inv(damped)
    inverse = (inverse + inverse.transpose(0, 2, 1)) / 2
    upper: Floats = np.linalg.cholesky(inverse).transpose(0, 2, 1)
    return upper


def _compensated(weights: Floats, grid: Grid, factors: Floats) -> Codes:
    """Round one input after the other; those that follow take over the error."""
    left = weights.copy()
    codes = np.zeros(weights.shape, np.int64)
    for place in range(weights.shape[1]):
        row = left[:, place : place + 1]
        codes[:, place : place + 1] = round_to_nearest(row, grid)
        errors = (row - decode(codes[:, place : place + 1], grid)) / factors[:, place, place][:, None, None]
        left[:, place + 1 :] -= factors[:, place, place + 1 :, None] * errors
    return codes


def fitted_grid(weights: Floats, hessians: Floats, bits: int) -> Grid:
    """The grid of each output whose nearest codes cost least, of grids that end at shares of the range.

    The range includes 0, which every grid represents exactly.

    Args:
        weights: (groups, inputs, outputs), finite.
        hessians: (groups, inputs, inputs).
        bits: From 2 to 8.

    Raises:
        ValueError: If the bits are outside of this range.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits} and must be from 2 to 8")
    grids = [_clipped_grid(weights, bits, share) for share in CLIPPINGS]
    summed = np.stack([costs(weights, round_to_nearest(weights, grid), grid, hessians) for grid in grids])
    best = np.argmin(summed, axis=0)[None, :, None, :]
    scales = np.take_along_axis(np.stack([grid.scales for grid in grids]), best, axis=0)[0]
    zeros = np.take_along_axis(np.stack([grid.zeros for grid in grids]), best, axis=0)[0]
    return Grid(scales, zeros, grids[0].highest)


def _clipped_grid(weights: Floats, bits: int, share: float) -> Grid:
    highest = 2**bits - 1
    lowest = share * np.minimum(weights.min(axis=1, keepdims=True), 0)
    largest = share * np.maximum(weights.max(axis=1, keepdims=True), 0)
    scales = (largest - lowest) / highest
    scales = np.where(scales > 0, scales, 1.0)
    return Grid(scales, np.rint(-lowest / scales), highest)
