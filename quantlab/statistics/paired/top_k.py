"""Top-k accuracy for any k, computed from the outputs themselves."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.statistics.blocks import blocks
from quantlab.statistics.paired.answers import ChangedAnswers
from quantlab.statistics.scores.classification import as_classes, in_top
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples

__all__ = ["top_k"]


def top_k(name: str) -> Callable[[ReferenceSamples, CandidateSamples], ChangedAnswers]:
    """Function that compares the answers of `top3` or any other k: fewer than k other classes score at least as high.

    A row with NaN is wrong. Ties count against the true class, as in `in_top5`, so that a model that gives every class
    the same score is never right.

    Args:
        name: `top` and a number of at least 1.

    Raises:
        UsageError: If the number is 0, or is written with zeros before it.
    """
    k = int(name.removeprefix("top"))
    if k < 1 or name != f"top{k}":
        raise UsageError(
            f"the metric '{name}' names no k; write a number of at least 1, without zeros before it, for example "
            f"top{max(k, 1)}"
        )

    def compare(reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers:
        if k >= reference.class_count:
            raise UsageError(
                f"the metric '{name}' needs more than {k} classes, and there are {reference.class_count}, so that "
                f"every answer would be right; choose a smaller number"
            )
        labels = np.asarray(reference.labels)
        return ChangedAnswers.of(
            *(_right(side.outputs, labels, k, probabilities=reference.probabilities) for side in (reference, candidate))
        )

    return compare


def _right(outputs: NDArray[Any], labels: NDArray[Any], k: int, *, probabilities: bool) -> NDArray[np.bool_]:
    parts = [
        in_top(as_classes(outputs[rows], probabilities=probabilities), labels[rows], k=k) for rows in blocks(outputs)
    ]
    return np.concatenate(parts)
