"""Intervals: published worked examples, an independent search with the score test, and mathematical laws."""

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats

from quantlab.statistics import tango, wilson
from quantlab.types import Interval

# A paired table as (both right, right to wrong, wrong to right, both wrong), and where it is from.
AIRWAYS = (1, 1, 7, 12)  # Bentur et al. 2009, in Fagerland, Lydersen & Laake 2014, Statistics in Medicine 33:2850–2875
CONSOLIDATION = (59, 6, 16, 80)  # Cavo et al. 2012, in Fagerland, Lydersen & Laake 2017, chapter 8


@pytest.mark.parametrize(
    ("table", "lower", "upper", "digits"),
    [
        pytest.param(AIRWAYS, -0.517, -0.026, 3, id="Fagerland 2014, table V"),
        pytest.param(CONSOLIDATION, -0.1240, -0.0054, 4, id="Fagerland 2017, chapter 8"),
    ],
)
def test_tango_equals_published_examples(table, lower, upper, digits):
    interval = tango(table[1], table[2], n=sum(table))
    assert (round(interval.lower, digits), round(interval.upper, digits)) == (lower, upper)


def test_tango_equals_r():
    """PropCIs::scoreci.mp(25, 28, 618, conf.level = 0.9), which is of (28 − 25) / 618."""
    interval = tango(28, 25, n=618, confidence=0.9)
    assert (round(interval.lower, 4), round(interval.upper, 4), interval.confidence) == (-0.0148, 0.0247, 0.9)


@pytest.mark.parametrize(
    ("successes", "n", "lower", "upper"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857–872, table I, method 3.
        pytest.param(81, 263, 0.2553, 0.3662, id="81 of 263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="15 of 148"),
        pytest.param(0, 20, 0.0, 0.1611, id="0 of 20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="1 of 29"),
    ],
)
def test_wilson_equals_published_examples(successes, n, lower, upper):
    interval = wilson(successes, n)
    assert (round(interval.lower, 4), round(interval.upper, 4)) == (lower, upper)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_is_that_of_scipy_to_the_last_bit(counts, confidence):
    successes, n = counts
    interval = wilson(successes, n, confidence=confidence)
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (interval.lower, interval.upper) == (expected.low, expected.high)


def test_wilson_at_the_ends_stays_within_zero_and_one():
    assert wilson(0, 10).lower == 0
    assert wilson(10, 10).upper == 1
    assert wilson(0, 10).upper == pytest.approx(1 - wilson(10, 10).lower)
    assert wilson(5, 10, confidence=0.9).confidence == 0.9
    assert wilson(5, 10, confidence=0.9).upper < wilson(5, 10).upper


def rejects(difference, b, c, n, z):
    """Whether the score test rejects a difference: its statistic from the multinomial likelihood, maximized by search.

    Nothing of the paper's formulas is used: of the model with probabilities p + difference and p of the two flips,
    the likeliest p is searched for, and the statistic is the estimate's distance in standard errors under it.
    """
    low, high = max(0.0, -difference), (1 - difference) / 2

    def unlikely(p):
        likelihood = [(b, p + difference), (c, p), (n - b - c, 1 - 2 * p - difference)]
        if any(share <= 0 < count for count, share in likelihood):
            return math.inf
        return -sum(count * math.log(share) for count, share in likelihood if count)

    p = optimize.minimize_scalar(unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    variance = (2 * p + difference - difference**2) / n
    return abs((b - c) / n - difference) > z * math.sqrt(variance)


@pytest.mark.parametrize(
    ("b", "c", "n"),
    [(7, 1, 21), (6, 16, 161), (12, 2, 50), (0, 1, 44), (5, 0, 41), (1, 1, 10), (0, 0, 200), (26, 24, 9744)],
)
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_tango_ends_where_an_independent_score_test_begins_to_reject(b, c, n, confidence):
    interval, z = tango(b, c, n=n, confidence=confidence), stats.norm.isf((1 - confidence) / 2)
    step = 1e-4 * (interval.upper - interval.lower)
    for end, outwards in ((interval.lower, -step), (interval.upper, step)):
        assert rejects(end + outwards, b, c, n, z)
        assert not rejects(end - outwards, b, c, n, z)
    inside = np.linspace(interval.lower + step, interval.upper - step, 25)
    assert not any(rejects(difference, b, c, n, z) for difference in inside)
    below, above = np.linspace(-0.999, interval.lower - step, 10), np.linspace(interval.upper + step, 0.999, 10)
    assert all(rejects(difference, b, c, n, z) for difference in [*below, *above])


def test_at_a_difference_of_zero_tango_decides_as_mcnemar():
    """(b − c)² / (b + c) against χ²: the interval touches zero at the p of McNemar's test without correction."""
    b, c = 30, 15
    p = stats.chi2.sf((b - c) ** 2 / (b + c), 1)
    assert tango(b, c, n=1000, confidence=1 - p).lower == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("n", "upper_percent"),
    [pytest.param(100, 2.634, id="100"), pytest.param(200, 1.335, id="200"), pytest.param(10_000, 0.0270, id="10,000")],
)
def test_without_a_flip_tango_is_not_empty(n, upper_percent):
    """z² / (n + z²), a little under the exact one-sided bound at 95 %, 1 − 0.05^(1/n)."""
    interval = tango(0, 0, n=n, confidence=0.9)
    assert interval == Interval(-interval.upper, interval.upper, 0.9)
    assert round(100 * interval.upper, len(str(upper_percent)) - 2) == upper_percent
    assert interval.upper < 1 - 0.05 ** (1 / n) < 1.15 * interval.upper


@pytest.mark.parametrize("n", [1, 2, 10, 1000])
def test_where_all_flip_one_way_tango_ends_at_the_end(n):
    square = stats.norm.isf(0.025) ** 2
    worst = tango(n, 0, n=n)
    assert (worst.lower, worst.upper) == (pytest.approx((n - square) / (n + square)), 1.0)
    assert tango(0, n, n=n) == Interval(-worst.upper, -worst.lower)


tables = st.tuples(*(st.integers(0, 400),) * 4).filter(any)
confidences = st.floats(0.5, 0.999)


@given(tables, confidences)
def test_intervals_contain_the_estimate_and_stay_in_range(table, confidence):
    _, b, c, _ = table
    interval = tango(b, c, n=sum(table), confidence=confidence)
    assert -1 - 1e-12 <= interval.lower <= (b - c) / sum(table) <= interval.upper <= 1 + 1e-12
    assert interval.lower < interval.upper
    assert interval.confidence == confidence


@given(tables, confidences)
def test_swapping_reference_and_candidate_mirrors_the_interval(table, confidence):
    _, b, c, _ = table
    one, other = tango(b, c, n=sum(table), confidence=confidence), tango(c, b, n=sum(table), confidence=confidence)
    assert (one.lower, one.upper) == (-other.upper, -other.lower)


@given(tables, confidences)
def test_one_more_harmful_flip_is_never_good_news(table, confidence):
    a, b, c, _ = table
    assume(a > 0)
    before, after = (tango(k, c, n=sum(table), confidence=confidence) for k in (b, b + 1))
    assert after.lower >= before.lower
    assert after.upper >= before.upper
    assert after != before


@given(tables, st.floats(0.5, 0.99))
def test_more_confidence_is_a_wider_interval(table, confidence):
    _, b, c, _ = table
    narrow, wide = (tango(b, c, n=sum(table), confidence=level) for level in (confidence, confidence + 0.009))
    assert wide.lower <= narrow.lower < narrow.upper <= wide.upper
    assert wide != narrow


@given(tables)
def test_ten_times_the_samples_narrow_the_interval(table):
    _, b, c, _ = table
    few, many = tango(b, c, n=sum(table)), tango(10 * b, 10 * c, n=10 * sum(table))
    assert few.lower <= many.lower < many.upper <= few.upper


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: wilson(0, 0), "an interval needs at least one sample, and n is 0", id="no samples"),
        pytest.param(
            lambda: wilson(3, 2), "counts must not be negative or exceed n = 2 together: successes = 3", id="too many"
        ),
        pytest.param(
            lambda: tango(2, 2, n=3),
            "counts must not be negative or exceed n = 3 together: became_wrong = 2, became_right = 2",
            id="more flips than samples",
        ),
        pytest.param(
            lambda: tango(1, 1, n=9, confidence=95),
            "the confidence is 95; it must be between 0 and 1, for example 0.95",
            id="percent for a share",
        ),
        pytest.param(
            lambda: wilson(1, 2, confidence=math.nan),
            "the confidence is nan; it must be between 0 and 1, for example 0.95",
            id="NaN",
        ),
    ],
)
def test_impossible_questions_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
