"""Error of one tensor (an output, a layer or a weight, of any shape) against the reference.

The same sums are implemented twice. `TensorError.of` uses NumPy, for outputs and weights, because scoring must not
depend on Numba, which needs half a second to import and seconds to compile. `layers.compiled` computes them for layers
in one pass with all other figures, about 5 times as fast. It adds in a different order, so the two agree only up to
rounding; tests of `LayerError` compare them.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums, largest, sum_products

__all__ = ["TensorError", "check_numbers"]


@dataclass(frozen=True, slots=True)
class TensorError(Sums):
    """Error of a candidate's tensor against the reference: error = candidate − reference.

    The sums run over pairs that are finite on both sides, so that they can be added in any order. Other elements are
    counted in `non_finite` and `non_finite_reference`. One such element makes every property invalid, even if both
    sides hold the same infinity or NaN: errors are infinite, `sqnr_db` is −∞, `cosine` and `bias` are NaN. The same
    happens if a float64 sum of squares overflows, which float32 values cannot cause. With no elements every property
    is NaN, because 0 would look like a perfect result.
    """

    count: int = 0
    """Number of elements compared."""
    different: int = 0
    """Number of elements whose values differ; NaN differs from everything, −0 equals 0."""
    non_finite: int = 0
    """Number of NaN and infinite elements in the candidate."""
    non_finite_reference: int = 0
    """Number of NaN and infinite elements in the reference."""
    sum_error: float = 0.0
    sum_abs_error: float = 0.0
    sum_square_error: float = 0.0
    sum_square_reference: float = 0.0
    sum_square_candidate: float = 0.0
    sum_product: float = 0.0
    """Σ reference · candidate."""
    largest_error: float = largest()
    """Largest |error| among the finite pairs."""

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any]) -> Self:
        """Compare element by element, in float64.

        Args:
            reference: Any shape, also with no elements; floats, integers or booleans.
            candidate: The same shape; the dtype may differ.

        Raises:
            ValueError: If the shapes differ, or a dtype is not one of real numbers.
        """
        check_same_shape(reference, candidate)
        check_numbers(reference=reference, candidate=candidate)
        expected, actual = _flat_float64(reference), _flat_float64(candidate)
        finite_expected, finite_actual = np.isfinite(expected), np.isfinite(actual)
        usable = finite_expected & finite_actual
        if not usable.all():
            expected, actual = expected[usable], actual[usable]
        return cls._of_finite(expected, actual) + cls(
            count=usable.size,
            different=int(np.count_nonzero(np.not_equal(reference, candidate))),
            non_finite=usable.size - int(np.count_nonzero(finite_actual)),
            non_finite_reference=usable.size - int(np.count_nonzero(finite_expected)),
        )

    @classmethod
    def _of_finite(cls, expected: NDArray[np.float64], actual: NDArray[np.float64]) -> Self:
        # Squares of float64 values may overflow to infinity; the properties report that, so NumPy need not warn.
        with np.errstate(over="ignore", invalid="ignore"):
            error = actual - expected
            size = np.abs(error)
            return cls(
                sum_error=float(error.sum()),
                sum_abs_error=float(size.sum()),
                sum_square_error=sum_products(error, error),
                sum_square_reference=sum_products(expected, expected),
                sum_square_candidate=sum_products(actual, actual),
                sum_product=sum_products(expected, actual),
                largest_error=float(size.max(initial=0.0)),
            )

    @property
    def mean_abs(self) -> float:
        """Mean absolute error."""
        return math.inf if self._spoiled else _ratio(self.sum_abs_error, self.count)

    @property
    def rms(self) -> float:
        """Root mean square error."""
        return math.inf if self._spoiled else math.sqrt(_ratio(self.sum_square_error, self.count))

    @property
    def max_abs(self) -> float:
        """Largest absolute error."""
        if self._spoiled:
            return math.inf
        return self.largest_error if self.count else math.nan

    @property
    def bias(self) -> float:
        """Mean error, candidate − reference; positive if the candidate is too large."""
        return math.nan if self._spoiled else _ratio(self.sum_error, self.count)

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise ratio in decibels; ∞ without error, −∞ for an error on an all-zero reference."""
        if self._spoiled:
            return -math.inf
        if self.count == 0:
            return math.nan
        if self.sum_square_error == 0:
            return math.inf
        if self.sum_square_reference == 0:
            return -math.inf
        # The logarithm of the quotient could leave float64's range if the sums differ by many orders of magnitude.
        return 10 * (math.log10(self.sum_square_reference) - math.log10(self.sum_square_error))

    @property
    def cosine(self) -> float:
        """Cosine similarity of the flattened tensors; NaN if either is all zeros and so has no direction."""
        if self._spoiled or self.sum_square_reference == 0 or self.sum_square_candidate == 0:
            return math.nan
        # Two divisions, because the product of the sums of squares may overflow although neither sum does.
        cosine = self.sum_product / math.sqrt(self.sum_square_reference) / math.sqrt(self.sum_square_candidate)
        # A value beyond ±1 is rounding error: |Σxy|² ≤ Σx²·Σy² (Cauchy–Schwarz).
        return max(-1.0, min(1.0, cosine))

    @property
    def _spoiled(self) -> bool:
        if self.non_finite or self.non_finite_reference:
            return True
        return not math.isfinite(self.sum_square_error + self.sum_square_reference + self.sum_square_candidate)


def check_numbers(**arrays: NDArray[Any]) -> None:
    """Raise an error for arrays of complex numbers, times, strings or objects.

    Raises:
        ValueError: If an array does not hold real numbers; the message names the argument and its dtype.
    """
    for name, array in arrays.items():
        if array.dtype.kind in "cmMOSU":
            raise ValueError(f"the {name} has dtype {array.dtype}; only real numbers can be compared")


def _flat_float64(array: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(array, dtype=np.float64).reshape(-1)


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan
