"""What a phone may say of a job, and when; what else it says costs the row.

A page is not trusted: it may be another program, or a browser that lost its mind. Each message must be one that
answers the request, in its order, with numbers that are possible, and about bytes that were written.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantlab.processes import Document, untagged
from quantlab.runtimes.phone.device import plain
from quantlab.runtimes.requests import Request, Run, Tap, Time
from quantlab.types.messages import (
    MESSAGES,
    Block,
    Done,
    Failed,
    Message,
    Progress,
    Ready,
    Repeated,
    Tapped,
    Timed,
)

__all__ = ["Hearing", "Refuted"]

_MOST_FACTS = 50
_MOST_UNREAD = 10_000
_REASON = 600
"""Most characters of a reason."""


class Refuted(Exception):
    """A phone said what cannot be."""


@dataclass(slots=True)
class Hearing:
    """Checks the messages of one dispatch of a request."""

    request: Request
    """With the first sample of this dispatch."""
    ran_on: str
    """The only runtime that the phone may name."""
    done: int = 0
    """Samples whose outputs are written."""
    _ends: dict[str, int] = field(default_factory=dict)
    """Name of an output → position up to which it was written without a gap."""
    _scratch: int = 0
    """Bytes of the file for taps."""
    _kinds: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.done = self.request.job.start
        self._ends = self._positions(self.done)

    def _positions(self, samples: int) -> dict[str, int]:
        """Name of each output → the position behind so many samples."""
        return {
            f"output/{place}": one.offset + samples * math.prod(one.shape) * np.dtype(one.dtype).itemsize
            for place, one in enumerate(self.request.job.outputs)
        }

    def wrote(self, name: str, position: int, length: int) -> None:
        """Take note of bytes that were written."""
        if name == "scratch":
            self._scratch = max(self._scratch, position + length)
        elif position <= self._ends.get(name, -1):
            self._ends[name] = max(self._ends[name], position + length)

    def hear(self, document: Document) -> Message:
        """Return a message if it may come now.

        Raises:
            Refuted: If it may not, or is none.
        """
        kinds = _EXPECTED[type(self.request)]
        if document.get("type") not in kinds:
            raise Refuted(f"a message '{plain(document.get('type'), 40)}', which does not answer the request")
        try:
            message = untagged(document, {kind: MESSAGES[kind] for kind in kinds})
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError, RecursionError) as error:
            raise Refuted(f"an invalid message '{plain(document.get('type'), 40)}'") from error
        checked = self._checked(message)
        self._kinds.add(str(document["type"]))
        return checked

    def _checked(self, message: Message) -> Message:
        checks: Mapping[type[Any], Callable[[Any], Message]] = {
            Ready: self._ready,
            Progress: self._progress,
            Repeated: self._repeated,
            Tapped: self._tapped,
            Timed: self._timed,
            Failed: self._failed,
            Done: self._done,
        }
        return checks[type(message)](message)

    def _ready(self, message: Ready) -> Ready:
        if message.ran_on != self.ran_on:
            raise Refuted(f"that it runs on '{plain(message.ran_on, 40)}' and not on {self.ran_on}")
        facts = list(message.environment.items())[:_MOST_FACTS]
        return Ready(self.ran_on, {plain(name, 60): plain(value) for name, value in facts})

    def _progress(self, message: Progress) -> Progress:
        job = self.request.job
        _refute_number(message.seconds, "seconds")
        if isinstance(self.request, Time):  # a sign of life
            return message
        reached = min(self.done + job.batch_size, job.stop)
        if message.done != reached or message.batch != reached - self.done or not message.batch:
            raise Refuted(f"that {message.done} samples are done, after {self.done} in batches of {job.batch_size}")
        missing = [name for name, end in self._positions(reached).items() if self._ends[name] < end]
        if missing:
            raise Refuted(f"that {message.done} samples are done, and has not sent all of their outputs")
        self.done = reached
        return message

    def _repeated(self, message: Repeated) -> Repeated:
        _refute_number(message.scale, "scale")
        if message.largest is not None:
            _refute_number(message.largest, "difference")
        job, told = self.request.job, "repeated" in self._kinds
        possible = 0 <= message.differing <= message.samples == min(job.batch_size, job.stop)
        if message.way != "again" or not possible or self.done != job.stop or told:
            raise Refuted("a comparison of samples that cannot be")
        return message

    def _timed(self, message: Timed) -> Timed:
        most = self.request.plan.most_runs if isinstance(self.request, Time) else 0
        if "timed" in self._kinds:
            raise Refuted("its times twice")
        if not 1 <= len(message.runs_ms) <= most:
            raise Refuted(f"the times of {len(message.runs_ms)} runs, where 1 to {most} were asked for")
        for value in (message.load_ms, message.first_run_ms, *message.runs_ms):
            _refute_number(value, "milliseconds")
        told = plain(message.memory_reason) or "the phone's browser does not report its memory"
        return Timed(message.load_ms, message.first_run_ms, message.runs_ms, None, None, told)

    def _tapped(self, message: Tapped) -> Tapped:
        request = self.request
        assert isinstance(request, Tap)  # noqa: S101 (only a Tap is answered so)
        if (message.start, message.stop) != (request.start, request.stop):
            raise Refuted(f"tensors of the samples {message.start} to {message.stop}, which it was not asked for")
        _refute_number(message.seconds, "seconds")
        names = set(request.job.taps.names) if request.job.taps else set()
        outputs = [one.name for one in request.job.outputs]
        told = [one.name for one in message.tensors]
        if len(set(told)) < len(told) or not set(told) <= names or [one.name for one in message.outputs] != outputs:
            raise Refuted("tensors that it was not asked for")
        for block in message.tensors:
            self._refute_block(block, "float32")
        for block, output in zip(message.outputs, request.job.outputs, strict=True):
            self._refute_block(block, output.dtype)
            if tuple(block.shape) != output.shape:
                raise Refuted(f"an output of the shape {block.shape} and not {output.shape}")
        failed = tuple(
            type(one)(one.name, plain(one.reason, _REASON))
            for one in message.failed[:_MOST_UNREAD]
            if one.name in names
        )
        return Tapped(message.start, message.stop, message.tensors, message.outputs, failed, message.seconds)

    def _refute_block(self, block: Block, dtype: str) -> None:
        """Refuse a tensor that would lie outside of the bytes that were sent."""
        if block.dtype != dtype or block.offset % 8 or any(size < 0 for size in block.shape):
            raise Refuted(f"a tensor '{plain(block.name, 60)}' of the type {plain(block.dtype, 20)}")
        if len(block.shape) > _MOST_AXES or block.inexact < 0:
            raise Refuted(f"a tensor '{plain(block.name, 60)}' with {len(block.shape)} axes")
        assert isinstance(self.request, Tap)  # noqa: S101
        samples = self.request.stop - self.request.start
        size = samples * math.prod(block.shape) * np.dtype(dtype).itemsize
        if not 0 <= block.offset <= block.offset + size <= self._scratch:
            raise Refuted(f"a tensor '{plain(block.name, 60)}' of {size:,} bytes, which it has not sent")

    def _failed(self, message: Failed) -> Failed:
        return Failed(plain(message.reason, _REASON) or "it gave no reason", plain(message.missing_op) or None)

    def _done(self, _: Done) -> Done:
        if isinstance(self.request, Run) and self.done < self.request.job.stop:
            raise Refuted(f"that it is done after {self.done} of {self.request.job.stop} samples")
        if isinstance(self.request, Run) and "repeated" not in self._kinds:
            raise Refuted("that it is done, and has not run its first samples again")
        if isinstance(self.request, Time) and "timed" not in self._kinds:
            raise Refuted("that it is done, without times")
        return Done()


_MOST_AXES = 16
_EXPECTED: Mapping[type[Request], tuple[str, ...]] = {
    Run: ("ready", "progress", "repeated", "done", "failed"),
    Time: ("ready", "progress", "timed", "done", "failed"),
    Tap: ("ready", "tapped", "failed"),
}
"""Request → the messages that answer it."""


def _refute_number(value: Any, what: str) -> None:
    if not 0 <= value < math.inf:  # false for NaN
        raise Refuted(f"{value} {what}")
