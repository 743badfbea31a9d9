"""Samples that are read again round after round, so that few shards of them are on the disk at a time.

Runs that go on at the same time share a round: a shard is read once for all of them, and removed when the last has used
it. A run that begins in the middle of a round takes the rest of it, and the beginning from the next one.
"""

import shutil
import threading
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from quantlab.errors import TrialError
from quantlab.processes import LONGEST_WAIT_SECONDS, ChildDied
from quantlab.samples import SHARDS_PRESENT, CutSamples
from quantlab.types import SampleSet

__all__ = ["Arrived", "RoundReader", "Rounds"]

_GATHERING_SECONDS = 0.2
"""A round begins so long after the first run has asked for one, so that others take part from its beginning."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A shard that is on the disk."""

    number: int
    samples: SampleSet


class Rounds:
    """Reads samples for several runs. Threads may share it; use it as a context manager.

    Args:
        cut: The samples.
        folder: Receives the folders of shards, and is removed at the end.
    """

    def __init__(self, cut: CutSamples, folder: Path) -> None:
        self._cut = cut
        self._folder = folder
        self._changed = threading.Condition()
        self._readers: set[RoundReader] = set()
        self._present: dict[int, _Present] = {}
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._closed = False

    def __enter__(self) -> "Rounds":
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._thread is not None:  # one that waits for a user's function ends with it, and has nothing to write to
            self._thread.join(LONGEST_WAIT_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End the reading, and the waiting in all threads, which raise ChildDied."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def sha256_of(self, number: int, inputs: int) -> str:
        """The hash of a shard's samples.

        Args:
            number: Of the shard.
            inputs: Number of inputs that a run uses.

        Raises:
            TrialError: If it does not use all.
        """
        every = len(self._cut.samples.inputs)
        if inputs != every:
            raise TrialError(
                f"it uses {inputs} of the model's {every} inputs, and --keep-samples few has hashes of all together; "
                f"run it without --keep-samples few"
            )
        return self._cut.sha256[number]

    @contextmanager
    def reader(self, wanted: Collection[int]) -> Iterator["RoundReader"]:
        """Take part in rounds until all wanted shards have come."""
        reader = RoundReader(self, set(wanted))
        with self._changed:
            self._readers.add(reader)
            for number, present in self._present.items():
                reader.offer(number, present)
            if self._thread is None and wanted:
                self._thread = threading.Thread(target=self._read, name="rounds of samples", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        try:
            yield reader
        finally:
            with self._changed:
                self._readers.discard(reader)
                for number in [*self._present]:
                    self._release(number, reader)
                self._changed.notify_all()

    def _next(self, reader: "RoundReader", *, wait: bool) -> Arrived | None:
        """The next shard for a run; None if none is there now, or all have come."""
        with self._changed:
            while not reader.arrived and reader.wanted and wait and not self._ended:
                self._changed.wait(LONGEST_WAIT_SECONDS)
            if reader.arrived:
                return reader.arrived.popleft()
            if reader.wanted and self._error is not None:
                raise self._error
            if reader.wanted and self._closed:
                raise ChildDied("the study was stopped before its samples were read")
            return None

    @property
    def _ended(self) -> bool:
        return self._closed or self._error is not None

    def _done(self, number: int, reader: "RoundReader") -> None:
        with self._changed:
            self._release(number, reader)
            self._changed.notify_all()

    def _release(self, number: int, reader: "RoundReader") -> None:
        present = self._present.get(number)
        if present is None:
            return
        present.users.discard(reader)
        if not present.users:
            del self._present[number]
            shutil.rmtree(present.samples.folder, ignore_errors=True)

    def _read(self) -> None:
        """One round after the other, in a thread of its own, until the end of the study."""
        try:
            while wanted := self._begin():
                for number, samples in self._cut.read(wanted, self._folder):
                    if not self._put(number, samples):
                        break
        except BaseException as error:  # noqa: BLE001 (whatever it is, the threads that wait must be told)
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _begin(self) -> list[int]:
        """The shards of the next round, waited for; none at the end of the study."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._all_wanted)
            self._changed.wait_for(lambda: self._closed, _GATHERING_SECONDS)
            return [] if self._closed else sorted(self._all_wanted)

    @property
    def _all_wanted(self) -> set[int]:
        return {number for reader in self._readers for number in reader.wanted}

    def _put(self, number: int, samples: SampleSet) -> bool:
        """Give a shard to the runs that want it, and wait for room; whether the round goes on."""
        with self._changed:
            present = _Present(samples)
            for reader in self._readers:
                reader.offer(number, present)
            if present.users:
                self._present[number] = present
            else:
                shutil.rmtree(samples.folder, ignore_errors=True)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or len(self._present) < SHARDS_PRESENT)
            return not self._closed and any(later > number for later in self._all_wanted)


@dataclass(slots=True)
class _Present:
    """A shard on the disk, and the runs that use it."""

    samples: SampleSet
    users: "set[RoundReader]" = field(default_factory=set)


class RoundReader:
    """A run that takes part in rounds. One thread uses it."""

    def __init__(self, rounds: Rounds, wanted: set[int]) -> None:
        self._rounds = rounds
        self.wanted = wanted
        """Shards that have not come yet."""
        self.arrived: deque[Arrived] = deque()

    def offer(self, number: int, present: _Present) -> None:
        """Take a shard that is on the disk, if it is wanted; called while nothing else changes."""
        if number in self.wanted:
            self.wanted.remove(number)
            present.users.add(self)
            self.arrived.append(Arrived(number, present.samples))

    def next(self, *, wait: bool) -> Arrived | None:
        """The next shard in the order in which they are read; None if there is none now, or all have come.

        Args:
            wait: Whether to wait for one that has not come yet.

        Raises:
            SamplesError: If the samples cannot be read, or are others than the first time.
            ChildDied: If the study is stopped.
        """
        return self._rounds._next(self, wait=wait)

    def done(self, number: int) -> None:
        """Give a shard back, which is removed if no other run uses it."""
        self._rounds._done(number, self)
