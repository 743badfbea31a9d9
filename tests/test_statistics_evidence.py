"""Evidence of a trial: spread, calibration, the worst samples, and all of it on deceptive outputs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.statistics import (
    CandidateSamples,
    ReferenceSamples,
    Resampling,
    decide,
    default_metrics,
    evidence,
    expected_calibration_error,
    missing_samples,
    spread_of,
    worst_samples,
)
from quantlab.types import Evidence, Spread, WorstSample

NAN, INF = math.nan, math.inf


def known(reference, candidate, labels=None, *, probabilities=False, classes=True, task=None):
    task = task or ("similarity" if labels is None else "classification")
    samples = ReferenceSamples.of(reference, labels, task=task, probabilities=probabilities, classes=classes)
    return samples, CandidateSamples.of(samples, candidate)


def judged(*arguments, **options):
    reference, candidate = known(*arguments, **options)
    return evidence(
        reference,
        candidate,
        setting="tfjs-uint8",
        runtime="python",
        metrics=default_metrics(reference),
        resampling=Resampling(resamples=100),
    )


# Spread


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        pytest.param([], Spread(0), id="no samples"),
        pytest.param([2.0], Spread(1, mean=2.0, maximum=2.0), id="one sample has no error"),
        pytest.param([1.0, 3.0], Spread(2, mean=2.0, standard_error=1.0, maximum=3.0), id="two"),
        pytest.param([1.0, INF], Spread(2, infinite=1, maximum=INF), id="an infinite one spoils the mean"),
        pytest.param([1.0, NAN, INF], Spread(3, infinite=1, undefined=1), id="a NaN spoils the maximum too"),
    ],
)
def test_spread_of_few(values, spread):
    assert spread_of(np.array(values)) == spread


def test_percentiles_begin_at_100_samples():
    assert spread_of(np.arange(99.0)).percentiles == {}
    assert spread_of(np.arange(99.0)).median is None
    spread = spread_of(np.arange(1.0, 1001.0))
    assert (spread.median, dict(spread.percentiles)) == (500, {"90": 900, "95": 950, "99": 990, "99.9": 999})


def test_percentiles_with_infinite_samples_are_infinite_where_they_fall_on_one():
    spread = spread_of(np.concatenate([np.zeros(960), np.full(40, INF)]))
    assert (spread.median, dict(spread.percentiles)) == (0, {"90": 0, "95": 0, "99": INF, "99.9": INF})
    assert (spread.mean, spread.maximum, spread.infinite) == (None, INF, 40)


@given(arrays.arrays(np.float64, st.integers(100, 300), elements=st.floats(-1e6, 1e6)))
def test_percentiles_are_values_that_so_many_do_not_exceed(values):
    for name, value in spread_of(values).percentiles.items():
        assert value in values
        assert (values <= value).mean() >= float(name) / 100 - 1e-12
        assert (values < value).mean() <= float(name) / 100 + 1e-12


# Calibration


@pytest.mark.parametrize(
    ("confidence", "right", "error"),
    [
        pytest.param([1.0, 1.0], [True, True], 0.0, id="sure and right"),
        pytest.param([1.0, 1.0], [False, False], 1.0, id="sure and wrong"),
        pytest.param([0.75, 0.75, 0.75, 0.75], [True, True, True, False], 0.0, id="as sure as it is right"),
        pytest.param([0.9, 0.5], [True, False], 0.3, id="two bins: (0.1 + 0.5) / 2"),
        pytest.param([0.9, 0.9, 0.5, 0.5], [True, False, True, False], 0.2, id="(2·0.4 + 2·0) / 4"),
        pytest.param([1 / 15, 1 / 15 + 1e-9], [True, False], (14 / 15 + 1 / 15) / 2, id="bins are open to the left"),
        pytest.param([0.0], [False], 0.0, id="no confidence is in the first bin"),
        pytest.param([0.9, NAN], [True, False], NAN, id="a sample without confidence"),
        pytest.param([], [], NAN, id="no samples"),
    ],
)
def test_expected_calibration_error(confidence, right, error):
    measured = expected_calibration_error(np.array(confidence, float), np.array(right, bool))
    assert measured == pytest.approx(error, nan_ok=True, abs=1e-8)


# The worst samples


def test_the_worst_are_those_that_are_nothing_then_those_that_diverge_then_those_that_differ():
    reference = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5], [0.25, 0.75], [0.5, 0.5]])
    candidate = np.array([[0.5, 0.5], [NAN, 0.5], [0.5, 0.5], [1.0, 0.0], [1.0, 1.0]])
    worst = worst_samples(*known(reference, candidate, np.array([0, 0, 0, 1, 1]), probabilities=True), number=4)
    assert worst == (
        WorstSample(1, 0, 0, None, pytest.approx(NAN, nan_ok=True), INF),
        WorstSample(3, 1, 1, 0, INF, 0.75),
        WorstSample(0, 0, 0, 0, pytest.approx(math.log(2)), 0.5),
        WorstSample(4, 1, 0, 0, 0.0, 0.5),
    )


def test_without_classes_the_worst_differ_most():
    worst = worst_samples(*known(np.zeros((3, 2)), np.array([[0, 1.0], [INF, 0], [0, -2.0]]), classes=False))
    assert worst == (
        WorstSample(1, None, None, None, None, INF),
        WorstSample(2, None, None, None, None, 2.0),
        WorstSample(0, None, None, None, None, 1.0),
    )


def test_twenty_are_told():
    assert len(worst_samples(*known(np.zeros((50, 2)), np.zeros((50, 2))))) == 20


# The whole


def logits(n=400, classes=10, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    return (random.integers(-300, 300, (n, classes)) / 64 + 8 * np.eye(classes)[labels]).astype(np.float32), labels


def test_evidence_of_a_candidate_that_swaps_two_classes():
    reference, labels = logits()
    candidate = reference.copy()
    candidate[labels == 6] = np.roll(reference[labels == 6], 1, axis=1)
    judgement = judged(reference, candidate, labels)
    harmed = [i for i in np.flatnonzero(labels == 6) if reference[i].argmax() == 6]
    assert judgement.right_to_wrong == tuple(harmed)
    assert (judgement.setting, judgement.runtime, judgement.n) == ("tfjs-uint8", "python", 400)
    assert judgement.loss.metric == "top1"
    assert [loss.metric for loss in judgement.others] == ["top5"]
    assert judgement.loss.loss == pytest.approx(100 * (len(harmed) - len(judgement.wrong_to_right)) / 400)
    assert judgement.same == 400 - (labels == 6).sum()
    assert [class_loss.label for class_loss in judgement.classes] == list(range(10))
    assert [class_loss.label for class_loss in judgement.classes if class_loss.loses] == [6]
    assert judgement.divergence.n == 400
    assert (judgement.total_variation, judgement.jensen_shannon) == (None, None)  # logits: KL is always finite
    assert judgement.divergence.median == 0 < judgement.divergence.percentiles["95"]
    assert judgement.true_class.maximum > 0.5  # what falls is positive
    assert judgement.calibration_error > judgement.calibration_error_reference
    assert all(labels[sample.index] == 6 for sample in judgement.worst)
    assert judgement.non_finite == 0


def test_nothing_but_nan_breaks():
    reference, labels = logits()
    judgement = judged(reference, np.full_like(reference, NAN), labels)
    assert decide(judgement.loss, 0.5) == "breaks"
    assert judgement.non_finite == reference.size
    assert judgement.same == 0
    assert judgement.divergence == Spread(400, undefined=400)
    assert judgement.true_class == Spread(400, undefined=400)
    assert math.isnan(judgement.calibration_error)
    assert all(sample.candidate_class is None and sample.max_abs == INF for sample in judgement.worst)


def test_shifted_logits_do_not_diverge_and_flip_nothing():
    reference, labels = logits()
    judgement = judged(reference, reference + np.float32(512), labels)
    assert judgement.divergence.maximum < 1e-12
    assert (judgement.right_to_wrong, judgement.wrong_to_right, judgement.same) == ((), (), 400)
    assert judgement.loss.method == "exact without a flip"


def test_codes_of_zero_are_counted_and_do_not_flatter():
    """int8 outputs of a softmax: codes of 1/256, most classes at exactly 0."""
    reference, labels = logits()
    shares = np.exp(reference) / np.exp(reference).sum(axis=1, keepdims=True)
    judgement = judged(shares, np.round(shares * 256).clip(0, 255) / 256, labels, probabilities=True)
    assert judgement.divergence.infinite > 200
    assert (judgement.divergence.mean, judgement.divergence.maximum) == (None, INF)
    assert judgement.divergence.undefined == 0
    assert judgement.worst[0].divergence == INF
    assert 0 < judgement.total_variation.mean < judgement.total_variation.maximum < 10 / 2 / 2 / 256
    assert 0 < judgement.jensen_shannon.maximum < judgement.total_variation.maximum * math.log(2)
    assert (judgement.total_variation.n, judgement.total_variation.infinite) == (400, 0)


@pytest.mark.parametrize(
    ("n", "decision", "missing"),
    [pytest.param(200, "inconclusive", 398, id="200 samples"), pytest.param(10_000, "fits", None, id="10,000")],
)
def test_samples_without_a_flip_at_half_a_point(n, decision, missing):
    """Trap 8."""
    reference, labels = logits(n)
    judgement = judged(reference, reference + np.float32(0.25), labels)
    assert judgement.loss.discordant == 0
    assert decide(judgement.loss, 0.5) == decision
    assert missing is None or missing_samples(judgement.loss, 0.5) == missing


def test_evidence_without_labels_is_agreement_and_divergence():
    reference, _ = logits(120)
    judgement = judged(reference, -reference)
    assert judgement.loss is None
    assert (judgement.others, judgement.classes, judgement.right_to_wrong, judgement.true_class) == ((), (), (), None)
    assert (judgement.calibration_error, judgement.calibration_error_reference) == (None, None)
    assert judgement.same < 20
    assert judgement.divergence.mean > 1


def test_evidence_of_numbers_has_no_classes():
    truth = np.linspace(-1, 1, 50)[:, None]
    judgement = judged(truth + 0.1, truth + 0.2, truth, classes=False, task="regression")
    assert [loss.metric for loss in (judgement.loss, *judgement.others)] == ["mae", "rmse"]
    assert judgement.loss.loss == pytest.approx(0.1)
    assert (judgement.same, judgement.divergence, judgement.classes) == (None, None, ())


def test_evidence_of_a_similarity_without_classes():
    judgement = judged(np.zeros((3, 2)), np.ones((3, 2)), classes=False)
    assert judgement == Evidence("tfjs-uint8", "python", 3, None, worst=judgement.worst)
    assert [sample.max_abs for sample in judgement.worst] == [1, 1, 1]
