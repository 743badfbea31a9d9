"""Reading inside variants while they run, a batch at a time: one session a variant and runtime.

A session's child writes the tensors of a batch into one file, which the parent maps, and overwrites it for the next:
neither memory nor disk grows with the samples.
"""

import contextlib
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.processes import Child, ChildDied, ChildPool, ChildStalled, Lane, Message
from quantlab.runtimes import python
from quantlab.runtimes.contract import Runtime
from quantlab.runtimes.exchange import Job, job_document
from quantlab.types import Codes, TapSpec

__all__ = ["Reading", "Session", "graph_taps", "open_child", "open_python"]

Array = npt.NDArray[Any]

_OUTPUT = "output:"
"""Before the names of a variant's own outputs, among those of its taps."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one batch held, mapped from the session's file: valid until the session's next batch."""

    outputs: Mapping[str, Array]
    """Output's name → (samples, …)."""
    taps: Mapping[str, Array]
    """Tap's name → (samples, …)."""
    failed: Mapping[str, str]
    """Tap's name → why it could not be read."""


class Session(Protocol):
    """A variant that is open for reading inside."""

    @property
    def lane(self) -> Lane | None:
        """Whom it waits for: sessions of one lane are read one after the other. None with a process of its own."""

    def read(self, start: int, stop: int) -> Reading:
        """Run some samples; raises a QuantlabError where the runtime cannot."""


def graph_taps(job: Job, pool: ChildPool) -> tuple[TapSpec, ...]:
    """Every tensor inside a graph-model, or inside the reference's graph (see `python.REFERENCE`)."""
    request = {"request": "list-taps", "job": job_document(job)}
    said = python.answer(request, "taps", pool, lane=_lane(job, pool))
    return tuple(_spec(each) for each in said["taps"])


def _lane(job: Job, pool: ChildPool) -> Lane:
    """Each graph is opened in one worker: in whichever is idle, all would be in every worker before long."""
    return pool.lane(f"{job.format} {job.artifact}")


def _spec(said: Mapping[str, Any]) -> TapSpec:
    codes = Codes(**said["codes"]) if said["codes"] else None
    return TapSpec(said["name"], tuple(said["shape"]), said["dtype"], said["op"], codes, said["reason"])


@dataclass(slots=True)
class _Scratch:
    """A session's file, mapped again only where its size changed: a new map faults on every page of every batch."""

    file: Path
    mapped: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def whole(self) -> npt.NDArray[np.uint8]:
        """All its bytes, as the last batch left them."""
        if self.file.stat().st_size != self.mapped.size:
            # As a plain array: to cut a tensor out of a memmap takes three times as long.
            self.mapped = np.memmap(self.file, np.uint8, "r").view(np.ndarray)
        return self.mapped


@dataclass(slots=True)
class _PythonSession:
    """A session in a Python worker, which serves others too."""

    pool: ChildPool
    request: Message
    scratch: _Scratch
    lane: Lane

    def read(self, start: int, stop: int) -> Reading:
        request = {**self.request, "start": start, "stop": stop}
        said = python.answer(request, "tapped", self.pool, lane=self.lane)
        return _reading(self.scratch.whole(), said["tensors"], stop - start)


def open_python(job: Job, taps: Sequence[str], file: Path, pool: ChildPool) -> Session:
    """Open a variant (or the reference's graph) in a Python worker; the file is the session's own."""
    request = {
        "request": "tap",
        "session": str(file),
        "job": job_document(job),
        "taps": list(taps),
        "file": str(file.absolute()),
    }
    return _PythonSession(pool, request, _Scratch(file), _lane(job, pool))


def _reading(whole: npt.NDArray[np.uint8], tensors: Sequence[Message], samples: int) -> Reading:
    outputs: dict[str, Array] = {}
    taps: dict[str, Array] = {}
    failed: dict[str, str] = {}
    for tensor in tensors:
        name = str(tensor["name"])
        if "reason" in tensor:
            failed[name] = str(tensor["reason"])
        elif name.startswith(_OUTPUT):
            outputs[name.removeprefix(_OUTPUT)] = _values(whole, tensor, samples)
        else:
            taps[name] = _values(whole, tensor, samples)
    return Reading(outputs, taps, failed)


def _values(whole: npt.NDArray[np.uint8], tensor: Message, samples: int) -> Array:
    dtype = np.dtype(tensor.get("dtype", "float32"))
    shape = (samples, *tensor["shape"])
    size = math.prod(shape) * dtype.itemsize
    begin = int(tensor["offset"])
    return whole[begin : begin + size].view(dtype).reshape(shape)


@dataclass(slots=True)
class _ChildSession:
    """A session in a process of its own."""

    child: Child
    scratch: _Scratch
    stall_seconds: float
    lane: Lane | None = None

    def read(self, start: int, stop: int) -> Reading:
        self.child.send({"start": start, "stop": stop})
        while True:
            message = self.child.receive(self.stall_seconds)
            if message["type"] == "failed":
                raise TrialError(str(message["reason"]))
            if message["type"] == "tapped":
                return _tapped(self.scratch, message, stop - start)


def _tapped(scratch: _Scratch, message: Message, samples: int) -> Reading:
    outputs = [{**each, "name": f"{_OUTPUT}{each['name']}"} for each in message["outputs"]]
    return _reading(scratch.whole(), [*outputs, *message["tensors"], *message["failed"]], samples)


@dataclass(slots=True)
class _SharedSession:
    """A session in a process that serves others too; where it fails there, it gets a process of its own."""

    ask: Callable[[Message], Generator[Message, None, None]]
    """Puts a request to the shared process."""
    start: Callable[[], _ChildSession]
    document: Message
    scratch: _Scratch
    shared: Lane
    own: _ChildSession | None = None

    @property
    def lane(self) -> Lane | None:
        return None if self.own else self.shared

    def read(self, start: int, stop: int) -> Reading:
        if self.own is None:
            try:
                return self._read_shared(start, stop)
            except ChildStalled:
                raise  # it would stall once more
            except (ChildDied, TrialError):  # another variant's, perhaps, which has used up or spoiled what they share
                self.own = self.start()
        return self.own.read(start, stop)

    def _read_shared(self, start: int, stop: int) -> Reading:
        asked = self.ask({**self.document, "read": {"start": start, "stop": stop}})
        with self.shared.lock, contextlib.closing(asked) as messages:
            message = python.answered(messages, "tapped", TrialError)
        return _tapped(self.scratch, message, stop - start)


def open_child(job: Job, taps: Sequence[str], file: Path, pool: ChildPool, *, runtime: Runtime) -> Session:
    """Open a variant in JavaScript; the taps of a TFLite file are outputs of its tapped copy, behind the model's own.

    Raises:
        ValueError: If the runtime is the Python worker's.
    """
    if runtime.start is None:
        raise ValueError(f"the runtime '{runtime.name}' starts no children of its own")
    document = job_document(replace(job, backend=runtime.backend)) | {
        "taps": {"file": str(file.absolute()), "names": list(taps)}
    }
    if "positions" in job.options:
        document["taps"]["positions"] = list(job.options["positions"])
    scratch, start, read = _Scratch(file), runtime.start, runtime.read

    def started() -> _ChildSession:
        return _ChildSession(start(document, pool), scratch, pool.stall_seconds)

    if read is None:
        return started()
    lane = pool.lane(f"{job.format} {job.artifact}", of=runtime.name)
    return _SharedSession(lambda request: read(request, lane, pool), started, document, scratch, lane)
