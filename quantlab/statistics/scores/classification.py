"""Top-1, top-5, agreement and changed answers, of each sample and as counts over samples.

These functions are the only ones that decide what the class of a row is, and what changed; sums, samples and paired
metrics call them.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums

__all__ = [
    "NO_CLASS",
    "TOP5_FROM_CLASSES",
    "ClassificationSums",
    "as_classes",
    "changed_answers",
    "check_classes",
    "in_top5",
    "same_class",
    "top1",
]

TOP5_FROM_CLASSES = 10
"""With fewer classes nearly everything is among the best five, and top-5 says nothing."""

NO_CLASS = -1
"""The top-1 of a row that holds a NaN."""


@dataclass(frozen=True, slots=True)
class ClassificationSums(Sums):
    """How often reference and candidate name the right class, and the same one.

    The top-1 of a row is the lowest index among equals. A row that holds a NaN has no top-1: it is never right and
    agrees with nothing, not even with the same NaN in the other. An infinity competes as the number it stands for,
    and its row is counted in `non_finite_rows`.
    """

    n: int = 0
    """Samples."""
    same: int = 0
    """Samples on which both have the same top-1."""
    non_finite_rows: int = 0
    """Samples for which the candidate's row holds a NaN or an infinity."""
    non_finite_rows_reference: int = 0
    labelled: int = 0
    """Samples with a label; the four counts below are out of these."""
    right_reference: int = 0
    right_candidate: int = 0
    became_wrong: int = 0
    """The reference right, the candidate wrong."""
    became_right: int = 0
    ranked: int = 0
    """Labelled samples with at least `TOP5_FROM_CLASSES` classes; the two counts below are out of these."""
    top5_reference: int = 0
    top5_candidate: int = 0

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], labels: NDArray[Any] | None) -> Self:
        """Count a batch.

        Args:
            reference: (n, classes), at least two classes: see `as_classes`.
            candidate: The same shape.
            labels: (n,) integers from 0 to classes − 1, or None where only agreement can be told.

        Raises:
            ValueError: If the shapes differ or are not those, or a label names no class.
        """
        check_same_shape(reference, candidate)
        if reference.ndim != 2 or reference.shape[1] < 2:
            raise ValueError(f"classes are counted in (samples, classes), not in {reference.shape}; see as_classes")
        expected, actual = top1(reference), top1(candidate)
        unlabelled = cls(
            n=len(reference),
            same=_count(same_class(expected, actual)),
            non_finite_rows=_count(~np.isfinite(candidate).all(axis=1)),
            non_finite_rows_reference=_count(~np.isfinite(reference).all(axis=1)),
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
    """Give every class a column: the (n,) or (n, 1) of a binary classifier becomes (n, 2) in float64.

    A probability p becomes [1 − p, p] and a logit z becomes [0, z], so that class 1 wins where p > 0.5 or z > 0 and
    class 0 where they are equal. A NaN stays in its row. Two columns or more come back as they are, not copied.

    >>> as_classes(np.array([[0.25], [0.5]]), probabilities=True)
    array([[0.75, 0.25],
           [0.5 , 0.5 ]])

    Raises:
        ValueError: If outputs has three axes or more, or no columns.
    """
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        return outputs
    if outputs.ndim not in (1, 2) or (outputs.ndim == 2 and outputs.shape[1] == 0):
        raise ValueError(
            f"an output of shape {outputs.shape} has no classes; a classifier's is (samples, classes), "
            "or (samples, 1) for two classes"
        )
    second = outputs.reshape(-1).astype(np.float64)
    first = 1 - second if probabilities else np.zeros_like(second)
    return np.stack([first, second], axis=1)


def top1(outputs: NDArray[Any], *, spoiled: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Index of the greatest value along the last axis, the lowest among equals; `NO_CLASS` where a value is NaN.

    (n, classes) gives (n,), the pixels of a segmentation (n, height, width, classes) give (n, height, width).

    Args:
        outputs: Classes last.
        spoiled: Which rows hold a NaN, where the caller knows it already; else it is looked up, for a pass more.
    """
    return np.where(_holds_nan(outputs) if spoiled is None else spoiled, NO_CLASS, outputs.argmax(axis=-1))


def same_class(expected: NDArray[Any], actual: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether two vectors of top-1 name the same class; a row without one agrees with nothing."""
    same: NDArray[np.bool_] = np.logical_and(expected == actual, expected != NO_CLASS)
    return same


def changed_answers(
    reference_right: NDArray[np.bool_], candidate_right: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which samples became wrong, and which became right: two vectors like the arguments."""
    return reference_right & ~candidate_right, ~reference_right & candidate_right


def in_top5(
    outputs: NDArray[Any], labels: NDArray[Any], *, spoiled: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Whether fewer than five other classes score at least as high as the true one; never in a row with a NaN.

    Args:
        outputs: (n, classes).
        labels: (n,).
        spoiled: As in `top1`.
    """
    true = np.take_along_axis(outputs, labels.astype(np.intp)[:, None], axis=1)
    others = np.count_nonzero(outputs >= true, axis=1) - 1
    return np.logical_and(others < 5, ~(_holds_nan(outputs) if spoiled is None else spoiled))


def _holds_nan(outputs: NDArray[Any]) -> NDArray[np.bool_]:
    # The greatest of a row is NaN where any of it is; cheaper than asking each element.
    holds: NDArray[np.bool_] = np.isnan(outputs.max(axis=-1))
    return holds


def _check_labels(labels: NDArray[Any], n: int, classes: int) -> None:
    if labels.shape != (n,) or labels.dtype.kind not in "biu":
        raise ValueError(
            f"the labels are {labels.dtype} of shape {labels.shape}; {n} samples need integers of shape ({n},)"
        )
    check_classes(labels, classes)


def check_classes(labels: NDArray[Any], classes: int) -> None:
    """Refuse labels (n,) that name no class.

    Raises:
        ValueError: Names the first of them.
    """
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        raise ValueError(
            f"the label {labels[outside[0]]} names no class; with {classes} classes labels go from 0 to {classes - 1}"
        )


def _count(these: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(these))
