"""Top-1 of the reference beside that of guessing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.scores.intervals import wilson
from quantlab.types import Interval
from quantlab.types.reference import ChanceCheck

__all__ = ["chance_check"]


def chance_check(answers: NDArray[Any], labels: NDArray[Any]) -> ChanceCheck | None:
    """Compare top-1 with the share of the most frequent class, which is what always answering it scores.

    That share is at least 1 / classes, so that no other way of guessing without looking at a sample scores more.

    Args:
        answers: (n,) integers: the top-1 of each sample; −1 where there is none.
        labels: (n,) integers from 0.

    Returns:
        None if all samples are of one class: then nothing can be told from them.
    """
    labels = np.asarray(labels).reshape(-1)
    counts = np.bincount(labels)
    if np.count_nonzero(counts) < 2:
        return None
    n, right = len(labels), int(np.count_nonzero(answers == labels))
    interval = wilson(right, n)
    return ChanceCheck(
        top1=100 * right / n,
        interval=Interval(100 * interval.lower, 100 * interval.upper, interval.confidence),
        chance=100 * int(counts.max()) / n,
        majority=int(counts.argmax()),
    )
