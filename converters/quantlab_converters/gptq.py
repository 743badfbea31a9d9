"""Rounds weights by the data: GPTQ, with the second-order error of a layer's output as its cost.

Frantar et al. 2022, GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers
(arXiv:2210.17323), algorithm 1: the weights of one input after the other are rounded, and the weights of the inputs
that follow take over the error, as far as the inputs of the layer are correlated. Its cost is the squared error of the
layer's output, summed over calibration samples: eᵀ·H·e for each output, where e is the error of its weights and H the
sum of x·xᵀ over the layer's inputs x.

A layer with several groups of inputs, such as a depthwise convolution, has a Hessian for each group.
"""

import numpy as np
from numpy.typing import NDArray

from quantlab_converters.code_grids import Grid, costs, decode, round_to_nearest

__all__ = ["inverse_factors", "round_by_hessian"]

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

DAMPING = 0.01
"""Share of the mean of the Hessian's diagonal that is added to it, as in the paper (§3.3, step 3)."""
_BLOCK = 128
"""Inputs whose errors are handed to those behind them at once, as in the paper (§3.3, step 2)."""


def round_by_hessian(weights: Floats, grid: Grid, hessians: Floats, *, factors: Floats | None = None) -> Codes:
    """The codes of GPTQ, or of an output the nearest codes where these cost no more.

    With a Hessian that is a multiple of the identity the result is `round_to_nearest`. An input that is 0 in all
    samples takes over no error, so that its weights are rounded to the nearest code.

    Args:
        weights: (groups, inputs, outputs), finite.
        grid: The grid of each output.
        hessians: (groups, inputs, inputs), symmetric and positive semidefinite; it may be singular.
        factors: What `inverse_factors` gives for these Hessians; None computes it.

    Returns:
        (groups, inputs, outputs).

    Raises:
        ValueError: If the shapes do not fit, or a weight or a Hessian is not finite.
    """
    _check(weights, hessians)
    nearest = round_to_nearest(weights, grid)
    compensated = _compensated(weights, grid, inverse_factors(hessians) if factors is None else factors)
    better = costs(weights, compensated, grid, hessians) < costs(weights, nearest, grid, hessians)
    return np.where(better[:, None, :], compensated, nearest)


def _check(weights: Floats, hessians: Floats) -> None:
    groups, inputs, _ = weights.shape
    if hessians.shape != (groups, inputs, inputs):
        raise ValueError(f"weights of shape {weights.shape} need Hessians of {(groups, inputs, inputs)}")
    if not np.isfinite(weights).all() or not np.isfinite(hessians).all():
        raise ValueError("a weight or a Hessian is NaN or infinite, and rounding needs finite ones")


def inverse_factors(hessians: Floats, damping: float = DAMPING) -> Floats:
    """Upper triangular factors U of the inverse of the damped Hessians, H⁻¹ = Uᵀ·U: (groups, inputs, inputs).

    Args:
        hessians: See `round_by_hessian`.
        damping: See `DAMPING`; above 0.
    """
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
    """Round one input after the other; those that follow take over the error, block by block."""
    left, codes = weights.copy(), np.zeros(weights.shape, np.int64)
    for begin in range(0, weights.shape[1], _BLOCK):
        end = min(begin + _BLOCK, weights.shape[1])
        errors = np.zeros((len(weights), end - begin, weights.shape[2]))
        for place in range(begin, end):
            row = left[:, place : place + 1]
            codes[:, place : place + 1] = round_to_nearest(row, grid)
            error = (row - decode(codes[:, place : place + 1], grid)) / factors[:, place, place][:, None, None]
            left[:, place + 1 : end] -= factors[:, place, place + 1 : end, None] * error
            errors[:, place - begin : place - begin + 1] = error
        left[:, end:] -= factors[:, begin:end, end:].transpose(0, 2, 1) @ errors
    return codes
