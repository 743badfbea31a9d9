"""Times one variant in a Python worker that has done nothing else, and measures its memory."""

import contextlib
import importlib
import itertools
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy.typing as npt

from quantlab.runtimes.exchange import Job, TimingPlan
from quantlab.types.messages import Progress, Ready, Timed
from quantlab.worker.emit import Emit
from quantlab.worker.execution import load_artifact

__all__ = ["MemoryCount", "peak_memory", "time_variant"]

Array = npt.NDArray[Any]

_HEARTBEAT_SECONDS = 1.0
_UNTOLD = "this system does not report the peak memory of a process"


def time_variant(job: Job, batch: Sequence[Array], plan: TimingPlan, emit: Emit) -> None:
    """Load a variant and run it as planned; sends `ready`, sometimes `progress`, and `timed`."""
    importlib.import_module(job.python.library)
    resolve_name(job.python.load)  # whose import is no part of loading either
    memory = MemoryCount()
    began = time.perf_counter()
    execution = load_artifact(job)
    load_ms = 1000 * (time.perf_counter() - began)
    emit(Ready(execution.ran_on, execution.environment))
    clock = _alive(lambda: _seconds(execution.call, batch), emit, job.batch_size)
    first = next(clock)
    runs = list(_steady(clock, plan))
    peak_bytes = memory.peak_bytes()
    emit(
        Timed(
            load_ms=load_ms,
            first_run_ms=1000 * first,
            runs_ms=tuple(1000 * seconds for seconds in runs),
            idle_memory_bytes=memory.idle_bytes,
            peak_memory_bytes=peak_bytes,
            memory_reason=memory.reason,
        )
    )


def _seconds(call: Callable[[Sequence[Array]], Any], batch: Sequence[Array]) -> float:
    began = time.perf_counter()
    call(batch)
    return time.perf_counter() - began


def _alive(run: Callable[[], float], emit: Emit, batch: int) -> Iterator[float]:
    """Yield the seconds of consecutive runs; sends progress regularly, so that the parent does not time out."""
    said = time.monotonic()
    for done in itertools.count(1):
        seconds = run()
        if time.monotonic() - said > _HEARTBEAT_SECONDS:
            said = time.monotonic()
            emit(Progress(done, batch, seconds))
        yield seconds


def _steady(clock: Iterator[float], plan: TimingPlan) -> Iterator[float]:
    """The seconds of the runs that are counted."""
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


class MemoryCount:
    """Measures the memory that a process adds from now on.

    A forked process starts with the memory and the peak of its parent, so the peak is reset to the current memory
    (proc(5), `clear_refs`). Pages of shared libraries are subtracted: a fork loads them gradually, and they are not
    part of a model.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.idle_bytes: int | None = None
        """Memory at the start; None if the system does not report it."""
        if sys.platform == "linux":
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:
                self.reason = "this system does not let a process reset its peak memory"
                return
        self.idle_bytes = self.peak_bytes()
        if self.idle_bytes is None:
            self.reason = _UNTOLD

    def peak_bytes(self) -> int | None:
        """The peak since the start; None if the system does not report it."""
        if self.reason is not None:
            return None
        peak = peak_memory()
        return None if peak is None else peak - _library_bytes()


def _library_bytes() -> int:
    """Bytes of shared libraries in this process's memory; 0 if the system does not report it."""
    if sys.platform != "linux":
        return 0
    held, of_library = 0, False
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/smaps").read_text(errors="replace").splitlines():
            first, *rest = line.split(maxsplit=5)
            if not first.endswith(":"):
                of_library = len(rest) == 5 and ".so" in Path(rest[4]).name
            elif of_library and first == "Rss:":
                held += int(rest[0]) * 1024
    return held


def peak_memory() -> int | None:
    """Peak memory of this process in bytes; None if the system does not report it.

    On Linux this does not use getrusage, whose value starts with the memory of the parent.
    """
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
