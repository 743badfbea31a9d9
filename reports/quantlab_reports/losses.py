"""The loss of a trial, and the metric of the model, as one figure with its interval, whatever the task of its study."""

import math
from dataclasses import dataclass

from quantlab.statistics import paired_metric
from quantlab.types import Interval, Scores, Trial
from quantlab_reports.figures import fixed, number

__all__ = ["ShownFigure", "ShownLoss", "figure_of", "loss_of", "severity"]


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

    @property
    def metric(self) -> str:
        """The name of the metric as a budget has it, for example `top1`."""
        return _METRICS.get(self.name, self.name)

    @property
    def figures(self) -> str:
        """The value and its interval without the unit, the same wherever a page has them: `0.25 [−0.10, 0.60]`."""
        if self.interval is None:
            return self._text(self.value)
        return f"{self._text(self.value)} [{self._text(self.interval.lower)}, {self._text(self.interval.upper)}]"

    def _text(self, value: float) -> str:
        return fixed(value, 2) if self.unit == "pt" else number(value)


_METRICS = {"top-1": "top1", "mean IoU": "mean-iou", "position accuracy": "position-accuracy", "MAE": "mae"}
"""Words for a metric → its name in `quantlab.statistics.PAIRED_METRICS`, where they differ."""


def severity(loss: ShownLoss) -> float:
    """The value by which losses are ordered: what is not finite is worse than any number, in either direction."""
    return loss.value if math.isfinite(loss.value) else math.inf


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


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """The metric of a model or a setting itself."""

    name: str
    value: float
    interval: Interval | None
    """Two-sided 95 % interval, in the same unit; None where none is known."""
    unit: str
    """`pt` for shares, which are in percent; empty for the metric's own unit."""

    @property
    def metric(self) -> str:
        """The name of the metric as a budget has it, for example `top1`."""
        return _METRICS.get(self.name, self.name)

    @property
    def text(self) -> str:
        """The name, the figure and the interval: `top-1 97.30 % [96.10, 98.10]`."""

        def told(value: float) -> str:
            return fixed(value, 2) if self.unit == "pt" else number(value, 4)

        percent = " %" if self.unit == "pt" else ""
        ends = "" if self.interval is None else f" [{told(self.interval.lower)}, {told(self.interval.upper)}]"
        return f"{self.name} {told(self.value)}{percent}{ends}"


def figure_of(scores: Scores, *, grouped: bool = False) -> ShownFigure | None:
    """The metric that a table shows of scores, in the order of `loss_of`; None without labels.

    Args:
        scores: Those of a model or of a setting.
        grouped: Whether samples are in groups, so that an interval of independent samples would be too narrow.
    """
    unit = "" if scores.metric is None else paired_metric(scores.metric).unit
    figures = (
        ("top-1", scores.top1, scores.top1_interval, "pt"),
        ("mean IoU", scores.mean_iou, None, "pt"),
        ("position accuracy", scores.position_accuracy, None, "pt"),
        (scores.metric or "", scores.metric_value, None, unit),
        ("MAE", scores.mae, scores.mae_interval, ""),
    )
    for name, value, interval, figure_unit in figures:
        if value is not None:
            return ShownFigure(name, value, None if grouped else interval, figure_unit)
    return None


def _disagreement(scores: Scores) -> float | None:
    return None if scores.agreement is None else 100 - scores.agreement


def _mirrored(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return Interval(100 - interval.upper, 100 - interval.lower, interval.confidence)
