"""How far a tensor strays from the reference's: an output, a layer or a weight, of any shape.

The sums are taken twice in this package. `TensorError.of` takes them with NumPy, for outputs and weights: scoring needs
no Numba, which takes half a second to import and seconds to compile once, and the last digits of scores stay what they
are. `layers.compiled` takes the same sums for layers in one pass with all else that is asked of them, 5 times as fast,
and adds in another order, so that the two agree but for rounding; tests of `LayerError` hold them together.
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
    """How far a candidate's tensor strays from the reference's; the error is candidate − reference.

    The sums run over the elements that are finite on both sides, so that they can be added in any order. The rest is
    in `non_finite` and `non_finite_reference`, and one such element, even the same infinity or NaN on both sides,
    spoils every property: the errors are infinite, `sqnr_db` is −∞, `cosine` and `bias` are NaN. So is all of it
    spoiled where a float64 sum of squares overflows, which float32 values cannot bring about. Of no elements at all
    every property is NaN: nothing was compared, and 0 would read as perfect.
    """

    count: int = 0
    """Elements compared."""
    different: int = 0
    """Elements whose values are not equal; NaN equals nothing, −0 equals 0."""
    non_finite: int = 0
    """NaN and infinite elements of the candidate."""
    non_finite_reference: int = 0
    sum_error: float = 0.0
    sum_abs_error: float = 0.0
    sum_square_error: float = 0.0
    sum_square_reference: float = 0.0
    sum_square_candidate: float = 0.0
    sum_product: float = 0.0
    """Σ reference · candidate."""
    largest_error: float = largest()
    """Greatest |error| among the finite pairs."""

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any]) -> Self:
        """Compare element by element, in float64.

        Args:
            reference: Any shape, zero-size too; floats, integers or booleans.
            candidate: The same shape; its dtype may be another.

        Raises:
            ValueError: If the shapes differ, or one holds something else than real numbers.
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
        # Squares of float64 values may overflow to infinity, which spoils the properties and needs no warning.
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
        """Mean |error|."""
        return math.inf if self._spoiled else _ratio(self.sum_abs_error, self.count)

    @property
    def rms(self) -> float:
        """Root of the mean squared error."""
        return math.inf if self._spoiled else math.sqrt(_ratio(self.sum_square_error, self.count))

    @property
    def max_abs(self) -> float:
        """Greatest |error|."""
        if self._spoiled:
            return math.inf
        return self.largest_error if self.count else math.nan

    @property
    def bias(self) -> float:
        """Mean error, signed: above zero where the candidate is too large."""
        return math.nan if self._spoiled else _ratio(self.sum_error, self.count)

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise ratio in decibels; ∞ without noise, −∞ for noise on a reference of zeros."""
        if self._spoiled:
            return -math.inf
        if self.count == 0:
            return math.nan
        if self.sum_square_error == 0:
            return math.inf
        if self.sum_square_reference == 0:
            return -math.inf
        # Not the log of the quotient, which leaves float64's range where the two are far apart.
        return 10 * (math.log10(self.sum_square_reference) - math.log10(self.sum_square_error))

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two, flattened; NaN where either is all zeros and has no direction."""
        if self._spoiled or self.sum_square_reference == 0 or self.sum_square_candidate == 0:
            return math.nan
        # Two quotients, since the product of the squares may leave float64's range where neither of them does.
        cosine = self.sum_product / math.sqrt(self.sum_square_reference) / math.sqrt(self.sum_square_candidate)
        # Beyond ±1 is rounding: |Σxy|² ≤ Σx²·Σy² (Cauchy–Schwarz).
        return max(-1.0, min(1.0, cosine))

    @property
    def _spoiled(self) -> bool:
        if self.non_finite or self.non_finite_reference:
            return True
        return not math.isfinite(self.sum_square_error + self.sum_square_reference + self.sum_square_candidate)


def check_numbers(**arrays: NDArray[Any]) -> None:
    """Refuse complex numbers, times, strings and objects.

    Raises:
        ValueError: Names the array, by the argument's name, and its dtype.
    """
    for name, array in arrays.items():
        if array.dtype.kind in "cmMOSU":
            raise ValueError(f"the {name} holds {array.dtype}, and only real numbers can be compared")


def _flat_float64(array: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(array, dtype=np.float64).reshape(-1)


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan
