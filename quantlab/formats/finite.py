"""Remarks about weights that are not finite or at the limit of float16, shared by all formats."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["note_float_limits"]

_HALF_LIMIT = 65504.0
"""Largest float16. Some converters silently clip larger weights to it; others make them infinite."""


def note_float_limits(name: str, values: npt.NDArray[Any], dtype: str) -> list[str]:
    """A remark about NaN and infinite values of a weight, or about float16 values at its limit; else empty.

    Args:
        name: Name of the weight.
        values: Values in a data type that NumPy can test; bfloat16 must be converted first.
        dtype: The stored data type, for the remark.
    """
    count = int(values.size - np.isfinite(values).sum())
    if count:
        return [f"weight '{name}' holds {count:,} values that are not finite in {dtype}"]
    cut = int((np.abs(values) == _HALF_LIMIT).sum()) if dtype == "float16" else 0
    return [f"weight '{name}' holds {cut:,} values at ±65,504, the limit of float16"] if cut else []
