"""Divergences of the candidate's class probabilities from the reference's: KL, total variation, Jensen–Shannon."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.narrow import finite_rows, negative_rows, row_max
from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums, sum_products

__all__ = ["DivergenceSums", "Divergences", "divergences_per_sample", "kl_per_sample"]

LARGEST_JENSEN_SHANNON = math.log(2)
"""In nats; that of two distributions without a class in common."""


@dataclass(frozen=True, slots=True, eq=False)
class Divergences:
    """Divergences of each sample's class probabilities; every array is (n,) in float64.

    All three are NaN if a row is not a distribution. Only KL can be infinite: where int8 gives a class the probability
    0, the other two stay bounded and still tell a small change from a large one.
    """

    kl: NDArray[np.float64]
    """KL(reference‖candidate) in nats, see `kl_per_sample`."""
    total_variation: NDArray[np.float64]
    """½·Σ|p − q|, without a unit, 0 to 1: the most that the probability of any set of classes changed. Symmetric; at
    most √(KL/2) (Pinsker's inequality)."""
    jensen_shannon: NDArray[np.float64]
    """½·KL(p‖m) + ½·KL(q‖m) with m = (p + q)/2, in nats, 0 to ln 2 (Lin 1991, IEEE Transactions on Information Theory
    37:145–151). Symmetric; at most ln 2 times the total variation."""


@dataclass(frozen=True, slots=True)
class DivergenceSums(Sums):
    """Sums of the divergences over samples: of KL(reference‖candidate) in nats, unless the name says otherwise.

    `total` and `total_squares` include only finite divergences; other samples are counted in `infinite` and
    `undefined`. A single such sample makes the mean and its standard error None. Total variation and Jensen–Shannon
    divergence have no mean only if a sample is undefined.
    """

    n: int = 0
    infinite: int = 0
    """Samples for which the candidate gives probability 0 to a class that has a positive one in the reference."""
    undefined: int = 0
    """Samples whose row is not a distribution in the candidate or the reference."""
    total: float = 0.0
    total_squares: float = 0.0
    total_variation: float = 0.0
    """Sum of the total variation, over samples where it is defined."""
    jensen_shannon: float = 0.0
    """Sum of the Jensen–Shannon divergence in nats, over samples where it is defined."""

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], *, probabilities: bool) -> Self:
        """Sum one batch; for the arguments see `kl_per_sample`."""
        return cls.of_samples(divergences_per_sample(reference, candidate, probabilities=probabilities))

    @classmethod
    def of_samples(cls, divergences: Divergences) -> Self:
        """Sum the divergences of samples."""
        kl, undefined = divergences.kl, np.isnan(divergences.kl)
        finite = kl[np.isfinite(kl)]
        return cls(
            n=len(kl),
            infinite=int(np.count_nonzero(np.isinf(kl))),
            undefined=int(np.count_nonzero(undefined)),
            total=float(finite.sum()),
            total_squares=sum_products(finite, finite),
            total_variation=float(divergences.total_variation[~undefined].sum()),
            jensen_shannon=float(divergences.jensen_shannon[~undefined].sum()),
        )

    @property
    def mean(self) -> float | None:
        """Mean divergence; None if a sample is infinite or undefined, or there are no samples."""
        return None if self.infinite or self.undefined or not self.n else self.total / self.n

    @property
    def total_variation_mean(self) -> float | None:
        """Mean total variation, 0 to 1; None if a sample is undefined, or there are no samples."""
        return None if self.undefined or not self.n else self.total_variation / self.n

    @property
    def jensen_shannon_mean(self) -> float | None:
        """Mean Jensen–Shannon divergence in nats, 0 to ln 2; None if a sample is undefined, or there are none."""
        return None if self.undefined or not self.n else self.jensen_shannon / self.n

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
    (p, log_p), (_, log_q) = _distributions(reference, candidate, probabilities=probabilities)
    return _kl(p, log_p, log_q)


def divergences_per_sample(reference: NDArray[Any], candidate: NDArray[Any], *, probabilities: bool) -> Divergences:
    """All divergences of each row; for the arguments and errors see `kl_per_sample`, whose result is `kl`.

    >>> told = divergences_per_sample(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]), probabilities=True)
    >>> told.kl.tolist(), told.total_variation.tolist(), told.jensen_shannon.round(4).tolist()
    ([inf], [0.5], [0.2158])
    """
    (p, log_p), (q, log_q) = _distributions(reference, candidate, probabilities=probabilities)
    moved = p - q
    total_variation = np.abs(moved, out=moved).sum(axis=1) / 2
    jensen_shannon = _jensen_shannon((p, log_p), (q, log_q))
    # The logarithms of a softmax are rounded in another way than that of the middle; equal rows must give 0.
    jensen_shannon[total_variation == 0] = 0
    # Half the sum of two rows that add up to 1 may exceed 1 by rounding.
    return Divergences(_kl(p, log_p, log_q), np.minimum(total_variation, 1.0), jensen_shannon)


_Distributions = tuple[NDArray[np.float64], NDArray[np.float64]]
"""The probabilities of each row, and their logarithms."""


def _distributions(
    reference: NDArray[Any], candidate: NDArray[Any], *, probabilities: bool
) -> tuple[_Distributions, _Distributions]:
    check_same_shape(reference, candidate)
    if reference.ndim != 2 or reference.shape[1] == 0:
        raise ValueError(f"the divergence needs outputs of shape (samples, classes), not {reference.shape}")
    distribution = _normalized if probabilities else _softmax
    # Results that are not finite are intended: ln 0, and NaN for rows that are not a distribution.
    with np.errstate(divide="ignore", invalid="ignore"):
        return distribution(reference), distribution(candidate)


def _kl(p: NDArray[np.float64], log_p: NDArray[np.float64], log_q: NDArray[np.float64]) -> NDArray[np.float64]:
    divergence = _products(p, log_p, log_q)
    # A negative value is rounding error: the divergence is not negative (Gibbs' inequality).
    return np.maximum(divergence, 0.0, out=divergence)


def _products(p: NDArray[np.float64], log_p: NDArray[np.float64], log_q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ p·(ln p − ln q) of each row."""
    with np.errstate(invalid="ignore"):  # −∞ − −∞, and NaN for rows that are not a distribution
        terms = log_p - log_q
        terms *= p
    # 0·ln(0/q) is 0 by continuity for every q. A NaN row stays NaN, because p is not 0 everywhere in it.
    np.copyto(terms, 0.0, where=p == 0)
    divergence: NDArray[np.float64] = terms.sum(axis=1)
    return divergence


def _jensen_shannon(reference: _Distributions, candidate: _Distributions) -> NDArray[np.float64]:
    """½·Σ p·(ln p − ln m) + ½·Σ q·(ln q − ln m) of each row; of one class with p = q = 0 it is 0 by continuity."""
    (p, log_p), (q, log_q) = reference, candidate
    middle = p + q
    with np.errstate(divide="ignore"):
        log_middle = np.log(middle, out=middle)
    log_middle -= math.log(2)  # halving the smallest positive sum would give 0
    divergence = (_products(p, log_p, log_middle) + _products(q, log_q, log_middle)) / 2
    # What is outside of the range is rounding error (Gibbs' inequality); NaN is kept.
    return np.clip(divergence, 0.0, LARGEST_JENSEN_SHANNON, out=divergence)


def _normalized(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each row divided by its sum, and the logarithm of that; all NaN for a row that is not a distribution."""
    values = rows.astype(np.float64)
    sums = values.sum(axis=1)
    # A row of zeros needs no extra test: 0/0 is NaN.
    sums[~np.isfinite(sums) | negative_rows(values)] = np.nan
    values /= sums[:, None]
    return values, np.log(values)


def _softmax(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Softmax of each row and its logarithm; the logarithm stays finite where the softmax underflows.

    All NaN for a row with a non-finite value.
    """
    values = rows.astype(np.float64)
    values[~finite_rows(values)] = np.nan
    values -= row_max(values)[:, None]
    exponentials = np.exp(values)
    sums = exponentials.sum(axis=1, keepdims=True)
    return exponentials / sums, values - np.log(sums)
