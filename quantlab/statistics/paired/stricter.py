"""The evidence of a trial with bounds of another confidence, without its samples."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from quantlab.statistics.paired.answers import check_one_sided, loss_bounds
from quantlab.types import ClassLoss, Evidence, Loss, OutputFigure, SliceLosses

__all__ = ["at_confidence", "in_slices", "moved"]


def at_confidence(evidence: Evidence, confidence: float) -> Evidence:
    """The same evidence with bounds of another one-sided confidence.

    Bounds that come from counts of changed answers are computed from these counts. The others move as those of a normal
    distribution would: their distance from the figure is multiplied by the ratio of the two quantiles. That is no
    bound to report, but it tells a figure that is beyond a limit by far from one that is not.

    Raises:
        ValueError: If the confidence is not between 0.5 and 1.
    """
    return replace(
        evidence,
        loss=None if evidence.loss is None else _loss(evidence.loss, confidence),
        agreement=None if evidence.agreement is None else _loss(evidence.agreement, confidence),
        classes=tuple(_class(lost, confidence) for lost in evidence.classes),
        slices=in_slices(evidence.slices, lambda lost: _class(lost, confidence)),
        figures=tuple(_figure(figure, confidence) for figure in evidence.figures),
    )


def in_slices(slices: Sequence[SliceLosses], change: Callable[[ClassLoss], ClassLoss]) -> tuple[SliceLosses, ...]:
    """The same slices with the loss of each changed."""
    return tuple(replace(one, losses=tuple(map(change, one.losses))) for one in slices)


def _loss(loss: Loss, confidence: float) -> Loss:
    if loss.changed is None:
        lower, upper = moved(loss, loss.loss, _quantile(confidence))
    else:
        lower, upper = (100 * bound for bound in loss_bounds(*loss.changed, n=loss.n, confidence=confidence))
    return replace(loss, lower=lower, upper=upper, confidence=confidence)


def _class(loss: ClassLoss, confidence: float) -> ClassLoss:
    lower, upper = loss_bounds(loss.right_to_wrong, loss.wrong_to_right, n=loss.n, confidence=confidence)
    return replace(loss, lower=100 * lower, upper=100 * upper, confidence=confidence)


def _figure(figure: OutputFigure, confidence: float) -> OutputFigure:
    lower, upper = moved(figure, figure.value, _quantile(confidence))
    return replace(figure, lower=lower, upper=upper, confidence=confidence)


def moved(bounded: Loss | OutputFigure, value: float, quantile: float) -> tuple[float, float]:
    """Bounds whose distance from the figure is that of a normal distribution with another quantile.

    A bound that is the figure itself, or infinite, stays what it is.

    Args:
        bounded: The figure with its bounds at `bounded.confidence`.
        value: The figure.
        quantile: Distance of the new bounds in standard errors.
    """
    ratio = quantile / _quantile(bounded.confidence)
    return (
        bounded.lower if bounded.lower in {value, -math.inf} else value - (value - bounded.lower) * ratio,
        bounded.upper if bounded.upper in {value, math.inf} else value + (bounded.upper - value) * ratio,
    )


def _quantile(confidence: float) -> float:
    from scipy.special import ndtri  # imported here because SciPy is slow to import and few commands need it

    check_one_sided(confidence)
    return float(ndtri(confidence))
