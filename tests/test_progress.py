"""How long a study may still take: every phase counts, and none tells before it can."""

import pytest

from quantlab.progress import Forecast


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def forecast(clock):
    made = Forecast(clock)
    made.plan("run", 100)
    made.plan("look inside", 40, 0.5)
    made.plan("time", 4, 1.5)
    return made


def test_a_phase_that_is_unknown_is_not_guessed(forecast):
    assert forecast.seconds_left() is None


def test_a_pace_is_not_told_before_a_quarter_is_done(forecast, clock):
    forecast.work("run", 0)
    clock.seconds = 10
    forecast.work("run", 24)
    assert forecast.seconds_left() is None
    forecast.work("run", 1)
    assert forecast.seconds_left() == 10 / 25 * 75 + 40 * 0.5 + 4 * 1.5


def test_what_a_phase_really_took_replaces_the_guess(forecast, clock):
    forecast.work("run", 100)
    forecast.work("time", 0)
    clock.seconds = 6
    forecast.work("time", 2)
    assert forecast.seconds_left() == 40 * 0.5 + 6 / 2 * 2


def test_kept_work_makes_the_rest_look_no_faster(forecast, clock):
    forecast.skip("run", 50)
    forecast.work("run", 0)
    clock.seconds = 20
    forecast.work("run", 25)
    assert forecast.seconds_left() == 20 + 40 * 0.5 + 4 * 1.5


def test_nothing_left_is_no_second_left(forecast):
    forecast.work("run", 100)
    forecast.skip("look inside", 40)
    forecast.work("time", 5)
    assert forecast.seconds_left() == 0
    assert forecast.share_done == 1


def test_phases_that_nobody_planned_count_for_nothing(clock):
    forecast = Forecast(clock)
    forecast.work("run", 5)
    forecast.skip("run", 5)
    assert (forecast.seconds_left(), forecast.share_done) == (None, 1)
