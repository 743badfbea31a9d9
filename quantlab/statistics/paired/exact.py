"""Exact bound of a paired difference: that of an unconditional test which is ordered by Tango's score statistic.

The numbers of samples that became wrong and right are trinomial. A difference is rejected if tables that speak at least
as strongly against it are improbable, whatever share of the samples changes. No normal distribution takes the place of
the trinomial one, so the bound errs in at most 1 − confidence of cases, for every number of samples.
"""

import math
from collections.abc import Callable
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
_MOST_STEPS = 50
_AHEAD = (0.003, 0.006, 0.01, 0.015, 0.025, 0.045, 0.08)
"""Distances beyond the end, in parts of its distance from the estimate, where a difference may still be kept."""
_FAR_AHEAD = (0.12, 0.16, 0.22, 0.3, 0.4, 0.55, 0.75, 1.0)
"""The same if a difference is kept at the last of these: teeth are wide where few samples meet many changes."""
_FEW_CHANGES = 200
"""Changes up to which that is looked for: with more, a probability hardly jumps."""
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
    from scipy.special import ndtri  # imported here because SciPy is slow to import and few commands need it

    if became_wrong == became_right == 0:
        return -math.expm1(math.log1p(-confidence) / n)
    if became_wrong == n:
        return 1.0
    estimate, error = (became_wrong - became_right) / n, 1 - confidence
    threshold = float(ndtri(error))

    def excess(difference: float) -> float:
        """Positive where a difference is not rejected, and nearly linear in it."""
        return float(ndtri(rejection(became_wrong, became_right, n, difference, error))) - threshold

    score_bound = tango(became_wrong, became_right, n=n, confidence=2 * confidence - 1).upper
    width = score_bound - estimate
    end = _outer_end(excess, estimate, width, -threshold)
    if became_wrong + became_right > _FEW_CHANGES:
        return end
    # The p-value of discrete counts falls in a saw-tooth: a difference beyond the first rejected one may be kept again.
    for steps in (_AHEAD, _FAR_AHEAD):
        places = [end, *(min(1.0, end + step * width) for step in steps), 1.0]
        kept = (number for number, place in enumerate(places[1:-1], 1) if place < 1 and excess(place) > 0)
        last = max(kept, default=0)
        if last < len(steps):
            break
    return places[last + (last > 0)]


def rejection(became_wrong: int, became_right: int, n: int, difference: float, error: float) -> float:
    """The p-value of the hypothesis that the true difference is at least `difference`: small if it is less.

    It is the largest probability of all tables whose statistic (Tango 1998, Statistics in Medicine 17:891–908) is at
    most that of these counts, over the shares of changed samples in their interval of Clopper and Pearson, plus the
    error of that interval: 0.001·`error` (Berger & Boos 1994, Journal of the ASA 89:1012–1016). The statistic grows
    with `became_wrong` and falls with `became_right`, so no larger difference is more probable (Hsueh, Liu & Chen 2001,
    Biometrics 57:478–483).
    """
    changed, spent = became_wrong + became_right, _SPENT * error
    lowest, high = _shares_of(changed, n, 1 - spent)
    low = max(lowest, abs(difference))
    if low > high:
        return spent
    # Equal steps on this scale are equal parts of a count's standard deviation.
    scale = np.linspace(math.asin(math.sqrt(low)), math.asin(math.sqrt(high)), _SHARES)
    back = np.clip((np.sin(scale) ** 2 - difference) / 2, max(0.0, -difference), 1.0)
    most = float(tango_statistic(np.array([became_wrong]), np.array([became_right]), n, difference)[0]) + _SAME
    return float(min(_SURELY, _Tables(n, difference, most).probability(back).max() + spent + _BEYOND))


@lru_cache(maxsize=8)
def _shares_of(changed: int, n: int, confidence: float) -> tuple[float, float]:
    interval = clopper_pearson(changed, n, confidence=confidence)
    return interval.lower, interval.upper


@dataclass(frozen=True, slots=True)
class _Tables:
    """All tables that speak at least as strongly against a difference as some table does."""

    n: int
    difference: float
    most: float
    """The largest statistic that belongs to them."""

    def probability(self, back: _Floats) -> _Floats:
        """Their probability for each probability of a change back; that of a change forth differs by `difference`.

        The number of changes back is binomial, and given that the number of changes forth is, too. The distribution
        function of the latter is summed up from one number of changes back to the next, because that is many times
        faster than an incomplete beta function for each.
        """
        from scipy.special import betainc  # imported here because SciPy is slow to import

        numbers = self._numbers_back(back)
        rest = self.n - numbers
        largest = self._largest_forth(numbers)
        forth = np.clip((back + self.difference) / np.maximum(1 - back, _NEVER), _NEVER, 1 - 1e-15)
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
        low, high = np.full_like(numbers, -1), self.n - numbers
        while (low < high).any():
            middle = (low + high + 1) // 2
            belongs = tango_statistic(middle, numbers, self.n, self.difference) <= self.most
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


def _outer_end(excess: Callable[[float], float], estimate: float, width: float, at_estimate: float) -> float:
    """Where `excess` falls below 0: the outer end of an interval of `_TOLERANCE` that holds the place; 1 at most.

    Args:
        excess: Nearly linear, but with jumps, because counts are discrete.
        estimate: Where it is about `at_estimate`, above 0.
        width: About the distance of the place from the estimate, above 0.
        at_estimate: See `estimate`.
    """
    tolerance = _TOLERANCE * width
    low, at_low, place = estimate, at_estimate, estimate + width
    high, at_high = math.inf, -math.inf
    for step in range(_MOST_STEPS):
        value = excess(place)
        # Aiming a little beyond the crossing closes the interval from its other side, too.
        low, at_low, high, at_high, beyond = (
            (place, value, high, at_high, tolerance / 3) if value > 0 else (low, at_low, place, value, -tolerance / 3)
        )
        if high - low <= tolerance or low >= 1:
            break
        if math.isinf(high):
            place = min(1.0, low + width * (1.1 * value / at_estimate + 0.002))
            continue
        fraction = at_low / (at_low - at_high) if step < _MOST_STEPS // 6 else 0.5
        place = low + fraction * (high - low) + beyond
        if not low < place < high:
            place = (low + high) / 2
    return min(1.0, high)
