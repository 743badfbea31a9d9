"""Whether the labels are in another order than the outputs of the model."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.types.reference import ClassOrder

__all__ = ["class_order", "held_out_labels"]

_MOST_CLASSES = 2000
"""The assignment takes about a second at this number, and its time grows with the third power."""

_SURE = 1e-4
"""Largest probability of the sign test, if neither order were better."""

_LEAST_SHARE = 0.5
"""Least share of the wrong answers that the other order must make right: a weak model has confusions of its own, which
some order always turns into a gain."""


def class_order(answers: NDArray[Any], labels: NDArray[Any], classes: int) -> ClassOrder | None:
    """Find the order of the classes in which the answers are right most often; None if it is not far better.

    Any set of answers fits some order better than the given one. Therefore an order is fitted to each half of the
    samples (every second one) and scored on the other half.

    Args:
        answers: (n,) integers: the top-1 of each sample; −1 where there is none, which is never right.
        labels: (n,) integers from 0 to classes − 1.
        classes: Number of the model's outputs.
    """
    if classes > _MOST_CLASSES:
        return None
    labels, answers = np.asarray(labels).reshape(-1), np.asarray(answers)
    halves = [_counts(answers[start::2], labels[start::2], classes) for start in (0, 1)]
    n, right = len(labels), int(np.count_nonzero(answers == labels))
    # Most models end here: no order can do better than to take each answer for the label that it meets most often.
    if not _far_better(int((halves[0] + halves[1]).max(axis=1).sum()) - right, n - right):
        return None
    order = _best_order(halves[0] + halves[1])
    if not _far_better(_score(halves[0] + halves[1], order) - right, n - right):
        return None  # and still less on samples that it was not fitted to
    fitted = [_best_order(half) for half in reversed(halves)]
    reordered = sum(_score(half, other) for half, other in zip(halves, fitted, strict=True))
    both = sum(_score_where_equal(half, other) for half, other in zip(halves, fitted, strict=True))
    if not _far_better(reordered - right, n - right) or not _sure(reordered - both, right - both):
        return None
    return ClassOrder(tuple(order.tolist()), top1=100 * right / n, reordered_top1=100 * reordered / n)


def held_out_labels(answers: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """The output that each label means in the order that fits the other half of the samples best, (n,).

    Args:
        answers: (n,) integers: the top-1 of each sample; −1 where there is none, which is never right.
        labels: (n,) integers from 0 to classes − 1.
        classes: Number of the model's outputs.
    """
    labels, answers = np.asarray(labels).reshape(-1), np.asarray(answers)
    outputs = np.zeros(len(labels), np.int64)
    for start in (0, 1):
        order = _best_order(_counts(answers[1 - start :: 2], labels[1 - start :: 2], classes))
        outputs[start::2] = np.argsort(order)[labels[start::2]]
    return outputs


def _counts(answers: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """(answers, labels): number of samples of each pair."""
    there = answers >= 0
    cells = answers[there].astype(np.int64) * classes + labels[there]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _best_order(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each answer, the label that it is taken for; among equals, as many as possible stay as they are."""
    from scipy.optimize import linear_sum_assignment  # imported here because SciPy is slow to import

    classes = len(counts)
    # All diagonal bonuses together are less than one sample.
    _, order = linear_sum_assignment(counts + np.eye(classes) / (classes + 1), maximize=True)
    return np.asarray(order, np.int64)


def _score(counts: NDArray[np.int64], order: NDArray[np.int64]) -> int:
    return int(counts[np.arange(len(counts)), order].sum())


def _score_where_equal(counts: NDArray[np.int64], order: NDArray[np.int64]) -> int:
    """Samples that are right in both orders."""
    places = np.flatnonzero(order == np.arange(len(counts)))
    return int(counts[places, places].sum())


def _far_better(gain: int, wrong: int) -> bool:
    return gain > 0 and gain >= _LEAST_SHARE * wrong


def _sure(became_right: int, became_wrong: int) -> bool:
    """The exact sign test: as many or more of the changed answers became right, if either were as likely."""
    from scipy.stats import binomtest

    changed = became_right + became_wrong
    return float(binomtest(became_right, changed, alternative="greater").pvalue) <= _SURE
