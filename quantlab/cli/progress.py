"""Progress on standard error: bars in a terminal, otherwise one line for each step."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quantlab.progress import BatchForecast, Forecast, Progress

__all__ = ["shown"]


@contextmanager
def shown(forecast: Forecast | BatchForecast | None = None) -> Iterator[Progress]:
    """Show progress until the block ends, with the time left by a forecast; None makes one of a single study."""
    forecast = forecast or Forecast()
    if not sys.stderr.isatty():
        yield _Lines(forecast)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bars

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars, forecast)


def _left(forecast: Forecast | BatchForecast) -> str:
    """Return the share done and the time left; empty while the time left is unknown."""
    seconds = forecast.seconds_left()
    return "" if seconds is None else f"{100 * forecast.share_done:.0f} % done, about {seconds:.0f} s left"


class _Lines:
    """Prints one line when a step ends, with the time that it took."""

    def __init__(self, forecast: Forecast | BatchForecast) -> None:
        self._began = time.monotonic()
        self._steps: dict[str, float] = {}
        self._forecast = forecast
        self._lock = threading.Lock()

    def plan(self, phase: str, units: int, unit_seconds: float | None = None, *, beside: str | None = None) -> None:
        with self._lock:
            self._forecast.plan(phase, units, unit_seconds, beside=beside)

    def begin(self, step: str, samples: int = 0) -> None:
        del samples
        self._steps[step] = time.monotonic()

    def advance(self, step: str, samples: int) -> None:
        del step, samples

    def work(self, phase: str, units: int) -> None:
        with self._lock:
            self._forecast.work(phase, units)

    def skip(self, phase: str, units: int) -> None:
        with self._lock:
            self._forecast.skip(phase, units)

    def end(self, step: str, outcome: str) -> None:
        now = time.monotonic()
        took = now - self._steps.pop(step, now)
        with self._lock:
            left = _left(self._forecast)
        self._print(f"{now - self._began:7.1f} s  {step}: {outcome} ({took:.1f} s{f', {left}' if left else ''})")

    def warn(self, text: str) -> None:
        self._print(f"warning: {text}")

    def _print(self, line: str) -> None:
        with self._lock:
            print(f"{line}\n", end="", file=sys.stderr, flush=True)


class _Bars:
    """Shows one bar for all work and one for each running step."""

    def __init__(self, bars: Any, forecast: Forecast | BatchForecast) -> None:
        self._bars = bars
        self._all: Any = None
        self._steps: dict[str, Any] = {}
        self._forecast = forecast
        self._lock = threading.Lock()

    def plan(self, phase: str, units: int, unit_seconds: float | None = None, *, beside: str | None = None) -> None:
        with self._lock:
            self._forecast.plan(phase, units, unit_seconds, beside=beside)
            if self._all is None:
                self._all = self._bars.add_task("all", total=100)

    def begin(self, step: str, samples: int = 0) -> None:
        self._forget(step)
        self._steps[step] = self._bars.add_task(step, total=samples or None)

    def advance(self, step: str, samples: int) -> None:
        self._bars.advance(self._steps[step], samples)

    def work(self, phase: str, units: int) -> None:
        with self._lock:
            self._forecast.work(phase, units)
            self._show_all()

    def skip(self, phase: str, units: int) -> None:
        with self._lock:
            self._forecast.skip(phase, units)
            self._show_all()

    def _show_all(self) -> None:
        left = _left(self._forecast)
        completed = round(100 * self._forecast.share_done)
        self._bars.update(self._all, completed=completed, description=f"all: {left}" if left else "all")

    def _forget(self, step: str) -> None:
        task = self._steps.pop(step, None)
        if task is not None:
            self._bars.remove_task(task)

    def end(self, step: str, outcome: str) -> None:
        self._forget(step)
        if outcome not in {"done", "kept"}:
            self._bars.console.print(f"{step}: {outcome}", markup=False, highlight=False)

    def warn(self, text: str) -> None:
        self._bars.console.print(f"warning: {text}", markup=False, highlight=False)
