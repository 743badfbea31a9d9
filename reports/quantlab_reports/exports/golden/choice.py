"""Which samples a golden test has: those whose answers a small change of the artifact would change first."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from quantlab.statistics import blocks

__all__ = ["Chosen", "choose_samples"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """One sample of a golden test."""

    row: int
    """Its place among the scored samples."""
    why: str
    """`class`, `margin`, `drift` or `spread`: why it was chosen."""


def choose_samples(variant: Array, reference: Array, *, classes: bool, count: int = 32) -> tuple[Chosen, ...]:
    """Choose the most sensitive samples.

    With classes, first the smallest margin of each class that the variant answers (at most half of the samples), then
    in turns the smallest margins of all and the largest differences from the reference. Without classes, half have the
    largest differences, and the others are spread evenly over the samples. Samples with a NaN or infinity are left out.

    Args:
        variant: (n, …), the scored output of the artifact, at least one sample; read in blocks.
        reference: (n, …), that of the model.
        classes: Whether the last axis of a two-dimensional output holds classes.
        count: Largest number of samples.

    Returns:
        In the order of the samples.

    >>> outputs = np.array([[0.9, 0.1], [0.5, 0.4], [0.1, 0.9], [0.3, 0.8]])
    >>> [(one.row, one.why) for one in choose_samples(outputs, outputs, classes=True, count=4)]
    [(0, 'margin'), (1, 'class'), (2, 'drift'), (3, 'class')]
    """
    seen = [_Sensitivity.of(variant[rows], reference[rows]) for rows in blocks(variant)]
    finite, drifts, margins, answers = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    drift = _first(-drifts, finite)
    if not classes or variant[:1].size < 2:
        fine = np.flatnonzero(finite)
        even = fine[np.linspace(0, len(fine) - 1, count).round().astype(int)] if len(fine) else fine
        return _in_turns([("drift", drift), ("spread", even)], count)
    narrow = _first(margins, finite)
    of_classes = [int(narrow[answers[narrow] == one][0]) for one in np.unique(answers[finite])]
    of_classes.sort(key=lambda row: margins[row])
    first = dict.fromkeys(of_classes[: max(1, count // 2)], "class")
    rest = [("margin", narrow[~np.isin(narrow, [*first])]), ("drift", drift[~np.isin(drift, [*first])])]
    others = _in_turns(rest, count - len(first))
    return tuple(sorted([*(Chosen(*one) for one in first.items()), *others], key=lambda one: one.row))


class _Sensitivity(NamedTuple):
    """What is known of each sample of a block, (k,) each."""

    finite: npt.NDArray[np.bool_]
    """Whether both outputs are finite; the rest means nothing where they are not."""
    drift: npt.NDArray[np.float64]
    """The largest difference from the reference."""
    margin: npt.NDArray[np.float64]
    """How far the largest value is above the second."""
    answer: npt.NDArray[np.intp]
    """Where the largest value is."""

    @classmethod
    def of(cls, variant: Array, reference: Array) -> "_Sensitivity":
        """Look at the outputs of some samples, (k, …) each."""
        rows, others = (
            one.reshape(len(one), math.prod(one.shape[1:])).astype(np.float64) for one in (variant, reference)
        )
        finite = np.isfinite(rows).all(axis=1) & np.isfinite(others).all(axis=1)
        rows, others = (np.where(finite[:, None], one, 0.0) for one in (rows, others))
        drift = np.abs(rows - others).max(axis=1, initial=0.0)
        if rows.shape[1] < 2:
            return cls(finite, drift, np.zeros(len(rows)), np.zeros(len(rows), np.intp))
        second, largest = np.partition(rows, -2, axis=1)[:, -2:].T
        return cls(finite, drift, largest - second, rows.argmax(axis=1))


def _first(values: Array, finite: npt.NDArray[np.bool_]) -> Array:
    """The finite rows in ascending order of their values."""
    order = np.argsort(values, kind="stable")
    ordered: Array = order[finite[order]]
    return ordered


def _in_turns(lists: list[tuple[str, Array]], count: int) -> tuple[Chosen, ...]:
    """Take from each list in turns, no row twice."""
    taken: dict[int, str] = {}
    queues = [(why, iter(rows.tolist())) for why, rows in lists]
    while queues and len(taken) < count:
        for why, rows in list(queues):
            row = next((row for row in rows if row not in taken), None)
            if row is None:
                queues.remove((why, rows))
            elif len(taken) < count:
                taken[row] = why
    return tuple(Chosen(row, why) for row, why in sorted(taken.items()))
