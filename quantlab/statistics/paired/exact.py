"""Exact bound of a paired difference: the smallest that errs rarely enough, if tables are ordered by Tango's bound.

The numbers of samples that became wrong and right are trinomial. A difference is rejected if tables with as small a
bound of Tango's are improbable, whatever share of the samples changes. No normal distribution takes the place of the
trinomial one, so the bound errs in at most 1 − confidence of cases, for every number of samples. The order of tables
does not depend on the difference, so a larger difference is never less surely rejected than a smaller one (Buehler
1957, Journal of the ASA 52:482–493; for paired proportions Lloyd & Moldovan 2007, Statistics in Medicine 26:3369–3384).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.scores.intervals import clopper_pearson, tango

__all__ = ["exact_upper", "rejection", "tango_statistic"]

_Floats = NDArray[np.float64]
_Counts = NDArray[np.int64]

_SPENT = 1e-3
"""Part of the error that is spent on the interval of the share of changed samples."""
_SHARES = 32
"""Shares of changed samples within that interval for which the probability is computed."""
_DEVIATIONS = 4.75
"""Standard deviations around its mean within which a count is summed."""
_BEYOND = 3e-6
"""At most this probability lies further away; it is added."""
_TOLERANCE = 5e-4
"""Of the distance between an estimate and its bound."""
_STEP = 0.1
"""The bound is looked for beyond Tango's in steps of this part of that distance."""
_SAME = 1e-9
"""Rounding error of a statistic: tables that differ by no more are equally far from a difference."""
_SURELY = 1 - 1e-12
_NEVER = 1e-300
"""Stands for a probability of 0, whose logarithm would be infinite."""


@lru_cache(maxsize=2**15)
def exact_upper(became_wrong: int, became_right: int, n: int, confidence: float) -> float:
    """One-sided upper bound of the difference (became_wrong − became_right) / n, as a share from −1 to 1.

    It is the smallest difference that `rejection` rejects, up to 0.05 % of its distance from the estimate, always on
    the far side. Without a change it is 1 − (1 − confidence)^(1/n). The lower bound is the negative of the upper bound
    with the counts exchanged. It takes some milliseconds, and is remembered.

    Args:
        became_wrong: Samples that are correct in the reference and wrong in the candidate.
        became_right: Samples that are wrong in the reference and correct in the candidate.
        n: All samples, at least the sum of both counts.
        confidence: One-sided, between 0.5 and 1.
    """
    from scipy.optimize import brentq  # imported here because SciPy is slow to import and few commands need it
    from scipy.special import ndtri

    if became_wrong == became_right == 0:
        return -math.expm1(math.log1p(-confidence) / n)
    if became_wrong == n:
        return 1.0
    estimate, error = (became_wrong - became_right) / n, 1 - confidence
    threshold = float(ndtri(error))

    def excess(difference: float) -> float:
        """Positive where a difference is not rejected, and nearly linear in it."""
        return float(ndtri(rejection(became_wrong, became_right, n, difference, error))) - threshold

    low, high = estimate, _order(became_wrong, became_right, n, error)
    width = high - estimate
    while high < 1 and excess(high) > 0:
        low, high = high, min(1.0, high + _STEP * width)
    tolerance = _TOLERANCE * width
    return float(min(1.0, brentq(excess, low, high, xtol=tolerance / 2, rtol=1e-12) + tolerance / 2))


def rejection(became_wrong: int, became_right: int, n: int, difference: float, error: float) -> float:
    """The p-value of the hypothesis that the true difference is at least `difference`: small if it is less.

    It is the largest probability of all tables whose upper bound by Tango (1998, Statistics in Medicine 17:891–908), at
    the confidence 1 − `error`, is at most that of these counts, over the shares of changed samples in their interval of
    Clopper and Pearson, plus the error of that interval: 0.001·`error` (Berger & Boos 1994, Journal of the ASA
    89:1012–1016). Tango's bound grows with `became_wrong` and falls with `became_right`, so the p-value falls as
    `difference` grows.
    """
    changed, spent = became_wrong + became_right, _SPENT * error
    lowest, high = _shares_of(changed, n, 1 - spent)
    low = max(lowest, abs(difference))
    if low > high:
        return spent
    # Equal steps on this scale are equal parts of a count's standard deviation.
    scale = np.linspace(math.asin(math.sqrt(low)), math.asin(math.sqrt(high)), _SHARES)
    back = np.clip((np.sin(scale) ** 2 - difference) / 2, max(0.0, -difference), 1.0)
    order = _order(became_wrong, became_right, n, error)
    most = float(tango_statistic(np.array([became_wrong]), np.array([became_right]), n, order)[0]) + _SAME
    return float(min(_SURELY, _Tables(n, order, most).probability(back, difference).max() + spent + _BEYOND))


@lru_cache(maxsize=8)
def _order(became_wrong: int, became_right: int, n: int, error: float) -> float:
    """Tango's upper bound, by which tables are ordered: those with smaller ones have smaller statistics at this one."""
    return tango(became_wrong, became_right, n=n, confidence=1 - 2 * error).upper


@lru_cache(maxsize=8)
def _shares_of(changed: int, n: int, confidence: float) -> tuple[float, float]:
    interval = clopper_pearson(changed, n, confidence=confidence)
    return interval.lower, interval.upper


@dataclass(frozen=True, slots=True)
class _Tables:
    """All tables whose upper bound by Tango is at most that of some table."""

    n: int
    order: float
    """That bound."""
    most: float
    """The largest statistic, at that bound, that belongs to them."""

    def probability(self, back: _Floats, difference: float) -> _Floats:
        """Their probability for each probability of a change back; that of a change forth differs by `difference`.

        The number of changes back is binomial, and given that the number of changes forth is, too. The distribution
        function of the latter is summed up from one number of changes back to the next, because that is many times
        faster than an incomplete beta function for each.
        """
        from scipy.special import betainc  # imported here because SciPy is slow to import

        numbers = self._numbers_back(back)
        rest = self.n - numbers
        largest = self._largest_forth(numbers)
        forth = np.clip((back + difference) / np.maximum(1 - back, _NEVER), _NEVER, 1 - 1e-15)
        of_back = _binomial(numbers, np.full_like(numbers, self.n), np.clip(back, _NEVER, 1 - 1e-15))
        # From c to c + 1 changes back, one sample fewer can change forth, and more changes forth belong to the tables.
        steps = np.zeros((len(back), len(numbers)))
        steps[:, 1:] = forth[:, None] * _binomial(largest[:-1], rest[1:], forth)
        for step in range(1, int(np.diff(largest).max(initial=0)) + 1):
            reached = largest[:-1] + step
            steps[:, 1:] += np.where(reached <= largest[1:], _binomial(reached, rest[1:], forth), 0.0)
        first, of = int(largest[0]), int(rest[0])
        if 0 <= first < of:
            steps[:, 0] = betainc(of - first, first + 1, 1 - forth)
        below = np.where(largest >= rest, 1.0, np.cumsum(steps, axis=1))
        return np.asarray((of_back * below).sum(axis=1))

    def _numbers_back(self, back: _Floats) -> _Counts:
        reach = _DEVIATIONS * np.sqrt(self.n * back * (1 - back)) + _DEVIATIONS**2 / 2
        low, high = np.floor((self.n * back - reach).min()), np.ceil((self.n * back + reach).max())
        return np.arange(max(0, int(low)), min(self.n, int(high)) + 1)

    def _largest_forth(self, numbers: _Counts) -> _Counts:
        """For each number of changes back, the largest number of changes forth of these tables; −1 if there is none."""
        first, last = int(numbers[0]), int(numbers[-1])
        block = 1 << (last - first).bit_length()
        there = first - first % block
        return _largest_of(self, there, there + 2 * block)[first - there : last - there + 1]


@lru_cache(maxsize=4)
def _largest_of(tables: _Tables, first: int, stop: int) -> _Counts:
    """That of the numbers of a range. A bound is looked for with ranges that overlap, most of which are in the same."""
    numbers = np.arange(first, min(stop, tables.n + 1))
    low, high = np.full_like(numbers, -1), tables.n - numbers
    while (low < high).any():
        middle = (low + high + 1) // 2
        belongs = tango_statistic(middle, numbers, tables.n, tables.order) <= tables.most
        low, high = np.where(belongs, middle, low), np.where(belongs, high, middle - 1)
    return low


def _binomial(numbers: _Counts, of: _Counts, probability: _Floats) -> _Floats:
    """(probabilities, numbers): the probability of each number of successes; 0 for a number below 0 or above `of`."""
    from scipy.special import gammaln  # imported here because SciPy is slow to import and few commands need it

    there = (numbers >= 0) & (numbers <= of)
    k = np.where(there, numbers, 0)
    ways = np.where(there, gammaln(of + 1) - gammaln(k + 1) - gammaln(of - k + 1), -np.inf)
    logarithm = np.log(probability)[:, None] * k + np.log1p(-probability)[:, None] * (of - k)
    return np.asarray(np.exp(ways + logarithm))


def tango_statistic(forth: _Counts, back: _Counts, n: int, difference: float) -> _Floats:
    """Tango's statistic: distance of (forth − back) / n from a difference in standard errors under that difference."""
    b = (2 * n - forth + back) * difference - forth - back
    root = np.sqrt(np.maximum(0.0, b * b + 8 * n * back * difference * (1 - difference)))
    variance = np.maximum(0.0, (root - b) / (2 * n) + difference * (1 - difference))
    distance = forth - back - n * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        # Without variance, every value except the estimate itself is infinitely far.
        return np.where(np.abs(distance) < _SAME, 0.0, distance / np.sqrt(n * variance))
