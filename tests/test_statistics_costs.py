"""Times of runs: quartiles, intervals of the median, and when one variant is reported as faster than another."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from quantlab.statistics import (
    P95_FROM_RUNS,
    median_interval,
    over_rounds,
    speed,
    speed_note,
    steady_note,
    steady_times,
)
from quantlab.types import Cost, Machine, SteadyTimes

MACHINE = Machine("a processor", 2, "Linux x86_64")

TIMES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60)


def cost(setting="tfjs-uint8", fastest=1.0, q1=1.1, q3=1.3, **changed):
    times = {"steady_fastest_ms": fastest, "steady_q1_ms": q1, "steady_median_ms": (q1 + q3) / 2, "steady_q3_ms": q3}
    return Cost(setting, "python", "c" * 64, MACHINE, ran_on="python", **{**times, "runs": 100, **changed})


def timed(*medians, setting="tfjs-uint8", sessions=""):
    """A variant whose rounds have these medians; `sessions` has a letter for each, or names none."""
    rounds = tuple(
        SteadyTimes(100, median, 0.9 * median, median, median, None, session)
        for median, session in zip(medians, sessions or [""] * len(medians), strict=True)
    )
    return cost(setting, steady_median_ms=statistics.median(medians), rounds=rounds)


FLOAT32 = timed(1.0, 1.1, 1.05, setting="tfjs-float32")
UNMEASURED = Cost("tfjs-uint8", "python", "c" * 64, MACHINE, reason="the process was ended by SIGKILL")


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        pytest.param([3.0], SteadyTimes(1, 3.0, 3.0, 3.0, 3.0, None), id="one run"),
        pytest.param([4.0, 1.0, 3.0, 2.0, 5.0], SteadyTimes(5, 3.0, 1.0, 2.0, 4.0, None), id="in any order"),
        pytest.param(
            [1.0] * 18 + [2.0], SteadyTimes(19, 1.0, 1.0, 1.0, 1.0, None), id="too few for the last twentieth"
        ),
        pytest.param([1.0] * 18 + [3.0] * 2, SteadyTimes(20, 1.0, 1.0, 1.0, 1.0, 3.0), id="twenty"),
        pytest.param([0.0] * 20, SteadyTimes(20, 0.0, 0.0, 0.0, 0.0, 0.0), id="a clock that is too coarse"),
    ],
)
def test_steady_times(times, expected):
    assert steady_times(times) == expected


@given(TIMES)
def test_the_median_is_that_of_the_standard_library(times):
    steady = steady_times(times)
    assert steady.median_ms == pytest.approx(statistics.median(times), rel=1e-12)
    assert steady.fastest_ms <= steady.q1_ms <= steady.median_ms <= steady.q3_ms
    assert (steady.p95_ms is None) == (len(times) < P95_FROM_RUNS)


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([], id="no run"),
        pytest.param([1.0, math.nan], id="NaN"),
        pytest.param([math.inf], id="infinite"),
        pytest.param([-1.0], id="a clock that went back"),
    ],
)
def test_times_that_are_none(times):
    with pytest.raises(ValueError, match=r"^at least one run time is needed, .+; got \["):
        steady_times(times)


NO_ONE_FASTER = "not shown to be faster than tfjs-float32"


@pytest.mark.parametrize(
    ("candidate", "expected", "note"),
    [
        pytest.param(timed(0.5, 0.6, 0.55), "faster", "faster than tfjs-float32", id="half of it"),
        pytest.param(timed(0.94, 0.9, 0.99), "faster", "faster than tfjs-float32", id="just apart and just a tenth"),
        pytest.param(timed(0.98, 0.97, 0.99), "not shown", NO_ONE_FASTER, id="apart, and not by a tenth"),
        pytest.param(timed(0.5, 0.6, 1.0), "not shown", NO_ONE_FASTER, id="intervals that touch"),
        pytest.param(timed(1.0, 1.1, 1.05), "not shown", NO_ONE_FASTER, id="the same"),
        pytest.param(timed(2.0, 2.1, 1.9), "slower", "slower than tfjs-float32", id="twice of it"),
        pytest.param(timed(1.09, 2.1, 1.9), "not shown", NO_ONE_FASTER, id="slower but for one round"),
        pytest.param(
            timed(0.1, 0.1),
            "not shown",
            f"{NO_ONE_FASTER}, which takes three rounds of timing",
            id="two rounds, however fast",
        ),
        pytest.param(timed(0.1), "not shown", f"{NO_ONE_FASTER}, which takes three rounds of timing", id="one round"),
        pytest.param(
            cost(fastest=0.1, q1=0.1, q3=0.1),
            "not shown",
            f"{NO_ONE_FASTER}, which takes three rounds of timing",
            id="a study of an older quantlab",
        ),
        pytest.param(UNMEASURED, None, None, id="not measured"),
    ],
)
def test_what_is_shown_of_speed(candidate, expected, note):
    assert speed(candidate, FLOAT32) == expected
    assert speed_note(candidate, FLOAT32) == note


APART = NO_ONE_FASTER + ", because they were timed by different commands; --timing-rounds {} times both in turns"


@pytest.mark.parametrize(
    ("sessions", "of_float32", "expected", "note"),
    [
        pytest.param("aaa", "aaa", "faster", "faster than tfjs-float32", id="in turns"),
        pytest.param("bbb", "aaa", "not shown", APART.format(6), id="float32 was timed before"),
        pytest.param("abb", "aaa", "not shown", APART.format(6), id="one round in turns"),
        pytest.param("bbbccc", "aaaccc", "faster", "faster than tfjs-float32", id="and then three in turns"),
    ],
)
def test_only_rounds_in_turns_show_speed(sessions, of_float32, expected, note):
    candidate = timed(*(0.5 for _ in sessions), sessions=sessions)
    float32 = timed(*(1.0 for _ in of_float32), sessions=of_float32, setting="tfjs-float32")
    assert (speed(candidate, float32), speed_note(candidate, float32)) == (expected, note)


def test_rounds_of_another_session_do_not_decide():
    """The machine was slow when float32 was timed first."""
    candidate = timed(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, sessions="bbbccc")
    float32 = timed(9.0, 9.0, 9.0, 1.0, 1.0, 1.0, sessions="aaaccc", setting="tfjs-float32")
    assert speed(candidate, float32) == "not shown"


def test_nothing_is_said_where_float32_was_not_measured():
    assert speed(FLOAT32, UNMEASURED) is None
    assert speed_note(FLOAT32, UNMEASURED) is None


@pytest.mark.parametrize(
    ("n", "confidence", "rank", "coverage"),
    [
        pytest.param(2, 0.9, 1, 0.5, id="two values"),
        pytest.param(3, 0.9, 1, 0.75, id="three values cannot reach 90 %"),
        pytest.param(5, 0.9, 1, 0.938, id="five do"),
        pytest.param(6, 0.95, 1, 0.969, id="6 at 95 %"),
        pytest.param(8, 0.9, 2, 0.930, id="8"),
        pytest.param(9, 0.95, 2, 0.961, id="9 at 95 %"),
        pytest.param(10, 0.95, 2, 0.979, id="10 at 95 %"),
        pytest.param(13, 0.95, 3, 0.978, id="13 at 95 %"),
        pytest.param(15, 0.95, 4, 0.965, id="15 at 95 %"),
        pytest.param(18, 0.95, 5, 0.969, id="18 at 95 %"),
        pytest.param(20, 0.95, 6, 0.959, id="20 at 95 %"),
    ],
)
def test_ranks_of_the_interval_of_a_median_equal_printed_tables(n, confidence, rank, coverage):
    """As in the printed table A.7 of textbooks, "Confidence intervals for the population median"; the method is that of
    the sign test (Conover 1999, Practical nonparametric statistics, section 3.2)."""
    interval = median_interval([float(value) for value in reversed(range(1, n + 1))], confidence)
    assert (interval.lower, interval.upper) == (rank, n + 1 - rank)
    assert interval.coverage == pytest.approx(coverage, abs=5e-4)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), st.floats(0.5, 0.99))
def test_the_interval_holds_the_median_and_its_coverage_is_binomial(values, confidence):
    interval = median_interval(values, confidence)
    assert interval.lower <= statistics.median(values) <= interval.upper
    n, rank = len(values), sum(value < interval.lower for value in values)
    assert interval.coverage <= stats.binom.cdf(n - rank - 1, n, 0.5) - stats.binom.cdf(rank, n, 0.5) + 1e-12
    if interval.coverage < confidence:
        assert (interval.lower, interval.upper) == (min(values), max(values))


def test_one_value_has_no_interval():
    assert median_interval([1.0]) is None
    assert median_interval([]) is None
    with pytest.raises(ValueError, match=r"^the confidence is 1; it must be between 0 and 1, for example 0\.9$"):
        median_interval([1.0, 2.0], 1)


@given(st.lists(TIMES, min_size=1, max_size=6))
def test_the_figures_of_all_rounds_are_in_order(rounds):
    each = [steady_times(times) for times in rounds]
    whole = over_rounds(each)
    assert whole.runs == sum(len(times) for times in rounds)
    assert whole.fastest_ms == min(min(times) for times in rounds)
    assert whole.fastest_ms <= whole.q1_ms <= whole.median_ms <= whole.q3_ms
    assert (whole.p95_ms is None) == any(len(times) < P95_FROM_RUNS for times in rounds)
    assert over_rounds(each[:1]) == each[0]


def test_no_round_has_no_figures():
    with pytest.raises(ValueError, match=r"^at least one round is needed$"):
        over_rounds([])


def test_equal_variants_are_seldom_called_faster():
    """Rounds of equal variants in any order: of 20 orders of three and three, one is faster and one is slower."""
    times = (0.5, 0.6, 0.7, 2.0, 2.1, 2.2)
    told = [
        speed(timed(*chosen), timed(*(time for time in times if time not in chosen)))
        for chosen in itertools.combinations(times, 3)
    ]
    assert (len(told), told.count("faster"), told.count("slower")) == (20, 1, 1)


@pytest.mark.parametrize(
    ("measured", "note"),
    [
        pytest.param(cost(fastest=1.0, q1=1.4, q3=1.5), None, id="steady"),
        pytest.param(
            cost(fastest=3.123, q1=7.0, q3=8.0),
            "unsteady times: the fastest run took 3.12 ms; other load on the machine is likely",
            id="half of the runs took twice as long",
        ),
        pytest.param(cost(fastest=0.0, q1=0.0, q3=0.0), None, id="a clock that is too coarse"),
        pytest.param(UNMEASURED, None, id="not measured"),
    ],
)
def test_times_of_a_machine_that_does_other_things(measured, note):
    assert steady_note(measured) == note


ROUNDS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9)


@given(ROUNDS, ROUNDS)
def test_one_is_faster_where_the_other_is_slower(ours, theirs):
    one, other = timed(*ours), timed(*theirs)
    opposite = {"faster": "slower", "slower": "faster", "not shown": "not shown"}
    assert speed(one, other) == opposite[speed(other, one)]
    assert speed(one, one) == "not shown"


@pytest.mark.parametrize(
    ("changed", "own"),
    [
        pytest.param({"peak_memory_bytes": 90, "idle_memory_bytes": 60}, 30, id="both known"),
        pytest.param({"peak_memory_bytes": 90}, None, id="no baseline"),
        pytest.param({}, None, id="neither"),
    ],
)
def test_a_variants_own_memory(changed, own):
    assert cost(**changed).own_memory_bytes == own
