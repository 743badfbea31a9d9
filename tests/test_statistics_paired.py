"""Changed answers: McNemar's test, bounds, classes and their correction; compared with literature and statsmodels."""

import math
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from statsmodels.stats import contingency_tables, multitest

from quantlab.statistics import (
    ChangedAnswers,
    class_losses,
    holm,
    loss_bounds,
    mcnemar,
    mcnemar_of_loss,
    zero_discordance_bound,
)
from quantlab.types import ClassLoss

changed = st.tuples(st.integers(0, 300), st.integers(0, 300))


@pytest.mark.parametrize(
    ("forth", "back", "p"),
    [
        # Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91, "exact conditional test".
        pytest.param(1, 7, 0.0703, id="airway hyper-responsiveness, Bentur et al. 2009"),
        pytest.param(6, 16, 0.0525, id="complete response, Cavo et al. 2012"),
        pytest.param(0, 0, 1.0, id="no flip tells nothing"),
        pytest.param(3, 3, 1.0, id="as many either way"),
    ],
)
def test_mcnemar_equals_published_examples(forth, back, p):
    assert round(mcnemar(forth, back), 4) == p


def test_the_published_mid_p_of_airway_responsiveness() -> None:
    """Fagerland, Lydersen & Laake 2013, as above: 1 and 7 of 21 children changed; exact p = 0.070, mid-p = 0.039.

    The mid-p is the exact value less the probability of what was seen. Verdicts do not use it, because it promises
    nothing for few samples.
    """
    exact = mcnemar(7, 1)
    assert round(exact, 3) == 0.070
    assert round(exact - math.comb(8, 1) / 2**8, 3) == 0.039


@given(changed)
def test_mcnemar_equals_statsmodels(table):
    forth, back = table
    expected = contingency_tables.mcnemar([[500, forth], [back, 500]], exact=True).pvalue
    assert mcnemar(forth, back) == pytest.approx(1.0 if math.isnan(expected) else expected, rel=1e-9)


@given(changed)
def test_one_sided_mcnemar_is_the_sum_of_the_binomial_tail(table):
    forth, back = table
    total = forth + back
    tail = sum(math.comb(total, k) for k in range(forth, total + 1)) / 2**total
    assert mcnemar_of_loss(np.array([forth]), np.array([back]))[0] == pytest.approx(tail, rel=1e-9)


@pytest.mark.parametrize(("n", "percent"), [(100, 2.95), (200, 1.49), (1000, 0.30), (10_000, 0.03)])
def test_without_a_flip_so_much_is_still_allowed(n, percent):
    """The law of `Statistics to report`: nothing seen in n samples is not nothing."""
    assert round(100 * zero_discordance_bound(n, 0.95), 2) == percent
    assert loss_bounds(0, 0, n=n, confidence=0.95) == (
        -zero_discordance_bound(n, 0.95),
        zero_discordance_bound(n, 0.95),
    )


@given(st.integers(1, 10**6), st.floats(0.51, 0.999))
def test_a_share_of_the_bound_shows_no_flip_as_often_as_is_left_to_chance(n, confidence):
    bound = zero_discordance_bound(n, confidence)
    assert math.exp(n * math.log1p(-bound)) == pytest.approx(1 - confidence)


@settings(max_examples=15)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(61, 2000))
def test_one_more_harmful_flip_is_never_good_news(forth, back, n):
    before, after = (loss_bounds(harmful, back, n=n, confidence=0.95) for harmful in (forth, forth + 1))
    assert after[0] > before[0]
    assert after[1] > before[1]


@pytest.mark.parametrize("confidence", [0.5, 0.0, 1.0, 95, math.nan])
def test_a_confidence_of_a_bound_is_above_a_half(confidence):
    message = f"the one-sided confidence is {confidence}; it must be between 0.5 and 1, for example 0.95"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        loss_bounds(1, 2, n=10, confidence=confidence)


def test_a_bound_needs_a_sample():
    with pytest.raises(ValueError, match=r"^a bound needs at least one sample, and n is 0$"):
        zero_discordance_bound(0, 0.95)


@given(arrays.arrays(np.bool_, st.tuples(st.just(2), st.integers(0, 60))))
def test_changed_answers_are_the_samples_that_differ(right):
    reference, candidate = right
    answers = ChangedAnswers.of(reference, candidate)
    assert answers.became_wrong.tolist() == [i for i, (r, c) in enumerate(right.T) if r and not c]
    assert answers.became_right.tolist() == [i for i, (r, c) in enumerate(right.T) if c and not r]
    assert (answers.n, answers.discordant) == (len(reference), int((reference != candidate).sum()))
    assert answers.right_reference - answers.right_candidate == len(answers.became_wrong) - len(answers.became_right)
    assert answers.p_mcnemar == mcnemar(len(answers.became_wrong), len(answers.became_right))


# Classes


def test_holm_equals_a_published_example():
    """Wikipedia, "Holm–Bonferroni method": of 0.01, 0.04, 0.03 and 0.005 the first and last are rejected at 0.05."""
    corrected = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, 0.06, 0.02])
    assert (corrected < 0.05).tolist() == [True, False, False, True]


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)))
def test_holm_equals_statsmodels(p):
    # statsmodels collects garbage at each call, for half a second where TensorFlow is imported.
    with mock.patch("gc.collect"):
        expected = multitest.multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(p), expected, atol=1e-15)


def test_the_class_that_loses_is_named_while_the_total_does_not():
    """Class 6 loses what class 0 gains; classes 3 and 9 flip a little, class 4 has no samples."""
    labels = np.repeat([0, 3, 6, 9], [1000, 1000, 1000, 50])
    reference, candidate = np.ones(len(labels), bool), np.ones(len(labels), bool)
    reference[:20] = False
    candidate[2000:2020] = False
    candidate[[1000, 3000]] = False
    losses = class_losses(labels, reference, candidate, confidence=0.95)
    assert [(loss.label, loss.n, loss.right_to_wrong, loss.wrong_to_right, loss.loss) for loss in losses] == [
        (0, 1000, 0, 20, -2.0),
        (3, 1000, 1, 0, 0.1),
        (6, 1000, 20, 0, 2.0),
        (9, 50, 1, 0, 2.0),
    ]
    assert [loss.loses for loss in losses] == [False, False, True, False]
    six = losses[2]
    lower, upper = loss_bounds(20, 0, n=1000, confidence=0.95)
    assert six == ClassLoss(6, 1000, 20, 0, 2.0, 100 * lower, 100 * upper, 0.95, 0.5**20, 4 * 0.5**20)


def test_one_lucky_look_among_many_is_not_named():
    """One class of a hundred loses five samples of five that flip: p = 1/32, which by itself would be sure."""
    labels = np.repeat(np.arange(100), 50)
    reference, candidate = np.ones(5000, bool), np.ones(5000, bool)
    candidate[350:355] = False
    losses = class_losses(labels, reference, candidate, confidence=0.95)
    assert losses[7].p == 0.5**5 < 0.05
    assert losses[7].p_holm == 1
    assert not any(loss.loses for loss in losses)


def test_no_samples_have_no_classes():
    nothing = np.zeros(0, bool)
    assert class_losses(np.zeros(0, np.int64), nothing, nothing, confidence=0.95) == ()


def test_losing_classes_of_whole_outputs():
    """As `class_losses` of what is right, in blocks, with a binary classifier and a row of NaN among them."""
    from quantlab.statistics import losing_classes

    labels = np.arange(4000) % 2
    reference = np.where(labels, 0.9, 0.1).astype(np.float32)[:, None]
    candidate = reference.copy()
    candidate[np.flatnonzero(labels)[:30]] = 0.2
    candidate[0] = np.nan
    (loses,) = losing_classes(reference, candidate, labels, probabilities=True)
    assert (loses.label, loses.n, loses.right_to_wrong, loses.wrong_to_right) == (1, 2000, 30, 0)
    assert losing_classes(reference, reference, labels, probabilities=True) == ()
