"""The scores of a trial in a metric that reads ground truth of its own form."""

from dataclasses import replace

from quantlab.statistics.paired.bootstrap import Resampling
from quantlab.statistics.paired.metrics import PairedMetric, paired_loss, reference_value
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples
from quantlab.types import Interval, Scores

__all__ = ["reference_metric_scores", "with_metric"]

_BOTH_SIDES = Resampling(confidence=0.975)
"""One-sided bounds whose interval has a confidence of 95 %."""


def with_metric(
    scores: Scores, metric: PairedMetric, reference: ReferenceSamples, candidate: CandidateSamples
) -> Scores:
    """Add the metric of a candidate, and its loss with an interval.

    Raises:
        UsageError: If the metric does not apply to the outputs, or a user's function fails.
    """
    if not reference.n:
        return scores
    loss = paired_loss(metric, reference, candidate, _BOTH_SIDES)
    return replace(
        scores,
        metric=metric.name,
        metric_value=loss.candidate,
        metric_loss=loss.loss,
        metric_loss_interval=Interval(loss.lower, loss.upper),
    )


def reference_metric_scores(scores: Scores, metric: PairedMetric, reference: ReferenceSamples) -> Scores:
    """Add the reference's own metric, without bounds, which a user's function would be called hundreds of times for.

    Raises:
        UsageError: See `with_metric`.
    """
    if not reference.n:
        return scores
    return replace(scores, metric=metric.name, metric_value=reference_value(metric, reference))
