"""Sequence accuracy: samples whose positions are all right."""

import numpy as np

from quantlab.errors import UsageError
from quantlab.statistics.paired.answers import ChangedAnswers
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples

__all__ = ["sequence_accuracy"]


def sequence_accuracy(reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers:
    """Samples of which every scored position is right: whole sequences, or whole label maps.

    Positions without a scored label are left out. A sample without any scored position is neither right nor wrong, and
    is left out too.

    Raises:
        UsageError: If no sample has a scored position.
    """
    del reference
    counts = candidate.positions
    # The metric needs labelled positions; see `PairedMetric.needs`.
    assert counts is not None  # noqa: S101 (narrows a type that the table has checked)
    assert counts.right_reference is not None  # noqa: S101 (labels were there when the positions were counted)
    assert counts.right_candidate is not None  # noqa: S101
    scored = counts.compared > 0
    if not scored.any():
        raise UsageError("the metric 'sequence-accuracy' needs a label that is scored, and every label is ignored")
    answers = ChangedAnswers.of(
        (counts.right_reference == counts.compared)[scored], (counts.right_candidate == counts.compared)[scored]
    )
    places = np.flatnonzero(scored)
    return ChangedAnswers(
        answers.n,
        answers.right_reference,
        answers.right_candidate,
        became_wrong=places[answers.became_wrong],
        became_right=places[answers.became_right],
    )
