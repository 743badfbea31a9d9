"""Metrics of a confusion matrix that give every class the same weight: macro-F1, and mean IoU of segmentations."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.statistics.blocks import blocks
from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.scores.classification import NO_CLASS, top1
from quantlab.statistics.scores.samples import CandidateSamples, ClassSamples, ReferenceSamples

__all__ = ["macro_f1", "mean_iou", "of_rarest"]

_Floats = NDArray[np.float64]

_VOID = 255
"""By convention of segmentation data a pixel that belongs to no class and is not scored."""


def macro_f1(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """F1 = 2·TP / (2·TP + FP + FN) of each class that the labels hold, averaged.

    As scikit-learn's `f1_score(..., average="macro")` over the classes of the labels; a class that is only predicted
    has no F1 of its own and costs the others their precision. A row with NaN predicts nothing.
    """
    classes = reference.class_count
    columns = np.stack(
        [np.asarray(reference.labels), _top1(reference.classes), _top1(candidate.classes)], axis=1
    ).astype(np.int64)
    cells, multiplicity = np.unique(columns, axis=0, return_counts=True)
    return Totals(
        rows=_rows_of_cells(cells, classes),
        multiplicity=multiplicity.astype(np.int64),
        value=_macro(lambda hits, true, predicted: 2 * hits / (true + predicted)),
        unseen=of_rarest(np.unique(columns[:, 0], return_counts=True)[1], len(columns)),
    )


def mean_iou(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """Intersection over union, TP / (TP + FP + FN) over all images, of each class that the labels hold, averaged.

    Of outputs (n, height, width, classes) and labels (n, height, width); pixels labelled 255 are not scored where
    there are at most 255 classes. Images are what is resampled, since pixels of one are alike.

    Raises:
        UsageError: If the outputs and labels are no segmentation, or a label names no class.
    """
    from scipy.sparse import csr_matrix, vstack  # Slow to import, and most commands need no bootstrap.

    outputs, labels = reference.outputs, np.asarray(reference.labels)
    if outputs.ndim != 4 or labels.shape != outputs.shape[:3] or labels.dtype.kind not in "iu":
        raise UsageError(
            "the metric 'mean-iou' is of outputs (n, height, width, classes) with integer labels (n, height, width), "
            f"not of {outputs.shape} with {labels.dtype} {labels.shape}; name another metric"
        )
    _check_pixels(labels, outputs.shape[3])
    parts = [
        csr_matrix(_rows_of_images(outputs[rows], candidate.outputs[rows], labels[rows])) for rows in blocks(outputs)
    ]
    return Totals(
        rows=vstack(parts, format="csr"),
        multiplicity=np.ones(len(outputs), np.int64),
        value=_macro(lambda hits, true, predicted: hits / (true + predicted - hits)),
        unseen=of_rarest(_images_of_classes(labels, outputs.shape[3]), len(outputs)),
    )


def of_rarest(sizes: NDArray[Any], n: int, averaged: int | None = None) -> Callable[[float], float]:
    """A share of samples → what a macro average may lose if all of that share are of its rarest class: `Totals.unseen`.

    Args:
        sizes: Samples of each class that is there.
        n: Of all classes.
        averaged: How many classes the average is over; None is as many as there are sizes.
    """
    weight = n / ((averaged or len(sizes)) * int(np.min(sizes)))
    return lambda share: min(1.0, share * weight)


def _images_of_classes(labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """How many images hold each class that any holds."""
    sizes = np.array([np.count_nonzero((labels == label).any(axis=(1, 2))) for label in range(classes)])
    return sizes[sizes > 0] if sizes.any() else np.array([len(labels)])


def _macro(score: Callable[[_Floats, _Floats, _Floats], _Floats]) -> Callable[[_Floats], tuple[_Floats, _Floats]]:
    """Average a score of (hits, true, predicted) over the classes that are there: `Totals.value` of five columns each.

    A resample may lack a class: it is then left out of both sides alike.
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
    """What a sample with (label, top-1 of the reference, of the candidate) adds to the five columns of each class."""
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


def _rows_of_images(expected: NDArray[Any], actual: NDArray[Any], labels: NDArray[Any]) -> _Floats:
    """Pixels of each image that are true, hit and predicted: (images, 5 · classes)."""
    images, classes = len(expected), expected.shape[3]
    scored = labels != _VOID if classes <= _VOID else np.ones(labels.shape, np.bool_)
    image = np.broadcast_to(np.arange(images)[:, None, None], labels.shape)

    def count(of_class: NDArray[Any], these: NDArray[np.bool_]) -> NDArray[np.int64]:
        cells = image[these] * classes + of_class[these].astype(np.int64)
        return np.bincount(cells, minlength=images * classes).reshape(images, classes)

    parts = [count(labels, scored)]
    for side in (expected, actual):
        predicted = top1(side)
        parts += [
            count(predicted, scored & (predicted == labels)),
            count(predicted, scored & (predicted != NO_CLASS)),
        ]
    return np.concatenate(parts, axis=1).astype(np.float64)


def _check_pixels(labels: NDArray[Any], classes: int) -> None:
    for rows in blocks(labels):
        block = labels[rows]
        outside = (block < 0) | ((block >= classes) & ((block != _VOID) | (classes > _VOID)))
        if outside.any():
            raise UsageError(
                f"the label {block[outside][0]} names no class; with {classes} classes labels of pixels go from 0 to "
                f"{classes - 1}, and {_VOID} is not scored"
            )


def _top1(samples: ClassSamples | None) -> NDArray[np.int32]:
    # Metrics of classes are only asked for where there are some; see `PairedMetric.needs`.
    assert samples is not None  # noqa: S101 (narrows a type that the table has checked)
    return samples.top1
