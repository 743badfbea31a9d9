"""How many requests are answered in a second."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Rate"]


@dataclass(slots=True)
class Rate:
    """Lets so many requests through in a second, and some more at once if there were fewer before."""

    per_second: float
    at_once: float
    clock: Callable[[], float] = time.monotonic
    _left: float = field(init=False)
    _since: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._left, self._since = self.at_once, self.clock()

    def allows(self) -> bool:
        """Whether another request may be answered now.

        >>> times = iter([0.0, 0.0, 0.0, 0.0, 1.0])
        >>> rate = Rate(per_second=1, at_once=2, clock=lambda: next(times))
        >>> [rate.allows() for _ in range(4)]
        [True, True, False, True]
        """
        with self._lock:
            now = self.clock()
            self._left = min(self.at_once, self._left + (now - self._since) * self.per_second)
            self._since = now
            if self._left < 1:
                return False
            self._left -= 1
            return True
