"""The first samples, run once more after the last one."""

import math
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Repeated"]


@dataclass(frozen=True, slots=True)
class Repeated:
    """How the outputs of the first samples differ if they run once more, in the same process, after the last one.

    It is also the message with which a child reports this.
    """

    type: ClassVar[str] = "repeated"
    way: str
    """`again`: the first batch exactly as before. The others are for servers, which take the same samples in several
    ways: `alone`: one sample per call; `columns`: a request with `inputs` in place of `instances`."""
    samples: int
    """Number of samples that were compared."""
    differing: int
    """Number of these with another value in any output; NaN equals NaN."""
    largest: float | None
    """Largest absolute difference of a value, over all outputs; None if a value is NaN or infinite in one of the two
    runs only."""
    scale: float
    """Largest absolute value of these outputs that is finite."""

    @property
    def share(self) -> float:
        """The largest difference as a share of the largest value; infinite if `largest` is None, or all were 0."""
        if self.largest is None:
            return math.inf
        if self.largest == 0:
            return 0.0
        return self.largest / self.scale if self.scale else math.inf
