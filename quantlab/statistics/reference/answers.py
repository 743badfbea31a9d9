"""The answers of a classifier, read in blocks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.scores.classification import as_classes, top1

__all__ = ["answers_of"]


def answers_of(outputs: NDArray[Any], *, probabilities: bool) -> NDArray[np.int32]:
    """The top-1 of each sample, (n,); −1 for a row that contains NaN.

    Args:
        outputs: (n, classes), or (n, 1) or (n,) for a binary classifier; may be memory-mapped.
        probabilities: Whether rows hold probabilities; it decides what a single column means.
    """
    parts = [top1(as_classes(outputs[rows], probabilities=probabilities)) for rows in blocks(outputs)]
    return np.concatenate(parts).astype(np.int32)
