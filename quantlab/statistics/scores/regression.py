"""Errors of reference and candidate against numeric labels."""

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.sums import Sums, sum_products
from quantlab.statistics.tensors import TensorError
from quantlab.types import Interval

__all__ = ["MeanSums", "RegressionSums", "labels_shaped"]


_ROUNDING = 1e-13
"""Share of a sum of squares that may be a rounding error of the sum: equal values differ by less."""


@dataclass(frozen=True, slots=True)
class MeanSums(Sums):
    """A mean over samples, as sums that give its interval, too."""

    n: int = 0
    non_finite: int = 0
    """Values that are NaN or infinite; one is enough for a mean without an interval."""
    total: float = 0.0
    """Sum of the finite values."""
    total_square: float = 0.0
    """Sum of their squares."""

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Sum one value for each sample, (n,)."""
        finite = values[np.isfinite(values)]
        return cls(len(values), len(values) - len(finite), float(finite.sum()), sum_products(finite, finite))

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Two-sided interval of the mean by Student's t; None for fewer than two samples, or if one is not finite.

        None also if all values are the same, as where no sample differs: nothing says then how far another one would
        be, and an interval without a width would claim that it is known.

        The mean is ȳ ± t·s/√n, with the quantile t of n − 1 degrees of freedom and the standard deviation s.
        """
        if self.n < 2 or self.non_finite:
            return None
        from scipy.special import stdtrit

        mean = self.total / self.n
        squares = self.total_square - self.n * mean * mean
        if squares <= _ROUNDING * self.total_square:
            return None
        variance = squares / (self.n - 1)
        half = float(stdtrit(self.n - 1, (1 + confidence) / 2)) * math.sqrt(variance / self.n)
        return Interval(mean - half, mean + half, confidence)


@dataclass(frozen=True, slots=True)
class RegressionSums(Sums):
    """Errors of the reference and of the candidate against the labels, each as a `TensorError`.

    `mean_abs` is the MAE and `rms` the RMSE; both are infinite if an output or a label is not finite.
    """

    reference: TensorError = field(default_factory=TensorError)
    candidate: TensorError = field(default_factory=TensorError)
    reference_errors: MeanSums = field(default_factory=MeanSums)
    """Mean absolute error of the reference in each sample."""
    candidate_errors: MeanSums = field(default_factory=MeanSums)
    """Mean absolute error of the candidate in each sample."""
    growth: MeanSums = field(default_factory=MeanSums)
    """The candidate's mean absolute error in a sample minus that of the reference."""

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], labels: NDArray[Any]) -> Self:
        """Sum one batch.

        Args:
            reference: Any shape, samples first.
            candidate: The same shape.
            labels: The same shape, ignoring axes of size 1: (n,) matches (n, 1).

        Raises:
            ValueError: If the shapes differ; arrays are never broadcast.
        """
        truth = labels_shaped(labels, reference.shape)
        before, after = _absolute_errors(truth, reference), _absolute_errors(truth, candidate)
        return cls(
            reference=TensorError.of(truth, reference),
            candidate=TensorError.of(truth, candidate),
            reference_errors=MeanSums.of(before),
            candidate_errors=MeanSums.of(after),
            growth=MeanSums.of(after - before),
        )


def _absolute_errors(truth: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float64]:
    """Mean absolute error of each sample, (n,) float64; infinite or NaN where a value is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(values.astype(np.float64) - truth)
    means: NDArray[np.float64] = errors.mean(axis=tuple(range(1, errors.ndim)))
    return means


def labels_shaped(labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Reshape labels to the shape of the outputs, which may differ only in axes of size 1.

    Raises:
        ValueError: If the shapes differ otherwise.
    """
    if _without_ones(labels.shape) != _without_ones(shape):
        raise ValueError(
            f"the labels have shape {labels.shape} and the outputs {shape}; every output element needs one label"
        )
    return labels.reshape(shape)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
