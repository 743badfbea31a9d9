"""How far the answers of two calls are apart, as a share of the largest value: for the model itself and its runtimes.

Errors of variants are computed by `quantlab.statistics`, which a worker does not import.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Difference", "difference", "largest_place"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest difference between two arrays."""

    largest: float
    """Largest absolute difference; infinite if an element is NaN or infinite in one array and another value in the
    other."""
    value: float
    """Largest absolute value of the first array, where it is finite; 0 if it is nowhere."""

    @property
    def share(self) -> float:
        """The difference as a share of the value, and 1 where there is no such share: of infinity, or of 0.

        >>> Difference(0.5, 2.0).share, Difference(0.0, 0.0).share, Difference(0.5, 0.0).share
        (0.25, 0.0, 1.0)
        """
        if self.largest == 0:
            return 0.0
        return self.largest / self.value if self.value and math.isfinite(self.largest) else 1.0


def difference(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Difference:
    """Compare two arrays in float64; NaN equals NaN, and an infinity the one of the same sign.

    >>> difference(np.array([1.0, 4.0, np.nan, -np.inf]), np.array([1.5, 4.0, np.nan, -np.inf]))
    Difference(largest=0.5, value=4.0)
    >>> difference(np.array([np.inf]), np.array([-np.inf])), difference(np.array([np.nan]), np.array([np.inf]))
    (Difference(largest=inf, value=0.0), Difference(largest=inf, value=0.0))

    Args:
        one: Any shape, real numbers.
        other: The same shape.
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(one)
    value = float(np.abs(one[finite]).max(initial=0.0))
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True) or not np.isfinite(other[finite]).all():
        return Difference(math.inf, value)
    return Difference(float(np.abs(one[finite] - other[finite]).max(initial=0.0)), value)


def largest_place(differences: Sequence[Difference]) -> int:
    """The place of the worst difference: NaN or infinity on one side first, then by share; at least one is given.

    >>> largest_place([Difference(3.0, 2.0), Difference(math.inf, 2.0), Difference(1.0, 4.0)])
    1
    """
    return max(range(len(differences)), key=lambda i: (math.isinf(differences[i].largest), differences[i].share))
