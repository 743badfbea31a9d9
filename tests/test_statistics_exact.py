"""Exact bounds: of a share against published figures, of a paired difference against its definition, enumerated."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from quantlab.statistics import clopper_pearson, loss_bounds, tango
from quantlab.statistics.paired.exact import exact_upper, rejection

# A share


@pytest.mark.parametrize(
    ("successes", "n", "lower", "upper"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_clopper_pearson_equals_published_examples(successes, n, lower, upper):
    """Newcombe 1998, Statistics in Medicine 17:857–872, table I, method 5."""
    interval = clopper_pearson(successes, n)
    assert (round(interval.lower, 4), round(interval.upper, 4)) == (lower, upper)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_clopper_pearson_is_that_of_scipy(counts, confidence):
    interval = clopper_pearson(*counts, confidence=confidence)
    expected = stats.binomtest(*counts).proportion_ci(confidence, method="exact")
    assert (interval.lower, interval.upper) == pytest.approx((expected.low, expected.high), abs=1e-9)


# A paired difference


def largest_probability(b, c, n, difference, shares):
    """The definition of the p-value: all tables are visited, and each share of changed samples."""
    tables = [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]
    order = tango(b, c, n=n, confidence=0.9).upper
    chosen = [(i, j, n - i - j) for i, j in tables if tango(i, j, n=n, confidence=0.9).upper <= order + 1e-9]
    return max(
        stats.multinomial.pmf(chosen, n, [(share + difference) / 2, (share - difference) / 2, 1 - share]).sum()
        for share in shares
    )


@pytest.mark.parametrize(
    ("b", "c", "n", "difference"),
    [(1, 0, 10, 0.3), (2, 3, 12, 0.2), (0, 2, 20, 0.05), (4, 1, 25, 0.28), (1, 4, 15, -0.02)],
)
def test_the_p_value_is_the_largest_probability_of_tables_with_as_small_a_bound(b, c, n, difference):
    known = clopper_pearson(b + c, n, confidence=1 - 5e-5)
    shares = np.linspace(max(known.lower, abs(difference)), known.upper, 150)
    expected = largest_probability(b, c, n, difference, shares)
    assert rejection(b, c, n, difference, 0.05) == pytest.approx(expected + 5e-5, rel=2e-3)


def error_of_upper_bounds(n, differences, confidence):
    """The largest probability that the bound is below a true difference, over shares of changed samples."""
    b, c = (np.array(counts) for counts in zip(*[(i, j) for i in range(n + 1) for j in range(n + 1 - i)], strict=True))
    bounds = np.array([exact_upper(int(i), int(j), n, confidence) for i, j in zip(b, c, strict=True)])
    worst = 0.0
    for difference in differences:
        missed = bounds < difference
        for share in np.linspace(abs(difference), 1, 25):
            probabilities = [(share + difference) / 2, max(0.0, (share - difference) / 2), max(0.0, 1 - share)]
            tables = np.stack([b, c, n - b - c], axis=1)[missed]
            worst = max(worst, float(stats.multinomial.pmf(tables, n, probabilities).sum()) if len(tables) else 0.0)
    return worst


@pytest.mark.parametrize(("n", "confidence"), [(10, 0.95), (11, 0.95), (12, 0.9), (14, 0.99), (25, 0.95)])
def test_no_bound_of_few_samples_misses_more_often_than_it_says(n, confidence):
    """All tables, differences from −0.9 to 0.9, and shares of changed samples; Tango's misses 8.8 % at n = 10."""
    error = error_of_upper_bounds(n, np.linspace(-0.9, 0.9, 37), confidence)
    assert 0.8 * (1 - confidence) < error <= 1.0005 * (1 - confidence)


@pytest.mark.parametrize(
    ("b", "c", "n", "ratio"),
    [(50, 40, 10_000, 1.001), (500, 450, 10_000, 1.001), (20, 15, 1000, 1.01), (100, 0, 10_000, 1.02)],
)
def test_where_samples_are_many_the_bound_is_hardly_wider_than_tango(b, c, n, ratio):
    bound, approximate = exact_upper(b, c, n, 0.95), tango(b, c, n=n, confidence=0.9).upper
    estimate = (b - c) / n
    assert 0.99 <= (bound - estimate) / (approximate - estimate) <= ratio


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(25, 3000), st.sampled_from([0.9, 0.95, 0.9995]))
def test_bounds_hold_the_estimate_and_mirror(b, c, n, confidence):
    lower, upper = loss_bounds(b, c, n=n, confidence=confidence)
    assert -1 <= lower < (b - c) / n < upper <= 1
    assert loss_bounds(c, b, n=n, confidence=confidence) == (-upper, -lower)
    wider = loss_bounds(b, c, n=n, confidence=confidence + (1 - confidence) / 2)
    assert wider[0] < lower < upper < wider[1]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 80), st.integers(0, 80), st.integers(200, 10_000), st.sampled_from([0.9, 0.95, 0.9995]))
def test_bounds_grow_with_the_number_that_became_wrong(b, c, n, confidence):
    assume(b + c > 0)  # without a change, the bounds are those of another rule
    less, more = (loss_bounds(wrong, c, n=n, confidence=confidence) for wrong in (b, b + 1))
    assert (less[0] < more[0], less[1] < more[1]) == (True, True)


@pytest.mark.parametrize(
    ("b", "c", "n", "confidence"),
    [(1, 12, 36, 0.95), (1, 10, 220, 0.95), (3, 16, 83, 0.95), (3, 10, 391, 0.9), (4, 24, 358, 0.975)],
)
def test_no_difference_beyond_a_bound_is_kept(b, c, n, confidence):
    """Tests whose order of tables depends on the difference keep some again far beyond, such as these."""
    estimate, upper = (b - c) / n, exact_upper(b, c, n, confidence)
    assert estimate < upper
    p_values = [rejection(b, c, n, float(place), 1 - confidence) for place in np.linspace(upper, 0.9, 300)]
    assert max(p_values) <= 1 - confidence
    assert np.all(np.diff(p_values) <= 1e-9)


def test_all_may_become_wrong():
    assert exact_upper(7, 0, 7, 0.95) == 1.0
    assert loss_bounds(0, 7, n=7, confidence=0.95)[0] == -1.0


@pytest.mark.parametrize(
    ("b", "c", "n", "message"),
    [
        (3, 2, 4, "counts must not be negative or exceed n = 4 together: became_wrong = 3, became_right = 2"),
        (0, 0, 0, "an interval needs at least one sample, and n is 0"),
    ],
)
def test_counts_that_cannot_be(b, c, n, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        loss_bounds(b, c, n=n, confidence=0.95)
