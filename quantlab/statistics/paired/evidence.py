"""Collects all paired statistics of one trial."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import ChangedAnswers
from quantlab.statistics.paired.bootstrap import Resampling
from quantlab.statistics.paired.metrics import PairedMetric, agreement_loss, paired_loss
from quantlab.statistics.paired.slices import losses_by_class, losses_by_slice, unscored_classes
from quantlab.statistics.paired.spread import expected_calibration_error, spread_of
from quantlab.statistics.scores.classification import same_class
from quantlab.statistics.scores.samples import CandidateSamples, ClassSamples, ReferenceSamples
from quantlab.types import Evidence, Spread, WorstSample

__all__ = ["WORST_SAMPLES", "evidence", "worst_samples"]

WORST_SAMPLES = 20


def evidence(
    reference: ReferenceSamples,
    candidate: CandidateSamples,
    *,
    setting: str,
    runtime: str,
    metrics: Sequence[PairedMetric],
    resampling: Resampling,
) -> Evidence:
    """Compute all paired statistics of one trial.

    Args:
        reference: The reference's values; computed once for all trials.
        candidate: The candidate's values, computed against `reference`.
        setting: Name of the setting, copied to the result.
        runtime: Name of the runtime, copied to the result.
        metrics: The first decides, the others are shown for information; see `default_metrics`. Empty without labels.
        resampling: Confidence of the bounds, and parameters of the bootstrap.

    Raises:
        UsageError: If a metric does not apply to the outputs, or a user's function fails.
    """
    losses = [paired_loss(metric, reference, candidate, resampling) for metric in metrics]
    expected, actual = reference.classes, candidate.classes
    sides = _right(reference, candidate)
    answers = None if sides is None else ChangedAnswers.of(*sides)
    of_classes = None if reference.labels is None else sides
    return Evidence(
        setting=setting,
        runtime=runtime,
        n=reference.n,
        loss=losses[0] if losses else None,
        others=tuple(losses[1:]),
        right_to_wrong=tuple(answers.became_wrong.tolist()) if answers else (),
        wrong_to_right=tuple(answers.became_right.tolist()) if answers else (),
        same=_same(reference, candidate),
        agreement=agreement_loss(reference, candidate, resampling),
        classes=losses_by_class(reference, of_classes, resampling.confidence) if of_classes else (),
        unscored_classes=unscored_classes(reference) if of_classes else (),
        slices=losses_by_slice(reference, of_classes, resampling.confidence) if of_classes else (),
        divergence=None if candidate.divergence is None else spread_of(candidate.divergence),
        total_variation=None if candidate.bounded is None else spread_of(candidate.bounded.total_variation),
        jensen_shannon=None if candidate.bounded is None else spread_of(candidate.bounded.jensen_shannon),
        true_class=_fall_of_true_class(expected, actual),
        calibration_error=_calibration_error(actual),
        calibration_error_reference=_calibration_error(expected),
        worst=worst_samples(reference, candidate),
        non_finite=candidate.non_finite,
    )


def worst_samples(
    reference: ReferenceSamples, candidate: CandidateSamples, *, number: int = WORST_SAMPLES
) -> tuple[WorstSample, ...]:
    """Samples with the largest divergence (undefined first), then with the largest difference; most different first.

    Where classes of positions are compared, the number of changed positions takes the place of the divergence.
    """
    divergence = candidate.divergence
    known = np.zeros(reference.n) if divergence is None else divergence
    if candidate.positions is not None:
        known = (candidate.positions.compared - candidate.positions.same).astype(np.float64)
    # lexsort uses its last key first; the index keeps equal samples in order.
    order = np.lexsort((np.arange(reference.n), -candidate.max_abs, -known, ~np.isnan(known)))[:number]
    return tuple(_worst(reference, candidate, int(index)) for index in order)


def _worst(reference: ReferenceSamples, candidate: CandidateSamples, index: int) -> WorstSample:
    labelled = reference.classes is not None and reference.labels is not None
    return WorstSample(
        index=index,
        label=int(reference.labels[index]) if labelled and reference.labels is not None else None,
        reference_class=_class_of(reference.classes, index),
        candidate_class=_class_of(candidate.classes, index),
        divergence=None if candidate.divergence is None else float(candidate.divergence[index]),
        max_abs=float(candidate.max_abs[index]),
    )


def _class_of(samples: ClassSamples | None, index: int) -> int | None:
    return None if samples is None or samples.top1[index] < 0 else int(samples.top1[index])


def _right(
    reference: ReferenceSamples, candidate: CandidateSamples
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Which samples either side answers right; None if samples have no labelled classes."""
    expected, actual, where = reference.classes, candidate.classes, reference.positions
    if expected is not None and actual is not None and expected.right is not None and actual.right is not None:
        return expected.right, actual.right
    counts = candidate.positions if where is not None and where.single else None
    if counts is None or counts.right_reference is None or counts.right_candidate is None:
        return None
    return counts.right_reference > 0, counts.right_candidate > 0


def _same(reference: ReferenceSamples, candidate: CandidateSamples) -> int | None:
    expected, actual, where = reference.classes, candidate.classes, reference.positions
    if where is not None and where.single and candidate.positions is not None:
        return int(candidate.positions.same.sum())
    if expected is None or actual is None:
        return None
    return int(np.count_nonzero(same_class(expected.top1, actual.top1)))


def _fall_of_true_class(expected: ClassSamples | None, actual: ClassSamples | None) -> Spread | None:
    if expected is None or actual is None or expected.true_probability is None or actual.true_probability is None:
        return None
    return spread_of(expected.true_probability - actual.true_probability)


def _calibration_error(samples: ClassSamples | None) -> float | None:
    if samples is None or samples.right is None:
        return None
    return expected_calibration_error(samples.confidence, samples.right)
