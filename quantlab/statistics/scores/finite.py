"""Samples on which the reference's output is NaN or infinite: no score can compare anything with them.

Such a sample says nothing about a variant: whatever the variant answers, it would count as a change or as a gain. It is
left out of all scores, counted, and compared only by where NaN and infinity are.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.shapes import check_same_shape
from quantlab.types import NonFinite

__all__ = ["count_equal_places", "finite_samples", "ranges_of", "scored_samples"]


def finite_samples(outputs: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each sample whether all of its elements are finite, (n,); a sample without elements is finite.

    Args:
        outputs: Samples first; real numbers of any data type; may be memory-mapped, and is read in blocks.
    """
    finite = np.ones(len(outputs), np.bool_)
    if outputs.dtype.kind == "f":
        for rows in blocks(outputs):
            block = np.isfinite(outputs[rows])
            finite[rows] = block.all(axis=tuple(range(1, block.ndim)))
    return finite


def scored_samples(outputs: NDArray[Any], non_finite: Iterable[NonFinite]) -> NDArray[np.bool_]:
    """Return for each sample whether it is scored, (n,).

    It is not if the reference's scored output is not finite, or if a tensor inside the reference is NaN: a finite
    output behind NaN depends on how one library happens to compare NaN with numbers.

    Args:
        outputs: The reference's scored output, samples first; may be memory-mapped.
        non_finite: What is known of the reference, see `Study.non_finite`.
    """
    scored = finite_samples(outputs)
    for finding in non_finite:
        if finding.among == "scored" and not finding.output:
            for start, stop in finding.ranges:
                scored[start:stop] = False
    return scored


def ranges_of(rows: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return ascending positions as ranges from a first to one past a last.

    >>> ranges_of([0, 1, 2, 7])
    ((0, 3), (7, 8))
    """
    ranges: list[tuple[int, int]] = []
    for row in rows:
        if ranges and ranges[-1][1] == row:
            ranges[-1] = (ranges[-1][0], int(row) + 1)
        else:
            ranges.append((int(row), int(row) + 1))
    return tuple(ranges)


def count_equal_places(reference: NDArray[Any], candidate: NDArray[Any], finite: NDArray[np.bool_]) -> int:
    """Count the samples that are not finite on both sides in the same places; NaN, ∞ and −∞ are told apart.

    The values of finite elements do not matter: a sample that is left out of all scores has no error.

    Args:
        reference: Samples first; may be memory-mapped.
        candidate: The same shape.
        finite: (n,), `finite_samples` of the reference; only the other samples are looked at.

    Raises:
        ValueError: If the shapes differ.
    """
    check_same_shape(reference, candidate)
    equal = 0
    for rows in blocks(reference):
        left_out = ~finite[rows]
        if left_out.any():
            kinds = _kinds(reference[rows][left_out]) == _kinds(candidate[rows][left_out])
            equal += int(np.count_nonzero(kinds.all(axis=tuple(range(1, kinds.ndim)))))
    return equal


def _kinds(values: NDArray[Any]) -> NDArray[np.float64]:
    """0 for a finite element, 1 and −1 for ∞ and −∞, 2 for NaN."""
    with np.errstate(invalid="ignore"):
        kinds = np.where(np.isfinite(values), 0.0, np.sign(values.astype(np.float64)))
    return np.where(np.isnan(values), 2.0, kinds)
