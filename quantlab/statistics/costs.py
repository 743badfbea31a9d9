"""Summary of run times, and the rule for calling one variant faster than another."""

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
"""Fewest runs for a 95th percentile: below 20, no run is slower than 95 % of the others."""

FASTER_BY = 0.1
"""Share of float32's fastest run that must be saved: two processes that run the same file differ by a few percent."""

UNSTEADY_FROM = 1.5
"""Ratio of median to fastest run from which the times are considered disturbed by other load."""


@dataclass(frozen=True, slots=True)
class SteadyTimes:
    """Run times of one variant, in milliseconds, after warm-up."""

    runs: int
    median_ms: float
    fastest_ms: float
    q1_ms: float
    q3_ms: float
    p95_ms: float | None


def steady_times(milliseconds: Sequence[float]) -> SteadyTimes:
    """Minimum, quartiles and 95th percentile of run times; percentiles are interpolated linearly.

    Raises:
        ValueError: If there are no times, or one is negative or not finite.

    >>> steady_times([1.0, 2.0, 3.0, 4.0, 5.0])
    SteadyTimes(runs=5, median_ms=3.0, fastest_ms=1.0, q1_ms=2.0, q3_ms=4.0, p95_ms=None)
    """
    times = np.asarray(milliseconds, np.float64)
    if not times.size or not np.isfinite(times).all() or (times < 0).any():
        raise ValueError(
            f"at least one run time is needed, and all must be finite and not negative; got {list(milliseconds)[:5]}"
        )
    q1, median, q3, p95 = (float(value) for value in np.percentile(times, [25, 50, 75, 95]))
    return SteadyTimes(times.size, median, float(times.min()), q1, q3, p95 if times.size >= P95_FROM_RUNS else None)


def faster(candidate: Cost, float32: Cost) -> bool | None:
    """Whether a variant is faster than float32 by more than measurement noise; None if either was not measured.

    Two conditions must hold. The variant's third quartile is below float32's first quartile, so the middle halves of
    the runs do not overlap. And its fastest run is at least `FASTER_BY` faster than float32's fastest run, because
    other load can slow down a whole process, but seldom every one of its runs.
    """
    theirs, ours = float32.steady_fastest_ms, candidate.steady_fastest_ms
    if theirs is None or ours is None or float32.steady_q1_ms is None or candidate.steady_q3_ms is None:
        return None
    return candidate.steady_q3_ms < float32.steady_q1_ms and ours <= (1 - FASTER_BY) * theirs


def speed_note(candidate: Cost, float32: Cost) -> str | None:
    """A remark if the variant is not faster than float32, otherwise None."""
    if faster(candidate, float32) is not False:
        return None
    return f"no faster than {float32.setting}"


def steady_note(cost: Cost) -> str | None:
    """A remark if the median run took much longer than the fastest, otherwise None."""
    median, fastest = cost.steady_median_ms, cost.steady_fastest_ms
    if median is None or fastest is None or median < UNSTEADY_FROM * fastest or median == 0:
        return None
    return f"unsteady times: the fastest run took {fastest:.3g} ms; other load on the machine is likely"
