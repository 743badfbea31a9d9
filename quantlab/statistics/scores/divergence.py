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
    """KL(reference‖candidate) in nats, over samples.

    `total` and `total_squares` run over the samples whose divergence is a finite number; the others are in `infinite`
    and `undefined`, and one of them is enough for the mean and its error to be None.
    """

    n: int = 0
    infinite: int = 0
    """Samples where the candidate gives 0 to a class that the reference does not."""
    undefined: int = 0
    """Samples that are no distribution, in candidate or reference."""
    total: float = 0.0
    total_squares: float = 0.0

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], *, probabilities: bool) -> Self:
        """Sum a batch; the arguments are those of `kl_per_sample`."""
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
        """None where a sample is infinite or undefined, and where there is none."""
        return None if self.infinite or self.undefined or not self.n else self.total / self.n

    @property
    def standard_error(self) -> float | None:
        """Of the mean: the samples' standard deviation over √n. None where the mean is, and for a single sample."""
        if self.mean is None or self.n < 2:
            return None
        # Below zero is rounding: a sum of squared deviations is not negative.
        deviations = max(0.0, self.total_squares - self.total * self.mean)
        return math.sqrt(deviations / (self.n - 1) / self.n)


def kl_per_sample(reference: NDArray[Any], candidate: NDArray[Any], *, probabilities: bool) -> NDArray[np.float64]:
    """KL(reference‖candidate) = Σ p·ln(p/q) of each row, in nats: (n, classes) twice gives (n,) in float64.

    A class to which the reference gives 0 adds nothing; one to which only the candidate does makes the row infinite.
    NaN where either row is no distribution.

    Args:
        reference: (n, classes).
        candidate: The same shape.
        probabilities: Rows are distributions but for rounding and are divided by their sums; one that is not finite,
            is negative somewhere or zero everywhere is none. Otherwise rows are logits and get a softmax; only one
            that is not finite is none.

    Raises:
        ValueError: If the shapes differ, or are not (n, classes).
    """
    check_same_shape(reference, candidate)
    if reference.ndim != 2 or reference.shape[1] == 0:
        raise ValueError(f"a divergence is that of rows of (samples, classes), not of {reference.shape}")
    distribution = _normalized if probabilities else _softmax
    # What is not finite here is the answer: ln 0, and NaN for what is no distribution.
    with np.errstate(divide="ignore", invalid="ignore"):
        p, log_p = distribution(reference)
        _, log_q = distribution(candidate)
        terms = p * (log_p - log_q)
    # 0·ln(0/q) is 0 by continuity, whatever q is. A row that is NaN keeps terms that are: somewhere p is not 0.
    terms[p == 0] = 0
    divergence: NDArray[np.float64] = terms.sum(axis=1)
    # Below zero is rounding: the divergence of two distributions is not negative (Gibbs' inequality).
    return np.maximum(divergence, 0.0, out=divergence)


def _normalized(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row over its sum, and the logarithm of that; all NaN for a row that is no distribution."""
    values = rows.astype(np.float64)
    sums = values.sum(axis=1, keepdims=True)
    # A row of zeros needs no word here: 0/0 is NaN by itself.
    none = ~np.isfinite(sums) | (values.min(axis=1, keepdims=True) < 0)
    values /= np.where(none, np.nan, sums)
    return values, np.log(values)


def _softmax(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Softmax of each row, and the logarithm of that, finite where the softmax is too small for float64.

    All NaN for a row that is not finite.
    """
    values = rows.astype(np.float64)
    values[~np.isfinite(values).all(axis=1)] = np.nan
    values -= values.max(axis=1, keepdims=True)
    exponentials = np.exp(values)
    sums = exponentials.sum(axis=1, keepdims=True)
    return exponentials / sums, values - np.log(sums)
