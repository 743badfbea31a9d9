"""Weights that are not finite or at the limit of float16: remarks shared by all formats, and a model's list."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.names import counted

__all__ = ["note_float_limits", "spoiled_weights"]

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
        return [f"weight '{name}' holds {counted(count, 'value that is', 'values that are')} not finite in {dtype}"]
    cut = int((np.abs(values) == _HALF_LIMIT).sum()) if dtype == "float16" else 0
    return [f"weight '{name}' holds {counted(cut, 'value')} at ±65,504, the limit of float16"] if cut else []


def spoiled_weights(weights: Iterable[tuple[str, npt.NDArray[Any]]]) -> Iterator[str]:
    """Name the weights that hold NaN or infinity, how many of their values these are, and which of the two.

    Infinity may be meant, as in a mask that is added before a softmax; NaN never is.

    >>> weights = [("norm/gamma", np.array([1.0, np.nan])), ("beta", np.zeros(2)), ("mask", np.array([0, -np.inf]))]
    >>> list(spoiled_weights(weights))
    ['norm/gamma: 1 of 2 NaN', 'mask: 1 of 2 infinite']

    Args:
        weights: Names and decoded values, of any shape; bfloat16 must be converted first.
    """
    for name, values in weights:
        if values.dtype.kind == "f" and (count := values.size - int(np.isfinite(values).sum())):
            nan = int(np.isnan(values).sum())
            kind = "infinite" if not nan else "NaN" if nan == count else "NaN or infinite"
            yield f"{name}: {count:,} of {values.size:,} {kind}"
