"""How long somebody waits for a store that is busy or away."""

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ONCE", "PATIENCE", "Patience"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store is asked again."""

    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
    """Seconds before each further attempt; the last one is repeated."""
    seconds: float = 120.0
    """No attempt begins later than this after the first one."""

    def before(self) -> Iterator[float]:
        """The pause before each further attempt, from now on.

        Each is up to a quarter shorter or longer, or all workers that a busy store turned away would ask again at once.
        """
        return self._until(time.monotonic() + self.seconds)

    def _until(self, end: float) -> Iterator[float]:
        for place in itertools.count() if self.pauses else ():
            pause = self.pauses[min(place, len(self.pauses) - 1)] * random.uniform(0.75, 1.25)  # noqa: S311 (no secret)
            if time.monotonic() + pause > end:
                return
            yield pause


PATIENCE = Patience()
ONCE = Patience(pauses=())
