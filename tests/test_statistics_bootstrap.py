"""Bootstrap intervals: a worked example of the textbook, SciPy on the same replicates, and cases that must stay
wide.
"""

import math
import re
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse import csr_matrix

from quantlab.statistics import Resampling, Totals, WholeSets, bca_interval, percentile_interval, zero_discordance_bound

# Efron & Tibshirani 1993, An Introduction to the Bootstrap, table 14.1: the spatial test data, column A.
SPATIAL = np.array(
    [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24, 26, 30, 41]
)
SPATIAL_WITHOUT = np.array([np.delete(SPATIAL, i).var() for i in range(len(SPATIAL))])
ONES = np.ones(len(SPATIAL), np.int64)


def variances(resamples):
    random = np.random.default_rng(0)
    return SPATIAL[random.integers(0, len(SPATIAL), (resamples, len(SPATIAL)))].var(axis=1)


def test_intervals_equal_the_textbooks_example():
    """Table 14.2: the variance is 171.5, at 90 % BCa says 115.8–259.6 and percentile 100.8–233.9 of 2,000 resamples."""
    replicates = variances(50_000)
    assert round(SPATIAL.var(), 1) == 171.5
    # Of 2,000 resamples the standard error of these ends is about 1.5 and 3.
    bca = bca_interval(SPATIAL.var(), replicates, SPATIAL_WITHOUT, ONES, 0.95)
    assert bca == (pytest.approx(115.8, abs=3), pytest.approx(259.6, abs=5))
    assert percentile_interval(replicates, 0.95) == (pytest.approx(100.8, abs=5), pytest.approx(233.9, abs=5))


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_intervals_equal_scipys_on_the_same_replicates(confidence):
    replicates = variances(2000)

    def scipys(method):
        resampled = stats.bootstrap(
            (SPATIAL,),
            lambda sample, axis: sample.var(axis=axis),
            n_resamples=0,
            bootstrap_result=SimpleNamespace(bootstrap_distribution=replicates),
            confidence_level=2 * confidence - 1,
            method=method,
        )
        return pytest.approx((resampled.confidence_interval.low, resampled.confidence_interval.high), rel=1e-9)

    assert bca_interval(SPATIAL.var(), replicates, SPATIAL_WITHOUT, ONES, confidence) == scipys("BCa")
    assert percentile_interval(replicates, confidence) == scipys("percentile")


SIXTH = stats.norm.ppf(1 - 0.5 / 3)
"""The bias if half of one of three replicates is on the estimate's other side."""


def beside(bias):
    """The ends among 1, 2 and 3 without an acceleration: 1 + 2 Φ(2 · bias ± z), at 70 % on either side."""
    z = stats.norm.ppf(0.7)
    return tuple(1 + 2 * stats.norm.cdf(2 * bias + shift) for shift in (-z, z))


@pytest.mark.parametrize(
    ("estimate", "replicates", "interval"),
    [
        pytest.param(1.0, [1.0, 1.0, 1.0], (1.0, 1.0), id="all equal"),
        pytest.param(0.0, [1.0, 2.0, 3.0], beside(-SIXTH), id="all above the estimate"),
        pytest.param(9.0, [1.0, 2.0, 3.0], beside(SIXTH), id="all below the estimate"),
        pytest.param(1.0, [1.0, math.nan], (-math.inf, math.inf), id="one that is not a number"),
    ],
)
def test_bca_of_strange_replicates(estimate, replicates, interval):
    ends = bca_interval(estimate, np.array(replicates), np.zeros(3), np.ones(3, np.int64), 0.7)
    assert ends == pytest.approx(interval, rel=1e-12)


def test_rows_with_a_multiplicity_are_jackknifed_as_often():
    values, multiplicity = np.array([0.0, 1.0, 5.0]), np.array([7, 4, 2])
    repeated = np.repeat(values, multiplicity)
    replicates = np.random.default_rng(0).choice(repeated, (500, 13)).mean(axis=1)
    left_out = (repeated.sum() - repeated) / 12
    once = (repeated.sum() - values) / 12
    expected = bca_interval(repeated.mean(), replicates, left_out, np.ones(13, np.int64), 0.95)
    assert bca_interval(repeated.mean(), replicates, once, multiplicity, 0.95) == pytest.approx(expected)


# Totals


def nothing(_share):
    return 0.0


def means(reference, candidate, *, unseen=nothing):
    """A metric that is a mean."""
    rows = csr_matrix(np.stack([reference, candidate], axis=1))
    return Totals(rows, np.ones(len(reference), np.int64), lambda columns: (columns[:, 0], columns[:, 1]), unseen)


def ratio_of_sums(reference, candidate):
    """A metric that is no mean: Σ x² / Σ x."""
    columns = np.stack([reference, reference**2, candidate, candidate**2], axis=1)
    return Totals(
        csr_matrix(columns),
        np.ones(len(reference), np.int64),
        lambda columns: (columns[:, 1] / columns[:, 0], columns[:, 3] / columns[:, 2]),
        nothing,
    )


def skewed(n, seed=1):
    random = np.random.default_rng(seed)
    reference = random.exponential(size=n) + 0.1
    return reference, reference + random.exponential(0.1, size=n)


@pytest.mark.parametrize(
    ("totals", "statistic"),
    [
        pytest.param(means, lambda r, c, axis: (r - c).mean(axis=axis), id="a mean"),
        pytest.param(
            ratio_of_sums,
            lambda r, c, axis: (r**2).sum(axis) / r.sum(axis) - (c**2).sum(axis) / c.sum(axis),
            id="a ratio of sums",
        ),
    ],
)
def test_totals_equal_scipys_paired_bootstrap(totals, statistic):
    reference, candidate = skewed(80)
    bounds = totals(reference, candidate).bounds(1, Resampling(resamples=20_000))
    expected = stats.bootstrap(
        (reference, candidate), statistic, paired=True, n_resamples=20_000, confidence_level=0.9, rng=5
    ).confidence_interval
    width = expected.high - expected.low
    assert (bounds.lower, bounds.upper) == pytest.approx((expected.low, expected.high), abs=0.04 * width)
    assert bounds.method == "BCa bootstrap"


def test_resampling_cells_is_resampling_samples():
    """A hundred samples of one kind are drawn as one row: the same distribution, by another generator's path."""
    values, multiplicity = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([900, 60, 40])
    expanded = np.repeat(values, multiplicity, axis=0)
    draws = Resampling(resamples=20_000)
    value, unseen = lambda columns: (columns[:, 0], columns[:, 1]), nothing
    cells = Totals(csr_matrix(values), multiplicity, value, unseen).bounds(1, draws)
    samples = Totals(csr_matrix(expanded), np.ones(1000, np.int64), value, unseen).bounds(1, draws)
    assert (cells.reference, cells.candidate) == (0.06, 0.04)
    assert (cells.lower, cells.upper) == pytest.approx((samples.lower, samples.upper), abs=0.001)


def test_the_same_seed_is_the_same_interval_and_another_is_another():
    totals = means(*skewed(200))
    assert totals.bounds(1, Resampling(seed=3)) == totals.bounds(1, Resampling(seed=3))
    assert totals.bounds(1, Resampling(seed=3)) != totals.bounds(1, Resampling(seed=4))


@pytest.mark.parametrize("sign", [1, -1])
def test_bounds_enclose_a_loss_that_a_bootstrap_moves(sign):
    """Of a metric that is no mean, resamples are biased, and bounds of little confidence lie beside the loss."""
    totals = replace(ratio_of_sums(*skewed(20)), differing=10**6)
    bounds = totals.bounds(sign, Resampling(confidence=0.501))
    loss = sign * (bounds.reference - bounds.candidate)
    assert bounds.lower <= loss <= bounds.upper
    assert loss in {bounds.lower, bounds.upper}  # it was beyond one of them


def test_lower_is_better_mirrors_the_loss():
    reference, candidate = skewed(200)
    bounds = means(reference, candidate).bounds(-1, Resampling())
    swapped = means(candidate, reference).bounds(1, Resampling())
    assert (bounds.lower, bounds.upper) == pytest.approx((swapped.lower, swapped.upper))
    assert 0 < bounds.lower < candidate.mean() - reference.mean() < bounds.upper


@given(st.integers(1, 40), st.floats(-3, 3))
def test_without_a_difference_the_unseen_is_what_is_left(n, value):
    bounds = means(np.full(n, value), np.full(n, value), unseen=lambda share: share).bounds(1, Resampling(resamples=20))
    bound = zero_discordance_bound(n, 0.95)
    assert (bounds.lower, bounds.upper) == pytest.approx((-bound, bound))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_bounds(value):
    bounds = means(np.array([1.0, 2.0, 3.0]), np.array([1.0, value, 3.0])).bounds(1, Resampling())
    assert (bounds.lower, bounds.upper) == (-math.inf, math.inf)
    assert not math.isfinite(bounds.candidate)


def test_memory_does_not_grow_with_resamples_times_samples():
    totals = means(*skewed(30_000))
    tracemalloc.start()
    totals.bounds(1, Resampling(resamples=300))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 * 30_000 * 8 / 1.05  # an index for each sample of each resample would be that much
    assert peak < 80e6


# Whole sets


def whole(reference, candidate, function):
    return WholeSets(len(reference), lambda these: function(reference[these]), lambda these: function(candidate[these]))


def test_whole_sets_equal_totals_where_both_apply():
    reference, candidate = skewed(150)
    bounds = whole(reference, candidate, np.mean).bounds(1, Resampling(resamples=4000))
    expected = means(reference, candidate).bounds(1, Resampling(resamples=4000))
    width = expected.upper - expected.lower
    assert (bounds.lower, bounds.upper) == pytest.approx((expected.lower, expected.upper), abs=0.06 * width)
    assert bounds.method == "BCa bootstrap"


@pytest.mark.parametrize(
    ("n", "method"), [(5000, "BCa bootstrap"), (5001, "percentile bootstrap")], ids=["5,000", "5,001"]
)
def test_beyond_5000_samples_whole_sets_are_not_jackknifed(n, method):
    bounds = whole(*skewed(n), np.mean).bounds(1, Resampling(resamples=50))
    assert bounds.method == method
    assert bounds.lower < bounds.reference - bounds.candidate < bounds.upper


@pytest.mark.parametrize("n", [1, 2, 30])
def test_whole_sets_without_a_difference_are_not_sure(n):
    bounds = whole(np.full(n, 2.0), np.full(n, 2.0), np.mean).bounds(1, Resampling(resamples=20))
    bound = 2 * zero_discordance_bound(n, 0.95)
    assert (bounds.lower, bounds.upper) == pytest.approx((-bound, bound))


def test_a_resample_without_a_value_leaves_the_bounds_open():
    def fussy(values):
        return float(values.mean()) if len(np.unique(values)) == 5 else math.nan

    values = np.arange(5.0)
    bounds = whole(values, values, fussy).bounds(1, Resampling(resamples=50))
    assert (bounds.lower, bounds.upper) == (-math.inf, math.inf)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"confidence": 0.5}, "the one-sided confidence is 0.5; it must be between 0.5 and 1, for example 0.95"),
        ({"resamples": 0}, "the bootstrap needs at least one resample, and resamples is 0"),
    ],
)
def test_impossible_resampling_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Resampling(**arguments)
