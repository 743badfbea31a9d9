"""What became of a call, in comparison with the right call."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.differences import difference
from quantlab.types.inspection import Outcome

__all__ = ["ComparedAnswer", "compare_answers"]

Array = npt.NDArray[Any]

SAME_LIMIT = 1e-5
"""Share of the largest output by which two answers of one artifact may differ: batches of another size change the last
bits of float32, and random samples that are turned by 90 degrees changed an output by no more than 1e-3."""


@dataclass(frozen=True, slots=True)
class ComparedAnswer:
    """An answer beside the right one."""

    outcome: Outcome
    detail: str = ""
    largest_difference: float | None = None
    same_top1: int | None = None
    samples: int | None = None


def compare_answers(answer: Sequence[Array], right: Sequence[Array], *, limit: float = SAME_LIMIT) -> ComparedAnswer:
    """Compare the outputs of a call with those of the right call, in the same order.

    Answers are the same if they differ by `limit` of the largest value at most. Shapes that differ only in
    dimensions of 1 are compared, and told.

    >>> answer = compare_answers([np.ones(2)], [np.ones((1, 2))])
    >>> answer == ComparedAnswer("same answer", "shape (2,) for (1, 2)", 0.0, 1, 1)
    True
    >>> compare_answers([np.ones((3, 2))], [np.ones((1, 2))]).detail
    'shape (3, 2) for (1, 2)'
    """
    shapes = [
        f"shape {one.shape} for {other.shape}"
        for one, other in zip(answer, right, strict=False)
        if one.shape != other.shape
    ]
    if len(answer) != len(right):
        return ComparedAnswer("another answer", f"{len(answer)} outputs for {len(right)}")
    if any(_sizes(one) != _sizes(other) for one, other in zip(answer, right, strict=True)):
        return ComparedAnswer("another answer", "; ".join(shapes))
    pairs = [(one.reshape(other.shape), other) for one, other in zip(answer, right, strict=True)]
    apart = [difference(other, one) for one, other in pairs]
    largest = max((one.largest for one in apart), default=0.0)
    same = all(one.share <= limit for one in apart)
    return ComparedAnswer(
        "same answer" if same else "another answer",
        "; ".join(shapes),
        largest if not math.isnan(largest) else math.inf,
        _same_top1(*pairs[0]) if pairs else None,
        len(pairs[0][1]) if pairs and pairs[0][1].ndim else None,
    )


def _sizes(values: Array) -> list[int]:
    return [size for size in values.shape if size != 1]


def _same_top1(one: Array, other: Array) -> int | None:
    """Samples whose largest class is the same; None if the first output is no row of classes for each sample."""
    if other.ndim != 2 or other.shape[1] < 2 or other.dtype.kind not in "fiu":
        return None
    return int(np.sum(one.argmax(axis=1) == other.argmax(axis=1)))
