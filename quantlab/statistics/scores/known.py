"""Scores from values of single samples that are computed already."""

import math
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.narrow import finite_rows
from quantlab.statistics.scores.classification import ClassificationSums, as_classes, changed_answers, same_class
from quantlab.statistics.scores.divergence import Divergences, DivergenceSums
from quantlab.statistics.scores.outputs import ScoreSums
from quantlab.statistics.scores.samples import CandidateSamples, ClassSamples, ReferenceSamples
from quantlab.statistics.tensors import TensorError

__all__ = ["count_answers", "reference_sums", "sum_samples"]

_Values = TypeVar("_Values", ClassSamples, Divergences)


def sum_samples(reference: ReferenceSamples, candidate: CandidateSamples) -> ScoreSums:
    """What `sum_outputs` computes from the outputs of samples that have classes: the same numbers, bit by bit.

    The outputs are read for their errors; classes and divergences, which take three quarters of the time, are not
    computed again.

    Raises:
        ValueError: If the samples have no classes.
        UsageError: If the outputs themselves are not kept.
    """
    if reference.classes is None or candidate.classes is None:
        raise ValueError("the samples have no classes; sum their outputs with sum_outputs")
    return sum((_of_rows(reference, candidate, rows) for rows in blocks(reference.outputs)), ScoreSums())


def reference_sums(reference: ReferenceSamples) -> ScoreSums:
    """The sums of the reference alone, whose outputs are finite: what `ScoreSums.reference_scores` needs.

    Raises:
        ValueError: If the samples have no classes.
    """
    if reference.classes is None:
        raise ValueError("the samples have no classes; sum their outputs with sum_outputs")
    counts = count_answers(reference.classes, reference.classes)
    return ScoreSums(n=reference.n, error=TensorError(count=math.prod(reference.shape)), classification=counts)


def _of_rows(reference: ReferenceSamples, candidate: CandidateSamples, rows: slice) -> ScoreSums:
    assert reference.classes is not None and candidate.classes is not None  # noqa: S101, PT018 (the caller has asked)
    expected, actual = reference.outputs[rows], candidate.outputs[rows]
    error = TensorError.of(expected, actual)
    counts = count_answers(_cut(reference.classes, rows), _cut(candidate.classes, rows))
    if error.non_finite or error.non_finite_reference:
        both = (as_classes(one, probabilities=reference.probabilities) for one in (actual, expected))
        odd, odd_reference = (_count(~finite_rows(one)) for one in both)
        counts = replace(counts, non_finite_rows=odd, non_finite_rows_reference=odd_reference)
    if candidate.bounded is not None:
        divergence = DivergenceSums.of_samples(_cut(candidate.bounded, rows))
    else:  # of logits, whose divergence has other last digits there
        both = (as_classes(one, probabilities=False) for one in (expected, actual))
        divergence = DivergenceSums.of(*both, probabilities=False)
    return ScoreSums(n=len(expected), error=error, classification=counts, divergence=divergence)


def count_answers(reference: ClassSamples, candidate: ClassSamples) -> ClassificationSums:
    """Count equal, correct and changed answers of the same samples; rows that are not finite are not counted."""
    same = _count(same_class(reference.top1, candidate.top1))
    counts = ClassificationSums(n=len(reference.top1), same=same)
    if reference.right is None or candidate.right is None:
        return counts
    became_wrong, became_right = changed_answers(reference.right, candidate.right)
    counts = replace(
        counts,
        labelled=len(reference.right),
        right_reference=_count(reference.right),
        right_candidate=_count(candidate.right),
        became_wrong=_count(became_wrong),
        became_right=_count(became_right),
    )
    if reference.in_top5 is None or candidate.in_top5 is None:
        return counts
    ranked, top5, top5_candidate = len(reference.right), _count(reference.in_top5), _count(candidate.in_top5)
    return replace(counts, ranked=ranked, top5_reference=top5, top5_candidate=top5_candidate)


def _count(these: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(these))


def _cut(values: _Values, rows: slice) -> _Values:
    """The values of some samples."""
    arrays: dict[str, Any] = {one.name: getattr(values, one.name) for one in fields(values)}
    return replace(values, **{name: array[rows] for name, array in arrays.items() if array is not None})
