"""Figures of single samples: consistent with the sums of the same outputs, also in special cases."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import softmax

from quantlab.npy import room
from quantlab.statistics import (
    CandidateSamples,
    ClassificationSums,
    ErrorRows,
    ReferenceSamples,
    RegressionSums,
    as_classes,
    kl_per_sample,
)
from tests.memory import anonymous_bytes

NAN, INF = math.nan, math.inf

elements = st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0, 12.5, NAN, INF, -INF])
batches = st.tuples(st.integers(0, 8), st.integers(1, 12)).flatmap(
    lambda shape: st.tuples(
        arrays.arrays(np.float32, shape, elements=elements),
        arrays.arrays(np.float32, shape, elements=elements),
        arrays.arrays(np.int64, shape[0], elements=st.integers(0, max(2, shape[1]) - 1)),
    )
)


def compared(reference, candidate, labels=None, *, probabilities=False, classes=True, task=None):
    task = task or ("similarity" if labels is None else "classification")
    known = ReferenceSamples.of(reference, labels, task=task, probabilities=probabilities, classes=classes)
    return known, CandidateSamples.of(known, candidate)


@given(batches, st.booleans())
def test_vectors_add_up_to_the_sums_of_the_same_outputs(batch, probabilities):
    reference, candidate, labels = batch
    known, samples = compared(reference, candidate, labels, probabilities=probabilities)
    p, q = (as_classes(outputs, probabilities=probabilities) for outputs in (reference, candidate))
    sums = ClassificationSums.of(p, q, labels)
    assert (known.n, known.class_count) == p.shape
    assert known.classes.right.sum() == sums.right_reference
    assert samples.classes.right.sum() == sums.right_candidate
    assert (known.classes.right & ~samples.classes.right).sum() == sums.became_wrong
    assert ((known.classes.top1 == samples.classes.top1) & (samples.classes.top1 >= 0)).sum() == sums.same
    assert (known.classes.in_top5 is None) == (p.shape[1] < 10)
    if known.classes.in_top5 is not None:
        assert (known.classes.in_top5.sum(), samples.classes.in_top5.sum()) == (
            sums.top5_reference,
            sums.top5_candidate,
        )
    np.testing.assert_allclose(
        samples.divergence, kl_per_sample(p, q, probabilities=probabilities), rtol=1e-9, atol=1e-13
    )
    assert samples.non_finite == np.count_nonzero(~np.isfinite(candidate))
    with np.errstate(invalid="ignore"):
        difference = np.abs(reference.astype(np.float64) - candidate).max(axis=1)
    np.testing.assert_array_equal(samples.max_abs, np.where(np.isnan(difference), INF, difference))


@given(batches)
def test_probabilities_are_those_of_a_softmax(batch):
    logits, _, labels = batch
    known, _ = compared(logits, logits, labels)
    rows = as_classes(logits, probabilities=False).astype(np.float64)
    rows[~np.isfinite(rows).all(axis=1)] = NAN
    expected = softmax(rows, axis=1)
    np.testing.assert_allclose(known.classes.confidence, expected.max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(known.classes.true_probability, expected[np.arange(len(labels)), labels], rtol=1e-12)


def test_rows_that_do_not_quite_sum_to_1_are_divided_by_their_sum():
    """int8 codes of 1/256 sum to 0.992–1.008."""
    rows = np.array([[127, 127, 0], [0, 0, 129]]) / 128
    known, _ = compared(rows, rows, np.array([1, 2]), probabilities=True)
    np.testing.assert_allclose(known.classes.true_probability, [0.5, 1.0])
    np.testing.assert_allclose(known.classes.confidence, [0.5, 1.0])


def test_blocks_change_nothing(monkeypatch):
    random = np.random.default_rng(0)
    reference, candidate = random.normal(size=(2, 50, 12)).astype(np.float32)
    labels = random.integers(0, 12, 50)
    _, whole = compared(reference, candidate, labels)
    monkeypatch.setattr("quantlab.statistics.scores.samples._BLOCK_BYTES", 8 * 12 * 7)
    _, parts = compared(reference, candidate, labels)
    np.testing.assert_allclose(parts.divergence, whole.divergence, rtol=1e-12)
    for name in ("top1", "right", "in_top5", "confidence", "true_probability"):
        np.testing.assert_array_equal(getattr(parts.classes, name), getattr(whole.classes, name))
    np.testing.assert_array_equal(parts.max_abs, whole.max_abs)


def test_mapped_files_are_read_as_they_are(tmp_path):
    outputs = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.save(tmp_path / "outputs.npy", outputs)
    mapped = np.load(tmp_path / "outputs.npy", mmap_mode="r")
    known, samples = compared(mapped, mapped)
    assert type(known.outputs) is type(samples.max_abs) is np.ndarray
    assert np.shares_memory(known.outputs, mapped)
    assert samples.divergence.tolist() == [0.0] * 20


def test_values_of_many_samples_are_no_memory_of_the_process():
    outputs = room((500_000, 4), np.float32)
    for start in range(0, len(outputs), 10_000):
        outputs[start : start + 10_000] = np.random.default_rng(start).normal(size=(10_000, 4))
    labels = np.zeros(len(outputs), np.int64)
    before = anonymous_bytes()
    _, samples = compared(outputs, outputs, labels)
    rows = ErrorRows.of(outputs, outputs)
    held = samples.max_abs.nbytes + samples.classes.confidence.nbytes + rows.sums.nbytes
    assert anonymous_bytes() - before < held / 2
    assert not samples.max_abs.any()


# Traps


LOGITS = (np.random.default_rng(0).integers(-800, 800, size=(40, 10)) / 64).astype(np.float32)


@pytest.mark.parametrize(
    ("shift", "limit"),
    [
        pytest.param(1024.0, 1e-12, id="exact in float32"),
        pytest.param(-0.25, 1e-12, id="exact, down"),
        pytest.param(0.1, 1e-8, id="rounded"),
        pytest.param(3.3, 1e-8, id="rounded more"),
    ],
)
def test_logits_shifted_by_a_constant_do_not_diverge(shift, limit):
    """Trap 2."""
    shifted = LOGITS + np.float32(shift)
    assert (np.array_equal(shifted.astype(np.float64), LOGITS.astype(np.float64) + shift)) == (limit == 1e-12)
    _, samples = compared(LOGITS, shifted)
    assert samples.divergence.max() < limit


def test_all_negative_logits_with_another_best_diverge_much():
    """Trap 3."""
    _, samples = compared(np.array([[-1.0, -9.0, -20.0]]), np.array([[-9.0, -1.0, -20.0]]))
    assert samples.divergence[0] > 7


def test_zeros_of_the_candidate_are_infinite_and_those_of_both_nothing():
    """int8 outputs: a class at exactly 0."""
    reference = np.array([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]])
    candidate = np.array([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]])
    _, samples = compared(reference, candidate, np.array([0, 2]), probabilities=True)
    assert samples.divergence.tolist() == [0.0, INF]
    assert samples.classes.true_probability.tolist() == [0.5, 0.0]


@pytest.mark.parametrize("candidate", [NAN, INF], ids=["NaN (trap 1)", "NaN against infinity (trap 4)"])
def test_what_is_not_finite_agrees_with_nothing(candidate):
    known, samples = compared(np.full((3, 10), NAN), np.full((3, 10), candidate), np.zeros(3, np.int64))
    assert known.classes.top1.tolist() == [-1, -1, -1]
    assert not known.classes.right.any()
    assert not known.classes.in_top5.any()
    assert np.isnan(samples.divergence).all()
    assert samples.max_abs.tolist() == [INF] * 3
    assert samples.non_finite == 30


def test_equal_infinities_still_count():
    _, samples = compared(np.array([[INF, 0.0]]), np.array([[INF, 0.0]]), classes=False)
    assert (samples.max_abs.tolist(), samples.non_finite) == ([INF], 1)


# Errors


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_errors_add_up_to_the_sums_of_a_regression(n, outputs, seed):
    reference, candidate, labels = np.random.default_rng(seed).normal(size=(3, n, outputs))
    known, samples = compared(reference, candidate, labels, classes=False, task="regression")
    sums = RegressionSums.of(reference, candidate, labels)
    for side, of_side in ((known.errors, sums.reference), (samples.errors, sums.candidate)):
        assert side.absolute.mean() == pytest.approx(of_side.mean_abs)
        assert math.sqrt(side.squared.mean()) == pytest.approx(of_side.rms)


def test_an_error_that_is_not_finite_is_infinite():
    outputs, labels = np.array([[1.0], [NAN], [INF]]), np.array([0.0, 0.0, INF])
    known, _ = compared(outputs, outputs, labels, classes=False, task="regression")
    assert known.errors.absolute.tolist() == [1.0, INF, INF]
    assert known.errors.squared.tolist() == [1.0, INF, INF]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(
            lambda: compared(np.zeros((2, 3)), np.zeros((3, 3))),
            "the reference has shape (2, 3) and the candidate (3, 3); both must have the same shape, "
            "because they are compared element by element",
            id="shapes differ",
        ),
        pytest.param(
            lambda: compared(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(3, np.int64)),
            "there are 3 labels for 2 samples; every sample needs one label",
            id="too many labels",
        ),
        pytest.param(
            lambda: compared(np.zeros((2, 3)), np.zeros((2, 3)), np.array([0, 3])),
            "the label 3 is out of range; with 3 classes labels go from 0 to 2",
            id="a label too high",
        ),
        pytest.param(
            lambda: compared(np.zeros((2, 1)), np.zeros((2, 1)), np.array([0, -1])),
            "the label -1 is out of range; with 2 classes labels go from 0 to 1",
            id="a negative label",
        ),
        pytest.param(
            lambda: compared(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(2)),
            "the labels have dtype float64 and shape (2,); classes need integer labels of shape (n,)",
            id="labels that are no classes",
        ),
        pytest.param(
            lambda: compared(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(2), classes=False, task="regression"),
            "the labels have shape (2,) and the outputs (2, 3); every output element needs one label",
            id="labels of another shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
