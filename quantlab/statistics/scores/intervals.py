"""Confidence intervals for shares and for the difference of two shares measured on the same samples.

All are two-sided and in shares, from 0 to 1 or −1 to 1; a table in percent multiplies by 100.
"""

import math

from quantlab.types import Interval

__all__ = ["tango", "wilson"]


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a share, successes / n (Wilson 1927, Journal of the ASA 22:209–212).

    It stays within 0 and 1, and is not empty where no sample or every sample succeeded.

    Raises:
        ValueError: If n is not above zero, successes are not from 0 to n, or confidence is not between 0 and 1.
    """
    from scipy.stats import binomtest  # Slow to import, and most commands need no interval.

    _check(confidence, n, successes=successes)
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(float(interval.low), float(interval.high), confidence)


def tango(became_wrong: int, became_right: int, *, n: int, confidence: float = 0.95) -> Interval:
    """Tango's score interval for a paired difference, (became_wrong − became_right) / n; positive is a loss.

    Tango 1998, Statistics in Medicine 17:891–908: the differences that a score test does not reject, with the
    discordant share estimated under each. It is not empty where nothing changed: ±z²/(n + z²) then.

    Args:
        became_wrong: Samples that the reference has right and the candidate wrong.
        became_right: The other way round.
        n: All samples, changed or not.
        confidence: Two-sided. Its upper bound is a one-sided bound at (1 + confidence) / 2.

    Raises:
        ValueError: If n is not above zero, the counts are negative or together above n, or confidence is not
            between 0 and 1.
    """
    _check(confidence, n, became_wrong=became_wrong, became_right=became_right)
    z = _quantile(confidence)
    # With the two swapped the difference changes its sign, and lower becomes upper.
    return Interval(
        _tango_lower(became_wrong, became_right, n, z),
        -_tango_lower(became_right, became_wrong, n, z),
        confidence,
    )


def _tango_lower(forth: int, back: int, n: int, z: float) -> float:
    """Find the least difference (forth − back) / n, of changes either way, that the score test at z does not reject."""
    from scipy.optimize import brentq  # Slow to import, and most commands need no interval.

    # At both ends of the range, and where nothing is discordant, the variance vanishes at the estimate too; the
    # equation is then linear and solved by hand.
    if forth + back == 0:
        return -(z**2) / (n + z**2)
    if forth == n:
        return (n - z**2) / (n + z**2)
    if back == n:
        return -1.0

    def excess(difference: float) -> float:
        # Tango's statistic less z, times its denominator, which is zero at −1. Falls through zero once below the
        # estimate: it is n + forth − back > 0 at −1, and negative at the estimate.
        variance = _restricted_variance(difference, forth, back, n)
        return forth - back - n * difference - z * math.sqrt(n * max(0.0, variance))

    return float(brentq(excess, -1.0, (forth - back) / n, xtol=1e-15))


def _restricted_variance(difference: float, forth: int, back: int, n: int) -> float:
    """Variance of one pair's difference where the true one is `difference` and the rest is most likely.

    The probability of a change back is the greater root of 2n·q² + b·q + c = 0 (Tango 1998); that of a change forth is
    greater by the difference.
    """
    b = (2 * n - forth + back) * difference - forth - back
    c = -back * difference * (1 - difference)
    root = math.sqrt(max(0.0, b * b - 8 * n * c))
    probability_back = (root - b) / (4 * n)
    return 2 * probability_back + difference * (1 - difference)


def _quantile(confidence: float) -> float:
    """Return the normal quantile that leaves (1 − confidence) / 2 above it."""
    from scipy.special import ndtri

    return -float(ndtri((1 - confidence) / 2))


def _check(confidence: float, n: int, **counts: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1; 95 % is 0.95")
    if n < 1:
        raise ValueError(f"an interval needs a sample, and n is {n}")
    if min(counts.values()) < 0 or sum(counts.values()) > n:
        named = ", ".join(f"{name} = {count}" for name, count in counts.items())
        raise ValueError(f"counts are not negative and together at most n = {n}: {named}")
