"""Which samples a golden test has: those whose answers a small change of the artifact would change first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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
        variant: (n, …), the scored output of the artifact.
        reference: (n, …), that of the model.
        classes: Whether the last axis of a two-dimensional output holds classes.
        count: Largest number of samples.

    Returns:
        In the order of the samples.

    >>> outputs = np.array([[0.9, 0.1], [0.5, 0.4], [0.1, 0.9], [0.3, 0.8]])
    >>> [(one.row, one.why) for one in choose_samples(outputs, outputs, classes=True, count=4)]
    [(0, 'drift'), (1, 'class'), (2, 'margin'), (3, 'class')]
    """
    rows = variant.reshape(len(variant), -1).astype(np.float64)
    others = reference.reshape(len(reference), -1).astype(np.float64)
    finite = np.isfinite(rows).all(axis=1) & np.isfinite(others).all(axis=1)
    drift = _first(-np.abs(np.where(finite[:, None], rows - others, 0.0)).max(axis=1, initial=0.0), finite)
    if not classes or rows.shape[1] < 2:
        fine = np.flatnonzero(finite)
        even = fine[np.linspace(0, len(fine) - 1, count).round().astype(int)] if len(fine) else fine
        return _in_turns([("drift", drift), ("spread", even)], count)
    ordered = np.sort(rows, axis=1)
    margin = np.where(finite, ordered[:, -1] - ordered[:, -2], np.inf)
    narrow, answers = _first(margin, finite), rows.argmax(axis=1)
    of_classes = [int(narrow[answers[narrow] == one][0]) for one in np.unique(answers[finite])]
    of_classes.sort(key=lambda row: margin[row])
    first = dict.fromkeys(of_classes[: max(1, count // 2)], "class")
    rest = [("margin", narrow[~np.isin(narrow, [*first])]), ("drift", drift[~np.isin(drift, [*first])])]
    others_chosen = _in_turns(rest, count - len(first))
    return tuple(sorted([*(Chosen(*one) for one in first.items()), *others_chosen], key=lambda one: one.row))


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
