"""Decision whether a loss fits a margin, and the number of samples needed for a decision."""

import math
from typing import Literal

from quantlab.statistics.paired.answers import check_one_sided
from quantlab.types import Loss

__all__ = [
    "ENOUGH_CHANGES",
    "Decision",
    "decide",
    "enough_samples",
    "fewest_samples",
    "missing_samples",
    "needed_for_bound",
    "samples_needed",
]

Decision = Literal["fits", "breaks", "inconclusive"]

_NO_DISTANCE = 1e-12
"""Tolerance for equality: shares computed from equal counts may differ this much due to rounding."""

ENOUGH_CHANGES = 5
"""Changed answers from which an estimate of the samples that decide relies on them, and has no least number."""

_POWER = 0.8
"""Power of the sample size estimate; with 95 % confidence it gives the factor 6.18 = (1.645 + 0.842)²."""


def decide(loss: Loss, margin: float) -> Decision:
    """Fits if the upper bound is below the margin, breaks if the lower bound is above it, otherwise inconclusive.

    A loss that is not finite breaks. To fit, a share whose bounds come from a bootstrap also needs `enough_samples`.

    Args:
        loss: Loss with one-sided bounds.
        margin: Allowed loss, in the unit of `loss`: points for `pt`.

    Raises:
        ValueError: If the margin is negative or not finite.
    """
    _check_margin(margin)
    if not math.isfinite(loss.loss) or loss.lower > margin:
        return "breaks"
    enough = loss.unit != "pt" or enough_samples(loss.n, loss.discordant, margin / 100, loss.confidence)
    return "fits" if loss.upper < margin and enough else "inconclusive"


def enough_samples(n: int, discordant: int | None, margin: float, confidence: float) -> bool:
    """Whether the upper bound of a share can be relied on at a margin.

    The bounds of counted answers are exact, and always can. A bootstrap cannot know of samples that it has not seen, so
    it needs `fewest_samples`.

    Args:
        n: Number of samples.
        discordant: Number of samples whose answer changed; None for a metric that is no count of answers.
        margin: Allowed loss, a share.
        confidence: One-sided.
    """
    return discordant is not None or n >= fewest_samples(margin, confidence)


def fewest_samples(margin: float, confidence: float) -> float:
    """Number of samples at which no changed answer excludes a loss of `margin`: ln(1 − confidence) / ln(1 − margin).

    `margin` is a share. Infinite for a margin of 0, which cannot be excluded; 0 for 1 or more, which cannot be reached.

    >>> math.ceil(fewest_samples(0.005, 0.95))
    598
    """
    check_one_sided(confidence)
    if margin <= 0:
        return math.inf
    return math.log1p(-confidence) / math.log1p(-margin) if margin < 1 else 0.0


def samples_needed(
    discordant: float, loss: float, margin: float, confidence: float = 0.95, *, changes: int = 0
) -> int | None:
    """Samples for a decision with a power of 80 %: (z_confidence + z_0.8)²·(d − θ²)/(δ − θ)², rounded up.

    The result is at least `fewest_samples`, unless `ENOUGH_CHANGES` were seen. If θ is above δ, it is the number that
    would show the violation.

    Args:
        discordant: d, the share of samples whose answer changes.
        loss: θ, a share.
        margin: δ, a share.
        confidence: One-sided.
        changes: Number of changed answers that were seen so far.

    Returns:
        None if no number is enough: the loss equals the margin, or both the margin and the loss are 0.
    """
    variance = max(0.0, discordant - loss**2)
    needed = _decisive(variance, abs(margin - loss), confidence)
    # A violation of a margin of 0 needs no least number.
    unbounded = changes >= ENOUGH_CHANGES or margin <= 0 < loss
    least = max(0.0 if unbounded else fewest_samples(margin, confidence), needed)
    return math.ceil(least) if math.isfinite(least) else None


def missing_samples(loss: Loss, margin: float) -> int | None:
    """Additional samples, at least 1, that would decide an inconclusive loss; None if no number would.

    For metrics that count right answers it is computed from the changed answers (`samples_needed`); for others from
    the width of the bounds, which shrinks with √n.
    """
    _check_margin(margin)
    scale = 100.0 if loss.unit == "pt" else 1.0
    if loss.discordant is not None:
        needed = samples_needed(
            loss.discordant / loss.n, loss.loss / scale, margin / scale, loss.confidence, changes=loss.discordant
        )
        if needed is not None and loss.any_look:
            # These bounds are wider than those of one look, for which the number is.
            needed = max(needed, _needed_by_width(loss, margin) or needed)
    else:
        needed = _needed_by_width(loss, margin)
    return None if needed is None else max(1, needed - loss.n)


def _needed_by_width(loss: Loss, margin: float) -> int | None:
    # The bound that must move is the one beyond the margin.
    width = loss.upper - loss.loss if loss.loss < margin else loss.loss - loss.lower
    needed = needed_for_bound(width, abs(margin - loss.loss), n=loss.n, confidence=loss.confidence)
    if needed is None or loss.unit != "pt" or loss.loss > margin:
        return needed
    least = max(needed, fewest_samples(margin / 100, loss.confidence))
    return math.ceil(least) if math.isfinite(least) else None


def needed_for_bound(width: float, distance: float, *, n: int, confidence: float) -> int | None:
    """Samples for a decision with a power of 80 % about a figure whose bound has some width with n samples.

    The width shrinks with √n.

    Args:
        width: Distance of the bound from the figure.
        distance: Distance of the limit from the figure.
        n: Number of samples so far.
        confidence: One-sided.

    Returns:
        None if no number is enough: the figure equals the limit, or nothing is known of the width.
    """
    deviation = width / _quantile(confidence)
    needed = _decisive(deviation * deviation * n, distance, confidence)
    return math.ceil(needed) if math.isfinite(needed) else None


def _decisive(variance: float, distance: float, confidence: float) -> float:
    """Number of samples of this variance that can resolve a difference of `distance` from 0; infinite for 0."""
    if distance < _NO_DISTANCE or not math.isfinite(variance) or not math.isfinite(distance):
        return math.inf
    # A product of large floats is infinite; a power of one would raise an error.
    return (_quantile(confidence) + _quantile(_POWER)) ** 2 * variance / (distance * distance)


def _quantile(confidence: float) -> float:
    from scipy.special import ndtri  # imported here because SciPy is slow to import and few commands need it

    return float(ndtri(confidence))


def _check_margin(margin: float) -> None:
    if not math.isfinite(margin) or margin < 0:
        raise ValueError(f"the margin is {margin}; it must be a finite number that is not negative")
