"""The children of a study, and the children of a program that serve several studies."""

import atexit
import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from quantlab.processes.child import Child
from quantlab.processes.preload import WORKERS
from quantlab.processes.process import Preload

__all__ = ["ChildPool", "Lane", "end_lasting_children", "idle_children"]

_MOST_IDLE = 2
"""Maximum number of idle lasting children per kind: as many as work at the same time."""

_lasting: dict[str, list[Child]] = {}
"""Kind → idle children of this program that wait for the next job of any study."""

_lasting_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Lane:
    """One child shared by several users, one at a time, in which their opened graphs stay open."""

    kind: str
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class ChildPool:
    """The children of a study: idle ones are kept for the next job, and all are ended with the pool.

    A child that keeps no state of a study can be given back as a lasting one; then it also serves the next study of
    this program. Threads may share a pool. Use it as a context manager.
    """

    folder: Path
    """Folder for jobs and logs, and, in `temporary`, for folders of children; used by one pool at a time."""
    stall_seconds: float
    """Maximum seconds without a message of a child."""
    preload: Preload = WORKERS
    """Modules that are already imported in Python workers."""
    _idle: dict[str, list[Child]] = field(default_factory=dict)
    _all: list[Child] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False
    _lanes: dict[str, tuple[Lane, Lane]] = field(default_factory=dict)
    _dealt: dict[tuple[str, str], Lane] = field(default_factory=dict)

    def lane(self, graph: str, *, of: str = "workers") -> Lane:
        """Return the lane assigned to `graph`, one of two per kind of children; new graphs are assigned round-robin."""
        with self._lock:
            lanes = self._lanes.setdefault(of, (Lane(f"{of}, lane 0"), Lane(f"{of}, lane 1")))
            before = sum(kind == of for kind, _ in self._dealt)
            return self._dealt.setdefault((of, graph), lanes[before % len(lanes)])

    def take(self, kinds: Collection[str], start: Callable[[], Child], *, opened: str = "") -> Child:
        """Take an idle child of the first of `kinds` that has one, or start a new one.

        Of several, the one that has `opened` is taken.
        """
        with self._lock:
            for kind in kinds:
                idle = self._idle.setdefault(kind, [])
                idle.sort(key=lambda child: child.opened == opened)  # the last one is taken
                while idle:
                    child = idle.pop()
                    if child.usable:
                        return child
        lasting = next(filter(None, map(_take_lasting, kinds)), None)
        if lasting is None:
            return self.keep(start())
        lasting.log = self.folder / lasting.log.name
        return self.keep(lasting)

    def give_back(self, kind: str, child: Child, *, opened: str = "") -> None:
        """Return a child that has sent its last message, for the next job of this kind.

        Args:
            kind: The kind of the child.
            child: The child.
            opened: Name of the variant that stays open in it; empty if none does.
        """
        child.end_of_request()
        child.opened = opened
        with self._lock:
            self._idle.setdefault(kind, []).append(child)

    def give_back_lasting(self, kind: str, child: Child) -> None:
        """The same for a child that may serve another study, that is, one that was started with its own log."""
        child.end_of_request()
        with self._lock:
            if child not in self._all:  # the pool was closed in the meantime
                return
            self._all.remove(child)
        _keep_lasting(kind, child)

    def keep(self, child: Child) -> Child:
        """Register a child, which is ended with the study in any case."""
        with self._lock:
            # Those that have ended hold descriptors until they are forgotten.
            self._all = [*(other for other in self._all if not other.closed), child]
            if self._closed:  # started while another thread stopped the study
                child.close()
        return child

    def __enter__(self) -> Self:
        # Folders of children of a program that was killed together with its fork server.
        shutil.rmtree(self.folder / "temporary", ignore_errors=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End every child; running jobs in other threads fail with ChildDied."""
        with self._lock:
            self._closed = True
            for child in self._all:
                child.close()
            self._all.clear()
            self._idle.clear()


def _take_lasting(kind: str) -> Child | None:
    with _lasting_lock:
        idle = _lasting.get(kind, [])
        while idle:
            child = idle.pop()
            if child.usable:
                return child
            child.close()
    return None


def _keep_lasting(kind: str, child: Child) -> None:
    with _lasting_lock:
        idle = _lasting.setdefault(kind, [])
        if len(idle) < _MOST_IDLE:
            idle.append(child)
            return
    child.close()


def idle_children() -> set[int]:
    """The process ids of idle lasting children, which no study uses."""
    with _lasting_lock:
        children = [child for idle in _lasting.values() for child in idle]
    return {pid for child in children if (pid := child.pid) is not None}


def end_lasting_children() -> None:
    """End the idle lasting children; the next job starts a new one."""
    with _lasting_lock:
        children = [child for idle in _lasting.values() for child in idle]
        _lasting.clear()
    for child in children:
        with contextlib.suppress(Exception):  # one that cannot be ended must not prevent the end of others
            child.close()


def _forget() -> None:
    """In a fork of this program: forget the children, which belong to the parent, and replace the lock."""
    global _lasting_lock  # noqa: PLW0603 (a lock can only be replaced)
    _lasting_lock = threading.Lock()
    _lasting.clear()


atexit.register(end_lasting_children)
os.register_at_fork(after_in_child=_forget)
