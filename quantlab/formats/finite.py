"""The remark about weights that are not finite, shared by all formats."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["note_non_finite"]


def note_non_finite(name: str, values: npt.NDArray[Any], dtype: str) -> list[str]:
    """A remark with the number of NaN and infinite values of a weight; empty if all values are finite.

    Args:
        name: Name of the weight.
        values: Values in a data type that NumPy can test; bfloat16 must be converted first.
        dtype: The stored data type, for the remark.
    """
    count = int(values.size - np.isfinite(values).sum())
    return [f"weight '{name}' holds {count:,} values that are not finite in {dtype}"] if count else []
