"""The error of a partly quantized artifact against the float32 artifact, with intervals over the samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.paired.bootstrap import bca_interval
from quantlab.statistics.scores.classification import as_classes, same_class, top1
from quantlab.statistics.scores.divergence import kl_per_sample
from quantlab.statistics.scores.intervals import tango
from quantlab.statistics.shapes import check_same_shape
from quantlab.types import Interval, MeasuredError, VerifiedPart

__all__ = ["measure_error", "verify_answers"]

_RESAMPLES = 1000
_CONFIDENCE = 0.95


def measure_error(
    float32: NDArray[Any], outputs: NDArray[Any], *, classes: bool, probabilities: bool, seed: int = 0
) -> MeasuredError:
    """Compare outputs with those of the float32 artifact.

    Args:
        float32: (n, …), outputs of the float32 artifact.
        outputs: The same shape.
        classes: Whether the output holds scores of classes, (n, classes) or (n, 1) for two.
        probabilities: Whether these are probabilities; otherwise they are logits.
        seed: For the bootstrap.

    Returns:
        Infinite figures with infinite intervals if an output is not finite.

    Raises:
        ValueError: If the shapes differ.
    """
    check_same_shape(float32, outputs)
    n = len(float32)
    difference = (outputs.astype(np.float64) - float32.astype(np.float64)).reshape(n, -1)
    squared = np.square(difference).mean(axis=1)
    mse, mse_interval = _mean(squared, seed)
    if not classes:
        return MeasuredError(mse, mse_interval)
    expected, actual = (as_classes(rows, probabilities=probabilities) for rows in (float32, outputs))
    divergence = kl_per_sample(expected, actual, probabilities=probabilities)
    kl, kl_interval = _mean(divergence, seed)
    return MeasuredError(mse, mse_interval, kl, kl_interval, _flips(top1(expected), top1(actual)))


def _mean(values: NDArray[np.float64], seed: int) -> tuple[float, Interval]:
    """The mean over the samples and its interval; infinite if a value is not finite."""
    if not np.isfinite(values).all():
        return float("inf"), Interval(float("-inf"), float("inf"), _CONFIDENCE)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return mean, Interval(float("-inf"), float("inf"), _CONFIDENCE)
    random = np.random.default_rng(seed)
    replicates = np.array([values[random.integers(0, n, n)].mean() for _ in range(_RESAMPLES)])
    left_out = (values.sum() - values) / (n - 1)
    lower, upper = bca_interval(mean, replicates, left_out, np.ones(n, np.int64), (1 + _CONFIDENCE) / 2)
    return mean, Interval(max(lower, 0.0), upper, _CONFIDENCE)


def verify_answers(
    float32: NDArray[Any], outputs: NDArray[Any], labels: NDArray[Any] | None, *, probabilities: bool
) -> VerifiedPart:
    """Compare the classes that outputs choose with those of the float32 artifact.

    Args:
        float32: (n, classes) or (n, 1), outputs of the float32 artifact; they are read in blocks.
        outputs: The same shape. A row with NaN chooses no class, and counts as another answer.
        labels: (n,), the right classes; None if they are unknown.
        probabilities: Whether the outputs are probabilities; otherwise they are logits.

    Raises:
        ValueError: If the shapes differ.
    """
    check_same_shape(float32, outputs)
    expected, actual = (_answers(array, probabilities=probabilities) for array in (float32, outputs))
    n, flips = len(expected), _flips(expected, actual)
    if labels is None:
        return VerifiedPart(n, flips, None, None)
    wrong = int(((expected == labels) & (actual != labels)).sum())
    right = int(((expected != labels) & (actual == labels)).sum())
    loss = tango(wrong, right, n=n)
    interval = Interval(100 * loss.lower, 100 * loss.upper, loss.confidence)
    return VerifiedPart(n, flips, 100 * (wrong - right) / n, interval)


def _answers(outputs: NDArray[Any], *, probabilities: bool) -> NDArray[np.intp]:
    """(n,), the classes that outputs choose, which may be more than fit into memory."""
    answers = np.empty(len(outputs), np.intp)
    for block in blocks(outputs):
        answers[block] = top1(as_classes(outputs[block], probabilities=probabilities))
    return answers


def _flips(expected: NDArray[np.intp], actual: NDArray[np.intp]) -> int:
    return len(expected) - int(same_class(expected, actual).sum())
