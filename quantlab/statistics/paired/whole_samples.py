"""Sequence accuracy: samples whose positions are all right."""

from quantlab.errors import UsageError
from quantlab.statistics.paired.answers import ChangedAnswers
from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.ratios import ratio_of_sums
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples

__all__ = ["sequence_accuracy"]


def sequence_accuracy(reference: ReferenceSamples, candidate: CandidateSamples) -> ChangedAnswers | Totals:
    """Samples of which every scored position is right: whole sequences, or whole label maps.

    Positions without a scored label are left out. A sample without any scored position is neither right nor wrong, and
    is left out too; then the number of samples is itself a matter of chance, and bounds are those of a bootstrap.

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
    sides = [(counts.compared == right) & scored for right in (counts.right_reference, counts.right_candidate)]
    if scored.all():
        return ChangedAnswers.of(*sides)
    return ratio_of_sums((scored, sides[0]), (scored, sides[1]))
