"""Summary of run times, and the rule for calling one variant faster than another."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from quantlab.types import Cost, SteadyTimes

__all__ = [
    "FASTER_BY",
    "P95_FROM_RUNS",
    "UNSTEADY_FROM",
    "MedianInterval",
    "Speed",
    "median_interval",
    "over_rounds",
    "speed",
    "speed_note",
    "steady_note",
    "steady_times",
]

P95_FROM_RUNS = 20
"""Fewest runs for a 95th percentile: below 20, no run is slower than 95 % of the others."""

FASTER_BY = 0.1
"""Share of the slower variant's median that must be saved: a smaller difference is no reason to choose a setting."""

UNSTEADY_FROM = 1.5
"""Ratio of median to fastest run from which the times are considered disturbed by other load."""

_LEVEL = 0.05
_CONFIDENCE = 0.9

Speed = Literal["faster", "slower", "not shown"]


class MedianInterval(NamedTuple):
    """An interval of a median, and the probability with which it contains the median."""

    lower: float
    upper: float
    coverage: float


def steady_times(milliseconds: Sequence[float]) -> SteadyTimes:
    """Minimum, quartiles and 95th percentile of run times; percentiles are interpolated linearly.

    Raises:
        ValueError: If there are no times, or one is negative or not finite.

    >>> steady_times([1.0, 2.0, 3.0, 4.0, 5.0])
    SteadyTimes(runs=5, median_ms=3.0, fastest_ms=1.0, q1_ms=2.0, q3_ms=4.0, p95_ms=None, session='')
    """
    times = np.asarray(milliseconds, np.float64)
    if not times.size or not np.isfinite(times).all() or (times < 0).any():
        raise ValueError(
            f"at least one run time is needed, and all must be finite and not negative; got {list(milliseconds)[:5]}"
        )
    q1, median, q3, p95 = (float(value) for value in np.percentile(times, [25, 50, 75, 95]))
    return SteadyTimes(times.size, median, float(times.min()), q1, q3, p95 if times.size >= P95_FROM_RUNS else None)


def over_rounds(rounds: Sequence[SteadyTimes]) -> SteadyTimes:
    """One summary of several rounds: the median of each figure, the fastest of all runs, the number of all runs.

    The 95th percentile is None if a round has none.

    Raises:
        ValueError: If there is no round.
    """
    if not rounds:
        raise ValueError("at least one round is needed")
    slow = [one.p95_ms for one in rounds if one.p95_ms is not None]
    return SteadyTimes(
        runs=sum(one.runs for one in rounds),
        median_ms=float(np.median([one.median_ms for one in rounds])),
        fastest_ms=min(one.fastest_ms for one in rounds),
        q1_ms=float(np.median([one.q1_ms for one in rounds])),
        q3_ms=float(np.median([one.q3_ms for one in rounds])),
        p95_ms=float(np.median(slow)) if len(slow) == len(rounds) else None,
    )


def median_interval(values: Sequence[float], confidence: float = _CONFIDENCE) -> MedianInterval | None:
    """Interval of the median of a population by order statistics, for any distribution; None for fewer than two values.

    The interval from the k-th smallest to the k-th largest of n independent values misses the median with the
    probability 2·P(X < k), where X is binomial with n trials of probability ½ (Thompson 1936, Annals of Mathematical
    Statistics 7:122–128). The largest k is taken whose coverage is at least `confidence`. If none is, the interval is
    from the smallest to the largest value, and its coverage is less than `confidence`: 75 % for three values.

    >>> median_interval([1.2, 1.0, 1.1])
    MedianInterval(lower=1.0, upper=1.2, coverage=0.75)

    Raises:
        ValueError: If confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence is {confidence}; it must be between 0 and 1, for example 0.9")
    n, ordered = len(values), sorted(values)
    if n < 2:
        return None
    coverages = [_coverage(n, k) for k in range(1, n // 2 + 1)]
    rank = max((k for k, coverage in enumerate(coverages, start=1) if coverage >= confidence), default=1)
    return MedianInterval(ordered[rank - 1], ordered[n - rank], coverages[rank - 1])


def _coverage(n: int, k: int) -> float:
    """Probability that the median is between the k-th smallest and the k-th largest of n values."""
    return 1 - 2 * sum(math.comb(n, below) for below in range(k)) / (1 << n)


def speed(candidate: Cost, float32: Cost) -> Speed | None:
    """Whether a variant is shown to be faster or slower than float32; None if either was not measured.

    Two conditions must hold for `faster`, and the same in reverse for `slower`. The intervals of the two medians over
    the rounds do not overlap, and the median is at least `FASTER_BY` shorter.

    If both variants take the same time, three rounds of one are all faster than three rounds of the other in 1 of 20
    cases (the exact test of Wilcoxon, Mann and Whitney). So with three rounds or more, `faster` is wrong in at most 5 %
    of cases, and `slower` as well; with fewer, nothing is shown. Rounds that only one of both has from some session do
    not count: the machine may have been slower in that hour.
    """
    if candidate.steady_median_ms is None or float32.steady_median_ms is None:
        return None
    ours, theirs = _in_turns(candidate, float32)
    if shows_speed(len(ours), len(theirs)):
        if _ahead(ours, theirs):
            return "faster"
        if _ahead(theirs, ours):
            return "slower"
    return "not shown"


def _in_turns(one: Cost, other: Cost) -> tuple[list[float], list[float]]:
    """The medians of the rounds in which both were timed in turns, equally many of each session."""
    shared = Counter(times.session for times in one.rounds) & Counter(times.session for times in other.rounds)
    return _medians_of(one, shared), _medians_of(other, shared)


def _medians_of(cost: Cost, sessions: Counter[str]) -> list[float]:
    left, medians = Counter(sessions), []
    for times in cost.rounds:
        if left[times.session] > 0:
            left[times.session] -= 1
            medians.append(times.median_ms)
    return medians


def shows_speed(rounds: int, others: int) -> bool:
    """Whether so many rounds of two variants can show a difference at 5 %, if all of one are before the other's."""
    return min(rounds, others) > 1 and math.comb(rounds + others, rounds) >= 1 / _LEVEL


def _ahead(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether the interval of one median ends before that of the other begins, and the median is much shorter."""
    first, second = median_interval(ours), median_interval(theirs)
    if first is None or second is None or not first.upper < second.lower:
        return False
    return float(np.median(ours)) <= (1 - FASTER_BY) * float(np.median(theirs))


def speed_note(candidate: Cost, float32: Cost) -> str | None:
    """What is known about a variant's speed against float32, as a clause; None if either was not measured."""
    known = speed(candidate, float32)
    if known is None:
        return None
    if known != "not shown":
        return f"{known} than {float32.setting}"
    few, together = min(len(candidate.rounds), len(float32.rounds)), len(_in_turns(candidate, float32)[0])
    if not shows_speed(few, few):
        reason = ", which takes three rounds of timing"
    elif not shows_speed(together, together):
        reason = f", because they were timed by different commands; --timing-rounds {few + 3} times both in turns"
    else:
        reason = ""
    return f"not shown to be faster than {float32.setting}{reason}"


def steady_note(cost: Cost) -> str | None:
    """A remark if the median run took much longer than the fastest, otherwise None."""
    median, fastest = cost.steady_median_ms, cost.steady_fastest_ms
    if median is None or fastest is None or median < UNSTEADY_FROM * fastest or median == 0:
        return None
    return f"unsteady times: the fastest run took {fastest:.3g} ms; other load on the machine is likely"
