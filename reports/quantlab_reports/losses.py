"""The loss of a trial as one figure with its interval, whatever the task of its study."""

from dataclasses import dataclass

from quantlab.statistics import paired_metric
from quantlab.types import Interval, Scores, Trial

__all__ = ["ShownLoss", "loss_of"]


@dataclass(frozen=True, slots=True)
class ShownLoss:
    """What a trial loses against the reference; positive is worse."""

    value: float
    interval: Interval | None
    """Two-sided 95 % interval, in the same unit; None where the table has none."""
    unit: str
    """`pt` for percentage points; empty for the unit of the output."""
    name: str
    """What is lost, in words: `top-1`, `MAE`, `agreement with the model`."""
    n: int
    """Scored samples."""


def loss_of(trial: Trial) -> ShownLoss | None:
    """The loss that the table of a study shows; None if the trial failed or nothing of the kind is known.

    Without labels it is the share of samples whose top-1 is another one than the model's, and without classes there is
    none: an error in decibels is no loss.
    """
    scores = trial.scores
    if scores is None:
        return None
    for value, interval, unit, name in _figures(scores):
        if value is not None:
            return ShownLoss(value, interval, unit, name, scores.n)
    return None


_Figure = tuple[float | None, Interval | None, str, str]


def _figures(scores: Scores) -> list[_Figure]:
    """All figures of this kind, labels before agreement."""
    metric = None if scores.metric is None else paired_metric(scores.metric)
    return [
        (scores.top1_loss_points, scores.top1_loss_interval, "pt", "top-1"),
        (scores.mean_iou_loss_points, scores.mean_iou_loss_interval, "pt", "mean IoU"),
        (scores.position_loss_points, scores.position_loss_interval, "pt", "position accuracy"),
        (scores.metric_loss, scores.metric_loss_interval, metric.unit if metric else "", scores.metric or ""),
        (scores.mae_loss, scores.mae_loss_interval, "", "MAE"),
        (_disagreement(scores), _mirrored(scores.agreement_interval), "pt", "agreement with the model"),
    ]


def _disagreement(scores: Scores) -> float | None:
    return None if scores.agreement is None else 100 - scores.agreement


def _mirrored(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return Interval(100 - interval.upper, 100 - interval.lower, interval.confidence)
