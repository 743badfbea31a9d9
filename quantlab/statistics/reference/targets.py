"""Whether a regression predicts its targets better than their mean does, and whether in their unit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.scores.regression import labels_shaped
from quantlab.types.reference import TargetCheck

__all__ = ["target_checks"]

_MOST_COLUMNS = 64
_FEWEST = 20
"""Fewest rows: a scale and an offset fit two of them exactly, and a few of them well."""

_Floats = NDArray[np.float64]


def target_checks(predictions: NDArray[Any], targets: NDArray[Any]) -> tuple[TargetCheck, ...]:
    """Compare the errors of the predictions with those of the targets' mean, and of the best scale and offset.

    Outputs with at most 64 columns in the last axis are examined column by column, since columns may have units of
    their own; others as a whole. Columns whose targets are all equal, and sets of fewer than 20 rows, are left out.
    Nothing is examined if a prediction is not finite.

    Args:
        predictions: Any shape, samples first; may be memory-mapped.
        targets: The same shape, ignoring axes of size 1.

    Raises:
        ValueError: If the shapes differ.
    """
    width = predictions.shape[-1] if predictions.ndim > 1 else 1
    columns = width if width <= _MOST_COLUMNS else 1
    count, means = 0, np.zeros((2, columns))
    for pair in _pairs(predictions, targets, columns):
        count += pair.shape[1]
        means += pair.sum(axis=1)
    if count < _FEWEST or not np.isfinite(means).all():
        return ()
    means /= count
    moments = np.zeros((4, columns))
    for predicted, target in _pairs(predictions, targets, columns):
        apart, x, y = predicted - target, predicted - means[0], target - means[1]
        moments += [product.sum(axis=0) for product in (apart**2, y**2, x**2, x * y)]
    if not np.isfinite(moments).all():  # squares of the largest numbers are not
        return ()
    return tuple(
        _check(column if columns > 1 else None, moments[:, column] / count, means[:, column])
        for column in range(columns)
        if moments[1, column] > 0
    )


def _pairs(predictions: NDArray[Any], targets: NDArray[Any], columns: int) -> Iterator[_Floats]:
    """Blocks of (2, rows, columns): predictions and targets as float64."""
    for rows in blocks(predictions):
        block = predictions[rows]
        target = labels_shaped(targets[rows], block.shape)
        yield np.stack([values.astype(np.float64).reshape(-1, columns) for values in (block, target)])


def _check(column: int | None, moments: _Floats, means: _Floats) -> TargetCheck:
    error, of_targets, of_predictions, together = moments.tolist()
    scale = together / of_predictions if of_predictions else 0.0
    # The rest of a least-squares fit; rounding may leave a little less than nothing of a perfect one.
    line_error = max(0.0, of_targets - scale * together)
    offset = float(means[1] - scale * means[0])
    return TargetCheck(column, error, of_targets, line_error, scale, offset)
