"""The lock of a study at an address: an object that its owner touches again and again.

Locks are numbered. Who finds that the owner of the last one is dead creates the next, which one of all who try can do,
and removes those before. Who then sees another lock than these gives way, so two owners never both go on.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from quantlab.errors import QuantlabError, StudyError
from quantlab.names import excerpt, without_controls
from quantlab.study.depot import Depot
from quantlab.study.depot.owners import Watch, gone, held_here, owned

__all__ = ["HeldLock", "locked_at"]

_BEGINNING = "lock-"


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that this process has."""

    depot: Depot
    name: str
    place: str
    """The address, for messages."""
    content: bytes
    """What it was created with, which no other lock has."""

    def refuse_lost(self) -> None:
        """Check that the lock was not taken over, as from a process that was stopped for long.

        Raises:
            StudyError: If it was.
        """
        if list(self.depot.names(_BEGINNING)) != [self.name] or not self._still_there():
            raise StudyError(
                f"another quantlab has taken over the study at '{self.place}', because this one gave no sign of life; "
                f"wait for it, and run the same command again"
            )

    def release(self) -> None:
        """Remove it, unless it was taken over, and its name is that of another one by now."""
        if self._still_there():
            self.depot.remove(self.name)

    def _still_there(self) -> bool:
        # A sign of life adds spaces to an object.
        return (_content(self.depot, self.name) or b"").rstrip() == self.content


@contextmanager
def locked_at(depot: Depot, place: str, waiting: Callable[[str], None]) -> Iterator[HeldLock]:
    """Lock a study at an address while the block runs.

    Args:
        depot: That of the study.
        place: The address, for messages.
        waiting: Is told what is waited for, if the owner of a lock may be dead.

    Raises:
        StudyError: If another process has it.
    """
    dead = _dead_locks(depot, place, waiting)
    last = max((_number(name) for name in dead), default=0)
    with owned() as content:
        lock = HeldLock(depot, f"{_BEGINNING}{last + 1:06d}", place, content)
        if not depot.create(lock.name, content):
            raise _in_use(depot, lock.name, place)
        stop = threading.Event()
        beating = threading.Thread(target=_touch, args=(lock, stop), daemon=True)
        beating.start()
        try:
            others = [name for name in depot.names(_BEGINNING) if name != lock.name and not _same(depot, name, dead)]
            if others:
                raise _in_use(depot, others[0], place)
            for name in dead:
                depot.remove(name)
            yield lock
        finally:
            stop.set()
            beating.join()
            with contextlib.suppress(OSError, QuantlabError):  # then it is taken over as that of a dead owner
                lock.release()


def _content(depot: Depot, name: str) -> bytes | None:
    try:
        return depot.read(name)
    except FileNotFoundError:
        return None


def _same(depot: Depot, name: str, dead: Mapping[str, bytes]) -> bool:
    """Whether a lock is one of the dead: names are used again, when a command has ended that followed them."""
    return name in dead and _content(depot, name) in {dead[name], None}


def _dead_locks(depot: Depot, place: str, waiting: Callable[[str], None]) -> Mapping[str, bytes]:
    """All locks that there are, and their contents, once it is certain that their owners are dead.

    Raises:
        StudyError: If one of them lives.
    """
    watch, first, told = Watch(depot), dict[str, object](), False
    while True:
        dead, unknown = dict[str, bytes](), []
        for name in depot.names(_BEGINNING):
            try:
                content = depot.read(name)
                if gone(depot, name, watch):
                    dead[name] = content
                    continue
                state = depot.state(name)
                if held_here(content) or first.setdefault(name, state) != state:
                    raise _in_use(depot, name, place)
                unknown.append(name)
            except FileNotFoundError:  # it was released in the meantime
                continue
        if not unknown:
            return dead
        if not told:
            waiting(
                f"'{place}' is locked by a quantlab on {_host(depot, unknown[0])}; looking whether it lives, for up to "
                f"{depot.pace.silent_seconds:.0f} seconds"
            )
            told = True
        time.sleep(depot.pace.look_seconds)


def _in_use(depot: Depot, name: str, place: str) -> StudyError:
    return StudyError(
        f"another quantlab on {_host(depot, name)} is using the study at '{place}'; wait for it, or choose another "
        f"address"
    )


def _host(depot: Depot, name: str) -> str:
    """The machine of an owner, as it is told there."""
    try:
        return excerpt(without_controls(str(json.loads(depot.read(name))["host"])))
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return "another machine"


def _number(name: str) -> int:
    text = name.removeprefix(_BEGINNING)
    return int(text) if text.isdecimal() else 0


def _touch(lock: HeldLock, stop: threading.Event) -> None:
    while not stop.wait(lock.depot.pace.touch_seconds):
        with contextlib.suppress(OSError, QuantlabError):
            lock.depot.touch(lock.name)
