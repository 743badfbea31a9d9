"""Refuses to judge against a reference that is not shown to be better than guessing, or by a constant metric."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from quantlab.errors import StudyError, UsageError
from quantlab.statistics import PairedMetric, ReferenceSamples, chance_check, position_chance, reference_value
from quantlab.types import Budget, ChanceCheck, Study

__all__ = ["refuse_poor_reference"]


def refuse_poor_reference(
    study: Study, reference: ReferenceSamples, budget: Budget, metrics: Sequence[PairedMetric] = ()
) -> None:
    """Check the reference before a variant is judged by it; a variant of a broken model loses nothing.

    Chance is what always answering the most frequent class scores: its share, or for a label map its mean IoU. The
    reference is poor if the 95 % interval of its own score reaches down to chance. By other metrics, it is poor if it
    has the worst value; and a metric of ground truth of its own form, or of the user, must not be the same if the
    ground truth is in another order. Regressions, and samples without labels, are not checked.

    Args:
        study: The study.
        reference: Its own outputs and labels.
        budget: The limits.
        metrics: Those that are judged, of which the first decides.

    Raises:
        StudyError: If it is poor, unless the budget allows that.
    """
    if budget.allow_poor_reference or reference.labels is None:
        return
    _refuse_guessing(study, reference)
    if metrics and metrics[0].name not in _WORDS and metrics[0].needs != "numbers":
        _refuse_worthless(metrics[0], reference, study.seed)


def _refuse_worthless(metric: PairedMetric, reference: ReferenceSamples, seed: int) -> None:
    value = reference_value(metric, reference)
    if not math.isfinite(value):
        return  # said elsewhere
    figure, n = f"{value:.4g}{' %' if metric.unit == 'pt' else ''}", reference.n
    if metric.unit == "pt" and (value <= 0 if metric.direction == "higher" else value >= metric.scale):
        worst = "the worst value there is" if metric.direction == "higher" else "no better than an empty answer's 100 %"
        raise StudyError(
            f"the model itself has {figure} in the metric '{metric.name}' on {n:,} samples, {worst}. Nothing can be "
            f"judged against it; check the ground truth, the preprocessing and how the metric reads the outputs, or "
            f"insist with --allow-poor-reference"
        )
    if metric.needs in {"labels", "truth"} and _constant(metric, reference, value, seed):
        raise StudyError(
            f"the metric '{metric.name}' is {figure} for the model on {n:,} samples, and the same if the ground truth "
            f"is in another order, so it tells nothing of what is right. Nothing can be judged by it; correct the "
            f"metric or the ground truth, or insist with --allow-poor-reference"
        )


def _constant(metric: PairedMetric, reference: ReferenceSamples, value: float, seed: int) -> bool:
    """Whether the reference has the same value with its labels in some random orders."""
    labels, random = np.asarray(reference.labels), np.random.default_rng(seed)
    if all(np.array_equal(one, labels[0]) for one in labels[1:]):
        return False  # every order is the same
    for _ in range(_ORDERS):
        try:
            shuffled = reference_value(metric, replace(reference, labels=random.permutation(labels)))
        except UsageError:
            return False  # it depends on the order, since it cannot be computed in another
        if shuffled != value:
            return False
    return True


_ORDERS = 3
"""Orders that are tried before a metric is called constant; one may have the same value by chance."""


def _refuse_guessing(study: Study, reference: ReferenceSamples) -> None:
    chance = _chance(reference, study.seed)
    if chance is None or not chance.at_chance:
        return
    order = study.reference_check.class_order if study.reference_check else None
    more = "give more samples, or " if chance.too_few else ""
    why = (
        f"it would be right on {order.reordered_top1:.1f} % if the classes were in another order, see the warning of "
        f"'quantlab show'"
        if order
        else f"{more}check the preprocessing and the order of the labels"
    )
    model, constant = _WORDS[chance.metric]
    raise StudyError(
        f"the model itself {model.format(chance.top1, reference.n)} (95 % interval {chance.interval.lower:.1f} to "
        f"{chance.interval.upper:.1f}), which is not shown to be better than chance: always answering class "
        f"{chance.majority}, the most frequent, {constant.format(chance.chance)}. Nothing can be judged against it; "
        f"{why}, or insist with --allow-poor-reference"
    )


_WORDS = {
    "top1": ("is right on {:.1f} % of {:,} samples", "is right on {:.1f} %"),
    "position-accuracy": ("is right at {:.1f} % of the positions of {:,} samples", "is right at {:.1f} %"),
    "mean-iou": ("has a mean IoU of {:.1f} % on {:,} samples", "has {:.1f} %"),
}
"""Metric → what the model and a constant answer score, in words."""


def _chance(reference: ReferenceSamples, seed: int) -> ChanceCheck | None:
    """Compare the reference with a constant answer; None if it has no classes, or all labels are alike."""
    labels = np.asarray(reference.labels)
    if reference.classes is not None:
        return chance_check(reference.classes.top1, labels)
    if reference.positions is None:
        return None
    if reference.positions.single:
        return chance_check(reference.positions.answers(reference.outputs)[:, 0], labels)
    return position_chance(reference, seed=seed)
