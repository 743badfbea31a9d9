"""A shared scan of samples: they are read round after round, and few shards of them are on the disk at a time.

Runs that go on at the same time share a round: a shard is read once for all of them, and removed when the last has used
it. A run that begins in the middle of a round takes what the round still reads, and the others from the next one.
"""

import shutil
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from quantlab.errors import TrialError
from quantlab.processes import LONGEST_WAIT_SECONDS, ChildDied
from quantlab.samples import CutSamples
from quantlab.types import SampleSet

__all__ = ["Arrived", "Rounds", "Subscriber"]

_GATHERING_SECONDS = 0.2
"""So long others are waited for, so that they take part in a round from its beginning."""


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
        present: Most shards on the disk at a time, at least 1.
        gathering_seconds: A round begins so long after the first run has asked for one.
    """

    def __init__(
        self, cut: CutSamples, folder: Path, present: int, *, gathering_seconds: float = _GATHERING_SECONDS
    ) -> None:
        self._cut, self._folder, self._most = cut, folder, present
        self._gathering_seconds = gathering_seconds
        self._changed = threading.Condition()
        self._subscribers: set[Subscriber] = set()
        self._present: dict[int, _Present] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def __enter__(self) -> "Rounds":
        self._folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._thread is not None:  # one that waits for a user's function ends later, when it cannot write
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
    def subscribe(self, wanted: Collection[int]) -> Iterator["Subscriber"]:
        """Take part in rounds until all wanted shards have come."""
        subscriber = Subscriber(self, set(wanted))
        with self._changed:
            self._subscribers.add(subscriber)
            for number, present in self._present.items():
                subscriber.offer(number, present)
            if self._thread is None and wanted:
                self._thread = threading.Thread(target=self._read, name="rounds of samples", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        try:
            yield subscriber
        finally:
            with self._changed:
                self._subscribers.discard(subscriber)
                for number in [*self._present]:
                    self._release(number, subscriber)
                self._changed.notify_all()

    def next_for(self, subscriber: "Subscriber", otherwise: Callable[[], bool]) -> Arrived | None:
        """See `Subscriber.next`."""
        with self._changed:
            while not (subscriber.arrived or self._closed or subscriber.error or otherwise()) and subscriber.wanted:
                self._changed.wait(LONGEST_WAIT_SECONDS)
            if subscriber.arrived:
                return subscriber.arrived.popleft()
            if subscriber.wanted and subscriber.error is not None:
                raise subscriber.error
            if subscriber.wanted and self._closed:
                raise ChildDied("the study was stopped before its samples were read")
            return None

    def wake(self) -> None:
        """Let subscribers look again whether what they wait for otherwise is there."""
        with self._changed:
            self._changed.notify_all()

    def done(self, number: int, subscriber: "Subscriber") -> None:
        """See `Subscriber.done`."""
        with self._changed:
            self._release(number, subscriber)
            self._changed.notify_all()

    def _release(self, number: int, subscriber: "Subscriber") -> None:
        present = self._present.get(number)
        if present is None:
            return
        present.users.discard(subscriber)
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
                self._thread = None  # a run that comes later tries again
                for subscriber in self._subscribers:
                    subscriber.error = error
                self._changed.notify_all()

    def _begin(self) -> list[int]:
        """The shards of the next round, waited for; none at the end of the study."""
        with self._changed:
            while not self._closed:
                self._changed.wait_for(lambda: self._closed or self._all_wanted)
                self._changed.wait_for(lambda: self._closed, self._gathering_seconds)
                if not self._closed and (wanted := sorted(self._all_wanted)):  # who asked may have left
                    return wanted
            return []

    @property
    def _all_wanted(self) -> set[int]:
        return {number for subscriber in self._subscribers for number in subscriber.wanted}

    def _put(self, number: int, samples: SampleSet) -> bool:
        """Give a shard to the runs that want it, and wait for room; whether the round goes on."""
        with self._changed:
            present = _Present(samples)
            for subscriber in self._subscribers:
                subscriber.offer(number, present)
            if present.users:
                self._present[number] = present
            else:
                shutil.rmtree(samples.folder, ignore_errors=True)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or len(self._present) < self._most)
            return not self._closed and any(later > number for later in self._all_wanted)


@dataclass(slots=True)
class _Present:
    """A shard on the disk, and the runs that use it."""

    samples: SampleSet
    users: "set[Subscriber]" = field(default_factory=set)


class Subscriber:
    """A run that takes part in rounds. One thread uses it."""

    def __init__(self, rounds: Rounds, wanted: set[int]) -> None:
        self._rounds = rounds
        self.wanted = wanted
        """Numbers of the shards that have not come yet."""
        self.arrived: deque[Arrived] = deque()
        self.error: BaseException | None = None
        """Why no more shards come."""

    def offer(self, number: int, present: _Present) -> None:
        """Take a shard that is on the disk, if it is wanted; called while nothing else changes."""
        if number in self.wanted:
            self.wanted.remove(number)
            present.users.add(self)
            self.arrived.append(Arrived(number, present.samples))

    def next(self, otherwise: Callable[[], bool] = lambda: False) -> Arrived | None:
        """The next shard in the order in which they are read, waited for; None once all have come.

        Args:
            otherwise: Whether there is something else to do, for which None is returned, too; asked again after
                `wake`.

        Raises:
            SamplesError: If the samples cannot be read, or are others than the first time.
            ChildDied: If the study is stopped.
        """
        return self._rounds.next_for(self, otherwise)

    def wake(self) -> None:
        """Ask again whether there is something else to do; any thread may call it."""
        self._rounds.wake()

    def done(self, number: int) -> None:
        """Give a shard back, which is removed if no other run uses it."""
        self._rounds.done(number, self)
