"""Angular error of directions, and PCK of keypoints: numbers per sample."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.names import shape_words
from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.odd_sample import OddSample
from quantlab.statistics.paired.ratios import mean_of_values, ratio_of_sums
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples

__all__ = ["accepts_directions", "accepts_keypoints", "angular_error", "angular_errors", "pck", "reads_keypoints"]

_Floats = NDArray[np.float64]
_Shape = tuple[int | None, ...]


def angular_error(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """Mean angle between the output and the labelled direction of each sample, in degrees from 0 to 180.

    The vectors, (n, 2) or (n, 3), need not be of length 1. An output of zero has no direction and counts as 180°; one
    that is not finite makes the mean infinite.
    """
    labels = _directions(np.asarray(reference.labels), reference.outputs.shape)
    return mean_of_values(*(angular_errors(np.asarray(side.outputs), labels) for side in (reference, candidate)))


def angular_errors(outputs: NDArray[Any], labels: NDArray[Any]) -> _Floats:
    """The angle between each pair of vectors, (n,), in degrees: arctan2(‖a × b‖, a · b), which is exact near 0 and 180.

    (Kahan 2006, How Futile are Mindless Assessments of Roundoff in Floating-Point Computation?, §12.)
    """
    a, b = (np.zeros((len(side), 3)) for side in (outputs, labels))
    a[:, : outputs.shape[1]], b[:, : labels.shape[1]] = outputs, labels
    with np.errstate(invalid="ignore", over="ignore"):
        # A scale changes no angle, and keeps large outputs from overflowing.
        scales = np.abs(a).max(axis=1, keepdims=True)
        a = np.divide(a, scales, out=np.zeros_like(a), where=scales > 0)
        b = b / np.abs(b).max(axis=1, keepdims=True)
        across = np.sqrt((np.cross(a, b) ** 2).sum(axis=1))
        angles = np.degrees(np.arctan2(across, (a * b).sum(axis=1)))
    angles[(scales == 0)[:, 0]] = 180.0
    return np.where(np.isfinite(outputs).all(axis=1), angles, np.inf)


def accepts_directions(labels: NDArray[Any], shape: _Shape) -> None:
    """`Accepts` of the angular error."""
    _directions(labels, shape)


def _directions(labels: NDArray[Any], shape: _Shape) -> NDArray[Any]:
    size = shape[1] if len(shape) == 2 else 0
    numbers = not labels.dtype.hasobject and labels.ndim == 2
    if size not in {2, 3, None} or not numbers or labels.shape[1] not in ({2, 3} if size is None else {size}):
        raise UsageError(
            f"the metric 'angular-error' needs outputs and labels (n, 2) or (n, 3), and the labels are of shape "
            f"{labels.shape} with outputs of shape {shape_words(shape[1:])} per sample; give one vector for each sample"
        )
    zero = ~(labels != 0).any(axis=1)
    if zero.any():
        raise OddSample(
            "the metric 'angular-error' needs directions, and the label of",
            int(np.argmax(zero)),
            " is zero; correct or remove it",
        )
    return labels


def pck(name: str) -> Callable[[ReferenceSamples, CandidateSamples], Totals]:
    """Function that compares the percentage of correct keypoints, PCK, of `pck@0.1`.

    Yang & Ramanan 2013, Articulated Human Detection with Flexible Mixtures of Parts, IEEE Transactions on Pattern
    Analysis and Machine Intelligence 35:2878–2890, where the threshold is a share of the size of the person. Here it is
    one distance for all: a keypoint is right if its distance from the label is at most the threshold, in the unit of
    the outputs. Outputs are (n, k, 2), or (n, 2·k); labels are (n, k, 2), or (n, k, 3) whose last value is 0 for points
    that are not labelled. The metric is Σ right / Σ labelled; an output that is not finite is wrong.
    """
    threshold = _threshold(name)

    def compare(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
        labels = _points(name, np.asarray(reference.labels), reference.outputs.shape)
        there = labels[:, :, 2] != 0 if labels.shape[2] == 3 else np.ones(labels.shape[:2], bool)
        number = there.sum(axis=1)
        if not number.any():
            raise UsageError(f"the metric '{name}' needs a keypoint that is labelled, and none is")
        right = []
        for side in (reference, candidate):
            points = np.asarray(side.outputs, np.float64).reshape(*labels.shape[:2], 2)
            with np.errstate(invalid="ignore", over="ignore"):
                near = np.hypot(*np.moveaxis(points - labels[:, :, :2], 2, 0)) <= threshold
            right.append((near & there).sum(axis=1))
        return ratio_of_sums((number, right[0]), (number, right[1]))

    return compare


def accepts_keypoints(name: str) -> Callable[[NDArray[Any], _Shape], None]:
    """`Accepts` of PCK."""
    _threshold(name)

    def accepts(labels: NDArray[Any], shape: _Shape) -> None:
        _points(name, labels, shape)

    return accepts


def reads_keypoints(name: str) -> str:
    """How outputs are read, for the footer."""
    return f"a keypoint is right within {_threshold(name):g} of its label, in the unit of the output"


def _threshold(name: str) -> float:
    text = name.partition("@")[2]
    try:
        threshold = float(text)
    except ValueError:
        threshold = 0.0
    if not 0 < threshold < np.inf:
        raise UsageError(f"the metric '{name}' has no distance above 0 after @; write for example pck@0.1")
    return threshold


def _points(name: str, labels: NDArray[Any], shape: _Shape) -> NDArray[Any]:
    fitting = not labels.dtype.hasobject and labels.ndim == 3 and labels.shape[2] in {2, 3}
    wanted = {(labels.shape[1], 2), (2 * labels.shape[1],)} if fitting else set()
    if shape[1:] not in wanted and not (fitting and None in shape[1:]):
        raise UsageError(
            f"the metric '{name}' needs labels (n, k, 2), or (n, k, 3) with 0 for points that are not labelled, and "
            f"outputs (n, k, 2); they are of shape {labels.shape}, with outputs of shape {shape_words(shape[1:])} "
            f"per sample"
        )
    return labels
