"""Affine quantization with zero points, as used by TFLite and ONNX: value = scale · (code − zero point)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.types import Codes

__all__ = ["decode", "decode_affine", "encode", "used_range"]

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


def encode(values: Array, codes: Codes, dtype: npt.DTypeLike) -> Array:
    """Encode values as TFLite's AffineQuantize and applications do: rounded half away from zero, in float64.

    Args:
        values: Of any shape; what is of `dtype` already is returned as it is.
        codes: What is beyond the lowest or highest code becomes that code.
        dtype: Of the codes.
    """
    if values.dtype == np.dtype(dtype):
        return values
    steps = (values.astype(np.float64) - codes.offset) / codes.scale
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + codes.zero_point
    encoded: Array = np.clip(rounded, codes.lowest, codes.highest).astype(dtype)
    return encoded


def decode(stored: Array, codes: Codes | None) -> Array:
    """Decode the integers of an input or output to float32; without codes, and of floats, they are the values."""
    if codes is None or stored.dtype.kind not in "iu":
        return stored
    values: Array = ((stored.astype(np.float64) - codes.zero_point) * codes.scale + codes.offset).astype(np.float32)
    return values


def used_range(stored: Array, lowest: int, highest: int, zero_points: npt.ArrayLike) -> tuple[int, int]:
    """Lowest and highest code that a quantizer uses; symmetric signed weights do not use the lowest code."""
    symmetric = lowest < 0 and not np.any(zero_points) and int(stored.min(initial=0)) > lowest
    return (lowest + 1 if symmetric else lowest), highest
