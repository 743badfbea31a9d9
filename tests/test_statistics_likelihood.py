"""Likelihoods of labels: what only confidence changes is equal, and equal outputs are seldom called better."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import binom, ttest_1samp, wilcoxon

from quantlab.statistics import LabelLikelihoods, p_of_likelier


def drawn(seed: int, n: int = 200, classes: int = 5, strength: float = 2.0):
    """Scores (n, classes) and labels, (n,), that they tell something about."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, n)
    return strength * np.eye(classes)[labels] + draw.normal(size=(n, classes)), labels


def softmax(scores):
    return np.exp(log_softmax(scores, axis=1))


def fitted(scores, labels, probabilities=False):
    return LabelLikelihoods.of(scores, labels, probabilities=probabilities)


def of(scores, labels, probabilities=False):
    return fitted(scores, labels, probabilities).logarithms


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-50, 50))
def test_confidence_alone_changes_nothing(seed, factor, offset):
    scores, labels = drawn(seed)
    np.testing.assert_allclose(of(factor * scores + offset, labels), of(scores, labels), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.1, 0.5]))
def test_no_other_temperature_and_noise_are_likelier(seed, noise):
    scores, labels = drawn(seed)
    random = np.random.default_rng(seed + 1).uniform(size=len(labels)) < noise
    labels = np.where(random, 0, labels)
    found = of(scores, labels)
    for sharpness in np.geomspace(0.02, 50, 40):
        softmaxes = softmax(sharpness * scores)[np.arange(len(labels)), labels]
        for share in np.linspace(0, 1, 21):
            assert np.log((1 - share) * softmaxes + share / 5).sum() <= found.sum() + 0.05
    assert np.exp(found).max() <= 1


def test_wrong_labels_of_which_the_outputs_are_sure_do_not_decide():
    """Every tenth label is random: what ranks right and is sure stays likelier than what ranks worse and is not."""
    scores, labels = drawn(0, n=400, strength=4.0)
    labels[::10] = np.random.default_rng(1).integers(0, 5, 40)
    worse = scores + 2 * np.random.default_rng(2).normal(size=scores.shape)
    assert of(10 * scores, labels).mean() > of(np.tanh(worse), labels).mean()
    assert p_of_likelier(fitted(np.tanh(worse), labels), fitted(10 * scores, labels)) < 1e-6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_probabilities_and_their_logits_are_alike(seed):
    scores, labels = drawn(seed)
    np.testing.assert_allclose(of(softmax(scores), labels, probabilities=True), of(scores, labels), atol=1e-6)


@pytest.mark.parametrize("shape", [(200, 1), (200,)], ids=str)
def test_one_column_is_two_classes(shape):
    scores, labels = drawn(0, classes=2)
    logits = scores[:, 1] - scores[:, 0]
    expected = of(scores, labels)
    np.testing.assert_allclose(of(logits.reshape(shape), labels), expected, atol=1e-6)
    sigmoids = (1 / (1 + np.exp(-logits))).reshape(shape)
    np.testing.assert_allclose(of(sigmoids, labels, probabilities=True), expected, atol=1e-6)


def test_what_tells_nothing_is_a_guess():
    scores, labels = drawn(0)
    labels[:3] = (5, -1, 1000)
    scores[3, 2], scores[4, 0] = np.nan, np.inf
    likelihoods = of(scores, labels)
    np.testing.assert_array_equal(likelihoods[:5], -np.log(5))
    np.testing.assert_array_equal(likelihoods[5:], of(scores[5:], labels[5:]))
    assert (of(np.full((4, 3), np.nan), np.zeros(4, np.int64)) == -np.log(3)).all()


def test_scores_that_are_against_the_labels_are_guesses():
    scores, labels = drawn(0)
    np.testing.assert_allclose(of(-scores, labels), -np.log(5))
    np.testing.assert_allclose(of(np.zeros_like(scores), labels), -np.log(5))


def test_labels_that_are_all_right_are_certain():
    labels = np.arange(30) % 3
    assert of(np.eye(3)[labels], labels) == pytest.approx(0, abs=1e-6)
    assert of(np.eye(3, dtype=np.float32)[labels], labels, probabilities=True) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_probability_that_rounds_to_zero_is_small_and_not_impossible(kind):
    outputs = np.array([[1, 0]] * 99 + [[0, 1]], kind)
    likelihoods = of(outputs, np.zeros(100, np.int64), probabilities=True)
    assert np.isfinite(likelihoods).all()
    assert likelihoods[99] < -3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_the_larger_of_two_p_values(seed):
    scores, labels = drawn(seed)
    other = scores + 0.3 * np.random.default_rng(seed + 1).normal(size=scores.shape)
    before, after = sorted((fitted(scores, labels), fitted(other, labels)), key=lambda one: -one.log_loss)
    student = ttest_1samp(after.logarithms - before.logarithms, 0, alternative="greater").pvalue
    joint = of(np.concatenate([before.scores, after.scores]), np.concatenate([labels, labels]))
    ranked = wilcoxon(joint[200:], joint[:200], alternative="greater", method="approx", correction=True).pvalue
    assert p_of_likelier(before, after) == pytest.approx(max(student, ranked), rel=1e-6)
    assert p_of_likelier(after, before) == 1


def test_no_change_and_too_few_samples_prove_nothing():
    scores, labels = drawn(0)
    assert p_of_likelier(fitted(scores, labels), fitted(scores, labels)) == 1
    assert p_of_likelier(fitted(-scores[:1], labels[:1]), fitted(scores[:1], labels[:1])) == 1


def test_a_small_gain_of_most_samples_that_costs_others_more_is_none():
    """Of 200 samples, 190 are a little likelier, and 10 are sure of a wrong class."""
    scores, labels = drawn(0, strength=4.0)
    other = scores + 0.2 * np.eye(5)[labels]
    other[:10] = -4 * np.eye(5)[labels[:10]]
    assert p_of_likelier(fitted(scores, labels), fitted(other, labels)) == 1
    joint = of(np.concatenate([scores, other]), np.concatenate([labels, labels]))
    assert (joint[200:] > joint[:200]).sum() > 150


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 1000))
def test_equally_good_outputs_are_rarely_called_better(seed):
    """Before and after are exchangeable: with the level α, at most α of the comparisons reject, but for the draw."""
    draw, level, repeats = np.random.default_rng(seed), 0.05, 120
    rejected = 0
    for _ in range(repeats):
        common, labels = drawn(int(draw.integers(2**31)), n=100)
        # Skewed noise, and another confidence on either side.
        one, other = (
            factor * (common + draw.exponential(size=common.shape)) for factor in draw.permutation([0.3, 4.0])
        )
        rejected += p_of_likelier(fitted(one, labels), fitted(other, labels)) <= level
    assert rejected <= binom.ppf(1 - 1e-6, repeats, level)
    assert rejected > 0
