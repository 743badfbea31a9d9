"""Whether a softmax, or a sigmoid, was applied to probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["sigmoid_twice", "softmax_twice"]

_FEWEST = 20
"""Fewest samples: of one, the values may be so by chance."""

_TOLERANCE = 1e-3
"""By how much a value may leave the range of a probability: float32 has about 1e-7, half floats 1e-3."""

_CONFIDENT = 0.5
"""Least median of the largest probability before the second softmax: the scores of a model that was hardly trained lie
in a range of 1, too, and have no such rows."""


def softmax_twice(outputs: NDArray[Any]) -> bool:
    """Whether every row is the softmax of a row of probabilities, of which most are confident.

    The logarithms of a softmax are its arguments but for a constant. If the arguments are probabilities, their sum of 1
    gives this constant, and none of them is below 0. Scores of a model without a second softmax are not so: in some row
    the least of them lies more than 1 / classes below their mean.

    Args:
        outputs: (n, classes): rows of probabilities.

    Returns:
        False for fewer than 20 rows or two columns, and if a value is not finite or not above 0.
    """
    if outputs.ndim != 2 or outputs.shape[1] < 2 or len(outputs) < _FEWEST or not np.isfinite(outputs).all():
        return False
    rows = outputs.astype(np.float64)
    if rows.min() <= 0:
        return False
    logarithms = np.log(rows)
    inner = logarithms + (1 - logarithms.sum(axis=1, keepdims=True)) / rows.shape[1]
    return bool(inner.min() >= -_TOLERANCE and np.median(inner.max(axis=1)) >= _CONFIDENT)


def sigmoid_twice(outputs: NDArray[Any]) -> bool:
    """Whether every value lies in 0.5…0.731, the sigmoids of 0 and 1, and both ends are reached but for a tenth.

    Args:
        outputs: (n, 1) or (n,).

    Returns:
        False for fewer than 20 values, and if one is not finite.
    """
    values = outputs.astype(np.float64).reshape(-1)
    if len(values) < _FEWEST or not np.isfinite(values).all():
        return False
    low, high = 0.5, float(1 / (1 + np.exp(-1)))
    near = (high - low) / 10
    inside = values.min() >= low - _TOLERANCE and values.max() <= high + _TOLERANCE
    return bool(inside and values.min() <= low + near and values.max() >= high - near)
