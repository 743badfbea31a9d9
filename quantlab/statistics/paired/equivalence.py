"""Equivalence of two runtimes by two one-sided tests, from the samples on which their answers differ."""

from quantlab.statistics.paired.answers import check_one_sided, loss_bounds, zero_discordance_bound
from quantlab.types import Equivalence

__all__ = ["exact_upper_bound", "runtime_equivalence"]


def runtime_equivalence(
    changed: int,
    *,
    n: int,
    became_wrong: int | None = None,
    became_right: int | None = None,
    confidence: float = 0.95,
) -> Equivalence:
    """Bounds of what a runtime changes, to be compared with a margin; see `Equivalence`.

    Args:
        changed: Samples whose top-1 differs between the runtimes.
        n: All compared samples.
        became_wrong: Samples that are right in the baseline and wrong in the runtime; None without labels.
        became_right: The reverse; None without labels.
        confidence: One-sided, of each bound: 0.95 is the 90 % interval of an equivalence test at 5 %.

    Raises:
        ValueError: If n is below 1, a count is out of range, only one of the counts of labels is given, or confidence
            is not between 0.5 and 1.
    """
    if (became_wrong is None) != (became_right is None):
        raise ValueError("give both became_wrong and became_right, or neither if there are no labels")
    allowed = 100 * exact_upper_bound(changed, n, confidence)
    if became_wrong is None or became_right is None:
        return Equivalence(n, changed, allowed, -allowed, allowed, confidence=confidence)
    if became_wrong + became_right > changed:
        raise ValueError(f"{became_wrong} + {became_right} answers changed, but only {changed} samples changed top-1")
    lower, upper = loss_bounds(became_wrong, became_right, n=n, confidence=confidence)
    return Equivalence(n, changed, allowed, 100 * lower, 100 * upper, became_wrong, became_right, confidence)


def exact_upper_bound(events: int, n: int, confidence: float) -> float:
    """Exact one-sided upper bound of a share, of which `events` of n were seen; 1 if all were.

    Clopper and Pearson 1934, Biometrika 26:404–413: the share at which so few events have a probability of
    1 − confidence.

    >>> round(100 * exact_upper_bound(0, 500, 0.95), 1), round(100 * exact_upper_bound(1, 500, 0.95), 2)
    (0.6, 0.95)

    Raises:
        ValueError: If n is below 1, events is not in 0…n, or confidence is not between 0.5 and 1.
    """
    check_one_sided(confidence)
    if n < 1 or not 0 <= events <= n:
        raise ValueError(f"a share needs 0 to n events of at least one sample; got {events} of {n}")
    if events == 0:
        return zero_discordance_bound(n, confidence)
    if events == n:
        return 1.0
    from scipy.special import betaincinv  # imported here because SciPy is slow to import and few commands need it

    return float(betaincinv(events + 1, n - events, confidence))
