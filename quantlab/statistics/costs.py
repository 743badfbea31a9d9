"""Times of runs as a few figures, and when one variant may be called faster than another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantlab.types import Cost

__all__ = [
    "FASTER_BY",
    "P95_FROM_RUNS",
    "UNSTEADY_FROM",
    "SteadyTimes",
    "faster",
    "speed_note",
    "steady_note",
    "steady_times",
]

P95_FROM_RUNS = 20
"""Under twenty runs the slowest one in twenty is none of them."""

FASTER_BY = 0.1
"""Share of float32's fastest run that must be saved: two processes that run the same file differ by some percent."""

UNSTEADY_FROM = 1.5
"""The median over the fastest run, from which on the times are of more than the variant."""


@dataclass(frozen=True, slots=True)
class SteadyTimes:
    """What the runs of one variant took, in milliseconds."""

    runs: int
    median_ms: float
    fastest_ms: float
    q1_ms: float
    q3_ms: float
    p95_ms: float | None


def steady_times(milliseconds: Sequence[float]) -> SteadyTimes:
    """Quartiles and the 95th percentile, linear between runs.

    Raises:
        ValueError: If there is no run, or a time is negative or not finite.

    >>> steady_times([1.0, 2.0, 3.0, 4.0, 5.0])
    SteadyTimes(runs=5, median_ms=3.0, fastest_ms=1.0, q1_ms=2.0, q3_ms=4.0, p95_ms=None)
    """
    times = np.asarray(milliseconds, np.float64)
    if not times.size or not np.isfinite(times).all() or (times < 0).any():
        raise ValueError(f"times must be finite, not negative, and at least one; these are {list(milliseconds)[:5]}")
    q1, median, q3, p95 = (float(value) for value in np.percentile(times, [25, 50, 75, 95]))
    return SteadyTimes(times.size, median, float(times.min()), q1, q3, p95 if times.size >= P95_FROM_RUNS else None)


def faster(candidate: Cost, float32: Cost) -> bool | None:
    """Whether a variant is faster than float32 by more than noise; None where either was not measured.

    It is where its third quartile is below float32's first, so that the middle halves of the runs do not touch, and its
    fastest run took less than float32's fastest by at least `FASTER_BY`: what else the machine does may slow a whole
    process down, and seldom every one of its runs.
    """
    theirs, ours = float32.steady_fastest_ms, candidate.steady_fastest_ms
    if theirs is None or ours is None or float32.steady_q1_ms is None or candidate.steady_q3_ms is None:
        return None
    return candidate.steady_q3_ms < float32.steady_q1_ms and ours <= (1 - FASTER_BY) * theirs


def speed_note(candidate: Cost, float32: Cost) -> str | None:
    """What the reader of the row must know: that it is not faster, though smaller; else None."""
    if faster(candidate, float32) is not False:
        return None
    return f"no faster than {float32.setting}"


def steady_note(cost: Cost) -> str | None:
    """What the reader of the row must know where half of the runs took much longer than the fastest; else None."""
    median, fastest = cost.steady_median_ms, cost.steady_fastest_ms
    if median is None or fastest is None or median < UNSTEADY_FROM * fastest or median == 0:
        return None
    return f"unsteady: its fastest run took {fastest:.3g} ms, as where the machine does other things too"
