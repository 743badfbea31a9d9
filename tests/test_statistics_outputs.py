"""The scores of a trial: every field, for every task."""

import dataclasses
import itertools
import math
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.statistics import ScoreSums, reference_scores, sum_outputs, tango, wilson
from quantlab.types import Interval, Scores

NAN, INF = math.nan, math.inf
CLASSIFICATION = {"task": "classification", "probabilities": True, "classes": True}
LOGITS = {"task": "classification", "probabilities": False, "classes": True}
REGRESSION = {"task": "regression", "probabilities": False, "classes": False}
ALIKE = {"task": "similarity", "probabilities": False, "classes": False}
UNLABELLED_CLASSES = {"task": "similarity", "probabilities": True, "classes": True}

PERFECT = {"max_abs_error": 0.0, "rms_error": 0.0, "sqnr_db": INF, "cosine": pytest.approx(1), "non_finite": 0}
NO_DIVERGENCE = {
    "kl_mean": 0.0,
    "kl_standard_error": 0.0,
    "kl_infinite": 0,
    "kl_undefined": 0,
    "total_variation": 0.0,
    "jensen_shannon": 0.0,
}


def score(reference, candidate, labels, **how):
    return sum_outputs(reference, candidate, labels, **how).scores()


def given_scores(scores):
    """The fields that apply."""
    named = {attribute.name: getattr(scores, attribute.name) for attribute in dataclasses.fields(scores)}
    return {name: value for name, value in named.items() if value is not None}


def percent(interval):
    return Interval(100 * interval.lower, 100 * interval.upper)


def test_classification():
    """Four samples of three classes: right twice, one flip either way."""
    reference = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]])
    candidate = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])
    kl = 0.25 * math.log(2)
    assert given_scores(score(reference, candidate, np.array([0, 0, 1, 2]), **CLASSIFICATION)) == {
        "n": 4,
        "top1": 75.0,
        "top1_interval": percent(wilson(3, 4)),
        "top1_loss_points": 0.0,
        "top1_loss_interval": percent(tango(1, 1, n=4)),
        "agreement": 50.0,
        "agreement_interval": percent(wilson(2, 4)),
        "right_to_wrong": 1,
        "wrong_to_right": 1,
        "max_abs_error": 0.25,
        "rms_error": pytest.approx(math.sqrt(4 * 0.25**2 / 12)),
        "sqnr_db": pytest.approx(10 * math.log10(1.5 / 0.25)),
        "cosine": pytest.approx((2 * 0.375 + 2 * 0.3125) / 1.5),
        "kl_mean": pytest.approx(kl / 2),
        "kl_standard_error": pytest.approx(kl / 2 / math.sqrt(3)),
        "kl_infinite": 0,
        "kl_undefined": 0,
        "total_variation": 0.125,  # 0.25 in two of four rows
        "jensen_shannon": pytest.approx((0.5 * math.log(4 / 3) + 0.25 * math.log(2 / 3)) / 2),
        "non_finite": 0,
    }


@pytest.mark.parametrize(
    ("candidate", "loss", "changed"),
    [
        pytest.param([0, 0, 0, 0], 0.0, (0, 0), id="nothing flips"),
        pytest.param([0, 0, 1, 1], 50.0, (2, 0), id="a loss is positive"),
        pytest.param([0, 1, 1, 1], 75.0, (3, 0), id="a greater loss is greater"),
    ],
)
def test_losses_are_in_points_and_positive_means_worse(candidate, loss, changed):
    outputs = np.eye(2)
    labels, all_right = np.zeros(4, int), outputs[[0, 0, 0, 0]]
    worse = score(all_right, outputs[candidate], labels, **CLASSIFICATION)
    assert (worse.top1_loss_points, worse.right_to_wrong, worse.wrong_to_right) == (loss, *changed)
    assert worse.top1_loss_interval == percent(tango(*changed, n=4))
    better = score(outputs[candidate], all_right, labels, **CLASSIFICATION)
    assert (better.top1_loss_points, better.right_to_wrong, better.wrong_to_right) == (-loss, *changed[::-1])
    assert better.top1 == 100


def test_top5_from_ten_classes_on():
    reference = np.tile(np.arange(10.0), (4, 1))
    candidate = reference.copy()
    candidate[0] = candidate[0][::-1]
    scores = score(reference, candidate, np.array([9, 9, 5, 0]), **LOGITS)
    assert (scores.top5, scores.top5_loss_points) == (50.0, 25.0)
    assert (scores.top1, scores.top1_loss_points) == (25.0, 25.0)
    assert reference_scores(reference, np.array([9, 9, 5, 0]), **LOGITS).top5 == 75.0
    nine = score(reference[:, :9], candidate[:, :9], np.array([8, 8, 5, 0]), **LOGITS)
    assert (nine.top5, nine.top5_loss_points) == (None, None)


def test_classifier_without_labels():
    outputs = np.array([[0.25, 0.75], [0.5, 0.5]])
    assert given_scores(score(outputs, outputs, None, **UNLABELLED_CLASSES)) == {
        "n": 2,
        "agreement": 100.0,
        "agreement_interval": percent(wilson(2, 2)),
        **PERFECT,
        **NO_DIVERGENCE,
    }


@pytest.mark.parametrize("shape", [(4, 3), (4, 5, 5, 3), (4,)], ids=["embeddings", "images", "numbers"])
def test_what_has_no_classes_has_neither_agreement_nor_divergence(shape):
    outputs = np.ones(shape)
    assert given_scores(score(outputs, outputs, None, **ALIKE)) == {"n": 4, **PERFECT}


T_OF_ONE = 12.706204736174707
"""97.5 % quantile of Student's t with one degree of freedom."""


def test_regression():
    reference, candidate, labels = np.array([[1.0], [3.0]]), np.array([[2.0], [5.0]]), np.array([1.0, 4.0])
    assert given_scores(score(reference, candidate, labels, **REGRESSION)) == {
        "n": 2,
        "mae": 1.0,
        "rmse": 1.0,
        "mae_loss": 0.5,
        "mae_loss_interval": Interval(pytest.approx(0.5 - T_OF_ONE / 2), pytest.approx(0.5 + T_OF_ONE / 2)),
        "rmse_loss": pytest.approx(1 - math.sqrt(0.5)),
        "max_abs_error": 2.0,
        "rms_error": math.sqrt(2.5),
        "sqnr_db": pytest.approx(10 * math.log10(10 / 5)),
        "cosine": pytest.approx(17 / math.sqrt(10 * 29)),
        "non_finite": 0,
    }
    assert given_scores(reference_scores(reference, labels, **REGRESSION)) == {
        "n": 2,
        "mae": 0.5,
        "mae_interval": Interval(pytest.approx(0.5 - T_OF_ONE / 2), pytest.approx(0.5 + T_OF_ONE / 2)),
        "rmse": math.sqrt(0.5),
        "non_finite": 0,
    }


@pytest.mark.parametrize(
    ("reference", "candidate", "loss"),
    [
        pytest.param([-3.0], [-4.0], 1.0, id="an error that grows is a loss (trap 9)"),
        pytest.param([-4.0], [-3.0], -1.0, id="one that shrinks is a gain"),
        pytest.param([-3.0], [-3.0], 0.0, id="the same"),
        pytest.param([-2.0], [-1.0], 1.0, id="from no error at all"),
        pytest.param([-3.0], [NAN], INF, id="NaN is an infinite loss"),
        pytest.param([NAN], [-3.0], NAN, id="beside a reference of NaN nothing is a gain"),
        pytest.param([NAN], [NAN], NAN, id="NaN beside NaN is no draw"),
    ],
)
def test_losses_of_errors(reference, candidate, loss):
    scores = score(np.array([reference]), np.array([candidate]), np.array([[-2.0]]), **REGRESSION)
    assert [scores.mae_loss, scores.rmse_loss] == pytest.approx([loss, loss], nan_ok=True)


def test_binary_classifier_of_one_unit():
    reference, labels = np.array([[0.9], [0.2], [0.6], [0.5]]), np.array([1, 0, 1, 0])
    candidate = np.array([[0.9], [0.2], [0.4], [0.5]])
    scores = score(reference, candidate, labels, **CLASSIFICATION)
    assert (scores.top1, scores.right_to_wrong, scores.agreement) == (75.0, 1, 75.0)
    assert scores.kl_mean == pytest.approx((0.6 * math.log(0.6 / 0.4) + 0.4 * math.log(0.4 / 0.6)) / 4)
    assert scores.max_abs_error == pytest.approx(0.2)
    logits = np.log(reference / (1 - reference)), np.log(candidate / (1 - candidate))
    as_logits = score(*logits, labels, **LOGITS)
    assert (as_logits.top1, as_logits.right_to_wrong) == (75.0, 1)
    assert as_logits.kl_mean == pytest.approx(scores.kl_mean)


def example(n=300, classes=10):
    random = np.random.default_rng(5)
    logits = random.normal(scale=3, size=(n, classes)).astype(np.float32)
    logits[:, 0] -= 30  # So that all rows can be shifted exactly, and some probabilities are tiny.
    return np.round(logits * 64) / np.float32(64), random.integers(0, classes, n)


@pytest.mark.parametrize("value", [NAN, INF, -INF], ids=str)
@pytest.mark.parametrize("how", [CLASSIFICATION, LOGITS], ids=["probabilities", "logits"])
def test_a_candidate_of_nothing_but_nan_or_infinity_scores_badly_in_everything(how, value):
    """Trap 1. Of infinities class 0 is the best, as of any equals; it is the true one nowhere."""
    logits, labels = example()
    labels = np.maximum(labels, 1)
    reference = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) if how["probabilities"] else logits
    scores = score(reference, np.full_like(reference, value), labels, **how)
    assert (scores.top1, scores.top5, scores.agreement) == (0, 0, 0)
    assert scores.top1_loss_points == reference_scores(reference, labels, **how).top1
    assert (scores.max_abs_error, scores.rms_error, scores.sqnr_db, scores.non_finite) == (INF, INF, -INF, 3000)
    assert math.isnan(scores.cosine)
    assert (scores.kl_mean, scores.kl_standard_error, scores.kl_infinite, scores.kl_undefined) == (None, None, 0, 300)


def test_one_nan_in_one_sample_is_not_averaged_away():
    logits, labels = example()
    candidate = logits.copy()
    candidate[17, 3] = NAN
    scores = score(logits, candidate, labels, **LOGITS)
    assert (scores.agreement, scores.kl_mean, scores.kl_undefined) == (pytest.approx(100 * 299 / 300), None, 1)
    assert (scores.rms_error, scores.sqnr_db, scores.non_finite) == (INF, -INF, 1)


def test_nan_against_infinity_fails():
    """Trap 4."""
    logits, labels = example()
    reference, candidate = logits.copy(), logits.copy()
    reference[:, 3], candidate[:, 3] = NAN, INF
    scores = score(reference, candidate, labels, **LOGITS)
    assert (scores.agreement, scores.max_abs_error, scores.sqnr_db, scores.kl_undefined) == (0, INF, -INF, 300)
    assert reference_scores(reference, labels, **LOGITS).top1 == 0
    assert reference_scores(reference, labels, **LOGITS).non_finite == 300


def test_logits_plus_a_constant_change_no_decision():
    """Trap 2."""
    logits, labels = example()
    scores = score(logits, logits + np.float32(256), labels, **LOGITS)
    assert (scores.agreement, scores.right_to_wrong, scores.wrong_to_right) == (100, 0, 0)
    assert scores.kl_mean < 1e-12
    assert scores.max_abs_error == 256


def test_all_negative_logits_with_flipped_argmax_are_far_apart():
    """Trap 3."""
    logits = -1 - abs(example()[0])
    scores = score(logits, -200 - logits, logits.argmax(axis=1), **LOGITS)
    assert (scores.agreement, scores.top1, scores.top1_loss_points) == (0, 0, 100)
    assert scores.kl_mean > 10


def test_int8_outputs_with_zeros_have_no_mean_divergence():
    logits, labels = example()
    reference = np.exp(logits.astype(float))
    reference /= reference.sum(axis=1, keepdims=True)
    codes = np.round(reference * 256) / 256
    scores = score(reference.astype(np.float32), codes.astype(np.float32), labels, **CLASSIFICATION)
    assert (scores.kl_mean, scores.kl_standard_error, scores.kl_undefined) == (None, None, 0)
    assert scores.kl_infinite == np.count_nonzero((codes == 0).any(axis=1)) == 300
    # Half of a code of 1/256 for each of the ten classes at most.
    assert 0 < scores.total_variation < 10 / 2 / 2 / 256
    assert 0 < scores.jensen_shannon < scores.total_variation * math.log(2)
    assert scores.agreement > 95


def test_no_samples_have_no_scores():
    empty = np.zeros((0, 3))
    assert score(empty, empty, np.zeros(0, int), **CLASSIFICATION) == Scores(n=0)
    assert reference_scores(empty, None, **ALIKE) == Scores(n=0)


def test_reference_has_no_columns_that_compare_it_with_itself():
    logits, labels = example()
    scores = given_scores(reference_scores(logits, labels, **LOGITS))
    assert set(scores) == {"n", "top1", "top1_interval", "top5", "non_finite"}
    right = np.count_nonzero(logits.argmax(axis=1) == labels)
    assert (scores["top1"], scores["top1_interval"]) == (100 * right / 300, percent(wilson(right, 300)))
    assert given_scores(reference_scores(logits, None, **UNLABELLED_CLASSES)) == {"n": 300, "non_finite": 0}


def test_any_trial_knows_the_reference():
    logits, labels = example()
    sums = sum_outputs(logits, np.flip(logits, axis=1), labels, **LOGITS)
    assert sums.reference_scores() == reference_scores(logits, labels, **LOGITS)
    spoiled = sum_outputs(logits, np.full_like(logits, NAN), labels, **LOGITS)
    assert spoiled.reference_scores() == reference_scores(logits, labels, **LOGITS)
    assert sums.scores() != sum_outputs(logits, logits, labels, **LOGITS).scores()


@given(cuts=st.lists(st.integers(0, 300), max_size=8))
def test_batches_score_as_the_whole(cuts):
    logits, labels = example()
    candidate = np.roll(logits, 1, axis=0)
    edges = [0, *sorted(cuts), 300]
    slices = [slice(*edge) for edge in itertools.pairwise(edges)]
    parts = (ScoreSums.of(logits[part], candidate[part], labels[part], **LOGITS) for part in slices)
    added, whole = (
        given_scores(scores)
        for scores in (sum(parts, ScoreSums()).scores(), score(logits, candidate, labels, **LOGITS))
    )
    assert added.keys() == whole.keys()
    for name, value in whole.items():
        assert added[name] == (value if isinstance(value, Interval | int) else pytest.approx(value, rel=1e-12)), name


def test_mapped_outputs_are_read_in_blocks(tmp_path):
    """Taken at once, these outputs need some 500 MB as float64; blocks of 16 MiB need less, however many there are."""
    n, classes = 8_000, 1000
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, n)
    for name in ("reference", "candidate"):
        mapped = np.lib.format.open_memmap(tmp_path / name, "w+", np.float32, (n, classes))
        for rows in np.array_split(np.arange(n), 10):
            mapped[rows] = random.normal(size=(len(rows), classes))
        mapped[:, 0] = labels  # So that the largest of a row is where the label is large, in both alike.
        del mapped
    reference, candidate = (np.load(tmp_path / name, mmap_mode="r") for name in ("reference", "candidate"))
    tracemalloc.start()
    scores = score(reference, candidate, labels, **LOGITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 160 * 2**20
    same = np.argmax(reference, axis=1) == np.argmax(candidate, axis=1)
    assert (scores.n, scores.agreement) == (n, pytest.approx(100 * same.mean()))
    assert scores.max_abs_error == np.abs(reference[...] - candidate[...].astype(float)).max()


OUTPUTS, LABELS = np.full((2, 2), 0.5), np.zeros(2, int)


@pytest.mark.parametrize(
    ("reference", "candidate", "labels", "how", "message"),
    [
        pytest.param(
            OUTPUTS,
            np.zeros((3, 2)),
            LABELS,
            CLASSIFICATION,
            "the reference has shape (2, 2) and the candidate (3, 2); both must have the same shape, "
            "because they are compared element by element",
            id="a longer candidate",
        ),
        pytest.param(
            OUTPUTS,
            OUTPUTS,
            np.zeros(3, int),
            CLASSIFICATION,
            "there are 3 labels for 2 samples; every sample needs one label",
            id="more labels than samples",
        ),
        pytest.param(
            OUTPUTS,
            OUTPUTS,
            None,
            CLASSIFICATION,
            "the task 'classification' needs labels; without labels the task is 'similarity'",
            id="classification without labels",
        ),
        pytest.param(
            OUTPUTS,
            OUTPUTS,
            None,
            REGRESSION,
            "the task 'regression' needs labels; without labels the task is 'similarity'",
            id="regression without labels",
        ),
        pytest.param(
            OUTPUTS,
            OUTPUTS,
            LABELS,
            ALIKE,
            "the task 'similarity' takes no labels; choose another task, or leave the labels out",
            id="similarity with labels",
        ),
        pytest.param(
            OUTPUTS,
            OUTPUTS,
            LABELS,
            {**CLASSIFICATION, "classes": False},
            "classes = False contradicts the task 'classification'; only classification has classes",
            id="classification without classes",
        ),
        pytest.param(
            OUTPUTS,
            OUTPUTS,
            OUTPUTS,
            {**REGRESSION, "classes": True},
            "classes = True contradicts the task 'regression'; only classification has classes",
            id="regression with classes",
        ),
    ],
)
def test_contradictions_are_refused(reference, candidate, labels, how, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        score(reference, candidate, labels, **how)
