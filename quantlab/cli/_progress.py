"""Progress on standard error: bars in a terminal, a line a step elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quantlab.progress import Progress

__all__ = ["shown"]


@contextmanager
def shown() -> Iterator[Progress]:
    """Show progress until the block ends."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bars:
        yield _Bars(bars)


_TELLING_SHARE = 0.25


class _Estimate:
    """How long it may still take, from the samples that were really run."""

    def __init__(self) -> None:
        self.planned = 0
        self.done = 0
        self._began = time.monotonic()

    def plan(self, samples: int) -> None:
        self.planned, self.done = samples, 0
        self._began = time.monotonic()

    def text(self) -> str:
        # Conversions come first and are no samples, so that an early estimate would only mislead.
        if self.done < _TELLING_SHARE * self.planned or not self.done:
            return ""
        left = (time.monotonic() - self._began) * (self.planned - self.done) / self.done
        return f", {100 * self.done // self.planned} % of all samples, about {max(left, 0):.0f} s left"


class _Lines:
    """A line when a step ends, with the time it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._steps: dict[str, float] = {}
        self._estimate = _Estimate()
        self._lock = threading.Lock()

    def plan(self, samples: int) -> None:
        self._estimate.plan(samples)

    def begin(self, step: str, samples: int = 0) -> None:
        del samples
        self._steps[step] = time.monotonic()

    def advance(self, step: str, samples: int) -> None:
        del step
        with self._lock:
            self._estimate.done += samples

    def end(self, step: str, outcome: str) -> None:
        now = time.monotonic()
        took = now - self._steps.pop(step, now)
        self._print(f"{now - self._began:7.1f} s  {step}: {outcome} ({took:.1f} s{self._estimate.text()})")

    def warn(self, text: str) -> None:
        self._print(f"warning: {text}")

    def _print(self, line: str) -> None:
        with self._lock:
            print(line, file=sys.stderr, flush=True)


class _Bars:
    """One bar for all samples, and one for each step under way."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._all: Any = None
        self._steps: dict[str, Any] = {}

    def plan(self, samples: int) -> None:
        if self._all is not None:
            self._bars.remove_task(self._all)
        self._all = self._bars.add_task("all", total=samples)

    def begin(self, step: str, samples: int = 0) -> None:
        self._steps[step] = self._bars.add_task(step, total=samples or None)

    def advance(self, step: str, samples: int) -> None:
        self._bars.advance(self._steps[step], samples)
        if self._all is not None:
            self._bars.advance(self._all, samples)

    def end(self, step: str, outcome: str) -> None:
        task = self._steps.pop(step, None)
        if task is not None:
            self._bars.remove_task(task)
        if outcome not in {"done", "kept"}:
            self._bars.console.print(f"{step}: {outcome}", markup=False, highlight=False)

    def warn(self, text: str) -> None:
        self._bars.console.print(f"warning: {text}", markup=False, highlight=False)
