"""Affine quantization with zero points, as used by TFLite and ONNX: value = scale · (code − zero point)."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["decode_affine", "used_range"]

Array = npt.NDArray[Any]


def decode_affine(stored: Array, scales: npt.ArrayLike, zero_points: npt.ArrayLike, axis: int | None) -> Array:
    """Decode codes to float32 values of the same shape, with a single rounding, as the runtimes do.

    Args:
        stored: The codes.
        scales: One scale, or one per index of `axis`.
        zero_points: As many zero points.
        axis: The axis along which scales differ; None with one scale.
    """
    # Up to 16 bits, code − zero point is exact in float32 and the product is rounded once; 32-bit biases need float64.
    exact: Any = np.float32 if stored.dtype.itemsize <= 2 else np.float64
    along = [1] * stored.ndim
    if axis is not None:
        along[axis] = -1
    scale, zero = np.asarray(scales, exact).reshape(along), np.asarray(zero_points, exact).reshape(along)
    values: Array = ((stored.astype(exact) - zero) * scale).astype(np.float32).reshape(stored.shape)
    return values


def used_range(stored: Array, lowest: int, highest: int, zero_points: npt.ArrayLike) -> tuple[int, int]:
    """Lowest and highest code that a quantizer uses; symmetric signed weights do not use the lowest code."""
    symmetric = lowest < 0 and not np.any(zero_points) and int(stored.min(initial=0)) > lowest
    return (lowest + 1 if symmetric else lowest), highest
