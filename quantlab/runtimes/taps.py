"""Reading inside variants while they run, a batch at a time: one session a variant and runtime.

A session's child writes the tensors of a batch into one file, which the parent maps, and overwrites it for the next:
neither memory nor disk grows with the samples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.processes import Child, ChildDied, ChildPool, ChildStalled, Lane
from quantlab.runtimes import python
from quantlab.runtimes.contract import Host, Runtime
from quantlab.runtimes.exchange import Job
from quantlab.runtimes.protocol import answer, answered, ask_child
from quantlab.runtimes.requests import ListTaps, Tap
from quantlab.types import TapSpec
from quantlab.types.messages import Block, TapList, Tapped

__all__ = ["Reading", "Session", "graph_taps", "open_session"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one batch held, mapped from the session's file: valid until the session's next batch."""

    outputs: Mapping[str, Array]
    """Output's name → (samples, …)."""
    taps: Mapping[str, Array]
    """Tap's name → (samples, …)."""
    failed: Mapping[str, str]
    """Tap's name → why it could not be read."""


def graph_taps(job: Job, pool: ChildPool) -> tuple[TapSpec, ...]:
    """Every tensor inside a graph-model, or inside the reference's graph (see `python.REFERENCE`)."""
    return answer(python.HOST, ListTaps(job), TapList, pool, lane=_lane(job, pool, "workers")).taps


def _lane(job: Job, pool: ChildPool, of: str) -> Lane:
    """Each graph is opened in one child: in whichever is idle, all would be in every child before long."""
    return pool.lane(f"{job.format} {job.artifact}", of=of)


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
class Session:
    """A variant (or the reference's graph) that is open for reading inside.

    Where its host's children open many, it shares one with others; where it fails there, it gets a child of its own.
    """

    host: Host
    job: Job
    """With `taps`."""
    pool: ChildPool
    lane: Lane | None
    """Whom it waits for: sessions of one lane are read one after the other. None with a child of its own."""
    scratch: _Scratch
    own: Child | None = None

    def read(self, start: int, stop: int) -> Reading:
        """Run some samples.

        Raises:
            QuantlabError: If the runtime cannot.
        """
        request = Tap(self.job, start, stop)
        if self.lane is not None:
            try:
                return self._reading(answer(self.host, request, Tapped, self.pool, lane=self.lane))
            except ChildStalled:
                raise  # it would stall once more
            except (ChildDied, TrialError):  # another variant's, perhaps, which has used up or spoiled what they share
                self.lane = None
        if self.own is None:
            self.own = self.pool.keep(self.host.start(self.job, self.pool))
        return self._reading(answered(ask_child(self.own, request, self.pool), Tapped, TrialError))

    def _reading(self, tapped: Tapped) -> Reading:
        whole, samples = self.scratch.whole(), tapped.stop - tapped.start
        return Reading(
            {block.name: _values(whole, block, samples) for block in tapped.outputs},
            {block.name: _values(whole, block, samples) for block in tapped.tensors},
            {unread.name: unread.reason for unread in tapped.failed},
        )


def _values(whole: npt.NDArray[np.uint8], block: Block, samples: int) -> Array:
    dtype, shape = np.dtype(block.dtype), (samples, *block.shape)
    size = math.prod(shape) * dtype.itemsize
    return whole[block.offset : block.offset + size].view(dtype).reshape(shape)


def open_session(runtime: Runtime, job: Job, pool: ChildPool) -> Session:
    """Open a variant for reading what the job's `taps` name; their file is the session's own.

    Raises:
        ValueError: If the job has no taps.
    """
    if job.taps is None:
        raise ValueError("a session needs a job that names its taps")
    file = Path(job.taps.file)
    job = replace(job, backend=runtime.backend, taps=replace(job.taps, file=str(file.absolute())))
    of = "workers" if runtime.host is python.HOST else runtime.name
    lane = _lane(job, pool, of) if runtime.host.opens_many else None
    return Session(runtime.host, job, pool, lane, _Scratch(file))
