"""Codes of one kernel: its grid, its rounding, and what its bias must take over."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.types import KernelChoice, Sharing
from quantlab_converters.channel_codes import ChannelCodes, by_channel
from quantlab_converters.code_grids import decode, fit_grid, powers, relative, round_to_nearest
from quantlab_converters.gptq import round_by_hessian
from quantlab_converters.hessians import HessianSums
from quantlab_converters.tfjs_kernel_uses import KernelUse
from quantlab_converters.tunable import RoundedKernel

__all__ = ["hessians_of", "noise_of", "round_kernel"]

Array = NDArray[Any]


def round_kernel(
    use: KernelUse, kernel: Array, sums: HessianSums | None, choice: KernelChoice, *, factors: Array | None = None
) -> RoundedKernel:
    """Choose the codes of a kernel.

    Args:
        use: How the graph uses it.
        kernel: Finite values.
        sums: Of the inputs, over the calibration samples; without them the nearest codes are chosen.
        choice: What is asked for.
        factors: Of the Hessian of this choice, if they are known; see `inverse_factors`.
    """
    matrix = use.matrix(kernel).astype(np.float64)
    hessians = None if sums is None else hessians_of(sums, choice)
    grid = fit_grid(matrix, hessians, choice.bits, sharing=choice.sharing, clipped=choice.clipped)
    if choice.rounding == "gptq" and hessians is not None:
        codes = round_by_hessian(matrix, grid, hessians, factors=factors)
    else:
        codes = round_to_nearest(matrix, grid)
    shift = None
    if sums is not None:
        shift = np.einsum("gi,gio->go", sums.means, matrix - decode(codes, grid)).reshape(-1).astype(np.float32)
    scales = grid.scales if choice.sharing == "channel" else grid.scales[:1, :, :1]
    stored = ChannelCodes(
        use.kernel(codes, kernel.shape).astype(np.uint8),
        _narrowest(_by_channel(use, scales, kernel)),
        _by_channel(use, grid.zeros.astype(np.uint8), kernel),
    )
    return RoundedKernel(stored, noise_of(matrix, decode(codes, grid), hessians, choice.sharing), shift)


def hessians_of(sums: HessianSums, choice: KernelChoice) -> NDArray[np.float64]:
    """The Hessian of the error that counts: its variance alone, if the bias takes over its mean."""
    return sums.centred if choice.corrected else sums.hessians


def noise_of(
    matrix: NDArray[np.float64], stored: NDArray[np.float64], hessians: NDArray[np.float64] | None, sharing: Sharing
) -> float:
    """The error of the outputs in relation to their power; see `RoundedKernel.noise`.

    If no output has power, as where inputs did not vary on the calibration samples and the bias takes over the mean,
    inputs count as alike and not correlated: they may vary on other samples. So it is 0 only of what is stored exactly.
    With scales of channels, the same holds of each output alone.

    Args:
        matrix: (groups, inputs, outputs).
        stored: The same as it is stored.
        hessians: (groups, inputs, inputs); None for inputs that are alike and not correlated.
        sharing: See `RoundedKernel.noise`.
    """
    power = powers(matrix, hessians)
    if not (power > 0).any():
        hessians, power = None, powers(matrix, None)
    summed = np.maximum(powers(stored - matrix, hessians), 0.0)  # a negative sum is rounding error
    if sharing == "channel":
        alike = relative(powers(stored - matrix, None), powers(matrix, None))
        return float(np.where(power > 0, relative(summed, power), alike).mean())
    return float(summed.sum() / power.sum()) if power.sum() > 0 else 0.0


def _narrowest(scales: Array) -> Array:
    """Scales that are half floats or floats, in the narrowest data type."""
    limits = np.finfo(np.float16)
    if scales.min() < limits.smallest_normal or scales.max() > limits.max:
        return scales.astype(np.float32)
    half = scales.astype(np.float16)
    return half if (half.astype(scales.dtype) == scales).all() else scales.astype(np.float32)


def _by_channel(use: KernelUse, values: Array, kernel: Array) -> Array:
    """Values of the output channels, (groups, 1, outputs), in the shape `by_channel`; one value in all as ()."""
    return values.reshape(() if values.size == 1 else by_channel(kernel.shape, use.axes))
