"""Kullback–Leibler divergence of the candidate's class probabilities from the reference's."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums, sum_products

__all__ = ["DivergenceSums", "kl_per_sample"]


@dataclass(frozen=True, slots=True)
class DivergenceSums(Sums):
    """Sums of KL(reference‖candidate) over samples, in nats.

    `total` and `total_squares` include only finite divergences; other samples are counted in `infinite` and
    `undefined`. A single such sample makes the mean and its standard error None.
    """

    n: int = 0
    infinite: int = 0
    """Samples for which the candidate gives probability 0 to a class that has a positive one in the reference."""
    undefined: int = 0
    """Samples whose row is not a distribution in the candidate or the reference."""
    total: float = 0.0
    total_squares: float = 0.0

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], *, probabilities: bool) -> Self:
        """Sum one batch; for the arguments see `kl_per_sample`."""
        divergence = kl_per_sample(reference, candidate, probabilities=probabilities)
        finite = divergence[np.isfinite(divergence)]
        return cls(
            n=len(divergence),
            infinite=int(np.count_nonzero(np.isinf(divergence))),
            undefined=int(np.count_nonzero(np.isnan(divergence))),
            total=float(finite.sum()),
            total_squares=sum_products(finite, finite),
        )

    @property
    def mean(self) -> float | None:
        """Mean divergence; None if a sample is infinite or undefined, or there are no samples."""
        return None if self.infinite or self.undefined or not self.n else self.total / self.n

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean, standard deviation / √n; None if the mean is None, or there is one sample."""
        if self.mean is None or self.n < 2:
            return None
        # A negative value is rounding error: a sum of squared deviations is not negative.
        deviations = max(0.0, self.total_squares - self.total * self.mean)
        return math.sqrt(deviations / (self.n - 1) / self.n)


def kl_per_sample(reference: NDArray[Any], candidate: NDArray[Any], *, probabilities: bool) -> NDArray[np.float64]:
    """KL(reference‖candidate) = Σ p·ln(p/q) of each row, in nats: two arrays (n, classes) give (n,) in float64.

    A class with p = 0 adds nothing. A class with q = 0 and p > 0 makes the row infinite. The result is NaN if either
    row is not a distribution.

    Args:
        reference: (n, classes).
        candidate: The same shape.
        probabilities: If True, rows hold probabilities and are divided by their sums to remove rounding error; a row
            with a negative or non-finite value, or with only zeros, is not a distribution. If False, rows hold logits
            and softmax is applied; only a row with a non-finite value is not a distribution.

    Raises:
        ValueError: If the shapes differ, or are not (n, classes).
    """
    check_same_shape(reference, candidate)
    if reference.ndim != 2 or reference.shape[1] == 0:
        raise ValueError(f"the divergence needs outputs of shape (samples, classes), not {reference.shape}")
    distribution = _normalized if probabilities else _softmax
    # Results that are not finite are intended: ln 0, and NaN for rows that are not a distribution.
    with np.errstate(divide="ignore", invalid="ignore"):
        p, log_p = distribution(reference)
        _, log_q = distribution(candidate)
        terms = p * (log_p - log_q)
    # 0·ln(0/q) is 0 by continuity for every q. A NaN row stays NaN, because p is not 0 everywhere in it.
    terms[p == 0] = 0
    divergence: NDArray[np.float64] = terms.sum(axis=1)
    # A negative value is rounding error: the divergence is not negative (Gibbs' inequality).
    return np.maximum(divergence, 0.0, out=divergence)


def _normalized(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row divided by its sum, and the logarithm of that; all NaN for a row that is not a distribution."""
    values = rows.astype(np.float64)
    sums = values.sum(axis=1, keepdims=True)
    # A row of zeros needs no extra test: 0/0 is NaN.
    none = ~np.isfinite(sums) | (values.min(axis=1, keepdims=True) < 0)
    values /= np.where(none, np.nan, sums)
    return values, np.log(values)


def _softmax(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Softmax of each row and its logarithm; the logarithm stays finite where the softmax underflows.

    All NaN for a row with a non-finite value.
    """
    values = rows.astype(np.float64)
    values[~np.isfinite(values).all(axis=1)] = np.nan
    values -= values.max(axis=1, keepdims=True)
    exponentials = np.exp(values)
    sums = exponentials.sum(axis=1, keepdims=True)
    return exponentials / sums, values - np.log(sums)
