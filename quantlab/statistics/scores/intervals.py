"""Confidence intervals for a share, and for the difference of two shares measured on the same samples.

All intervals are two-sided and given as shares, from 0 to 1 or −1 to 1; tables in percent multiply by 100.
"""

import math

from quantlab.types import Interval

__all__ = ["check_counts", "clopper_pearson", "tango", "wilson"]


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for the share successes / n (Wilson 1927, Journal of the ASA 22:209–212).

    The interval lies within 0 and 1 and has a positive width even if successes is 0 or n.

    Raises:
        ValueError: If n is below 1, successes is not in 0…n, or confidence is not between 0 and 1.
    """
    check_counts(confidence, n, successes=successes)
    # The operations of `scipy.stats`, in the same order, so that the bits are the same; its import takes 0.4 s.
    share, z = successes / n, _upper_quantile(0.5 + 0.5 * confidence)
    denominator = 2 * (n + z**2)
    center = (2 * n * share + z**2) / denominator
    half = z / denominator * math.sqrt(4 * n * share * (1 - share) + z**2)
    return Interval(0.0 if successes == 0 else center - half, 1.0 if successes == n else center + half, confidence)


def clopper_pearson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Exact interval for the share successes / n (Clopper & Pearson 1934, Biometrika 26:404–413).

    Each end is a one-sided bound at (1 + confidence) / 2 that errs in no more cases than it says, for every n and
    share. Without a success the lower end is 0, without a failure the upper end is 1.

    Raises:
        ValueError: If n is below 1, successes is not in 0…n, or confidence is not between 0 and 1.
    """
    from scipy.special import betaincinv  # imported here because SciPy is slow to import and few commands need it

    check_counts(confidence, n, successes=successes)
    tail, failures = (1 - confidence) / 2, n - successes
    lower = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    upper = 1 - float(betaincinv(failures, successes + 1, tail)) if failures else 1.0
    return Interval(lower, upper, confidence)


def tango(became_wrong: float, became_right: float, *, n: float, confidence: float = 0.95) -> Interval:
    """Tango's score interval for the paired difference (became_wrong − became_right) / n; positive is a loss.

    Tango 1998, Statistics in Medicine 17:891–908: the set of differences that a score test does not reject, with the
    discordant share estimated under each difference. Without a change the interval is ±z²/(n + z²).

    Args:
        became_wrong: Samples that are correct in the reference and wrong in the candidate.
        became_right: Samples that are wrong in the reference and correct in the candidate.
        n: All samples, changed or not. Counts need not be whole: those of dependent samples are divided by what their
            dependence costs.
        confidence: Two-sided; each end is a one-sided bound at (1 + confidence) / 2.

    Raises:
        ValueError: If n is below 1, a count is negative, the counts exceed n together, or confidence is not between 0
            and 1.
    """
    check_counts(confidence, n, became_wrong=became_wrong, became_right=became_right)
    z = _quantile(confidence)
    # Swapping the counts changes the sign of the difference, so its lower bound gives the upper one.
    return Interval(
        _tango_lower(became_wrong, became_right, n, z),
        -_tango_lower(became_right, became_wrong, n, z),
        confidence,
    )


def _tango_lower(forth: float, back: float, n: float, z: float) -> float:
    """The smallest difference (forth − back) / n that the score test with quantile z does not reject."""
    # At both ends of the range, and without discordant pairs, the variance is 0 at the estimate; the equation is then
    # linear and has a closed solution.
    if forth + back == 0:
        return -(z**2) / (n + z**2)
    if forth == n:
        return (n - z**2) / (n + z**2)
    if back == n:
        return -1.0

    from scipy.optimize import brentq  # imported here because SciPy is slow to import and few commands need it

    def excess(difference: float) -> float:
        # Tango's statistic minus z, multiplied by its denominator, which is 0 at −1. It has one root below the
        # estimate: it is n + forth − back > 0 at −1, and negative at the estimate.
        variance = _restricted_variance(difference, forth, back, n)
        return forth - back - n * difference - z * math.sqrt(n * max(0.0, variance))

    return float(brentq(excess, -1.0, (forth - back) / n, xtol=1e-15))


def _restricted_variance(difference: float, forth: float, back: float, n: float) -> float:
    """Variance of one pair's difference, estimated by maximum likelihood under a true difference of `difference`.

    The probability of a change back is the larger root of 2n·q² + b·q + c = 0 (Tango 1998); the probability of a change
    forth is that plus the difference.
    """
    b = (2 * n - forth + back) * difference - forth - back
    c = -back * difference * (1 - difference)
    root = math.sqrt(max(0.0, b * b - 8 * n * c))
    probability_back = (root - b) / (4 * n)
    return 2 * probability_back + difference * (1 - difference)


def _quantile(confidence: float) -> float:
    """The normal quantile with probability (1 − confidence) / 2 above it."""
    from scipy.special import ndtri

    return -float(ndtri((1 - confidence) / 2))


def _upper_quantile(probability: float) -> float:
    """The normal quantile with a probability below it."""
    from scipy.special import ndtri  # imported here because SciPy is slow to import and few commands need it

    return float(ndtri(probability))


def check_counts(confidence: float, n: float, **counts: float) -> None:
    """Raise an error for counts or a confidence that no interval can have.

    Raises:
        ValueError: If n is below 1, a count is negative, the counts exceed n together, or the confidence is not between
            0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence is {confidence}; it must be between 0 and 1, for example 0.95")
    if n < 1:
        raise ValueError(f"an interval needs at least one sample, and n is {n}")
    if min(counts.values()) < 0 or sum(counts.values()) > n:
        named = ", ".join(f"{name} = {count}" for name, count in counts.items())
        raise ValueError(f"counts must not be negative or exceed n = {n} together: {named}")
