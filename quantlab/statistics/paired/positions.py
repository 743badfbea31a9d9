"""Accuracy and agreement of classes of positions, with the sample as the unit of the bootstrap."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import ChangedAnswers
from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.distinct import DistinctRows
from quantlab.statistics.scores.positions import PositionCounts
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples

__all__ = ["agreement_of_positions", "changed_of_single", "position_accuracy", "position_accuracy_of_constant"]


def position_accuracy(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """Share of the scored positions that are right: pixels of label maps, steps of sequences.

    A sample counts by its number of scored positions. An unseen sample could be all wrong, so the bounds are at least
    as far from the loss as the share of samples that may differ although none of n does.
    """
    del reference
    counts = _counts(candidate)
    return _share(counts.compared, _known(counts.right_reference), _known(counts.right_candidate))


def position_accuracy_of_constant(reference: ReferenceSamples, constant: int) -> Totals:
    """The same, where the candidate answers one class at every position."""
    own = _counts(reference.itself())
    labels = np.asarray(reference.labels)
    of_constant = np.count_nonzero((labels == constant).reshape(len(labels), -1), axis=1)
    return _share(own.compared, _known(own.right_reference), of_constant)


def agreement_of_positions(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """Share of the positions with the same class as in the reference, which agrees with itself everywhere."""
    del reference
    counts = _counts(candidate)
    return _share(counts.compared, counts.compared, counts.same)


def changed_of_single(candidate: CandidateSamples) -> ChangedAnswers:
    """The changed answers where each sample is the only position, so that paired counts need no bootstrap."""
    counts = _counts(candidate)
    return ChangedAnswers.of(_known(counts.right_reference) > 0, _known(counts.right_candidate) > 0)


def _share(compared: NDArray[Any], reference: NDArray[Any], candidate: NDArray[Any]) -> Totals:
    """Shares of the compared positions of all samples; every argument is (n,)."""
    columns = np.stack([compared, reference, candidate], axis=1)
    distinct = DistinctRows.of(columns)

    def value(means: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return means[:, 1] / means[:, 0], means[:, 2] / means[:, 0]

    return Totals(
        rows=distinct.sparse(),
        multiplicity=distinct.multiplicity,
        value=value,
        unseen=_all_wrong(compared),
        row_of=distinct.row_of,
        of_samples=True,
    )


def _all_wrong(compared: NDArray[Any]) -> Callable[[float], float]:
    """`Totals.unseen` if the longest samples change at every position."""
    mean = float(compared.mean())
    weight = float(compared.max()) / mean if mean > 0 else 1.0
    return lambda share: min(1.0, share * weight)


def _counts(candidate: CandidateSamples) -> PositionCounts:
    # Metrics of positions are used only if the outputs have some; see `PairedMetric.needs`.
    assert candidate.positions is not None  # noqa: S101 (narrows a type that the table has checked)
    return candidate.positions


def _known(counts: NDArray[np.int64] | None) -> NDArray[np.int64]:
    assert counts is not None  # noqa: S101 (labels were there when the positions were counted)
    return counts
