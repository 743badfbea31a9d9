"""Refuses to judge against a reference that is not shown to be better than guessing."""

import numpy as np

from quantlab.errors import StudyError
from quantlab.statistics import ReferenceSamples, chance_check
from quantlab.types import Budget, Study

__all__ = ["refuse_poor_reference"]


def refuse_poor_reference(study: Study, reference: ReferenceSamples, budget: Budget) -> None:
    """Check the reference's top-1 before a variant is judged by it; a variant of a broken model loses nothing.

    Chance is the share of the most frequent class. The reference is poor if Wilson's 95 % interval of its top-1 reaches
    down to chance. Regressions, and samples without labels, are not checked.

    Raises:
        StudyError: If it is poor, unless the budget allows that.
    """
    if budget.allow_poor_reference or reference.classes is None or reference.labels is None:
        return
    chance = chance_check(reference.classes.top1, np.asarray(reference.labels))
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
    raise StudyError(
        f"the model itself is right on {chance.top1:.1f} % of {reference.n:,} samples (95 % interval "
        f"{chance.interval.lower:.1f} to {chance.interval.upper:.1f}), which is not shown to be better than chance: "
        f"always answering class {chance.majority}, the most frequent, is right on {chance.chance:.1f} %. Nothing can "
        f"be judged against it; {why}, or insist with --allow-poor-reference"
    )
