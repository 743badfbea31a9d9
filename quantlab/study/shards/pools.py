"""The child pools of a worker: one for each call of `analyze` whose tasks it runs."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from quantlab.processes import ChildPool, OwnFolder, Preload

__all__ = ["Pools"]


_MOST_POOLS = 2
"""Number of calls whose children are kept; more only while tasks of more are run at the same time."""


@dataclass(slots=True)
class _Used:
    """A pool, and the number of tasks that use it now."""

    pool: ChildPool
    ended: ExitStack
    tasks: int = 0


@dataclass(slots=True)
class Pools:
    """Child pools by call of `analyze`; threads may share them.

    Each call has its own, because children hold what another call must not find: the model and the modules of a user,
    which may have changed under the same name.
    """

    _used: dict[str, _Used] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def of(self, call: str, stall_seconds: float, preload: Preload) -> Iterator[ChildPool]:
        """The pool of a call, for one task; of those that no task uses, the last ones are kept.

        Args:
            call: The name of the call.
            stall_seconds: Most seconds without a message of a child.
            preload: What children in Python import before the first task, if the call has no pool yet.
        """
        with self._lock:
            used = self._used.pop(call, None) or _started(stall_seconds, preload)
            used.tasks += 1
            self._used[call] = used  # the last used is the last in order
            idle = [other for other, used in self._used.items() if not used.tasks]
            ended = [self._used.pop(other).ended for other in idle[: max(0, len(self._used) - _MOST_POOLS)]]
        for stack in ended:
            stack.close()
        try:
            yield used.pool
        finally:
            with self._lock:
                used.tasks -= 1

    def close(self) -> None:
        """Close all pools."""
        with self._lock:
            ended = [used.ended for used in self._used.values()]
            self._used.clear()
        for stack in ended:
            stack.close()


def _started(stall_seconds: float, preload: Preload) -> _Used:
    """A pool with its own folder."""
    ended = ExitStack()
    folder = ended.enter_context(OwnFolder("shard-children")).path
    return _Used(ended.enter_context(ChildPool(folder, stall_seconds, preload)), ended)
