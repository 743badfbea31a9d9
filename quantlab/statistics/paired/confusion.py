"""Metrics of a confusion matrix that weight all classes equally: macro-F1, and mean IoU of segmentations."""

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
"""Label of pixels that belong to no class and are not scored; a convention of segmentation data sets."""


def macro_f1(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """Mean over the labels' classes of F1 = 2·TP / (2·TP + FP + FN).

    This equals scikit-learn's `f1_score(..., average="macro")` restricted to classes that occur in the labels. A class
    that is only predicted has no F1; it lowers the precision of the others. A row with NaN predicts nothing.
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
    """Mean over the labels' classes of the intersection over union, TP / (TP + FP + FN), summed over all images.

    Outputs are (n, height, width, classes) and labels (n, height, width). With at most 255 classes, pixels with label
    255 are not scored. The bootstrap resamples images, because pixels of one image are not independent.

    Raises:
        UsageError: If the outputs and labels are not a segmentation, or a label is out of range.
    """
    from scipy.sparse import csr_matrix, vstack  # imported here because SciPy is slow to import

    outputs, labels = reference.outputs, np.asarray(reference.labels)
    if outputs.ndim != 4 or labels.shape != outputs.shape[:3] or labels.dtype.kind not in "iu":
        raise UsageError(
            "the metric 'mean-iou' needs outputs (n, height, width, classes) with integer labels (n, height, width), "
            f"not {outputs.shape} with {labels.dtype} {labels.shape}; choose another metric"
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
    """`Totals.unseen` of a macro average: its possible loss if a share of samples all belongs to the rarest class.

    Args:
        sizes: Number of samples of each class that occurs.
        n: Number of samples of all classes.
        averaged: Number of classes in the average; None uses the length of `sizes`.
    """
    weight = n / ((averaged or len(sizes)) * int(np.min(sizes)))
    return lambda share: min(1.0, share * weight)


def _images_of_classes(labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Number of images that contain each class, for classes that occur."""
    sizes = np.array([np.count_nonzero((labels == label).any(axis=(1, 2))) for label in range(classes)])
    return sizes[sizes > 0] if sizes.any() else np.array([len(labels)])


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


def _rows_of_images(expected: NDArray[Any], actual: NDArray[Any], labels: NDArray[Any]) -> _Floats:
    """Number of true, correct and predicted pixels of each class in each image: (images, 5 · classes)."""
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
                f"the label {block[outside][0]} is out of range; with {classes} classes pixel labels go from 0 to "
                f"{classes - 1}, and {_VOID} is not scored"
            )


def _top1(samples: ClassSamples | None) -> NDArray[np.int32]:
    # Class metrics are used only if the outputs have classes; see `PairedMetric.needs`.
    assert samples is not None  # noqa: S101 (narrows a type that the table has checked)
    return samples.top1
