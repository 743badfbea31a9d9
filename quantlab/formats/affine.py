"""The arithmetic of affine codes with zero points, which TFLite and ONNX share: value = scale · (code − zero point)."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["decode_affine", "used_range"]

Array = npt.NDArray[Any]


def decode_affine(stored: Array, scales: npt.ArrayLike, zero_points: npt.ArrayLike, axis: int | None) -> Array:
    """float32 values of the codes' shape, rounded once, as the runtimes compute them.

    Args:
        stored: The codes.
        scales: One, or one for each index of the axis.
        zero_points: As many.
        axis: What several scales lie along; None where there is one.
    """
    # Up to 16 bits, code − zero point is exact in float32 and the product is rounded once; biases of 32 bits need more.
    exact: Any = np.float32 if stored.dtype.itemsize <= 2 else np.float64
    along = [1] * stored.ndim
    if axis is not None:
        along[axis] = -1
    scale, zero = np.asarray(scales, exact).reshape(along), np.asarray(zero_points, exact).reshape(along)
    values: Array = ((stored.astype(exact) - zero) * scale).astype(np.float32).reshape(stored.shape)
    return values


def used_range(stored: Array, lowest: int, highest: int, zero_points: npt.ArrayLike) -> tuple[int, int]:
    """Lowest and highest code that a quantizer uses: symmetric weights leave the lowest of a signed type out."""
    symmetric = lowest < 0 and not np.any(zero_points) and int(stored.min(initial=0)) > lowest
    return (lowest + 1 if symmetric else lowest), highest
