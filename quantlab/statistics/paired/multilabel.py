"""Metrics of several labels per sample: F1 over all answers or averaged over classes, and mean average precision."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.names import shape_words
from quantlab.statistics.blocks import blocks
from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.confusion import of_rarest
from quantlab.statistics.paired.distinct import DistinctRows
from quantlab.statistics.paired.odd_sample import OddSample
from quantlab.statistics.paired.weighted import Weighted
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples

__all__ = ["accepts_multilabel", "mean_average_precision", "micro_f1", "multilabel_macro_f1"]

_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]


def micro_f1(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """F1 = 2·TP / (2·TP + FP + FN) of all answers of all classes; scikit-learn's `f1_score(average="micro")`.

    Labels are 0 or 1, (n, classes). A class is answered if its output is above 0.5 of probabilities, or 0 of logits;
    NaN is answered wrong. Samples are resampled, not single answers. What unseen samples may do, with all of their
    answers, is always counted: the bootstrap alone passes a loss at the margin in 7 to 9 % of cases with 300 samples
    (benchmarks/promises_metrics.py).
    """
    truth = _truth(reference)
    columns = [truth.sum(axis=1)]
    for side in (reference, candidate):
        answers = _answers(side.outputs, truth, probabilities=reference.probabilities)
        columns += [(answers & truth).sum(axis=1), answers.sum(axis=1)]
    distinct = DistinctRows.of(np.stack(columns, axis=1))

    def value(means: _Floats) -> tuple[_Floats, _Floats]:
        true, *sides = means.T
        return _f1(sides[0], true, sides[1]), _f1(sides[2], true, sides[3])

    def unseen(share: float) -> float:
        true, *sides = np.stack(columns).mean(axis=1)
        classes, most = truth.shape[1], int(columns[0].max())
        changes = [_changed(share, true, *side, classes=classes, most=most) for side in (sides[:2], sides[2:])]
        return float(min(1.0, max(*changes, share * most / true)))

    return Totals(
        rows=distinct.sparse(),
        multiplicity=distinct.multiplicity,
        value=value,
        unseen=unseen,
        row_of=distinct.row_of,
    )


def multilabel_macro_f1(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """Mean of the F1 of each class that the labels hold; answers as of `micro_f1`.

    This equals scikit-learn's `f1_score(..., average="macro")` restricted to classes with a positive label. Unseen
    samples may change the answers of all classes at once.
    """
    truth = _truth(reference)
    parts = [truth]
    for side in (reference, candidate):
        answers = _answers(side.outputs, truth, probabilities=reference.probabilities)
        parts += [answers & truth, answers]
    distinct = DistinctRows.of(np.concatenate(parts, axis=1))

    def value(means: _Floats) -> tuple[_Floats, _Floats]:
        true, hits_r, answers_r, hits_c, answers_c = np.split(means, 5, axis=1)
        there = true > 0
        number = there.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            sides = [
                np.where(there, _f1(hits, true, answers), 0).sum(axis=1) / number
                for hits, answers in ((hits_r, answers_r), (hits_c, answers_c))
            ]
        return sides[0], sides[1]

    sizes = truth.sum(axis=0)
    rarest = of_rarest(sizes[sizes > 0], len(truth))

    def unseen(share: float) -> float:
        true, *sides = (part[:, sizes > 0].mean(axis=0) for part in parts)
        changes = [_changed(share, true, *side, classes=1, most=1).mean() for side in (sides[:2], sides[2:])]
        return float(min(1.0, max(*changes, rarest(share))))

    return Totals(
        rows=distinct.sparse(),
        multiplicity=distinct.multiplicity,
        value=value,
        unseen=unseen,
        row_of=distinct.row_of,
    )


def mean_average_precision(reference: ReferenceSamples, candidate: CandidateSamples) -> Weighted:
    """Mean of the average precision of each class that has a positive label.

    The average precision is Σ (Rₖ − Rₖ₋₁)·Pₖ over the distinct scores in falling order, as in scikit-learn's
    `average_precision_score`: samples of equal score come together, and nothing is interpolated. NaN ranks
    worst: positive samples last, one after the other, and any other one first. In a class with NaN, positive samples
    also come one by one behind others of equal score: together they could have a higher precision than with a number.
    """
    truth = _truth(reference)
    places = np.flatnonzero(truth.any(axis=0))
    ranked = [[_Ranked.of(side.outputs, truth, place) for place in places] for side in (reference, candidate)]

    def value(counts: NDArray[np.int64]) -> tuple[_Floats, _Floats]:
        means = []
        for side in ranked:
            precisions = np.stack([one.average_precision(counts) for one in side])
            there = np.isfinite(precisions)  # a class without a positive label in a resample is left out of both sides
            with np.errstate(invalid="ignore"):
                means.append(np.where(there, precisions, 0).sum(axis=0) / there.sum(axis=0))
        return means[0], means[1]

    sizes = truth.sum(axis=0)
    return Weighted(n=len(truth), value=value, unseen=of_rarest(sizes[sizes > 0], len(truth)), cost=2 * len(places))


class _Ranked:
    """One class of one side: samples in falling order of their score."""

    def __init__(self, order: NDArray[np.intp], ends: NDArray[np.intp], positive: _Bools) -> None:
        self._order, self._ends, self._positive = order, ends, positive

    @classmethod
    def of(cls, outputs: NDArray[Any], truth: _Bools, place: int) -> "_Ranked":
        scores, positive = np.array(outputs[:, place], np.float64), truth[:, place]
        unknown = np.isnan(scores)
        scores = np.where(unknown, np.where(positive, -np.inf, np.inf), scores)
        order = np.lexsort((positive, -scores))
        ranked = scores[order]
        last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
        ends = np.flatnonzero(last_of_equals | unknown.any())
        return cls(order, ends, positive[order])

    def average_precision(self, counts: NDArray[np.int64]) -> _Floats:
        """With each sample as often as it was drawn: (resamples,); NaN without a positive one.

        Args:
            counts: (resamples, n).
        """
        drawn = counts[:, self._order]
        seen = np.cumsum(drawn, axis=1)[:, self._ends]
        hits = np.cumsum(drawn * self._positive, axis=1)[:, self._ends]
        more = np.diff(hits, axis=1, prepend=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(seen > 0, hits / seen, 0.0)
            return np.asarray((more * precision).sum(axis=1) / hits[:, -1], np.float64)


def accepts_multilabel(labels: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    """`Accepts` of these metrics."""
    _as_truth(labels, shape)


def _truth(reference: ReferenceSamples) -> _Bools:
    return _as_truth(np.asarray(reference.labels), reference.outputs.shape)


def _as_truth(labels: NDArray[Any], shape: tuple[int | None, ...]) -> _Bools:
    """Labels as (n, classes) booleans.

    If every sample has exactly one class, labels were stored as its number, which is the same thing. Those of a single
    class were stored without their axis.
    """
    classes = shape[1] if len(shape) == 2 else None
    if len(shape) != 2:
        raise UsageError(
            f"a metric of several labels per sample needs outputs (n, classes), and those of the scored output are "
            f"{shape_words(shape[1:])} per sample; choose another metric or --score-output"
        )
    if (
        labels.dtype.hasobject
        or labels.ndim not in {1, 2}
        or (labels.ndim == 2 and classes not in {None, len(labels.T)})
    ):
        raise UsageError(
            f"a metric of several labels per sample needs labels (n, classes) of 0 and 1, and they are "
            f"{'of another shape for each sample' if labels.dtype.hasobject else f'of shape {labels.shape}'}, with "
            f"outputs of {classes} classes; give one column for each class"
        )
    if labels.ndim == 1 and classes == 1:
        labels = labels[:, None]
    if labels.ndim == 1:
        if labels.dtype.kind == "f" or int(labels.min()) < 0 or (classes is not None and int(labels.max()) >= classes):
            raise UsageError(
                f"a metric of several labels per sample needs labels (n, classes) of 0 and 1, and they are "
                f"{labels.dtype.name} of shape {labels.shape}; give one column for each class"
            )
        return np.asarray(labels[:, None] == np.arange(classes or int(labels.max()) + 1))
    odd = (labels != 0) & (labels != 1)
    if odd.any():
        place = int(np.argmax(odd.any(axis=1)))
        raise OddSample(
            "a metric of several labels per sample needs labels of 0 and 1, and those of",
            place,
            f" hold {labels[place][odd[place]][0]:g}; correct them",
        )
    truth: _Bools = np.asarray(labels) == 1
    if not truth.any():
        raise UsageError("a metric of several labels per sample needs a label of 1, and all labels are 0")
    return truth


def _answers(outputs: NDArray[Any], truth: _Bools, *, probabilities: bool) -> _Bools:
    """Which classes are answered: (n, classes); NaN answers the opposite of the truth."""
    threshold = 0.5 if probabilities else 0

    def of(scores: NDArray[Any], true: _Bools) -> _Bools:
        with np.errstate(invalid="ignore"):
            return np.where(np.isnan(scores), ~true, scores > threshold)

    return np.concatenate([of(np.asarray(outputs[rows]), truth[rows]) for rows in blocks(outputs)])


def _f1(hits: _Floats, true: _Floats, answered: _Floats) -> _Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * hits / (true + answered))


def _changed(share: float, true: Any, hits: Any, answered: Any, *, classes: int, most: int) -> Any:
    """The largest change of F1 if all answers of a share of samples turn from right to wrong, or back.

    F1 is 2·TP / D, where D is the number of labels and answers. A sample with t labels moves TP by t, and its answers
    from t to classes − t; so F1 moves by share · (F1·(classes − 2·t) + 2·t) / D′. That is largest for the most labels,
    and D′ is at least D − share·classes, and at least the number of labels.

    Args:
        share: Of all samples.
        true: Labels of a sample, on average; all of these may be arrays.
        hits: Right answers.
        answered: All answers.
        classes: Number of answers that a sample has.
        most: The largest number of labels of a sample.
    """
    f1 = _f1(hits, true, answered)
    return share * (f1 * (classes - 2 * most) + 2 * most) / np.maximum(true, true + answered - share * classes)
