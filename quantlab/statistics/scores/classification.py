"""Top-1, top-5, agreement and changed answers, per sample and as counts over samples.

The class of a row and the change of an answer are defined only here; sums, samples and paired metrics call these
functions.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.narrow import count_in_rows, finite_rows, rows_with_nan
from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums

__all__ = [
    "NO_CLASS",
    "TOP5_FROM_CLASSES",
    "ClassificationSums",
    "as_classes",
    "changed_answers",
    "check_classes",
    "in_top",
    "in_top5",
    "same_class",
    "top1",
]

TOP5_FROM_CLASSES = 10
"""Fewest classes for top-5; with fewer, nearly every class is among the best five and top-5 is uninformative."""

NO_CLASS = -1
"""The top-1 of a row that contains NaN."""


@dataclass(frozen=True, slots=True)
class ClassificationSums(Sums):
    """Counts of correct answers of reference and candidate, and of equal answers.

    The top-1 of a row is the index of its largest value, the lowest index among equals. A row that contains NaN has no
    top-1: it is never correct and never agrees, even if the other row has the same NaN. Infinities are compared like
    other numbers, and their rows are counted in `non_finite_rows`.
    """

    n: int = 0
    """Number of samples."""
    same: int = 0
    """Samples with the same top-1 in reference and candidate."""
    non_finite_rows: int = 0
    """Samples for which the candidate's row contains NaN or infinity."""
    non_finite_rows_reference: int = 0
    """Samples for which the reference's row contains NaN or infinity."""
    labelled: int = 0
    """Samples with a label; the next four counts refer to these."""
    right_reference: int = 0
    right_candidate: int = 0
    became_wrong: int = 0
    """Samples that are correct in the reference and wrong in the candidate."""
    became_right: int = 0
    """Samples that are wrong in the reference and correct in the candidate."""
    ranked: int = 0
    """Labelled samples with at least `TOP5_FROM_CLASSES` classes; the next two counts refer to these."""
    top5_reference: int = 0
    top5_candidate: int = 0

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], labels: NDArray[Any] | None) -> Self:
        """Count one batch.

        Args:
            reference: (n, classes) with at least two classes; `as_classes` converts other shapes.
            candidate: The same shape.
            labels: (n,) integers from 0 to classes − 1; None counts agreement only.

        Raises:
            ValueError: If the shapes differ or are not as described, or a label is out of range.
        """
        check_same_shape(reference, candidate)
        if reference.ndim != 2 or reference.shape[1] < 2:
            raise ValueError(
                f"the outputs have shape {reference.shape}; counting classes needs (samples, classes) with at least "
                "two classes, see as_classes"
            )
        expected, actual = top1(reference), top1(candidate)
        unlabelled = cls(
            n=len(reference),
            same=_count(same_class(expected, actual)),
            non_finite_rows=_count(~finite_rows(candidate)),
            non_finite_rows_reference=_count(~finite_rows(reference)),
        )
        if labels is None:
            return unlabelled
        _check_labels(labels, *reference.shape)
        answers = cls._answers(expected == labels, actual == labels)
        return unlabelled + answers + cls._top5(reference, candidate, labels)

    @classmethod
    def _answers(cls, reference_right: NDArray[np.bool_], candidate_right: NDArray[np.bool_]) -> Self:
        became_wrong, became_right = changed_answers(reference_right, candidate_right)
        return cls(
            labelled=len(reference_right),
            right_reference=_count(reference_right),
            right_candidate=_count(candidate_right),
            became_wrong=_count(became_wrong),
            became_right=_count(became_right),
        )

    @classmethod
    def _top5(cls, reference: NDArray[Any], candidate: NDArray[Any], labels: NDArray[Any]) -> Self:
        if reference.shape[1] < TOP5_FROM_CLASSES:
            return cls()
        return cls(
            ranked=len(labels),
            top5_reference=_count(in_top5(reference, labels)),
            top5_candidate=_count(in_top5(candidate, labels)),
        )


def as_classes(outputs: NDArray[Any], *, probabilities: bool) -> NDArray[Any]:
    """Return one column per class: the (n,) or (n, 1) output of a binary classifier becomes (n, 2) in float64.

    A probability p becomes [1 − p, p] and a logit z becomes [0, z]: class 1 wins if p > 0.5 or z > 0, and class 0 wins
    ties. NaN is preserved. An array with two or more columns is returned unchanged, without a copy.

    >>> as_classes(np.array([[0.25], [0.5]]), probabilities=True)
    array([[0.75, 0.25],
           [0.5 , 0.5 ]])

    Raises:
        ValueError: If `outputs` has more than two axes, or no columns.
    """
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        return outputs
    if outputs.ndim not in (1, 2) or (outputs.ndim == 2 and outputs.shape[1] == 0):
        raise ValueError(
            f"an output of shape {outputs.shape} has no classes; a classifier's output is (samples, classes), "
            "or (samples, 1) for two classes"
        )
    second = outputs.reshape(-1).astype(np.float64)
    first = 1 - second if probabilities else np.zeros_like(second)
    return np.stack([first, second], axis=1)


def top1(outputs: NDArray[Any], *, spoiled: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Index of the largest value along the last axis, the lowest index among equals; `NO_CLASS` for rows with NaN.

    (n, classes) gives (n,); a segmentation's (n, height, width, classes) gives (n, height, width).

    Args:
        outputs: Class scores along the last axis.
        spoiled: Which rows contain NaN, if the caller knows; None finds them with one more pass over the data.
    """
    return np.where(rows_with_nan(outputs) if spoiled is None else spoiled, NO_CLASS, outputs.argmax(axis=-1))


def same_class(expected: NDArray[Any], actual: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether two arrays of top-1 name the same class; False for a row that has none."""
    same: NDArray[np.bool_] = np.logical_and(expected == actual, expected != NO_CLASS)
    return same


def changed_answers(
    reference_right: NDArray[np.bool_], candidate_right: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which samples became wrong and which became right: two arrays of the arguments' shape."""
    return reference_right & ~candidate_right, ~reference_right & candidate_right


def in_top5(
    outputs: NDArray[Any], labels: NDArray[Any], *, spoiled: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Whether fewer than five other classes score at least as high as the true class; see `in_top`."""
    return in_top(outputs, labels, k=5, spoiled=spoiled)


def in_top(
    outputs: NDArray[Any], labels: NDArray[Any], *, k: int, spoiled: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Whether fewer than k other classes score at least as high as the true class; False for rows with NaN.

    Args:
        outputs: (n, classes).
        labels: (n,).
        k: At least 1.
        spoiled: Which rows contain NaN, as in `top1`.
    """
    true = np.take_along_axis(outputs, labels.astype(np.intp)[:, None], axis=1)
    others = count_in_rows(outputs >= true) - 1
    return np.logical_and(others < k, ~(rows_with_nan(outputs) if spoiled is None else spoiled))


def _check_labels(labels: NDArray[Any], n: int, classes: int) -> None:
    if labels.shape != (n,) or labels.dtype.kind not in "biu":
        raise ValueError(
            f"the labels have dtype {labels.dtype} and shape {labels.shape}; "
            f"{n} samples need integer labels of shape ({n},)"
        )
    check_classes(labels, classes)


def check_classes(labels: NDArray[Any], classes: int) -> None:
    """Raise an error if a label of (n,) is outside the range of classes.

    Raises:
        ValueError: If a label is outside; the message names the first one.
    """
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        raise ValueError(
            f"the label {labels[outside[0]]} is out of range; with {classes} classes labels go from 0 to {classes - 1}"
        )


def _count(these: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(these))
