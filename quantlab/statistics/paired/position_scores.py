"""The scores of a trial whose output has classes of positions, or one class number for each sample."""

from dataclasses import replace

from quantlab.statistics.paired.bootstrap import Resampling
from quantlab.statistics.paired.metrics import agreement_loss, default_metrics, paired_loss
from quantlab.statistics.scores.intervals import tango, wilson
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples
from quantlab.types import Interval, Loss, Scores

__all__ = ["reference_position_scores", "with_positions"]

_BOTH_SIDES = Resampling(confidence=0.975)
"""One-sided bounds whose interval has a confidence of 95 %."""


def with_positions(scores: Scores, reference: ReferenceSamples, candidate: CandidateSamples) -> Scores:
    """Add accuracy, mean IoU and agreement with their intervals, for which samples are resampled, not positions.

    With labels, errors of class numbers are left out, because the distance of two classes means nothing.

    Args:
        scores: The errors of the output.
        reference: The reference, with its positions.
        candidate: The candidate, compared with it.
    """
    where = reference.positions
    assert where is not None  # noqa: S101 (narrows a type that the caller has checked)
    if where.kind == "numbers" and reference.labels is not None:
        scores = replace(scores, max_abs_error=None, rms_error=None, sqnr_db=None, cosine=None)
    if not reference.n:
        return scores
    if where.single:
        return _single(scores, reference, candidate)
    same = agreement_loss(reference, candidate, _BOTH_SIDES)
    assert same is not None  # noqa: S101 (there are positions)
    interval = Interval(max(0.0, 100 - same.upper), min(100.0, 100 - same.lower))
    scores = replace(scores, agreement=same.candidate, agreement_interval=interval)
    losses = [paired_loss(metric, reference, candidate, _BOTH_SIDES) for metric in default_metrics(reference)]
    return _with_losses(scores, losses)


def reference_position_scores(scores: Scores, reference: ReferenceSamples) -> Scores:
    """Add the reference's own accuracy and mean IoU."""
    own = with_positions(Scores(n=scores.n), reference, reference.itself())
    return replace(
        scores,
        top1=own.top1,
        top1_interval=own.top1_interval,
        mean_iou=own.mean_iou,
        position_accuracy=own.position_accuracy,
    )


def _with_losses(scores: Scores, losses: list[Loss]) -> Scores:
    for loss in losses:
        interval = Interval(loss.lower, loss.upper)
        if loss.metric == "mean-iou":
            scores = replace(
                scores, mean_iou=loss.candidate, mean_iou_loss_points=loss.loss, mean_iou_loss_interval=interval
            )
        else:
            scores = replace(
                scores,
                position_accuracy=loss.candidate,
                position_loss_points=loss.loss,
                position_loss_interval=interval,
            )
    return scores


def _single(scores: Scores, reference: ReferenceSamples, candidate: CandidateSamples) -> Scores:
    """The scores of class numbers, one for each sample: counts, as those of scores of classes."""
    counts, n = candidate.positions, reference.n
    assert counts is not None  # noqa: S101 (the reference has positions)
    same = int(counts.same.sum())
    scores = replace(scores, agreement=100 * same / n, agreement_interval=_percent(wilson(same, n)))
    if counts.right_reference is None or counts.right_candidate is None:
        return scores
    expected, actual = counts.right_reference > 0, counts.right_candidate > 0
    right, lost, gained = int(actual.sum()), int((expected & ~actual).sum()), int((actual & ~expected).sum())
    return replace(
        scores,
        top1=100 * right / n,
        top1_interval=_percent(wilson(right, n)),
        top1_loss_points=100 * (lost - gained) / n,
        top1_loss_interval=_percent(tango(lost, gained, n=n)),
        right_to_wrong=lost,
        wrong_to_right=gained,
    )


def _percent(interval: Interval) -> Interval:
    return Interval(100 * interval.lower, 100 * interval.upper, interval.confidence)
