"""Studentized bootstrap (bootstrap-t): bounds of a loss that is a smooth function of means, where samples are skewed.

A few samples with large errors make the distribution of a mean skewed. The bounds of a resample's loss divided by the
resample's own standard error follow that; its quantiles take the place of those of a normal distribution.
"""

import math

import numpy as np
from numpy.typing import NDArray

from quantlab.types import Tail

__all__ = ["squares_of", "standard_errors", "studentized_interval", "tail_of"]

_Floats = NDArray[np.float64]

_LARGEST = 0.01
"""Share of the samples that are called the largest."""
_IN_TAIL = 0.05
"""Share of the samples from which the tail index is estimated."""
_FEWEST_IN_TAIL = 5


def squares_of(rows: _Floats) -> _Floats:
    """(n, k·(k + 1) / 2): products of the columns of (n, k), each pair of columns once."""
    first, second = np.triu_indices(rows.shape[1])
    return rows[:, first] * rows[:, second]


def standard_errors(means: _Floats, squares: _Floats, slopes: _Floats, n: int) -> _Floats:
    """Standard errors of a function of means, from its slopes (delta method); all arguments have a row per resample.

    Args:
        means: (resamples, k): means of the columns.
        squares: (resamples, k·(k + 1) / 2): means of `squares_of`.
        slopes: (resamples, k): derivative of the function by each mean.
        n: Number of samples.
    """
    first, second = np.triu_indices(means.shape[1])
    covariance = squares - means[:, first] * means[:, second]
    twice = np.where(first == second, 1.0, 2.0)
    variance = (twice * slopes[:, first] * slopes[:, second] * covariance).sum(axis=1)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0) / n))


def studentized_interval(
    estimate: float, error: float, replicates: _Floats, errors: _Floats, confidence: float
) -> tuple[float, float]:
    """Bounds with probability 1 − confidence beyond each.

    Efron & Tibshirani 1993, An Introduction to the Bootstrap, §12.5.

    The distribution of (replicate − estimate) / its standard error stands for that of (estimate − truth) / `error`. A
    bound is infinite where so many resamples have no standard error that its quantile is not known.

    Args:
        estimate: The loss of all samples.
        error: Its standard error.
        replicates: (resamples,): the loss of each resample.
        errors: (resamples,): the standard error of each.
        confidence: One-sided confidence of each bound.
    """
    distance = replicates - estimate
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(errors > 0, distance / errors, np.sign(distance) * np.inf)
    # Without an error and without a distance, nothing speaks for either side.
    scaled = np.where(np.isnan(scaled), 0.0, scaled)
    low = float(np.quantile(scaled, 1 - confidence, method="lower"))
    high = float(np.quantile(scaled, confidence, method="higher"))
    return estimate - high * error, estimate - low * error


def tail_of(contributions: _Floats) -> Tail | None:
    """How few samples carry a sum; None where that is not known: fewer than 100 samples, or no contribution.

    Args:
        contributions: (n,): what each sample adds to a loss, of either sign.
    """
    sizes = np.sort(np.abs(contributions))[::-1]
    total = float(sizes.sum())
    samples = int(_LARGEST * len(sizes))
    if not samples or not 0 < total < math.inf:
        return None
    return Tail(samples=samples, share=float(sizes[:samples].sum()) / total, index=_hill(sizes))


def _hill(descending: _Floats) -> float | None:
    """Hill's estimate of the tail index from the largest 5 % (Hill 1975, Annals of Statistics 3:1163–1174).

    None if the largest are all equal or too few are above 0.
    """
    number = max(_FEWEST_IN_TAIL, int(_IN_TAIL * len(descending)))
    if len(descending) <= number or descending[number] <= 0:
        return None
    mean = float(np.log(descending[:number] / descending[number]).mean())
    return 1 / mean if mean > 0 else None
