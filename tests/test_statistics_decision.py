"""The rule of the verdict: its three outcomes, the number of samples that would decide, and exact error rates."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import interval_coverage
from quantlab.statistics import decide, fewest_samples, loss_bounds, missing_samples, samples_needed, tango
from quantlab.types import Loss


def counted(forth, back, n):
    """The loss of a top-1 with these flips."""
    lower, upper = loss_bounds(forth, back, n=n, confidence=0.95)
    values = (90.0, 90.0 - 100 * (forth - back) / n, 100 * (forth - back) / n, 100 * lower, 100 * upper)
    return Loss("top1", "higher", "pt", n, *values, 0.95, "exact", discordant=forth + back, p_mcnemar=None)


def bounded(loss, lower, upper, *, unit="", n=1000):
    """The loss of a metric that is no count."""
    return Loss("mae", "lower", unit, n, 1.0, 1.0 + loss, loss, lower, upper, 0.95, "BCa bootstrap")


@pytest.mark.parametrize(
    ("loss", "margin", "decision"),
    [
        pytest.param(bounded(0.1, 0.0, 0.499), 0.5, "fits", id="the upper bound below the margin"),
        pytest.param(bounded(0.1, 0.0, 0.5), 0.5, "inconclusive", id="the upper bound on the margin"),
        pytest.param(bounded(0.9, 0.501, 2.0), 0.5, "breaks", id="the lower bound above the margin"),
        pytest.param(bounded(0.9, 0.5, 2.0), 0.5, "inconclusive", id="the lower bound on the margin"),
        pytest.param(bounded(-0.2, -0.3, -0.1), 0.0, "fits", id="an improvement fits a margin of nothing"),
        pytest.param(bounded(-0.2, -0.3, -0.1, unit="pt"), 0.0, "inconclusive", id="but of a share no bootstrap does"),
        pytest.param(bounded(-0.2, -0.3, -0.1, unit="pt"), 0.5, "fits", id="a share of enough samples"),
        pytest.param(
            bounded(-0.2, -0.3, -0.1, unit="pt", n=300), 0.5, "inconclusive", id="a bootstrap of too few samples"
        ),
        pytest.param(bounded(math.nan, -math.inf, math.inf), 0.5, "breaks", id="not a number (trap 1)"),
        pytest.param(bounded(math.inf, -math.inf, math.inf), 0.5, "breaks", id="infinite"),
        pytest.param(bounded(0.1, -math.inf, math.inf), 0.5, "inconclusive", id="nothing known of the bounds"),
        pytest.param(counted(0, 0, 200), 0.5, "inconclusive", id="200 samples without a flip (trap 8)"),
        pytest.param(counted(0, 0, 597), 0.5, "inconclusive", id="597 samples without a flip"),
        pytest.param(counted(0, 0, 598), 0.5, "fits", id="598 samples without a flip"),
        pytest.param(counted(0, 1, 300), 0.5, "inconclusive", id="300, and one better: too few"),
        pytest.param(counted(0, 1, 400), 0.5, "fits", id="400, and one better: by its exact bound"),
        pytest.param(counted(0, 2, 150), 0.5, "inconclusive", id="150 samples, two better: too few of both"),
        pytest.param(counted(0, 5, 300), 0.5, "fits", id="300 samples, five better: a gain, by its bound"),
        pytest.param(counted(2, 12, 300), 0.5, "fits", id="300 samples, both ways"),
        pytest.param(counted(2, 3, 300), 0.5, "inconclusive", id="300 samples, five changes, a bound above the margin"),
        pytest.param(counted(0, 6, 300), 0.0, "fits", id="a gain fits a margin of nothing"),
        pytest.param(counted(0, 0, 10_000), 0.5, "fits", id="10,000 samples without a flip"),
        pytest.param(counted(0, 0, 10_000), 0.01, "inconclusive", id="even float32, at a hundredth of a point"),
        pytest.param(counted(130, 20, 10_000), 0.5, "breaks", id="1.1 points lost of 10,000"),
        pytest.param(counted(5, 0, 5), 100.5, "fits", id="all may be lost"),
    ],
)
def test_decide(loss, margin, decision):
    assert decide(loss, margin) == decision


@pytest.mark.parametrize("margin", [-0.5, math.nan, math.inf])
def test_a_margin_is_a_loss(margin):
    message = f"the margin is {margin}; it must be a finite number that is not negative"
    for ask in (decide, missing_samples):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            ask(counted(0, 0, 10), margin)


@pytest.mark.parametrize(
    ("margin", "confidence", "n"),
    [(0.005, 0.95, 598), (0.0001, 0.95, 29_956), (0.005, 0.99, 919), (0.01, 0.95, 299), (1.0, 0.95, 0)],
)
def test_fewest_samples(margin, confidence, n):
    assert math.ceil(fewest_samples(margin, confidence)) == n
    if n:
        assert loss_bounds(0, 0, n=n - 1, confidence=confidence)[1] > margin
        assert loss_bounds(0, 0, n=n, confidence=confidence)[1] <= margin


def test_nothing_excludes_a_loss_of_nothing():
    assert fewest_samples(0.0, 0.95) == math.inf


@pytest.mark.parametrize(
    ("discordant", "loss", "margin", "confidence", "n"),
    [
        pytest.param(0.02, 0.0, 0.005, 0.95, 4947, id="6.18·0.02/0.005²"),
        pytest.param(0.02, 0.002, 0.005, 0.95, 13_737, id="6.18·(0.02 − 0.002²)/0.003²"),
        pytest.param(0.02, 0.008, 0.005, 0.95, 13_696, id="a loss above the margin: what would show the breach"),
        pytest.param(0.0, 0.0, 0.005, 0.95, 598, id="no flip: never under ln 0.05/ln(1 − 0.005)"),
        pytest.param(0.02, 0.0, 0.005, 0.99, 8029, id="(2.326 + 0.842)² = 10.04 at 99 %"),
        pytest.param(0.02, 0.005, 0.005, 0.95, None, id="the loss is the margin"),
        pytest.param(0.02, 0.0, 0.0, 0.95, None, id="nothing may be lost, nothing is"),
        pytest.param(0.02, -0.01, 0.0, 0.95, None, id="nothing may be lost, something is won"),
        pytest.param(0.02, 0.01, 0.0, 0.95, 1231, id="nothing may be lost, something is: the breach can be shown"),
    ],
)
def test_samples_needed(discordant, loss, margin, confidence, n):
    assert samples_needed(discordant, loss, margin, confidence) == n


def test_five_changes_need_no_least_number_of_samples():
    assert samples_needed(0.05, -0.04, 0.005, changes=4) == 598
    assert samples_needed(0.05, -0.04, 0.005, changes=5) == 148
    assert samples_needed(0.02, -0.01, 0.0, changes=5) == 1231


@pytest.mark.parametrize(
    ("loss", "margin", "missing"),
    [
        pytest.param(counted(0, 0, 200), 0.5, 398, id="200 without a flip: 598 − 200"),
        pytest.param(counted(0, 0, 9744), 0.01, 20_212, id="about 30,000 in all, even for float32"),
        pytest.param(counted(2, 2, 200), 0.5, 4747, id="d = 2 %: 4,947 − 200"),
        pytest.param(counted(1, 0, 200), 0.5, None, id="half a point lost of half a point"),
        pytest.param(counted(10, 0, 20_000), 0.06, 288_974, id="by the formula: a loss near the margin"),
        pytest.param(counted(6, 5, 4000), 0.5, 1, id="enough already, it seems: at least one"),
        pytest.param(bounded(0.0, -1.645, 1.645), 1.0, 5182, id="a width that is one standard error"),
        pytest.param(bounded(0.5, -1.145, 2.145), 0.5, None, id="the loss is the margin"),
        pytest.param(bounded(0.1, -math.inf, math.inf), 0.5, None, id="nothing known"),
    ],
)
def test_missing_samples(loss, margin, missing):
    number = missing_samples(loss, margin)
    assert number == (missing if missing is None else pytest.approx(missing, abs=2))
    assert number is None or number >= 1


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(81, 20_000), st.floats(0.01, 5))
def test_the_three_answers_exclude_each_other_and_the_undecided_miss_samples(forth, back, n, margin):
    loss = counted(forth, back, n)
    answer = decide(loss, margin)
    if answer == "fits":
        assert loss.loss <= loss.upper < margin
        assert forth + back or n >= math.log(0.05) / math.log1p(-margin / 100)
    elif answer == "breaks":
        assert loss.loss >= loss.lower > margin
    else:
        missing = missing_samples(loss, margin)
        assert missing is None or missing >= 1


# Exact enumeration: what `benchmarks/interval_coverage.py` prints, on a smaller grid.

GRID = [(n, d) for n in (200, 400, 597, 598, 1000, 3000) for d in (0.005, 0.01, 0.02, 0.05, 0.1)]


@pytest.mark.parametrize("loss", [-0.02, 0.0, 0.005, 0.02, 0.3])
def test_the_formula_that_is_enumerated_is_tango(loss):
    for n, b, c in [(200, 0, 0), (200, 3, 1), (200, 1, 3), (200, 60, 0), (1000, 20, 20), (9744, 26, 24), (50, 50, 0)]:
        score = interval_coverage.score(np.array([b]), np.array([c]), n, loss)[0]
        interval = tango(b, c, n=n)
        assert (abs(score) <= 1.959963984540054) == (interval.lower <= loss <= interval.upper)


@pytest.mark.parametrize(("n", "margin"), [(30, 0.05), (200, 0.005)])
def test_the_gate_passes_and_breaks_no_more_than_what_is_enumerated(n, margin):
    b, c = np.arange(6)[:, None], np.arange(6)[None, :]
    decided = np.array([[decide(counted(i, j, n), 100 * margin) for j in range(6)] for i in range(6)])
    for rule, answer in ((interval_coverage.passes, "fits"), (interval_coverage.breaks, "breaks")):
        enumerated = rule(b, c, n, margin)
        assert not ((decided == answer) & ~enumerated).any()
        assert np.count_nonzero(enumerated != (decided == answer)) <= 1


def test_the_enumeration_leaves_nothing_out():
    for n, d in GRID:
        assert interval_coverage.tables(n, d, d / 2)[2].sum() == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0], ids="the loss is {} of the discordance".format)
def test_intervals_at_95_percent_cover(share):
    for n, d in GRID:
        covered = interval_coverage.coverage(n, d, share * d)
        assert 0.94 <= covered <= 0.97 if n * d >= 10 else covered >= 0.93


@pytest.mark.parametrize("rule", [interval_coverage.passes, interval_coverage.breaks], ids=["passes", "breaks"])
@pytest.mark.parametrize(
    ("n", "margin", "times"), [(10, 0.1, 2), (50, 0.02, 1), (89, 0.01, 6), (355, 0.005, 3), (598, 0.005, 1)]
)
def test_at_the_margin_the_gate_errs_in_one_of_twenty_cases(rule, n, margin, times):
    """At numbers of samples where Tango's bound passes up to 6.1 %, and breaks up to 9.2 %."""
    assert interval_coverage.passing_rate(n, margin * times, margin, rule) <= 0.05


@pytest.mark.parametrize(("n", "discordant", "rate"), [(355, 0.015, 0.0572), (89, 0.06, 0.0607)])
def test_the_bound_of_tango_passes_too_often(n, discordant, rate):
    """Which is why it is displayed, and does not decide."""
    margin = 0.005 if n == 355 else 0.01
    passed = interval_coverage.passing_rate(n, discordant, margin, interval_coverage.below_margin)
    assert passed == pytest.approx(rate, abs=0.0005)


@pytest.mark.parametrize(("heading", "rule"), interval_coverage.DOCS_RULES.items())
def test_the_guide_shows_what_is_enumerated(heading, rule):
    """Its first rows; the others take longer."""
    guide = (Path(__file__).parents[1] / "docs" / "guides" / "deciding.md").read_text()
    table = guide[guide.index(f"| {heading}") :]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[:10]]
    shown = {row[0]: row[1:] for row in cells if row}
    for n in (50, 200):
        first, *rest = interval_coverage.docs_row(n, rule)
        assert shown[first] == rest


def test_figures_that_no_measurement_gives_need_a_number_that_is_none():
    """As a malformed statement holds them: their squares are beyond the largest float."""
    assert missing_samples(bounded(0.0, -1.0, 1e200), 0.005) is None
    assert missing_samples(bounded(0.0, -1.0, 1.0), 1e200) == 1
