"""Metrics of a confusion matrix that weight all classes equally: macro-F1, and mean IoU of label maps."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.distinct import DistinctRows
from quantlab.statistics.scores.classification import NO_CLASS
from quantlab.statistics.scores.positions import Positions
from quantlab.statistics.scores.samples import CandidateSamples, ClassSamples, ReferenceSamples

__all__ = ["macro_f1", "mean_iou", "mean_iou_of_constant", "of_rarest"]

_Floats = NDArray[np.float64]

_MOST_COLUMNS = 4 * 2**20
"""Columns of all samples of a block: five for each class, before they are stored as a sparse matrix."""


def macro_f1(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """Mean over the labels' classes of F1 = 2·TP / (2·TP + FP + FN).

    This equals scikit-learn's `f1_score(..., average="macro")` restricted to classes that occur in the labels. A class
    that is only predicted has no F1; it lowers the precision of the others. A row with NaN predicts nothing.
    """
    classes = reference.class_count
    columns = np.stack(
        [np.asarray(reference.labels), _top1(reference.classes), _top1(candidate.classes)], axis=1
    ).astype(np.int64)
    distinct = DistinctRows.of(columns)
    return Totals(
        rows=_rows_of_cells(distinct.rows, classes),
        multiplicity=distinct.multiplicity,
        value=_macro(lambda hits, true, predicted: 2 * hits / (true + predicted)),
        unseen=of_rarest(np.unique(columns[:, 0], return_counts=True)[1], len(columns)),
        row_of=distinct.row_of,
        differing=int(np.count_nonzero(columns[:, 1] != columns[:, 2])),
    )


def mean_iou(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """Mean over the labels' classes of the intersection over union, TP / (TP + FP + FN), summed over all samples.

    Outputs have a class for each position, see `Positions`: a label map's are its pixels. Positions without a scored
    label are left out. The bootstrap resamples samples, because positions of one sample are not independent.
    """
    where, labels = _positions(reference), np.asarray(reference.labels)

    def answers(rows: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        return where.answers(reference.outputs[rows]), where.answers(candidate.outputs[rows])

    return _iou(where, labels, answers, reference.outputs)


def mean_iou_of_constant(reference: ReferenceSamples, constant: int) -> Totals:
    """The same, where the candidate answers one class at every position."""
    where, labels = _positions(reference), np.asarray(reference.labels)

    def answers(rows: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        expected = where.answers(reference.outputs[rows])
        return expected, np.full_like(expected, constant)

    return _iou(where, labels, answers, reference.outputs)


def _iou(
    where: Positions,
    labels: NDArray[Any],
    answers: Callable[[slice], tuple[NDArray[Any], NDArray[Any]]],
    outputs: NDArray[Any],
) -> Totals:
    from scipy.sparse import csr_matrix, vstack  # imported here because SciPy is slow to import

    step = max(1, _MOST_COLUMNS // (5 * where.classes))
    parts, samples = [], np.zeros(where.classes, np.int64)
    for block in blocks(outputs):
        for start in range(block.start, block.stop, step):
            rows = slice(start, min(start + step, block.stop))
            counted = _rows_of_positions(where, labels[rows], answers(rows))
            samples += np.count_nonzero(counted[:, : where.classes], axis=0)
            parts.append(csr_matrix(counted))
    whole = vstack(parts, format="csr")
    return Totals(
        rows=whole,
        multiplicity=np.ones(len(outputs), np.int64),
        value=_macro(_intersection_over_union),
        unseen=_of_wrong_samples(np.asarray(whole.sum(axis=0)).reshape(5, -1), samples / len(outputs)),
    )


def _intersection_over_union(hits: _Floats, true: _Floats, predicted: _Floats) -> _Floats:
    return hits / (true + predicted - hits)


def _of_wrong_samples(sums: _Floats, holding: _Floats) -> Callable[[float], float]:
    """`Totals.unseen` of the mean IoU: what it loses if a share of samples is wrong at every position.

    Args:
        sums: (5, classes): the columns of `_macro`, summed over all samples.
        holding: (classes,): share of the samples that have the class; those are the ones that are wrong.
    """
    there = holding > 0
    true, _, _, hits, predicted = sums[:, there]
    known = _intersection_over_union(hits, true, predicted)

    def unseen(share: float) -> float:
        kept = hits * (1 - np.minimum(1.0, share / holding[there]))
        return float((known - _intersection_over_union(kept, true, predicted)).mean()) if there.any() else 1.0

    return unseen


def of_rarest(sizes: NDArray[Any], n: int, averaged: int | None = None) -> Callable[[float], float]:
    """`Totals.unseen` of a macro average: its possible loss if a share of samples all belongs to the rarest class.

    Args:
        sizes: Number of samples of each class that occurs.
        n: Number of samples of all classes.
        averaged: Number of classes in the average; None uses the length of `sizes`.
    """
    weight = n / ((averaged or len(sizes)) * int(np.min(sizes)))
    return lambda share: min(1.0, share * weight)


def _macro(score: Callable[[_Floats, _Floats, _Floats], _Floats]) -> Callable[[_Floats], tuple[_Floats, _Floats]]:
    """`Totals.value` for five columns per class: the mean of score(hits, true, predicted) over classes that occur.

    A class that a resample does not contain is left out of both sides.
    """

    def value(means: _Floats) -> tuple[_Floats, _Floats]:
        true, hits_r, predicted_r, hits_c, predicted_c = np.split(means, 5, axis=1)
        there = true > 0
        number = there.sum(axis=1)

        def average(hits: _Floats, predicted: _Floats) -> _Floats:
            with np.errstate(invalid="ignore", divide="ignore"):
                scores: _Floats = np.where(there, score(hits, true, predicted), 0).sum(axis=1) / number
            return scores

        return average(hits_r, predicted_r), average(hits_c, predicted_c)

    return value


def _rows_of_cells(cells: NDArray[np.int64], classes: int) -> Any:
    """Contribution of one sample (label, both top-1 classes) to the five columns of each class, for every cell."""
    from scipy.sparse import csr_matrix

    label, top1_r, top1_c = cells.T
    entries = [
        (label >= 0, label),
        (top1_r == label, classes + label),
        (top1_r >= 0, 2 * classes + top1_r),
        (top1_c == label, 3 * classes + label),
        (top1_c >= 0, 4 * classes + top1_c),
    ]
    rows = np.concatenate([np.flatnonzero(there) for there, _ in entries])
    columns = np.concatenate([column[there] for there, column in entries])
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(cells), 5 * classes))


def _rows_of_positions(
    where: Positions, labels: NDArray[Any], answers: tuple[NDArray[Any], NDArray[Any]]
) -> NDArray[np.int64]:
    """Number of true, correct and predicted positions of each class in each sample: (samples, 5 · classes)."""
    samples, classes = len(labels), where.classes
    scored = where.scored(labels)
    truth = labels.reshape(scored.shape)
    sample = np.broadcast_to(np.arange(samples)[:, None], scored.shape)

    def count(of_class: NDArray[Any], these: NDArray[np.bool_]) -> NDArray[np.int64]:
        cells = sample[these] * classes + of_class[these].astype(np.int64)
        return np.bincount(cells, minlength=samples * classes).reshape(samples, classes)

    parts = [count(truth, scored)]
    for predicted in answers:
        parts += [
            count(predicted, scored & (predicted == truth)),
            count(predicted, scored & (predicted != NO_CLASS)),
        ]
    return np.concatenate(parts, axis=1)


def _positions(reference: ReferenceSamples) -> Positions:
    # Metrics of positions are used only if the outputs have some; see `PairedMetric.needs`.
    assert reference.positions is not None  # noqa: S101 (narrows a type that the table has checked)
    return reference.positions


def _top1(samples: ClassSamples | None) -> NDArray[np.int32]:
    # Class metrics are used only if the outputs have classes; see `PairedMetric.needs`.
    assert samples is not None  # noqa: S101 (narrows a type that the table has checked)
    return samples.top1
