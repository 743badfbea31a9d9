"""Metrics of several labels per sample: what NaN does, a single class, and what unseen samples may do."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quantlab.statistics import CandidateSamples, ReferenceSamples, Resampling, paired_loss, paired_metric

NAN = math.nan


def sides(labels, reference, candidate):
    known = ReferenceSamples.of(
        np.asarray(reference, np.float64), np.asarray(labels), task="metric", probabilities=False, classes=False
    )
    return known, CandidateSamples.of(known, np.asarray(candidate, np.float64))


def candidate_of(metric, labels, outputs):
    """The metric of some outputs."""
    loss = paired_loss(paired_metric(metric), *sides(labels, outputs, outputs), Resampling(resamples=2))
    assert paired_metric(metric).compare(*sides(labels, outputs, outputs)).of_reference() * 100 == loss.reference
    return loss.candidate


LABELS = [[1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("metric", "outputs", "value"),
    [
        pytest.param("micro-f1", [[1, -1], [-1, 1], [1, -1]], 100, id="all right"),
        pytest.param("micro-f1", [[NAN, -1], [-1, 1], [1, -1]], 100 * 4 / 5, id="NaN of a label is none"),
        pytest.param("micro-f1", [[1, NAN], [-1, 1], [1, -1]], 100 * 6 / 7, id="NaN of no label is one"),
        pytest.param("multilabel-macro-f1", [[1, NAN], [-1, 1], [1, -1]], 100 * (1 + 2 / 3) / 2, id="NaN in a class"),
        pytest.param("map", [[1, -1], [-1, 1], [1, -1]], 100, id="ranked right"),
        pytest.param(
            "map", [[NAN, -1], [-1, 1], [1, -1]], 100 * ((1 + 2 / 3) / 2 + 1) / 2, id="NaN of a label is last"
        ),
        pytest.param("map", [[1, NAN], [-1, 1], [1, -1]], 100 * (1 + 1 / 2) / 2, id="NaN of no label is first"),
    ],
)
def test_nan_is_answered_wrong_and_ranked_worst(metric, outputs, value):
    assert candidate_of(metric, LABELS, outputs) == pytest.approx(value)


@pytest.mark.parametrize("metric", ["micro-f1", "multilabel-macro-f1", "map"])
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 8]))
@example(7070, 8)  # two labels of NaN are last; ranked as one, both would have the precision of the very last
def test_no_number_that_becomes_nan_gains(metric, seed, decimals):
    random = np.random.default_rng(seed)
    labels = (random.uniform(size=(12, 3)) < 0.4).astype(int)
    labels[0] = 1
    outputs = random.normal(size=labels.shape).round(decimals)  # rounded ones tie
    spoiled = np.where(random.uniform(size=labels.shape) < 0.2, NAN, outputs)
    assert candidate_of(metric, labels, spoiled) <= candidate_of(metric, labels, outputs) + 1e-9


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(np.array([1, 0, 1, 1]), id="stored without an axis"),
        pytest.param(np.array([[1], [0], [1], [1]]), id="one column"),
        pytest.param(np.array([[1.0], [0], [1], [1]]), id="floats"),
    ],
)
def test_labels_of_one_class_are_its_column(labels):
    outputs = [[2.0], [1], [-1], [3]]  # by hand: two of three labels are answered, and one that is none
    assert candidate_of("micro-f1", labels, outputs) == pytest.approx(100 * 2 * 2 / (3 + 3))


@pytest.mark.parametrize("metric", ["micro-f1", "multilabel-macro-f1"])
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(0.05, 0.95), st.floats(0, 1))
def test_no_change_of_some_samples_is_larger_than_unseen_ones_may_do(metric, seed, classes, frequent, wrong):
    random = np.random.default_rng(seed)
    labels = random.uniform(size=(20, classes)) < frequent
    labels[0] = True
    outputs = np.where(labels ^ (random.uniform(size=labels.shape) < wrong), 1.0, -1.0)
    changed, number = outputs.copy(), int(random.integers(1, 6))
    # All answers of some samples turn wrong, or right, or are thrown anew.
    these = random.permutation(20)[:number]
    anew = random.uniform(size=(number, classes)) < 0.5
    changed[these] = np.where([~labels[these], labels[these], anew][seed % 3], 1.0, -1.0)
    compared = paired_metric(metric).compare(*sides(labels.astype(int), outputs, outputs))
    difference = abs(candidate_of(metric, labels.astype(int), changed) / 100 - compared.of_reference())
    assert difference <= compared.unseen(number / 20) + 1e-12


def test_unseen_samples_may_answer_all_of_many_classes_wrong():
    """By hand: F1 is 1, samples have 1 of 40 classes, and a share of 1 % moves F1 by 0.01·40 / (2 − 0.4)."""
    labels = np.eye(40, dtype=int)[np.arange(80) % 40]
    outputs = 2.0 * labels - 1
    compared = paired_metric("micro-f1").compare(*sides(labels, outputs, outputs))
    assert compared.unseen(0.01) == pytest.approx(0.4 / 1.6)
    assert compared.unseen(0.9) == 1
