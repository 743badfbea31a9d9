"""Refuses to judge against a reference that is not shown to be better than guessing."""

import numpy as np

from quantlab.errors import StudyError
from quantlab.statistics import ReferenceSamples, chance_check, position_chance
from quantlab.types import Budget, ChanceCheck, Study

__all__ = ["refuse_poor_reference"]


def refuse_poor_reference(study: Study, reference: ReferenceSamples, budget: Budget) -> None:
    """Check the reference's top-1 before a variant is judged by it; a variant of a broken model loses nothing.

    Chance is what always answering the most frequent class scores: its share, or for a label map its mean IoU. The
    reference is poor if the 95 % interval of its own score reaches down to chance. Regressions, and samples without
    labels, are not checked.

    Raises:
        StudyError: If it is poor, unless the budget allows that.
    """
    if budget.allow_poor_reference or reference.labels is None:
        return
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
