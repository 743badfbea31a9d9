"""The note on a weight that is not finite, in the same words for every format."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["note_non_finite"]


def note_non_finite(name: str, values: npt.NDArray[Any], dtype: str) -> list[str]:
    """One note that counts a weight's NaN and infinite values; none where every value is finite.

    Args:
        name: The weight's.
        values: Of a dtype that NumPy can test, which for bfloat16 is a wider one.
        dtype: The stored one, for the note.
    """
    count = int(values.size - np.isfinite(values).sum())
    return [f"weight '{name}' holds {count:,} values that are not finite in {dtype}"] if count else []
