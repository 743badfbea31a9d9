"""The remaining time of a study: all phases count, and no estimate is shown too early."""

import io
import re
import sys

import pytest
from study_fixtures import Heard

from quantlab.cli.progress import shown
from quantlab.progress import BatchForecast, Forecast, OfModel, Progress, Silent


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


@pytest.mark.parametrize(
    ("converted", "left"),
    [
        pytest.param(2, 10 / 2 * 6, id="conversions take longer than runs"),
        pytest.param(6, 10 / 50 * 50, id="runs take longer than conversions"),
    ],
)
def test_of_phases_beside_each_other_the_longer_one_counts(forecast, clock, converted, left):
    forecast.plan("convert", 8, beside="run")
    for phase, units in (("convert", converted), ("run", 50)):
        forecast.work(phase, 0)
        clock.seconds += 10
        forecast.work(phase, units)
        clock.seconds -= 10
    clock.seconds = 10
    assert forecast.seconds_left() == left + 40 * 0.5 + 4 * 1.5


def test_a_phase_beside_another_that_is_unknown_is_not_guessed(forecast, clock):
    forecast.plan("convert", 8, beside="run")
    forecast.work("run", 100)
    clock.seconds = 10
    assert forecast.seconds_left() is None
    forecast.skip("convert", 8)
    assert forecast.seconds_left() == 40 * 0.5 + 4 * 1.5


def test_a_phase_that_is_planned_again_has_its_new_figures(forecast):
    forecast.work("run", 100)
    forecast.plan("look inside", 40, 2.0)
    assert forecast.seconds_left() == 40 * 2.0 + 4 * 1.5


def test_phases_that_nobody_planned_count_for_nothing(clock):
    forecast = Forecast(clock)
    forecast.work("run", 5)
    forecast.skip("run", 5)
    assert (forecast.seconds_left(), forecast.share_done) == (None, 1)


# Several studies


def test_the_share_of_a_batch_is_that_of_all_models(clock):
    forecast = BatchForecast(4, clock)
    assert (forecast.share_done, forecast.seconds_left()) == (0, None)
    forecast.begin("a")
    forecast.begin("b")
    a, b = (OfModel(name, as_told(forecast)) for name in "ab")
    a.plan("run", 100)
    clock.seconds = 8
    a.work("run", 20)  # a twentieth of all
    assert (forecast.share_done, forecast.seconds_left()) == (0.05, None)
    b.plan("run", 10)
    b.skip("run", 5)
    b.work("run", 5)
    assert forecast.share_done == 0.3
    assert forecast.seconds_left() == pytest.approx(8 * 0.7 / 0.3)
    forecast.end("a")
    assert forecast.share_done == 0.5
    forecast.end("kept")  # was never begun
    assert forecast.share_done == 2 / 3
    forecast.end("b")
    forecast.end("kept, too")
    assert (forecast.share_done, forecast.seconds_left()) == (1, 0)


def as_told(forecast: BatchForecast) -> Progress:
    progress = Silent()
    progress.plan, progress.work, progress.skip = forecast.plan, forecast.work, forecast.skip
    return progress


def test_each_step_has_the_name_of_its_model():
    heard = Heard()
    follow(OfModel("a", heard))
    OfModel("a", heard).warn("a: it has its own name")
    assert [*heard.ended] == ["a: run a", "a: run b", "a: run c"]
    assert heard.samples == {"a: run a": 2}
    assert heard.warnings == ["a: a [name] in brackets", "a: it has its own name"]


# How the command line shows it


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", stream)
    with shown() as progress:
        follow(progress)
    return stream.getvalue()


def follow(progress: Progress) -> None:
    progress.plan("run", 4, 1.0)
    progress.begin("run a", 4)
    progress.advance("run a", 2)
    progress.work("run", 2)
    progress.skip("run", 1)
    progress.begin("run b")
    progress.end("run a", "done")
    progress.end("run b", "it has [no] op")
    progress.end("run c", "kept")
    progress.warn("a [name] in brackets")


def test_lines_elsewhere(monkeypatch):
    lines = told(monkeypatch, io.StringIO()).splitlines()
    assert [line.partition(" s  ")[2].partition(" (")[0] for line in lines[:3]] == [
        "run a: done",
        "run b: it has [no] op",
        "run c: kept",
    ]
    assert lines[0].endswith(" s, 67 % done, about 0 s left)")
    assert lines[3:] == ["warning: a [name] in brackets"]


def test_bars_without_colours(monkeypatch):
    """NO_COLOR leaves bold and cursor movements, and takes colours alone."""
    assert re.search("\x1b\\[[0-9;]*3[0-9]", told(monkeypatch, Terminal()))
    monkeypatch.setenv("NO_COLOR", "1")
    drawn = told(monkeypatch, Terminal())
    assert not re.search("\x1b\\[[0-9;]*3[0-9]", drawn)
    assert "warning: a [name] in brackets" in drawn


def test_bars_in_a_terminal(monkeypatch):
    """Only what went wrong stays; names in brackets are no markup."""
    drawn = told(monkeypatch, Terminal())
    assert "all: 67 % done, about 0 s left" in drawn
    assert "run b: it has [no] op" in drawn
    assert "warning: a [name] in brackets" in drawn
    assert "run a: done" not in drawn
    assert "run c" not in drawn
