"""The evidence of a trial with bounds of another confidence, without its samples."""

from dataclasses import replace

from quantlab.statistics.paired.answers import loss_bounds
from quantlab.types import ClassLoss, Evidence, Loss, OutputFigure

__all__ = ["at_confidence"]


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
        figures=tuple(_figure(figure, confidence) for figure in evidence.figures),
    )


def _loss(loss: Loss, confidence: float) -> Loss:
    if loss.changed is None:
        lower, upper = _moved(loss.loss, loss.lower, loss.upper, (loss.confidence, confidence))
    else:
        lower, upper = (100 * bound for bound in loss_bounds(*loss.changed, n=loss.n, confidence=confidence))
    return replace(loss, lower=lower, upper=upper, confidence=confidence)


def _class(loss: ClassLoss, confidence: float) -> ClassLoss:
    lower, upper = loss_bounds(loss.right_to_wrong, loss.wrong_to_right, n=loss.n, confidence=confidence)
    return replace(loss, lower=100 * lower, upper=100 * upper, confidence=confidence)


def _figure(figure: OutputFigure, confidence: float) -> OutputFigure:
    lower, upper = _moved(figure.value, figure.lower, figure.upper, (figure.confidence, confidence))
    return replace(figure, lower=lower, upper=upper, confidence=confidence)


def _moved(value: float, lower: float, upper: float, confidences: tuple[float, float]) -> tuple[float, float]:
    from scipy.special import ndtri  # imported here because SciPy is slow to import and few commands need it

    before, after = (float(ndtri(confidence)) for confidence in confidences)
    # A bound that is the figure itself, or infinite, stays what it is.
    return (
        lower if lower in {value, float("-inf")} else value - (value - lower) * after / before,
        upper if upper in {value, float("inf")} else value + (upper - value) * after / before,
    )
