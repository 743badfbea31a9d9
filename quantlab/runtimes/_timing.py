"""Times one variant in a Python worker that has done nothing else, and reads how much memory that took."""

import importlib
import itertools
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.processes import Emit
from quantlab.runtimes._executors import EXECUTORS, LIBRARIES
from quantlab.runtimes.exchange import Job, TimingPlan

__all__ = ["peak_memory", "time_variant"]

Array = npt.NDArray[Any]

_HEARTBEAT_SECONDS = 1.0
_UNTOLD = "this system does not tell how much memory a process held at most"


def time_variant(job: Job, batch: Sequence[Array], plan: TimingPlan, emit: Emit) -> None:
    """Load a variant and run it as planned; says `ready`, now and then `progress`, and `timed`."""
    importlib.import_module(LIBRARIES[job.format])
    idle_bytes = peak_memory()
    began = time.perf_counter()
    execution = EXECUTORS[job.format](job)
    load_ms = 1000 * (time.perf_counter() - began)
    emit({"type": "ready", "ran_on": "python", "environment": execution.environment})
    clock = _alive(lambda: _seconds(execution.call, batch), emit, job.batch_size)
    first = next(clock)
    runs = list(_steady(clock, plan))
    peak_bytes = peak_memory()
    emit(
        {
            "type": "timed",
            "load_ms": load_ms,
            "first_run_ms": 1000 * first,
            "runs_ms": [1000 * seconds for seconds in runs],
            "idle_memory_bytes": idle_bytes,
            "peak_memory_bytes": peak_bytes,
            "memory_reason": None if peak_bytes is not None else _UNTOLD,
        }
    )


def _seconds(call: Callable[[Sequence[Array]], Any], batch: Sequence[Array]) -> float:
    began = time.perf_counter()
    call(batch)
    return time.perf_counter() - began


def _alive(run: Callable[[], float], emit: Emit, batch: int) -> Iterator[float]:
    """Seconds of one run after the other; whoever waits hears of them now and then."""
    said = time.monotonic()
    for done in itertools.count(1):
        seconds = run()
        if time.monotonic() - said > _HEARTBEAT_SECONDS:
            said = time.monotonic()
            emit({"type": "progress", "done": done, "seconds": seconds, "batch": batch})
        yield seconds


def _steady(clock: Iterator[float], plan: TimingPlan) -> Iterator[float]:
    """The runs that count."""
    warm = 0.0
    for _ in range(plan.most_runs):
        if warm >= plan.warm_up_seconds:
            break
        warm += next(clock)
    spent = 0.0
    for count in range(plan.most_runs):
        enough = spent >= plan.seconds and count >= plan.enough_runs
        if count >= plan.least_runs and (enough or spent >= plan.most_seconds):
            return
        seconds = next(clock)
        spent += seconds
        yield seconds


def peak_memory() -> int | None:
    """The most bytes that this process has held in memory at once; None where the system does not tell.

    On Linux not from getrusage, which begins with what the parent held when it started us.
    """
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
