"""Equivalence of two runtimes: a published worked example, the exact bound of a share, laws, and simulated errors."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quantlab.statistics import clopper_pearson, loss_bounds, runtime_equivalence, tango

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import promises_runtimes  # the benchmarks are no package


def test_a_published_test_of_equivalence():
    """Disinfection of soft contact lenses by heat or chemically: of 44 pairs, one differs; Tango 1998, section 6.

    With a margin of 0.1 the published statistic is 1.709, p = 0.044, so the treatments would be equivalent at 5 %. That
    is an approximation: if all changes go one way, at most one of 44 changes with a probability of 0.057 at a share of
    0.1 (binomial), so the exact bounds do not show it.
    """
    published = tango(0, 1, n=44, confidence=2 * float(stats.norm.cdf(1.709)) - 1)
    assert published.lower == pytest.approx(-0.1, abs=1e-4)
    assert float(stats.norm.sf(1.709)) == pytest.approx(0.044, abs=5e-4)
    exact = float(stats.binom.cdf(1, 44, 0.1))
    assert exact == pytest.approx(0.057, abs=5e-4)
    compared = runtime_equivalence(1, n=44, became_wrong=0, became_right=1)
    assert (compared.accuracy_difference, compared.outcome(margin=10)) == (pytest.approx(-100 / 44), "not shown")
    assert loss_bounds(0, 1, n=44, confidence=1 - exact)[0] == pytest.approx(-0.1, abs=2e-3)


def test_an_interval_that_r_gives():
    """PropCIs::scoreci.mp(25, 28, 618, conf.level = 0.9) is (−0.0148, 0.0247); the exact bounds are as near."""
    interval = tango(28, 25, n=618, confidence=0.9)
    assert (round(100 * interval.lower, 2), round(100 * interval.upper, 2)) == (-1.48, 2.47)
    compared = runtime_equivalence(60, n=618, became_wrong=28, became_right=25)
    assert (compared.lower, compared.upper) == pytest.approx((-1.48, 2.47), abs=0.02)
    assert [compared.outcome(margin) for margin in (2.4, 2.5)] == ["not shown", "equivalent"]


@pytest.mark.parametrize(
    ("events", "n", "percent"),
    [
        pytest.param(0, 500, 0.597, id="none of 500 allows 0.6 %"),
        pytest.param(0, 59, 4.951, id="59 without an event are within 5 %, the usual size"),
        pytest.param(0, 58, 5.034, id="58 are not"),
        pytest.param(1, 93, 5.0, id="and 93 with one event"),
        pytest.param(2, 124, 5.0, id="and 124 with two"),
        pytest.param(10, 10, 100.0, id="all"),
    ],
)
def test_the_exact_bound_of_a_share(events, n, percent):
    """93 and 124 items: the usual table of Wilks 1941 for 95 % confidence that 95 % are without the event."""
    assert 100 * clopper_pearson(events, n, confidence=0.9).upper == pytest.approx(percent, abs=0.03)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_exact_bound_is_where_so_few_have_5_percent(counts):
    events, n = counts
    bound = clopper_pearson(events, n, confidence=0.9).upper
    assert bound > events / n or events == n
    if events < n:
        assert stats.binom.cdf(events, n, bound) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        pytest.param({"changed": 0, "n": 600, "became_wrong": 0, "became_right": 0}, "equivalent", id="600 alike"),
        pytest.param({"changed": 0, "n": 597, "became_wrong": 0, "became_right": 0}, "not shown", id="597 alike"),
        pytest.param({"changed": 0, "n": 600}, "equivalent", id="without labels"),
        pytest.param({"changed": 0, "n": 597}, "not shown", id="too few without labels"),
        pytest.param({"changed": 9, "n": 10_000}, "equivalent", id="without labels, few changed"),
        pytest.param({"changed": 90, "n": 10_000}, "not shown", id="without labels, nothing is known to be worse"),
        pytest.param(
            {"changed": 10, "n": 10_000, "became_wrong": 6, "became_right": 2}, "equivalent", id="few changed"
        ),
        pytest.param({"changed": 9, "n": 1000, "became_wrong": 6, "became_right": 3}, "not shown", id="some changed"),
        pytest.param({"changed": 30, "n": 1000, "became_wrong": 30, "became_right": 0}, "different", id="worse"),
        pytest.param({"changed": 30, "n": 1000, "became_wrong": 0, "became_right": 30}, "different", id="better"),
        pytest.param({"changed": 1, "n": 1, "became_wrong": 0, "became_right": 0}, "not shown", id="one sample"),
    ],
)
def test_outcomes_within_half_a_point(counts, outcome):
    assert runtime_equivalence(**counts).outcome() == outcome


counts = st.integers(1, 3000).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n)).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), st.integers(0, pair[1]))
    )
)


@given(counts, st.floats(0.01, 50))
def test_swapping_the_runtimes_changes_signs_only(drawn, margin):
    n, changed, became_wrong = drawn
    there = runtime_equivalence(changed, n=n, became_wrong=became_wrong, became_right=changed - became_wrong)
    back = runtime_equivalence(changed, n=n, became_wrong=changed - became_wrong, became_right=became_wrong)
    assert (there.lower, there.upper) == pytest.approx((-back.upper, -back.lower), abs=1e-9)
    assert there.lower <= there.accuracy_difference + 1e-9
    assert there.accuracy_difference <= there.upper + 1e-9
    if there.outcome(margin) == "equivalent":
        assert there.outcome(2 * margin) == "equivalent"
    if there.outcome(margin) == "different":
        assert there.outcome(margin / 2) == "different"


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        pytest.param({"changed": 0, "n": 0}, "an interval needs at least one sample, and n is 0", id="none"),
        pytest.param(
            {"changed": 3, "n": 2}, "counts must not be negative or exceed n = 2 together: changed = 3", id="more"
        ),
        pytest.param(
            {"changed": 1, "n": 9, "became_wrong": 1},
            "give both became_wrong and became_right, or neither if there are no labels",
            id="one direction",
        ),
        pytest.param(
            {"changed": 1, "n": 9, "became_wrong": 1, "became_right": 1},
            "1 + 1 answers changed, but only 1 samples changed top-1",
            id="answers change with the top-1 only",
        ),
    ],
)
def test_counts_that_cannot_be(counts, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        runtime_equivalence(**counts)


def test_wrong_claims_at_the_margin_are_as_rare_as_promised():
    told = promises_runtimes.rows(draws=3000, seed=1)
    assert {rule for rule, *_ in told} == {"runtimes called equivalent", "runtimes called different"}
    # The bounds are exact; 3,000 draws add three standard errors of 0.4 points.
    assert {row: row[3] for row in told if row[3] > 0.062} == {}


def test_several_settings_are_called_different_by_wider_bounds():
    """12 of 1,000 became wrong: one setting is surely more than 0.5 points worse, but not the worst of nine."""
    one, of_nine = (
        runtime_equivalence(12, n=1000, became_wrong=12, became_right=0, settings=settings) for settings in (1, 9)
    )
    assert (one.outcome(), of_nine.outcome()) == ("different", "not shown")
    assert (one.lower, one.upper, one.lower) == (of_nine.lower, of_nine.upper, one.outer_lower)
    alone = runtime_equivalence(12, n=1000, became_wrong=12, became_right=0, confidence=1 - 0.05 / 9)
    assert (of_nine.outer_lower, of_nine.outer_upper) == pytest.approx((alone.lower, alone.upper))


def test_no_correction_where_all_settings_must_be_equivalent():
    assert runtime_equivalence(0, n=600, became_wrong=0, became_right=0, settings=20).outcome() == "equivalent"
