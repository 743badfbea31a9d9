"""Area under the receiver operating characteristic (AUC), as a mean of per-sample contributions."""

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
"""Classes read at once: reading one column of a row-major file touches all of its pages."""


def area_under_curve(reference: ReferenceSamples, candidate: CandidateSamples) -> Totals:
    """AUC of a binary classifier; with more classes, the mean of the one-against-rest AUCs over probabilities.

    Only classes with samples are included. A sample without a valid distribution gets the worst rank. The bounds are
    those of the mean of the samples' contributions to the area (DeLong, DeLong & Clarke-Pearson 1988, Biometrics
    44:837–845), because ranking every resample again would cost n·classes·resamples.

    Raises:
        UsageError: If all samples belong to one class.
    """
    from scipy.sparse import csr_matrix  # imported here because SciPy is slow to import and few commands need it

    labels = np.asarray(reference.labels)
    present = np.unique(labels)
    if len(present) < 2:
        raise UsageError(
            f"the metric 'auc' needs samples of at least two classes, and all samples are of class {present[0]}; "
            "add samples of other classes, or choose another metric"
        )
    # With two classes, the area of class 0 against class 1 equals that of class 1 against class 0.
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
        differing=int(np.count_nonzero(sides[:, 0] != sides[:, 1])),
    )


def _parts(
    outputs: NDArray[Any],
    samples: ClassSamples | None,
    labels: NDArray[Any],
    judged: NDArray[Any],
    *,
    probabilities: bool,
) -> _Floats:
    """(n,): contributions of the samples; their mean is the AUC, and their variance that of the AUC estimate."""
    assert samples is not None  # noqa: S101 (narrows a type that the table has checked)
    whole = as_classes(outputs, probabilities=probabilities)
    parts = np.zeros(len(labels))
    for start in range(0, len(judged), _COLUMNS):
        these = judged[start : start + _COLUMNS]
        scores = whole[:, these].astype(np.float64)
        with np.errstate(invalid="ignore"):
            # Ranks need probabilities: the logits of different samples may be shifted by different constants.
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
    """For each score, the share of scores of the other class that it is ranked correctly against; ties count half.

    Only the positive scores are sorted: with many classes they are few, and nearly all samples are negative.
    """
    ordered = np.sort(positive)
    below, up_to = (np.searchsorted(ordered, negative, side) for side in ("left", "right"))
    # A negative is below a positive if the number of positives up to the negative is at most those below the positive.
    reached = np.cumsum(np.bincount(up_to, minlength=len(ordered) + 1))
    beaten = reached[np.searchsorted(ordered, positive, "left")]
    # A negative is not above a positive if fewer positives lie below it than up to the positive.
    passed = np.cumsum(np.bincount(below, minlength=len(ordered) + 1))
    not_above = passed[np.searchsorted(ordered, positive, "right") - 1]
    return (beaten + not_above) / 2 / len(negative), 1 - (below + up_to) / 2 / len(positive)
