"""The area under the receiver operating characteristic, and what each sample adds to it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.confusion import of_rarest
from quantlab.statistics.scores.classification import as_classes
from quantlab.statistics.scores.samples import CandidateSamples, ClassSamples, ReferenceSamples

__all__ = ["area_under_curve"]

_Floats = NDArray[np.float64]

_COLUMNS = 16
"""Classes that are read at once: a column of a file with rows touches all of its pages."""


def area_under_curve(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """AUC of a binary classifier; of more classes each against the rest by its probability, averaged.

    Of the classes that have samples, and others beside them. A sample that is no distribution ranks as wrong as it
    can. What is bounded is the mean of each sample's part in the area (DeLong, DeLong & Clarke-Pearson 1988, Biometrics
    44:837–845): to rank everything anew in each resample would take n·classes·resamples.

    Raises:
        UsageError: If all samples are of one class.
    """
    from scipy.sparse import csr_matrix  # Slow to import, and most commands need no bootstrap.

    labels = np.asarray(reference.labels)
    present = np.unique(labels)
    if len(present) < 2:
        raise UsageError(
            f"the metric 'auc' needs samples of two classes, and all are of class {present[0]}; "
            "add some, or name another metric"
        )
    # The area of class 0 against class 1 is that of class 1 against class 0.
    judged = np.array([1]) if reference.class_count == 2 else present
    probabilities = reference.probabilities
    sides = np.stack(
        [
            _parts(reference.outputs, reference.classes, labels, judged, probabilities=probabilities),
            _parts(candidate.outputs, candidate.classes, labels, judged, probabilities=probabilities),
        ],
        axis=1,
    )
    return Totals(
        rows=csr_matrix(sides),
        multiplicity=np.ones(len(sides), np.int64),
        value=lambda means: (means[:, 0], means[:, 1]),
        unseen=of_rarest(np.unique(labels, return_counts=True)[1], len(labels), averaged=len(judged)),
        of=" of DeLong's components",
    )


def _parts(
    outputs: NDArray[Any],
    samples: ClassSamples | None,
    labels: NDArray[Any],
    judged: NDArray[Any],
    *,
    probabilities: bool,
) -> _Floats:
    """Numbers (n,) whose mean is the area, and whose spread is that of its estimate."""
    assert samples is not None  # noqa: S101 (narrows a type that the table has checked)
    whole = as_classes(outputs, probabilities=probabilities)
    parts = np.zeros(len(labels))
    for start in range(0, len(judged), _COLUMNS):
        these = judged[start : start + _COLUMNS]
        scores = whole[:, these].astype(np.float64)
        with np.errstate(invalid="ignore"):
            # Ranks across samples are of probabilities: a shift of one sample's logits says nothing.
            scores = scores / samples.normalizer[:, None] if probabilities else scores - samples.normalizer[:, None]
        for place, label in enumerate(these):
            parts += _parts_of_class(scores[:, place], labels == label) / len(judged)
    return parts


def _parts_of_class(scores: _Floats, positive: NDArray[np.bool_]) -> _Floats:
    scores = np.where(np.isnan(scores), np.where(positive, -np.inf, np.inf), scores)
    placements = np.empty(len(scores))
    placements[positive], placements[~positive] = _placements(scores[positive], scores[~positive])
    area = placements[positive].mean()
    weight = np.where(positive, len(scores) / positive.sum(), len(scores) / (~positive).sum())
    return np.asarray(area + (placements - area) * weight)


def _placements(positive: _Floats, negative: _Floats) -> tuple[_Floats, _Floats]:
    """The share of the other kind that each score is ranked rightly against, ties counting half.

    Only the positive are sorted: of many classes they are few, and the negative are nearly all samples.
    """
    ordered = np.sort(positive)
    below, up_to = (np.searchsorted(ordered, negative, side) for side in ("left", "right"))
    # A negative is below a positive if as many positives as lie below that one are all that reach up to it, …
    reached = np.cumsum(np.bincount(up_to, minlength=len(ordered) + 1))
    beaten = reached[np.searchsorted(ordered, positive, "left")]
    # … and not above it if fewer positives lie below it than reach up to that one.
    passed = np.cumsum(np.bincount(below, minlength=len(ordered) + 1))
    not_above = passed[np.searchsorted(ordered, positive, "right") - 1]
    return (beaten + not_above) / 2 / len(negative), 1 - (below + up_to) / 2 / len(positive)
