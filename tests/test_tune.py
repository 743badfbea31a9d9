"""What a search decides: how bytes are divided, which candidates may be expected to fit, and what it says."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.errors import UsageError
from quantlab.study.tuning.acceptance import Goal, Measured, closest, preferred, refuse_unguided, smallest
from quantlab.study.tuning.allocation import Way, between, ladder, priced
from quantlab.study.tuning.words import note_of
from quantlab.types import Budget, Candidate, Loss, Miss, TunedFormat, TunedWeights

WAYS = st.lists(
    st.lists(st.builds(Way, st.floats(0, 10), st.integers(0, 1000)), min_size=1, max_size=4), min_size=1, max_size=4
)


def total(weights, allocation):
    chosen = [ways[at] for ways, at in zip(weights, allocation, strict=True)]
    return sum(way.error for way in chosen), sum(way.size_bytes for way in chosen)


@given(WAYS, st.floats(1e-6, 1e3))
def test_no_other_division_is_as_small_and_more_precise(weights, price):
    error, size = total(weights, priced(weights, price))
    for other in itertools.product(*(range(len(ways)) for ways in weights)):
        other_error, other_size = total(weights, other)
        assert other_size > size or other_error >= error * (1 - 1e-9) - 1e-9


@given(WAYS, st.integers(2, 6))
def test_a_ladder_leads_from_precise_to_small(weights, steps):
    rungs = ladder(weights, steps)
    sizes = [total(weights, rung)[1] for rung in rungs]
    assert len(rungs) <= steps
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(rungs)) == len(rungs)
    least = sum(min(way.error for way in ways) for ways in weights)
    assert total(weights, rungs[0])[0] == pytest.approx(least)


def test_a_weight_that_loses_nothing_leaves_the_rungs_evenly_spread():
    """Half floats lose nothing where a model was trained in them."""
    ways = [Way(0.0, 1000), *(Way(10.0 ** (place / 10), 900 - place) for place in range(41))]
    assert [round(total([ways], rung)[0], 3) for rung in ladder([ways], 5)] == [0.0, 10.0, 100.0, 1000.0, 10_000.0]


@given(WAYS, st.integers(1, 4))
def test_what_is_between_two_divisions(weights, steps):
    rungs = ladder(weights, 2)
    inside = between(weights, rungs[0], rungs[-1], steps)
    upper, lower = total(weights, rungs[0])[1], total(weights, rungs[-1])[1]
    assert len(inside) <= steps
    assert all(lower < total(weights, one)[1] < upper for one in inside)


def test_nothing_to_divide():
    assert ladder([], 5) == []


# What may be expected


def lost(points, *, n=1000, discordant=10, reference=90.0):
    half = 164.49 * math.sqrt(max(discordant, 1)) / n
    return Loss(
        *("top1", "higher", "pt", n, reference, reference - points, points, points - half, points + half),
        *(0.95, "Tango", discordant),
    )


def a_candidate(name="one", *, size=100, n=1000, error=0.01, changed=10, points=0.35, **figures):
    loss = None if points is None else lost(points, n=n, discordant=changed or 0)
    return Measured(name, size, n, error, changed, loss, 20.0, **figures)


MARGIN = Budget(max_accuracy_loss="1pt")
AGREEMENT = Budget(min_agreement="98%")


@pytest.mark.parametrize(
    ("budget", "n", "measured", "fits"),
    [
        pytest.param(MARGIN, 5000, a_candidate(), True, id="a bound below the margin"),
        pytest.param(MARGIN, 5000, a_candidate(changed=25, points=0.875), False, id="a bound above the margin"),
        pytest.param(MARGIN, 1000, a_candidate(), True, id="fewer samples, a higher bound that is still below"),
        pytest.param(MARGIN, 500, a_candidate(), False, id="too few samples for this bound"),
        pytest.param(MARGIN, 100, a_candidate(changed=9), True, id="no bound can be so low: all changes are losses"),
        pytest.param(MARGIN, 100, a_candidate(changed=11), False, id="no bound can be so low, and too many changes"),
        pytest.param(MARGIN, 5000, a_candidate(points=-1.0), True, id="a gain counts as the least loss of changes"),
        pytest.param(AGREEMENT, 5000, a_candidate(points=None), True, id="agreement without labels"),
        pytest.param(AGREEMENT, 5000, a_candidate(points=None, changed=25), False, id="too little agreement"),
        pytest.param(Budget(max_accuracy_loss="1pt", max_size=99), 5000, a_candidate(), False, id="one byte too large"),
        pytest.param(Budget(max_size=100), 5000, a_candidate(), True, id="a size alone"),
        pytest.param(
            Budget(min_sqnr="20dB"), 5000, a_candidate(changed=None, points=None), True, id="the SQNR of numbers"
        ),
        pytest.param(
            Budget(min_sqnr="20.1dB"), 5000, a_candidate(changed=None, points=None), False, id="too low an SQNR"
        ),
        pytest.param(
            MARGIN, 5000, a_candidate(error=math.inf, changed=0, points=0.0), False, id="an output that is not finite"
        ),
    ],
)
def test_what_fits(budget, n, measured, fits):
    (candidate,) = Goal(budget, n).judged([measured])
    assert candidate.fits is fits


NUMBERS = a_candidate(changed=None, points=None)


@pytest.mark.parametrize(
    ("budget", "n", "measured", "misses", "unit"),
    [
        pytest.param(MARGIN, 5000, a_candidate(), [], "pt", id="nothing"),
        pytest.param(
            MARGIN,
            5000,
            a_candidate(changed=25, points=0.875),
            [Miss("max_accuracy_loss", pytest.approx(0.35 * 2.5 + 164.49 * math.sqrt(0.025 / 5000), 1e-3), 1.0, "pt")],
            "pt",
            id="the bound",
        ),
        pytest.param(
            MARGIN,
            100,
            a_candidate(changed=11),
            [Miss("max_accuracy_loss", pytest.approx(1.1), 1.0, "pt")],
            "pt",
            id="the share of changed samples, where no bound can be so low",
        ),
        pytest.param(
            AGREEMENT,
            5000,
            a_candidate(points=None, changed=25),
            [Miss("min_agreement", pytest.approx(100 - 2.5 - 164.49 * math.sqrt(0.025 / 5000), 1e-3), 98.0, "%")],
            "pt",
            id="agreement",
        ),
        pytest.param(
            Budget(min_sqnr="25dB"), 5000, NUMBERS, [Miss("min_sqnr", 20.0, 25.0, "dB")], "dB", id="the SQNR of numbers"
        ),
        pytest.param(
            Budget(min_sqnr="25dB", max_size=60),
            5000,
            NUMBERS,
            [Miss("min_sqnr", 20.0, 25.0, "dB"), Miss("max_size", 100, 60, "bytes")],
            "dB",
            id="two limits",
        ),
    ],
)
def test_which_limits_are_not_kept_and_by_how_much(budget, n, measured, misses, unit):
    (candidate,) = Goal(budget, n).judged([measured])
    assert list(candidate.misses) == misses
    assert candidate.unit == unit
    assert candidate.fits is not bool(misses)
    assert candidate.keeps is not bool([one for one in misses if one.limit != "max_size"])


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        pytest.param("boxes=40dB", True, id="of another output"),
        pytest.param("scores[0]=40dB", True, id="of a channel"),
        pytest.param("scores=40dB", False, id="of the scored output"),
        pytest.param("40dB,scores=10dB", True, id="of all others, and the scored output has its own"),
        pytest.param("10dB,boxes=40dB", True, id="of all others, and another output has its own"),
    ],
)
def test_the_sqnr_of_the_scored_output_decides(limits, fits):
    measured = a_candidate(changed=None, points=None)
    (candidate,) = Goal(Budget(min_sqnr=limits), 5000, "scores").judged([measured])
    assert candidate.fits is fits


def test_luck_does_not_choose():
    """Of candidates with the same divergence, none is expected to be better than another."""
    lucky, unlucky = a_candidate("lucky", changed=4, points=0.1), a_candidate("unlucky", changed=16, points=0.6)
    bounds = {one.name: one.expected_upper for one in Goal(MARGIN, 5000).judged([lucky, unlucky])}
    assert bounds["lucky"] == bounds["unlucky"]


def test_a_metric_without_classes_is_expected_to_vary_less_with_more_samples():
    loss = Loss("mae", "lower", "", 100, 1.0, 1.1, 0.1, 0.0, 0.2, 0.95, "BCa bootstrap")
    measured = Measured("one", 100, 100, 0.01, None, loss, 20.0)
    assert [
        candidate.expected_upper
        for n in (100, 400)
        for candidate in Goal(Budget(max_accuracy_loss="20%"), n).judged([measured])
    ] == pytest.approx([0.2, 0.15])


def test_the_smallest_that_fits_and_a_setting_of_the_same_size_first():
    goal = Goal(MARGIN, 5000)
    judged = goal.judged(
        [
            a_candidate("large", size=300),
            a_candidate("tuned", size=200),
            a_candidate("setting", size=200, official=True),
            a_candidate("small", size=50, error=4.0, changed=200, points=7.0),
        ]
    )
    assert [one.name for one in judged] == ["large", "setting", "tuned", "small"]
    assert smallest(judged).name == "setting"


def test_what_comes_closest_where_all_are_too_large():
    judged = Goal(Budget(max_accuracy_loss="1pt", max_size=10), 5000).judged(
        [a_candidate("precise", size=300, error=0.001, changed=1), a_candidate("smaller", size=200)]
    )
    assert smallest(judged) is None
    assert closest(judged).name == "smaller"


def test_what_comes_closest_where_nothing_fits():
    judged = Goal(Budget(max_accuracy_loss="0.1pt"), 100_000).judged(
        [a_candidate("far", error=0.04, changed=20, points=0.7), a_candidate("near")]
    )
    assert smallest(judged) is None
    assert closest(judged).name == "near"


@pytest.mark.parametrize("budget", [MARGIN, AGREEMENT, Budget(min_sqnr="20dB")], ids=["loss", "agreement", "SQNR"])
@pytest.mark.parametrize("squared_error", [0.5, math.inf])
@pytest.mark.parametrize("error", [math.inf, math.nan])
def test_what_is_not_finite_is_never_closest(budget, squared_error, error):
    """However few samples changed: a NaN in one of them says that more will come."""
    points = 0.0 if budget is MARGIN else None
    changed = None if budget.limits_of("sqnr") else 0
    broken = replace(a_candidate("broken", size=10, error=error, changed=changed, points=points), sqnr_db=-math.inf)
    poor = {"size": 200, "squared_error": squared_error, "official": True}
    poor = a_candidate("poor", error=4.0, changed=None if changed is None else 900, points=points and 80.0, **poor)
    judged = {one.name: one for one in Goal(budget, 5000).judged([broken, replace(poor, sqnr_db=1.0)])}
    assert (judged["broken"].expected_upper, judged["broken"].keeps) == (math.inf, False)
    assert closest(list(judged.values())).name == "poor"
    alone = Goal(budget, 5000).judged([broken, replace(broken, name="setting", size_bytes=900, official=True)])
    assert closest(alone).name == "setting"


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        pytest.param([(200, 0.01, False), (201, 0.005, False)], 201, id="one that is hardly larger and more precise"),
        pytest.param([(200, 0.01, False), (203, 0.005, False)], 200, id="not one that is larger by more than 1 %"),
        pytest.param([(2000, 0.01, False), (2010, 0.005, True)], 2010, id="a setting that is hardly larger"),
        pytest.param(
            [(2000, 0.01, False), (2010, 0.02, True), (2020, 0.005, False)], 2000, id="none larger than a setting"
        ),
    ],
)
def test_what_is_preferred(candidates, chosen):
    listed = [
        Candidate(str(size), size, 300, error, 3, 0.1, 0.5, keeps=True, fits=True, official=official)
        for size, error, official in candidates
    ]
    assert preferred(listed).size_bytes == chosen


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        pytest.param(MARGIN, None, id="a loss"),
        pytest.param(Budget(min_sqnr="20dB", max_size=10), None, id="an SQNR and a size"),
        pytest.param(
            Budget(max_accuracy_loss="1pt", max_class_loss="2pt", max_rmse="0.1"),
            "the search does not look at max_class_loss and max_rmse; the verdict does",
            id="limits of the verdict alone",
        ),
        pytest.param(
            Budget(min_sqnr="20dB,boxes=30dB,scores[2]=10dB"),
            "the search does not look at min_sqnr of boxes and min_sqnr of scores[2]; the verdict does",
            id="the SQNR of another output and of a channel",
        ),
    ],
)
def test_limits_that_the_search_does_not_look_at(budget, said):
    assert refuse_unguided(budget, "scores") == said


@pytest.mark.parametrize("output", [None, "scores"])
@pytest.mark.parametrize("budget", [Budget(max_size=100), Budget(max_class_loss="2pt")])
def test_a_search_without_a_limit_of_the_loss_is_refused(budget, output):
    with pytest.raises(UsageError, match="the smallest artifact would be chosen whatever it loses"):
        refuse_unguided(budget, output)


def test_the_sqnr_of_other_outputs_guides_no_search():
    budget = Budget(min_sqnr="boxes=30dB")
    assert refuse_unguided(budget) is None  # it may be the scored one
    with pytest.raises(UsageError, match="which counts for the scored output"):
        refuse_unguided(budget, "scores")


# What is said


def judged(name, size, *, fits=True, keeps=False, official=False, upper=0.5):
    return Candidate(name, size, 300, 0.01, 3, 0.1, upper, fits or keeps, fits, official)


UINT8, CODED = judged("tfjs-uint8", 160_000, official=True), judged("5.10 bits #7", 120_000)
WEIGHTS = TunedWeights("0" * 64)


def closest_with(*misses, upper=0.5):
    candidate = replace(judged("5.10 bits #7", 120_000, fits=False, upper=upper), misses=misses)
    return TunedFormat((candidate,), candidate.name, WEIGHTS)


@pytest.mark.parametrize(
    ("decided", "said"),
    [
        pytest.param(
            TunedFormat((UINT8, CODED), CODED.name, WEIGHTS),
            "tfjs-tuned: 5.10 bits #7, 120.0 KB gzipped, 25 % smaller than tfjs-uint8 (2 candidates on 300 search "
            "samples; the verdict is of 600 other samples)",
            id="a smaller one",
        ),
        pytest.param(
            TunedFormat((judged("tfjs-uint8", 160_000, official=True, fits=False), CODED), CODED.name, WEIGHTS),
            "tfjs-tuned: 5.10 bits #7, 120.0 KB gzipped, where no setting fits (2 candidates on 300 search samples; "
            "the verdict is of 600 other samples)",
            id="the only one that fits",
        ),
        pytest.param(
            TunedFormat((UINT8,), UINT8.name, setting=UINT8.name),
            "tfjs: nothing smaller than tfjs-uint8, 160.0 KB gzipped, was found (1 candidate on 300 search samples; "
            "the verdict is of 600 other samples)",
            id="nothing smaller",
        ),
        pytest.param(
            closest_with(Miss("max_accuracy_loss", 1.25, 0.5, "pt")),
            "tfjs: no candidate is expected to fit; the closest is 5.10 bits #7, 120.0 KB gzipped, with an expected "
            "loss of at most 1.25 pt, where 0.50 pt is allowed: 0.75 pt too much (1 candidate on 300 search samples; "
            "the verdict is of 600 other samples)",
            id="nothing fits",
        ),
        pytest.param(
            TunedFormat((judged("tfjs-uint8", 120_900, official=True), CODED), CODED.name, WEIGHTS),
            "tfjs-tuned: 5.10 bits #7, 120.0 KB gzipped, hardly smaller than tfjs-uint8 (2 candidates on 300 search "
            "samples; the verdict is of 600 other samples)",
            id="less than a percent smaller",
        ),
        pytest.param(
            closest_with(Miss("max_size", 120_000, 119_950, "bytes")),
            "tfjs: no candidate is expected to fit; the closest is 5.10 bits #7, 120.0 KB gzipped, with a size of "
            "120.00 KB, where 119.95 KB is allowed: 0.05 KB too much (1 candidate on 300 search samples; the verdict "
            "is of 600 other samples)",
            id="all are too large",
        ),
        pytest.param(
            closest_with(Miss("min_sqnr", 19.8, 25.0, "dB"), Miss("max_accuracy_loss", 0.125, 0.1, "")),
            "tfjs: no candidate is expected to fit; the closest is 5.10 bits #7, 120.0 KB gzipped, with an SQNR of "
            "19.80 dB, where 25.00 dB is asked for: 5.20 dB too little and an expected loss of at most 0.12, where "
            "0.10 is allowed: 0.02 too much (1 candidate on 300 search samples; the verdict is of 600 other samples)",
            id="two limits",
        ),
        pytest.param(
            closest_with(Miss("min_agreement", 96.2, 98.0, "%")),
            "tfjs: no candidate is expected to fit; the closest is 5.10 bits #7, 120.0 KB gzipped, with an expected "
            "agreement of at least 96.20 %, where 98.00 % is asked for: 1.80 points too little (1 candidate on 300 "
            "search samples; the verdict is of 600 other samples)",
            id="agreement",
        ),
        pytest.param(
            closest_with(upper=math.inf),
            "tfjs: no candidate is expected to fit; the closest is 5.10 bits #7, 120.0 KB gzipped, with an output that "
            "is not finite (1 candidate on 300 search samples; the verdict is of 600 other samples)",
            id="an output that is not finite",
        ),
        pytest.param(
            replace(TunedFormat((UINT8, CODED), CODED.name, WEIGHTS), single_decisions=31),
            "tfjs-tuned: 5.10 bits #7, 120.0 KB gzipped, 25 % smaller than tfjs-uint8 (2 candidates and 31 single "
            "decisions on 300 search samples; the verdict is of 600 other samples)",
            id="single decisions count, too",
        ),
        pytest.param(
            TunedFormat((UINT8, CODED), CODED.name, WEIGHTS, finished=False),
            "tfjs-tuned: time was over before the search ended, so this is the best so far; 5.10 bits #7, 120.0 KB "
            "gzipped, 25 % smaller than tfjs-uint8 (2 candidates on 300 search samples; the verdict is of 600 other "
            "samples)",
            id="no time left",
        ),
    ],
)
def test_what_is_said(decided, said):
    assert note_of("tfjs", decided, "gzipped", 600) == said
