"""Whether the classes that a model gives to positions are better than always answering the most frequent class."""

from dataclasses import replace

import numpy as np

from quantlab.statistics.paired.bootstrap import Resampling
from quantlab.statistics.paired.confusion import mean_iou_of_constant
from quantlab.statistics.paired.metrics import default_metrics
from quantlab.statistics.paired.positions import position_accuracy_of_constant
from quantlab.statistics.scores.samples import ReferenceSamples
from quantlab.types import Interval
from quantlab.types.reference import ChanceCheck

__all__ = ["position_chance"]

_METRICS = {"mean-iou": mean_iou_of_constant, "position-accuracy": position_accuracy_of_constant}


def position_chance(reference: ReferenceSamples, *, seed: int = 0) -> ChanceCheck | None:
    """Compare the reference with a constant answer, in the metric that decides; samples are resampled.

    The interval is that of the difference, moved to the value of the constant answer: it reaches down to chance if the
    model is not shown to be better.

    Args:
        reference: With labels and with positions, see `Positions`; not with a single position for each sample.
        seed: For the bootstrap.

    Returns:
        None if all positions are of one class: then nothing can be told from them.
    """
    where, labels = reference.positions, np.asarray(reference.labels)
    assert where is not None  # noqa: S101 (narrows a type that the caller has checked)
    known = labels.reshape(len(labels), -1)[where.scored(labels)]
    counts = np.bincount(known, minlength=1)
    if np.count_nonzero(counts) < 2:
        return None
    metric, majority = default_metrics(reference)[0].name, int(counts.argmax())
    # What samples like none of these would do says nothing about guessing, so the bounds are those of the bootstrap.
    totals = replace(_METRICS[metric](reference, majority), unseen=lambda _: 0.0)
    bounds = totals.bounds(1, Resampling(confidence=0.975, seed=seed))
    chance = 100 * bounds.candidate
    return ChanceCheck(
        top1=100 * bounds.reference,
        interval=Interval(chance + 100 * bounds.lower, chance + 100 * bounds.upper, 0.95),
        chance=chance,
        majority=majority,
        metric=metric,
    )
