"""The evidence of a trial with other bounds, without its samples."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from quantlab.statistics.paired.answers import check_one_sided, loss_bounds
from quantlab.types import ANY_LOOK, ClassLoss, Evidence, Loss, OutputFigure

__all__ = ["Rebounding", "at_confidence"]


def at_confidence(evidence: Evidence, confidence: float) -> Evidence:
    """The same evidence with bounds of another one-sided confidence.

    Bounds that come from counts of changed answers are computed from these counts. The others move as those of a normal
    distribution would: their distance from the figure is multiplied by the ratio of the two quantiles. That is no
    bound to report, but it tells a figure that is beyond a limit by far from one that is not.

    Raises:
        ValueError: If the confidence is not between 0.5 and 1.
    """
    quantile = _quantile(confidence)
    bounding = Rebounding(
        confidence, lambda wrong, right, n: loss_bounds(wrong, right, n=n, confidence=confidence), lambda _: quantile
    )
    return bounding.evidence(evidence)


@dataclass(frozen=True, slots=True)
class Rebounding:
    """Puts other bounds into evidence."""

    confidence: float
    """One-sided."""
    of_counts: Callable[[int, int, int], tuple[float, float]]
    """Bounds of the loss, as shares, from samples that became wrong, became right, and all samples."""
    quantile: Callable[[int], float]
    """Distance of other bounds in standard errors, by the number of samples."""
    any_look: bool = False
    """Whether the bounds hold at any number of looks."""

    def evidence(self, evidence: Evidence) -> Evidence:
        """All losses and figures with these bounds."""
        return replace(
            evidence,
            loss=None if evidence.loss is None else self.loss(evidence.loss),
            agreement=None if evidence.agreement is None else self.loss(evidence.agreement),
            classes=tuple(map(self._part, evidence.classes)),
            slices=tuple(replace(one, losses=tuple(map(self._part, one.losses))) for one in evidence.slices),
            figures=tuple(map(self._figure, evidence.figures)),
        )

    def loss(self, loss: Loss) -> Loss:
        """A loss with these bounds."""
        if loss.changed is None:
            lower, upper = self._moved(loss, loss.loss)
        else:
            lower, upper = (100 * bound for bound in self.of_counts(*loss.changed, loss.n))
        method = loss.method
        if self.any_look:
            method = f"{'betting' if loss.changed is not None else method}, {ANY_LOOK}"
        return replace(loss, lower=lower, upper=upper, confidence=self.confidence, method=method)

    def _part(self, loss: ClassLoss) -> ClassLoss:
        lower, upper = self.of_counts(loss.right_to_wrong, loss.wrong_to_right, loss.n)
        any_look = loss.any_look or self.any_look
        return replace(loss, lower=100 * lower, upper=100 * upper, confidence=self.confidence, any_look=any_look)

    def _figure(self, figure: OutputFigure) -> OutputFigure:
        lower, upper = self._moved(figure, figure.value)
        return replace(figure, lower=lower, upper=upper, confidence=self.confidence)

    def _moved(self, bounded: Loss | OutputFigure, value: float) -> tuple[float, float]:
        """Bounds whose distance from the figure is that of another quantile.

        A bound that is the figure itself, or infinite, stays what it is.
        """
        ratio = self.quantile(bounded.n) / _quantile(bounded.confidence)
        return (
            bounded.lower if bounded.lower in {value, -math.inf} else value - (value - bounded.lower) * ratio,
            bounded.upper if bounded.upper in {value, math.inf} else value + (bounded.upper - value) * ratio,
        )


def _quantile(confidence: float) -> float:
    from scipy.special import ndtri  # imported here because SciPy is slow to import and few commands need it

    check_one_sided(confidence)
    return float(ndtri(confidence))
