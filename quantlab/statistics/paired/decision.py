"""Whether a loss fits a margin, and how many samples would tell where these do not."""

import math
from typing import Literal

from quantlab.statistics.paired.answers import check_one_sided
from quantlab.types import Loss

__all__ = ["Decision", "decide", "fewest_samples", "missing_samples", "samples_needed"]

Decision = Literal["fits", "breaks", "inconclusive"]

_NO_DISTANCE = 1e-12
"""Shares of counts that are equal differ by as much in binary."""

_POWER = 0.8
"""How often so many samples decide, if the loss is what it seems: with 95 % it makes the 6.18 = (1.645 + 0.842)²."""


def decide(loss: Loss, margin: float) -> Decision:
    """Fits where the upper bound is below the margin, breaks where the lower one is above it, else is inconclusive.

    A loss that is not a number breaks. A share also needs `fewest_samples` to fit, however good they look: with fewer,
    a loss of the whole margin would pass unseen more often than the confidence allows.

    Args:
        loss: Its bounds are one-sided.
        margin: What may be lost, in the loss' unit: points for `pt`.

    Raises:
        ValueError: If the margin is negative or not finite.
    """
    _check_margin(margin)
    if not math.isfinite(loss.loss) or loss.lower > margin:
        return "breaks"
    enough = loss.unit != "pt" or loss.n >= fewest_samples(margin / 100, loss.confidence)
    return "fits" if loss.upper < margin and enough else "inconclusive"


def fewest_samples(margin: float, confidence: float) -> float:
    """The n from which no changed answer excludes a loss of `margin`, a share: ln(1 − confidence) / ln(1 − margin).

    Infinite for a margin of 0, which nothing excludes; 0 for one of 1 or more, which nothing reaches.

    >>> math.ceil(fewest_samples(0.005, 0.95))
    598
    """
    check_one_sided(confidence)
    if margin <= 0:
        return math.inf
    return math.log1p(-confidence) / math.log1p(-margin) if margin < 1 else 0.0


def samples_needed(discordant: float, loss: float, margin: float, confidence: float = 0.95) -> int | None:
    """How many samples would decide with a power of 80 %: (z_confidence + z_0.8)²·(d − θ²)/(δ − θ)², rounded up.

    Never under `fewest_samples`. Where θ is above δ it is the n that would show the breach.

    Args:
        discordant: d, the share of samples whose answer changes.
        loss: θ, a share.
        margin: δ, a share.
        confidence: One-sided.

    Returns:
        None where no number would do: the loss is the margin itself, or nothing may be lost and nothing seems to be.
    """
    fewest = fewest_samples(margin, confidence)
    if margin <= 0 < loss:
        fewest = 0  # A breach of nothing can be shown, though nothing can be shown to fit.
    variance = max(0.0, discordant - loss**2)
    needed = _decisive(variance, abs(margin - loss), confidence)
    least = max(fewest, needed)
    return math.ceil(least) if math.isfinite(least) else None


def missing_samples(loss: Loss, margin: float) -> int | None:
    """How many samples more would decide what is inconclusive, at least 1; None where no number would.

    From the changed answers where right and wrong are counted (`samples_needed`); else from how far the bounds are
    apart, which shrinks with √n.
    """
    _check_margin(margin)
    scale = 100.0 if loss.unit == "pt" else 1.0
    if loss.discordant is not None:
        needed = samples_needed(loss.discordant / loss.n, loss.loss / scale, margin / scale, loss.confidence)
    else:
        needed = _needed_by_width(loss, margin)
    return None if needed is None else max(1, needed - loss.n)


def _needed_by_width(loss: Loss, margin: float) -> int | None:
    # The bound that has to move is the one that lies beyond the margin.
    width = loss.upper - loss.loss if loss.loss < margin else loss.loss - loss.lower
    deviation = width / _quantile(loss.confidence)
    needed = _decisive(deviation**2 * loss.n, abs(margin - loss.loss), loss.confidence)
    if loss.unit == "pt" and loss.loss <= margin:
        needed = max(needed, fewest_samples(margin / 100, loss.confidence))
    return math.ceil(needed) if math.isfinite(needed) else None


def _decisive(variance: float, distance: float, confidence: float) -> float:
    """Samples of that variance whose mean is told from one so far away; infinite where there is no distance."""
    if distance < _NO_DISTANCE or not math.isfinite(variance) or not math.isfinite(distance):
        return math.inf
    return (_quantile(confidence) + _quantile(_POWER)) ** 2 * variance / distance**2


def _quantile(confidence: float) -> float:
    from scipy.special import ndtri  # Slow to import, and most commands need no quantile.

    return float(ndtri(confidence))


def _check_margin(margin: float) -> None:
    if not math.isfinite(margin) or margin < 0:
        raise ValueError(f"a margin of {margin} is no loss that may be allowed; it is a number from 0")
