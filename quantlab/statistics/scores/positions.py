"""Classes of positions: the pixels of label maps (n, height, width), the steps of sequences (n, steps).

A sample remains the unit of every interval and test, because positions of one sample are not independent.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.scores.classification import NO_CLASS, top1
from quantlab.statistics.scores.probabilities import looks_like_probabilities
from quantlab.types import VOID_LABEL, Task

__all__ = ["PositionCounts", "Positions", "find_positions", "rows_of_classes"]


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the classes of an output are; decided from the reference alone, and applied to every candidate."""

    kind: Literal["scores", "binary", "numbers"]
    """Scores of each class along the last axis, one score of class 1 against class 0, or class numbers."""
    shape: tuple[int, ...]
    """Positions of one sample; empty if the sample is the only position."""
    classes: int
    """Number of classes: that of the scores, 2, or one more than the largest number of reference and labels."""
    probabilities: bool = False
    """Whether a single score is a probability, with a threshold of 0.5; otherwise the threshold is 0."""

    @classmethod
    def of(cls, outputs: NDArray[Any], labels: NDArray[Any] | None, *, probabilities: bool = False) -> Self:
        """Find the positions of the reference's output.

        Args:
            outputs: Integers or booleans (n, …) or (n, …, 1), which are class numbers; or floats (n, …, classes), or
                (n, …) or (n, …, 1) of a binary classifier.
            labels: (n, …) integers; None for integer outputs and for scores along the last axis.
            probabilities: Whether the floats are probabilities.

        Raises:
            ValueError: If the labels are no integers, or have other positions than the outputs.
        """
        numbers = outputs.dtype.kind in "biu"
        if labels is None:
            shape = outputs.shape[1:-1] if not numbers or outputs.shape[-1:] == (1,) else outputs.shape[1:]
            return cls("numbers" if numbers else "scores", shape, _count(outputs) if numbers else outputs.shape[-1])
        shape = labels.shape[1:]
        alone = outputs.shape[1:] in (shape, (*shape, 1))
        if labels.dtype.kind not in "biu" or not (alone or (not numbers and outputs.shape[1:-1] == shape)):
            raise ValueError(
                f"labels of {labels.dtype.name} {labels.shape} are no classes of the positions of outputs "
                f"{outputs.shape}; give integers (n, …) for outputs (n, …, classes)"
            )
        if numbers:
            known = labels[labels != VOID_LABEL]
            return cls("numbers", shape, max(_count(outputs), _count(known)))
        return cls("binary" if alone else "scores", shape, 2 if alone else outputs.shape[-1], probabilities)

    @property
    def single(self) -> bool:
        """Whether the sample itself is the position: the output is a class number for each sample."""
        return not self.shape

    def answers(self, block: NDArray[Any]) -> NDArray[np.int64]:
        """The classes of a block of outputs: (n, positions); `NO_CLASS` for NaN and for numbers that are no class."""
        n, count = len(block), math.prod(self.shape)
        if self.kind == "scores":
            return top1(block).reshape(n, count).astype(np.int64)
        values = block.reshape(n, count)
        if self.kind == "binary":
            with np.errstate(invalid="ignore"):
                ones = values > (0.5 if self.probabilities else 0)
            return np.where(np.isnan(values), NO_CLASS, ones).astype(np.int64)
        with np.errstate(invalid="ignore"):
            valid = (values >= 0) & (values < self.classes)
        return np.where(valid, values, NO_CLASS).astype(np.int64)

    def scored(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether positions have a label that is scored: (n, positions), for labels (n, …)."""
        flat = labels.reshape(len(labels), math.prod(self.shape))
        return (flat >= 0) & (flat != VOID_LABEL) if self.classes <= VOID_LABEL else flat >= 0

    def check(self, labels: NDArray[Any]) -> None:
        """Raise an error if a label is outside the range of classes.

        Raises:
            ValueError: If a scored label has no class; the message names the first one.
        """
        outside = self.scored(labels) & (labels.reshape(len(labels), math.prod(self.shape)) >= self.classes)
        if outside.any():
            first = labels.reshape(outside.shape)[outside][0]
            raise ValueError(
                f"the label {first} is out of range; with {self.classes} classes labels of positions go from 0 to "
                f"{self.classes - 1}, and labels below 0{_and_void(self.classes)} are not scored"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PositionCounts:
    """Numbers of positions of each sample; every array is (n,)."""

    compared: NDArray[np.int64]
    """Positions whose label is scored; all of them without labels."""
    same: NDArray[np.int64]
    """Of these, those with the same class in reference and candidate."""
    right_reference: NDArray[np.int64] | None
    """Of these, those that the reference answers right; None without labels, like the next one."""
    right_candidate: NDArray[np.int64] | None

    @classmethod
    def of(
        cls, where: Positions, reference: NDArray[Any], candidate: NDArray[Any], labels: NDArray[Any] | None
    ) -> Self:
        """Count one batch.

        Args:
            where: The positions of the outputs.
            reference: Outputs of the reference, samples first.
            candidate: The same shape.
            labels: (n, …) integers; None counts equal classes only.
        """
        expected, actual = where.answers(reference), where.answers(candidate)
        same = (expected == actual) & (expected != NO_CLASS)
        if labels is None:
            return cls(np.full(len(same), same.shape[1], np.int64), _number(same), None, None)
        scored = where.scored(labels)
        truth = labels.reshape(scored.shape)
        return cls(
            _number(scored),
            _number(same & scored),
            _number(scored & (expected == truth)),
            _number(scored & (actual == truth)),
        )


def find_positions(outputs: NDArray[Any], labels: NDArray[Any] | None, *, task: Task) -> Positions | None:
    """Find where the classes of positions are; None if there are none.

    Without labels, integers are compared as class numbers, and floats as scores of classes if they add up to 1 along
    the last of at least three axes.

    Args:
        outputs: The reference's, samples first; may be memory-mapped.
        labels: (n, …) integers if the task is `positions`; otherwise they are ignored.
        task: What the output is compared with.
    """
    if task == "positions":
        where = Positions.of(outputs, labels)
        binary = where.kind == "binary"
        return replace(where, probabilities=binary and looks_like_probabilities(rows_of_classes(outputs, binary=True)))
    if task != "similarity" or not outputs.size:
        return None
    numbers = outputs.dtype.kind in "biu"
    rows = outputs.ndim > 2 and outputs.shape[-1] > 1 and outputs.dtype.kind == "f"
    if numbers or (rows and looks_like_probabilities(rows_of_classes(outputs, binary=False))):
        return Positions.of(outputs, None)
    return None


def rows_of_classes(outputs: NDArray[Any], *, binary: bool) -> NDArray[Any]:
    """View outputs (n, …, classes), or (n, …) of a binary classifier, as one row for each position, without a copy."""
    return outputs.reshape(-1, 1) if binary else outputs.reshape(-1, outputs.shape[-1])


def _number(these: NDArray[np.bool_]) -> NDArray[np.int64]:
    counted: NDArray[np.int64] = np.count_nonzero(these, axis=1).astype(np.int64)
    return counted


def _count(numbers: NDArray[Any]) -> int:
    return int(numbers.max(initial=0)) + 1


def _and_void(classes: int) -> str:
    return f" and {VOID_LABEL}" if classes <= VOID_LABEL else ""
