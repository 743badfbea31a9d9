"""How many samples decide about a loss."""

import numpy as np
import pytest

from quantlab.statistics import decide, loss_bounds
from quantlab.statistics.paired.planning import Expected, Pilot, PlanTerms, chances, samples_to_decide
from quantlab.statistics.paired.sequential import any_look_bounds
from quantlab.types import Loss

HALF_A_POINT = PlanTerms(0.005)


@pytest.mark.parametrize("looks", ["one", "any"])
@pytest.mark.parametrize(
    ("wrong", "right", "n"),
    [(0, 0, 597), (0, 0, 598), (3, 0, 1000), (1, 1, 700), (5, 5, 2000), (60, 20, 2000), (0, 30, 900), (2, 9, 9000)],
)
def test_it_decides_as_the_bounds_do(wrong, right, n, looks):
    terms = PlanTerms(0.005, looks=looks)
    lower, upper = (loss_bounds if looks == "one" else any_look_bounds)(wrong, right, n=n, confidence=0.95)
    loss = Loss(
        "top1", "higher", "pt", n, 0, 0, 100 * (wrong - right) / n, 100 * lower, 100 * upper, 0.95, "", wrong + right
    )
    expected = decide(loss, 0.5)
    fits, breaks = terms.decides(np.array([wrong]), np.array([right]), n)
    found = "fits" if fits[0] else "breaks" if breaks[0] else "inconclusive"
    assert found == ("inconclusive" if looks == "any" and not upper < 0.005 and expected == "fits" else expected)


def test_without_changed_answers_it_is_the_least_number():
    """The rule of three: 598 samples exclude half a point if none can change."""
    plan = samples_to_decide(Expected(0.0), HALF_A_POINT)
    assert plan is not None
    assert 598 <= plan.n <= 598 * 1.02
    assert plan.fits == 1.0


def test_known_shares_need_what_the_normal_approximation_says():
    """n = (z_0.95 + z_0.8)²·(d − θ²)/(δ − θ)², for many changes."""
    plan = samples_to_decide(Expected(0.1, 0.0), HALF_A_POINT)
    assert plan is not None
    assert plan.n == pytest.approx(6.18 * 0.1 / 0.005**2, rel=0.05)
    assert plan.decided == pytest.approx(0.8, abs=0.03)


def test_a_pilot_asks_for_more_than_the_shares_that_it_showed():
    known = samples_to_decide(Expected(0.01), HALF_A_POINT)
    after = samples_to_decide(Pilot(3, 2, 500), HALF_A_POINT)
    sure = samples_to_decide(Pilot(300, 200, 50_000), PlanTerms(0.01))
    assert known is not None
    assert after is not None
    assert after.n > 1.5 * known.n
    assert sure is not None
    assert sure.n < known.n


def test_any_number_of_looks_takes_two_or_three_times_the_samples():
    one, always = (samples_to_decide(Expected(0.01), PlanTerms(0.005, looks=looks)) for looks in ("one", "any"))
    assert one is not None
    assert always is not None
    assert 1.5 < always.n / one.n < 3


def test_a_loss_at_the_margin_is_never_decided():
    assert samples_to_decide(Expected(0.005, 0.005), HALF_A_POINT) is None


@pytest.mark.parametrize(
    ("discordance", "loss"),
    [(0.005, 0.0), (0.01, 0.0025), (0.02, 0.01)],
    ids=["no loss", "half the margin", "twice the margin"],
)
def test_the_number_decides_in_four_of_five_cases(discordance, loss):
    """Pilots of 500 samples that do not decide, and a new study of the number that each asks for."""
    random = np.random.default_rng(0)
    shares = Expected(discordance, loss).shares(random, 1)[0]
    plans, decided = {}, []
    while len(decided) < 25:
        wrong, right, _ = map(int, random.multinomial(500, shares))
        fits, breaks = HALF_A_POINT.decides(np.array([wrong]), np.array([right]), 500)
        if fits[0] or breaks[0]:
            continue
        if (wrong, right) not in plans:
            plans[wrong, right] = samples_to_decide(Pilot(wrong, right, 500), HALF_A_POINT)
        plan = plans[wrong, right]
        if plan is None:
            continue
        counts = random.multinomial(plan.n, shares, 200)
        fits, breaks = HALF_A_POINT.decides(counts[:, 0], counts[:, 1], plan.n)
        decided.append(float((fits | breaks).mean()))
    assert np.mean(decided) >= 0.8


def test_the_chances_are_repeated_exactly():
    first, second = (chances(Pilot(3, 1, 400), 2000, HALF_A_POINT, seed=3) for _ in range(2))
    assert first == second
    assert 0 <= first.breaks <= first.fits <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: Pilot(4, 3, 5),
            "a pilot of 5 samples cannot have 4 that became wrong and 3 that became right",
            id="a pilot that cannot be",
        ),
        pytest.param(
            lambda: Expected(0.01, 0.02),
            "a loss of 2 points needs a share of changed answers from 2 % to 100 %, not 1 %",
            id="a loss without changes",
        ),
        pytest.param(
            lambda: PlanTerms(1.5),
            "the margin is 150 points; it must be at least 0 and below 100 points",
            id="no margin",
        ),
        pytest.param(
            lambda: samples_to_decide(Expected(0.01), HALF_A_POINT, power=1),
            "the power is 1; it must be between 0 and 1, for example 0.8",
            id="no power",
        ),
        pytest.param(
            lambda: chances(Expected(0.01), 0, HALF_A_POINT),
            "a study needs at least one sample, and n is 0",
            id="no samples",
        ),
    ],
)
def test_what_cannot_be_planned(make, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        make()
    assert str(caught.value) == message


def test_the_fewest_samples_of_any_look_are_those_of_its_bound():
    plan = samples_to_decide(Expected(0.0), PlanTerms(0.005, looks="any"))
    assert plan is not None
    _, upper = any_look_bounds(0, 0, n=plan.n, confidence=0.95)
    assert upper < 0.005
