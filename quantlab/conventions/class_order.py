"""The classes are numbered in another order than the outputs of the model."""

from collections.abc import Iterator

import numpy as np

from quantlab.conventions.contract import Answers, LabelConvention, LabelFamily
from quantlab.names import shortened
from quantlab.statistics import class_order, held_out_labels

__all__ = ["CLASS_ORDER"]

_NAME = "class-order"
_NAMED = 20
"""Moved classes that a sentence names at most."""


def _conventions(answers: Answers) -> Iterator[LabelConvention]:
    """The order that fits best, if it is far better on samples that it was not fitted to."""
    inside = (answers.labels >= 0) & (answers.labels < answers.classes)
    if answers.classes < 2 or not inside.any():
        return
    order = class_order(answers.answers[inside], answers.labels[inside], answers.classes)
    if order is None:
        return
    known = set(answers.labels.tolist())  # of other labels there is no sample that tells their output
    moved = [
        f"output {output} is label {label}"
        for output, label in enumerate(order.labels)
        if output != label and label in known
    ]
    outputs = np.full(len(inside), -1, np.int64)
    outputs[inside] = held_out_labels(answers.answers[inside], answers.labels[inside], answers.classes)
    yield LabelConvention(
        _NAME,
        "classes in another order",
        "the labels number the classes in another order than the outputs of the model",
        f"number them so that {shortened(moved, most=_NAMED)}",
        outputs,
    )


CLASS_ORDER = LabelFamily(_NAME, _conventions)
