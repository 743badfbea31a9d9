"""Bounds that stay true if a study is judged again and again."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.statistics import loss_bounds, missing_samples
from quantlab.statistics.paired.sequential import (
    any_look_bounds,
    any_look_quantile,
    at_any_look,
    log_capital,
    obrien_fleming,
    share_at_any_look,
)
from quantlab.types import ClassLoss, Evidence, Loss

counts = st.integers(1, 3000).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n)).flatmap(
        lambda both: st.tuples(st.just(both[0]), st.just(both[1]), st.integers(0, both[0] - both[1]))
    )
)
"""n, became wrong, became right."""


@given(counts)
def test_the_bounds_contain_the_loss_and_change_sides_with_it(drawn):
    n, wrong, right = drawn
    lower, upper = any_look_bounds(wrong, right, n=n, confidence=0.95)
    assert -1 <= lower <= (wrong - right) / n <= upper <= 1
    mirrored = any_look_bounds(right, wrong, n=n, confidence=0.95)
    assert mirrored == pytest.approx((-upper, -lower))


@given(counts, st.floats(0.6, 0.98))
def test_more_confidence_is_wider(drawn, confidence):
    n, wrong, right = drawn
    narrow = any_look_bounds(wrong, right, n=n, confidence=confidence)
    wide = any_look_bounds(wrong, right, n=n, confidence=(1 + confidence) / 2)
    assert wide[0] <= narrow[0] + 1e-9
    assert wide[1] >= narrow[1] - 1e-9


@pytest.mark.parametrize(
    ("wrong", "right", "n"),
    [
        pytest.param(0, 0, 1000, id="no change"),
        pytest.param(5, 3, 2000, id="few changes"),
        pytest.param(50, 40, 10_000, id="many changes"),
    ],
)
def test_they_take_about_twice_the_samples(wrong, right, n):
    """With twice the samples, the bound is near the one of a single look; this is what any number of looks costs."""
    _, once = loss_bounds(wrong, right, n=n, confidence=0.95)
    _, always = any_look_bounds(2 * wrong, 2 * right, n=2 * n, confidence=0.95)
    loss = (wrong - right) / n
    assert 0.8 < (always - loss) / (once - loss) < 1.3


@pytest.mark.parametrize("discordance", [0.01, 0.05, 0.3], ids=["1 % changed", "5 % changed", "30 % changed"])
def test_no_more_than_5_percent_ever_pass_at_the_margin(discordance):
    """Looked at after each of 1,200 samples; with a bound of one look, far more pass at some moment."""
    margin, walks, samples = 0.01, 1000, 1200
    random = np.random.default_rng(0)
    wrong, right = (discordance + margin) / 2, (discordance - margin) / 2
    kinds = random.choice(3, (walks, samples), p=[wrong, right, 1 - wrong - right])
    n = np.arange(1, samples + 1)
    capital = log_capital((kinds == 0).cumsum(axis=1), (kinds == 1).cumsum(axis=1), n, margin)
    ever = (capital >= math.log(20)).any(axis=1).mean()
    assert ever <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / walks)


@pytest.mark.parametrize(
    ("wrong", "right", "n", "margin", "capital", "upper"),
    [
        pytest.param(5, 3, 2000, 0.005, 4.905853936640, 0.006550895702, id="few changes"),
        pytest.param(0, 0, 600, 0.005, 4.376241518619, 0.008192698147, id="no change"),
        pytest.param(50, 40, 10_000, 0.004, 24.406953395642, 0.003920972109, id="many changes"),
    ],
)
def test_the_capital_of_the_program_of_its_authors(wrong, right, n, margin, capital, upper):
    """Waudby-Smith & Ramdas 2024, by `betting_mart` of their package confseq 0.0.11, on (x + 1) / 2 in [0, 1].

    The mean of its negative capital over our stakes, as `trunc_scale`; the bound is where it reaches 20.
    """
    assert math.exp(float(log_capital(wrong, right, n, margin))) == pytest.approx(capital, rel=1e-10)
    assert any_look_bounds(wrong, right, n=n, confidence=0.95)[1] == pytest.approx(upper, rel=1e-8)


def test_the_capital_is_that_of_the_bets():
    """Samples one after the other: a stake s of the largest, on a loss below m, is 1 + s·(m − x)/(1 − m)."""
    margin, changes = 0.02, [0, 1, 0, -1, 0, 0, 1]
    stakes = np.geomspace(0.03, 0.98, 8)
    capital = np.mean([np.prod([1 + s / (1 - margin) * (margin - x) for x in changes]) for s in stakes])
    found = float(log_capital(changes.count(1), changes.count(-1), len(changes), margin))
    assert found == pytest.approx(math.log(capital))


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_bounds_of_a_share(drawn):
    events, n = drawn
    lower, upper = share_at_any_look(events, n, 0.95)
    assert -1e-9 <= lower <= events / n <= upper <= 1


@pytest.mark.parametrize(
    ("wrong", "right", "n", "confidence", "message"),
    [
        pytest.param(
            3, 3, 5, 0.95, "counts must not be negative or exceed n together: 3 and 3 of n = 5", id="too many"
        ),
        pytest.param(
            0, 0, 0, 0.95, "counts must not be negative or exceed n together: 0 and 0 of n = 0", id="no samples"
        ),
        pytest.param(
            0,
            0,
            9,
            0.5,
            "the one-sided confidence is 0.5; it must be between 0.5 and 1, for example 0.95",
            id="no confidence",
        ),
    ],
)
def test_what_has_no_bounds(wrong, right, n, confidence, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        any_look_bounds(wrong, right, n=n, confidence=confidence)
    assert str(caught.value) == message


def quantiles_of(numbers, planned, confidence):
    from scipy.special import ndtri

    looks = range(1, len(numbers) + 1)
    return [float(ndtri(obrien_fleming(numbers[:look], planned, confidence))) for look in looks]


@pytest.mark.parametrize(
    ("looks", "published"),
    [
        pytest.param(2, [2.9626, 1.9686], id="two looks"),
        pytest.param(3, [3.7103, 2.5114, 1.9930], id="three looks"),
        pytest.param(5, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310], id="five looks"),
    ],
)
def test_the_published_boundaries_of_equal_looks(looks, published):
    """Boundaries of the O'Brien–Fleming type at one-sided 2.5 %: Lan & DeMets 1983, as computed by Reboussin, DeMets,
    Kim & Lan 2000 (Controlled Clinical Trials 21:190–207) and by the R package ldbounds."""
    numbers = [100 * look for look in range(1, looks + 1)]
    assert quantiles_of(numbers, 100 * looks, 0.975) == pytest.approx(published, abs=2e-3)


def test_one_look_at_all_planned_samples_is_one_look():
    assert obrien_fleming([1000], 1000, 0.95) == pytest.approx(0.95)
    assert obrien_fleming([1200], 1000, 0.95) == pytest.approx(0.95)  # more than planned is the end, too


def test_the_looks_of_a_plan_together_keep_the_confidence():
    random = np.random.default_rng(0)
    numbers = [100, 250, 300, 1000]
    steps = np.sqrt(np.diff([0, *numbers]))
    walk = (random.normal(size=(20_000, len(numbers))) * steps).cumsum(axis=1)
    crossed = (walk / np.sqrt(numbers) > quantiles_of(numbers, 1000, 0.95)).any(axis=1)
    assert crossed.mean() == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("numbers", [[], [5, 5], [6, 5]], ids=["none", "the same twice", "fewer"])
def test_looks_that_do_not_increase(numbers):
    with pytest.raises(ValueError, match="looks need increasing numbers of samples"):
        obrien_fleming(numbers, 10, 0.95)


def test_the_boundary_for_means_is_never_crossed_by_more_than_5_percent():
    random = np.random.default_rng(0)
    walk = random.normal(size=(1000, 1500)).cumsum(axis=1)
    n = np.arange(1, walk.shape[1] + 1)
    boundary = np.array([any_look_quantile(int(one), 0.95) for one in n])
    assert (walk / np.sqrt(n) > boundary).any(axis=1).mean() <= 0.05


def test_evidence_at_any_look():
    answers = Loss("top1", "higher", "pt", 1000, 95, 94.5, 0.5, -0.2, 1.2, 0.95, "Tango", discordant=15)
    mean = Loss("mae", "lower", "", 1000, 1, 1.5, 0.5, 0.4, 0.6, 0.95, "BCa bootstrap")
    lost = ClassLoss(3, 100, 2, 1, 1.0, -1, 3, 0.95, 0.5, 0.5)
    seen = at_any_look(Evidence("a", "python", 1000, answers, agreement=mean, classes=(lost,)), 0.95)
    assert seen.loss is not None
    assert seen.agreement is not None
    lower, upper = any_look_bounds(10, 5, n=1000, confidence=0.95)
    assert (seen.loss.lower, seen.loss.upper) == (100 * lower, 100 * upper)
    assert seen.loss.method == "betting, for any number of looks"
    ratio = any_look_quantile(1000, 0.95) / 1.6448536
    assert seen.agreement.upper == pytest.approx(0.5 + 0.1 * ratio)
    assert seen.agreement.method == "BCa bootstrap, for any number of looks"
    counted = at_any_look(Evidence("a", "python", 1000, None, same=990), 0.95).agreement
    assert counted is not None
    lower, upper = share_at_any_look(10, 1000, 0.95)
    assert (counted.loss, counted.lower, counted.upper) == (1.0, 100 * lower, 100 * upper)
    assert missing_samples(seen.loss, 1.0) > missing_samples(answers, 1.0)  # wider bounds need more samples
    (of_class,) = seen.classes
    lower, upper = any_look_bounds(2, 1, n=100, confidence=0.95)
    assert of_class == replace(lost, lower=100 * lower, upper=100 * upper, any_look=True)


def test_following_n_more_up_to_eight_times():
    """A first look as today, and looks with twice the samples each at a tenth of α: 5.5 % together."""
    margin, walks = 0.01, 2000
    random = np.random.default_rng(1)
    numbers = [300 * 2**look for look in range(8)]
    for discordance in (0.012, 0.03):
        shares = [(discordance + margin) / 2, (discordance - margin) / 2, 1 - discordance]
        passed, seen = np.zeros(walks, bool), np.zeros((walks, 3), np.int64)
        for look, more in enumerate(np.diff([0, *numbers])):
            seen += random.multinomial(int(more), shares, walks)
            if look:
                passed |= log_capital(seen[:, 0], seen[:, 1], numbers[look], margin) >= math.log(1 / 0.005)
            else:
                bounds = {
                    pair: loss_bounds(*pair, n=numbers[0], confidence=0.95)[1]
                    for pair in {tuple(map(int, row[:2])) for row in seen}
                }
                passed |= np.array([bounds[tuple(map(int, row[:2]))] < margin for row in seen])
        assert passed.mean() <= 0.055 + 2 * math.sqrt(0.055 * 0.945 / walks)
