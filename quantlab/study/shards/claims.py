"""Claims: which worker works on a task, in a depot that all workers reach.

A claim is a file that is created only if it does not exist, with its whole content at once. In one call of `analyze`,
the claim of a worker that ended is followed by a second one, and never by a third: a task that ends its workers ends
two of them. Claims of earlier calls do not count as attempts, but a task waits while their worker lives. On the same
machine a worker is gone if its process is. A worker of another machine, whose clock may differ, is gone if it did not
touch its claim while the observer waited; and so is a process that lives on and left its claim behind.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from quantlab.errors import QuantlabError
from quantlab.study.depot import Depot
from quantlab.study.depot.owners import Watch, gone, owned

__all__ = ["MOST_ATTEMPTS", "Exhausted", "claimed", "forget_claims"]

MOST_ATTEMPTS = 2
"""Workers that may end while they work on a task of one call; then it is given up."""

_CLAIM = ".claim-"
"""What follows the name of a task in that of a claim."""


class Exhausted(Exception):
    """Two workers ended while they worked on the task."""


@contextmanager
def claimed(depot: Depot, key: str, *, call: str, done: Callable[[], bool]) -> Iterator[bool]:
    """Claim a task while the block runs; wait while another worker has it.

    Args:
        depot: What all workers reach.
        key: The name of the task.
        call: The name of the call of `analyze`, of letters and digits; each call has all attempts.
        done: Whether the result exists.

    Yields:
        Whether the task is claimed; False if its result exists by now.

    Raises:
        Exhausted: If `MOST_ATTEMPTS` workers ended while they worked on it.
    """
    watch = Watch(depot)
    while not done():
        with _attempt(depot, key, call, watch) as mine:
            if mine and not done():  # the worker before may have ended between its result and its claim
                yield True
                return
        if not mine:
            time.sleep(depot.pace.look_seconds)
    yield False


@contextmanager
def _attempt(depot: Depot, key: str, call: str, watch: Watch) -> Iterator[bool]:
    """Whether a claim could be made, which is touched while the block runs and removed at its end."""
    with owned() as content:
        mark = _try(depot, key, call, watch, content)
        if mark is None:
            yield False
            return
        stop = threading.Event()
        touching = threading.Thread(target=_touch, args=(depot, mark, stop), daemon=True)
        touching.start()
        try:
            yield True
        finally:
            stop.set()
            touching.join()
            with contextlib.suppress(OSError, QuantlabError):  # a depot that is away: what was done inside is done
                depot.remove(mark)


def forget_claims(depot: Depot, keys: Collection[str]) -> None:
    """Remove all claims of tasks whose results are not needed any more, as those that dead workers left."""
    for name in depot.names(""):
        key, claim, _ = name.partition(_CLAIM)
        if claim and key in keys:
            depot.remove(name)


def _marks(depot: Depot, key: str) -> Sequence[str]:
    """The claims of a task, of all calls."""
    return depot.names(f"{key}{_CLAIM}")


def _try(depot: Depot, key: str, call: str, watch: Watch, content: bytes) -> str | None:
    """The claim, if it could be made; None if a worker that lives has the task."""
    own = [f"{key}{_CLAIM}{call}-{attempt}" for attempt in range(1, MOST_ATTEMPTS + 1)]
    if any(mark not in own and not _gone_or_released(depot, mark, watch) for mark in _marks(depot, key)):
        return None
    for mark in own:
        if depot.create(mark, content):
            return mark
        try:
            if not gone(depot, mark, watch):
                return None
        except FileNotFoundError:  # it was released in the meantime
            return None
    raise Exhausted


def _gone_or_released(depot: Depot, mark: str, watch: Watch) -> bool:
    try:
        return gone(depot, mark, watch)
    except FileNotFoundError:
        return True


def _touch(depot: Depot, mark: str, stop: threading.Event) -> None:
    while not stop.wait(depot.pace.touch_seconds):
        with contextlib.suppress(OSError, QuantlabError):
            depot.touch(mark)
