"""Reads tensors inside variants, one batch at a time: one session per variant and runtime.

A session's child writes the tensors of a batch to one file, which the parent maps and the next batch overwrites. So
neither memory nor disk usage grows with the number of samples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

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

__all__ = ["Reading", "Session", "TensorReader", "graph_taps", "open_session"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """The tensors of one batch, mapped from the session's file; valid until the session reads the next batch."""

    outputs: Mapping[str, Array]
    """Output name → (samples, …)."""
    taps: Mapping[str, Array]
    """Tap name → (samples, …)."""
    failed: Mapping[str, str]
    """Tap name → why it could not be read."""


class TensorReader(Protocol):
    """Reads tensors inside a variant: a session of a runtime, or the files of another program."""

    @property
    def lane(self) -> Lane | None:
        """The lane in which it is read; None if it needs none."""

    def read(self, start: int, stop: int) -> Reading:
        """The tensors of some samples.

        Raises:
            QuantlabError: If they cannot be read.
        """


def graph_taps(job: Job, pool: ChildPool) -> tuple[TapSpec, ...]:
    """Every tensor inside a graph-model, or inside the reference's graph (see `python.REFERENCE`)."""
    return answer(python.HOST, ListTaps(job), TapList, pool, lane=_lane(job, pool, "workers")).taps


def _lane(job: Job, pool: ChildPool, of: str) -> Lane:
    """The lane of a graph, so that one child opens it; otherwise every child would soon have opened all graphs."""
    return pool.lane(f"{job.format} {job.artifact}", of=of)


@dataclass(slots=True)
class _Scratch:
    """A session's file, mapped again only if its size changed; a new map would cost a page fault per page and batch."""

    file: Path
    mapped: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def whole(self) -> npt.NDArray[np.uint8]:
        """All bytes of the file after the last batch."""
        if self.file.stat().st_size != self.mapped.size:
            # As a plain array, because slicing a memmap takes three times as long.
            self.mapped = np.memmap(self.file, np.uint8, "r").view(np.ndarray)
        return self.mapped


@dataclass(slots=True)
class Session:
    """A variant (or the reference's graph) that is open for reading its tensors.

    If a child of its host can open several variants, sessions share it. If a session fails there, it gets its own
    child.
    """

    host: Host
    job: Job
    """The job, with `taps`."""
    pool: ChildPool
    lane: Lane | None
    """Its lane: sessions of one lane are read in sequence. None if it has its own child."""
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
                raise  # it would stall again
            except (ChildDied, TrialError):  # perhaps the fault of another variant in the shared child
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
    """Open a variant for reading the tensors named in the job's `taps`; no other session may have their file.

    Raises:
        ValueError: If the job has no taps.
        TrialError: If the runtime shows nothing inside a variant.
    """
    if not runtime.host.shows_inside:
        raise TrialError(f"{runtime.name} does not show the tensors inside a model")
    if job.taps is None:
        raise ValueError("a session needs a job that names its taps")
    file = Path(job.taps.file)
    job = replace(job, backend=runtime.backend, taps=replace(job.taps, file=str(file.absolute())))
    of = "workers" if runtime.host is python.HOST else runtime.name
    lane = _lane(job, pool, of) if runtime.host.opens_many else None
    return Session(runtime.host, job, pool, lane, _Scratch(file))
