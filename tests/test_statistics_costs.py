"""Times of runs: quartiles, and when one variant is reported as faster than another."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.statistics import P95_FROM_RUNS, SteadyTimes, faster, speed_note, steady_note, steady_times
from quantlab.types import Cost, Machine

MACHINE = Machine("a processor", 2, "Linux x86_64")

TIMES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60)


def cost(setting="tfjs-uint8", fastest=1.0, q1=1.1, q3=1.3, **changed):
    times = {"steady_fastest_ms": fastest, "steady_q1_ms": q1, "steady_median_ms": (q1 + q3) / 2, "steady_q3_ms": q3}
    return Cost(setting, "python", "c" * 64, MACHINE, ran_on="python", **{**times, "runs": 100, **changed})


FLOAT32 = cost("tfjs-float32")
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


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        pytest.param(cost(fastest=0.4, q1=0.5, q3=0.6), True, id="half of it"),
        pytest.param(cost(fastest=0.89, q1=0.9, q3=1.09), True, id="just apart"),
        pytest.param(cost(fastest=0.91, q1=0.92, q3=0.93), False, id="apart, and not by a tenth"),
        pytest.param(cost(fastest=0.4, q1=0.5, q3=1.2), False, id="middle halves that touch"),
        pytest.param(cost(), False, id="the same"),
        pytest.param(cost(fastest=2.0, q1=2.1, q3=2.2), False, id="slower"),
        pytest.param(UNMEASURED, None, id="not measured"),
    ],
)
def test_faster(candidate, expected):
    assert faster(candidate, FLOAT32) is expected
    assert speed_note(candidate, FLOAT32) == ("no faster than tfjs-float32" if expected is False else None)


def test_nothing_is_said_where_float32_was_not_measured():
    assert faster(FLOAT32, UNMEASURED) is None
    assert speed_note(FLOAT32, UNMEASURED) is None


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


@given(TIMES, TIMES)
def test_two_variants_are_never_faster_than_each_other(ours, theirs):
    one, other = (
        cost(fastest=times.fastest_ms, q1=times.q1_ms, q3=times.q3_ms)
        for times in (steady_times(ours), steady_times(theirs))
    )
    assert not (faster(one, other) and faster(other, one))
    assert not faster(one, one)


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
