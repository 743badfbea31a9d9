"""What every runtime is, and what it is handed to work with: the contract of this family."""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from quantlab.processes import Child, Message
from quantlab.runtimes.exchange import Job, TimingPlan

__all__ = ["NO_TENSORFLOW", "TENSORFLOW", "Lane", "Runtime", "Workshop"]

NO_TENSORFLOW: tuple[str, ...] = ("onnx", "quantlab.models", "quantlab.runtimes._executors")
"""What a worker needs for artifacts that TensorFlow has no part in. Not onnxruntime, which starts a thread."""

TENSORFLOW: tuple[str, ...] = ("tensorflow", "keras", "tf_keras", "ai_edge_litert.interpreter", "h5py", *NO_TENSORFLOW)
"""What a worker needs for the models and artifacts of TensorFlow."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A member of the family: where a variant runs, by which program, on which backend."""

    name: str
    """`<host>-<backend>`, as `node-wasm`."""
    description: str
    formats: tuple[str, ...]
    """The formats it runs; a variant of another is not a trial here."""
    environment: Callable[[str], dict[str, str]]
    """Format → versions and flags that its outputs depend on, without running anything slow.

    Raises RuntimeUnavailable, with the way out, where this machine lacks it.
    """
    run: Callable[[Job, "Workshop"], Generator[Message, None, None]]
    """Starts or takes a child and gives on its messages, the last being `done` or `failed`.

    Raises ChildDied or ChildStalled; then the child is gone, and the next call starts another.
    """
    time: Callable[[Job, TimingPlan, "Workshop"], Generator[Message, None, None]]
    """As `run`, in a child that has done nothing before and is ended after: `timed` comes before `done`.

    Nothing is written.
    """
    start: Callable[[Message, "Workshop"], Child] | None
    """Starts a child on a job document, for reading inside a variant; None where that is the Python worker's.

    Without a default: a runtime that forgot it would show what Python computed as its own layers.
    """
    notes: Callable[[Mapping[str, str]], tuple[str, ...]] = lambda _: ()
    """From where a trial ran to what the reader of its row must know."""
    untimed: Callable[[Mapping[str, str]], str | None] = lambda _: None
    """From where a trial ran to why its times mean nothing and are not shown, else None."""
    backend: str = ""
    default: bool = True
    """Whether it is used when no runtimes are asked for."""
    fallback: str | None = None
    """Where `--fallback` runs what this backend lacks an op for."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One child that several come back to, one at a time: what each has opened in it is still there."""

    kind: str
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class Workshop:
    """The children of a study: idle ones are kept for the next job, and all are ended at the end.

    Threads may share it. Use it as a context manager.
    """

    folder: Path
    """For job documents and logs."""
    stall_seconds: float
    """How long a child may say nothing."""
    preload: tuple[str, ...] = TENSORFLOW
    """What workers in Python find imported."""
    _idle: dict[str, list[Child]] = field(default_factory=dict)
    _all: list[Child] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False
    _lanes: tuple[Lane, ...] = field(default_factory=lambda: (Lane("lane 0"), Lane("lane 1")))
    _dealt: dict[str, Lane] = field(default_factory=dict)

    def lane(self, graph: str) -> Lane:
        """One of two lanes, for who must come back to the child that opened a graph; new graphs take turns."""
        with self._lock:
            return self._dealt.setdefault(graph, self._lanes[len(self._dealt) % len(self._lanes)])

    def take(self, kinds: Sequence[str], start: Callable[[], Child]) -> Child:
        """An idle child of the first of some kinds that has one, or a new one."""
        with self._lock:
            for idle in (self._idle.setdefault(kind, []) for kind in kinds):
                while idle:
                    child = idle.pop()
                    if child.alive:
                        return child
        return self.keep(start())

    def give_back(self, kind: str, child: Child) -> None:
        """Let the next job of this kind have a child that has answered its last message."""
        with self._lock:
            self._idle.setdefault(kind, []).append(child)

    def keep(self, child: Child) -> Child:
        """End a child when the study ends, whatever happens."""
        with self._lock:
            self._all.append(child)
            if self._closed:  # it was started while another thread stopped the study
                child.close()
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every child; jobs under way in other threads see theirs die."""
        with self._lock:
            self._closed = True
            for child in self._all:
                child.close()
            self._all.clear()
            self._idle.clear()
