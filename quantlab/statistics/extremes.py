"""The range of a tensor over samples: which samples reach its ends, and what is left of it without them.

Only the samples that come nearest to an end are kept, so memory does not grow with the number of samples.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.sums import Sums

__all__ = [
    "MOST_EXTREME",
    "RangeSums",
    "Stretch",
    "bits_lost",
    "few_that_stretch",
    "halves_of",
    "sample_ends",
    "stretch_of",
]

MOST_EXTREME = 8
"""Most samples that can be told to stretch a range."""

_STRETCHED = 2.0
"""A range counts as stretched if it is at least so many times as wide as that of the other samples: a bit is lost."""

_FEW = 0.01
"""Largest share of the samples that counts as few; at least one sample may be."""

_FEWEST = 20
"""Fewest samples of which a few can be outliers."""

_KEPT = MOST_EXTREME + 1  # without all of them, the end of the range is that of one more

_FEWEST_HALVED = 4

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def _no_values() -> Floats:
    return np.zeros(0)


def _no_rows() -> Rows:
    return np.zeros(0, np.int64)


def _no_ends() -> Floats:
    return np.array([[np.inf, np.inf], [-np.inf, -np.inf]])


@dataclass(frozen=True, slots=True, eq=False)
class RangeSums(Sums):
    """The ends of a tensor's range over samples, as sums over batches that can be added in any order."""

    n: int = 0
    """Number of samples whose elements are all finite; others are left out."""
    non_finite: int = 0
    """Number of samples with NaN or infinity."""
    lows: Floats = field(default_factory=_no_values)
    """The smallest element of the samples that come nearest to the lower end, ascending; at most `MOST_EXTREME` + 1."""
    low_rows: Rows = field(default_factory=_no_rows)
    """The positions of these samples; of equal ones, the first."""
    highs: Floats = field(default_factory=_no_values)
    """The same for the upper end: the largest elements, descending."""
    high_rows: Rows = field(default_factory=_no_rows)
    ends: Floats = field(default_factory=_no_ends)
    """(2, 2): smallest and largest element of each half of the samples, (end, half); infinite without samples."""

    @classmethod
    def of(cls, lows: NDArray[Any], highs: NDArray[Any], *, start: int, second: NDArray[np.bool_]) -> Self:
        """Look at one batch.

        Args:
            lows: (k,), smallest element of each sample; NaN if the sample holds NaN.
            highs: (k,), largest element of each sample.
            start: Position of the first sample among all.
            second: (k,), whether a sample belongs to the second half, from `halves_of`.
        """
        low, high = lows.astype(np.float64), highs.astype(np.float64)
        finite = np.isfinite(low) & np.isfinite(high)
        rows = np.flatnonzero(finite)
        low, high, second = low[finite], high[finite], second[finite]
        order_low, order_high = _first(low, rows), _first(-high, rows)
        ends = _no_ends()
        for half, among in enumerate((~second, second)):
            ends[0, half] = low[among].min(initial=np.inf)
            ends[1, half] = high[among].max(initial=-np.inf)
        return cls(
            len(rows),
            len(lows) - len(rows),
            low[order_low],
            rows[order_low] + start,
            high[order_high],
            rows[order_high] + start,
            ends,
        )

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        lows, low_rows = _merged(self.lows, other.lows, self.low_rows, other.low_rows)
        highs, high_rows = _merged(-self.highs, -other.highs, self.high_rows, other.high_rows)
        ends = np.stack([np.minimum(self.ends[0], other.ends[0]), np.maximum(self.ends[1], other.ends[1])])
        n, non_finite = self.n + other.n, self.non_finite + other.non_finite
        return type(self)(n, non_finite, lows, low_rows, -highs, high_rows, ends)

    @property
    def minimum(self) -> float:
        """The smallest element; ∞ without samples."""
        return float(self.lows[0]) if self.n else np.inf

    @property
    def maximum(self) -> float:
        """The largest element; −∞ without samples."""
        return float(self.highs[0]) if self.n else -np.inf

    @property
    def moved(self) -> float | None:
        """How far the ends lie apart in the two halves of the samples, as a share of the range.

        (|lower end of the one − of the other| + |upper end of the one − of the other|) / (maximum − minimum), where all
        ranges are extended to 0, which codes must hold. None with fewer than four samples, if one half has none, or if
        all elements are 0.
        """
        if self.n < _FEWEST_HALVED or not np.isfinite(self.ends).all():
            return None
        width = _width(self.minimum, self.maximum)
        lower, upper = np.minimum(self.ends[0], 0), np.maximum(self.ends[1], 0)
        return float((abs(lower[0] - lower[1]) + abs(upper[0] - upper[1])) / width) if width else None


def _width(minimum: float, maximum: float) -> float:
    """The width of a range that is extended to 0, which codes must hold."""
    return max(maximum, 0.0) - min(minimum, 0.0)


def _first(values: Floats, rows: Rows) -> NDArray[np.intp]:
    """Indices of the smallest values, in order; of equal values, those of the first rows."""
    order: NDArray[np.intp] = np.lexsort((rows, values))[:_KEPT]
    return order


def _merged(one: Floats, other: Floats, one_rows: Rows, other_rows: Rows) -> tuple[Floats, Rows]:
    # Most batches do not reach the ends, and comparing is faster than sorting.
    if len(one) == _KEPT and (not len(other) or other[0] > one[-1]):
        return one, one_rows
    values, rows = np.concatenate([one, other]), np.concatenate([one_rows, other_rows])
    order = _first(values, rows)
    return values[order], rows[order]


def sample_ends(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The smallest and the largest element of each sample, (k,) each; NaN if the sample holds NaN.

    Args:
        values: (k, …), with at least one element in each sample.
    """
    by_sample = values.reshape(len(values), math.prod(values.shape[1:]))
    with np.errstate(invalid="ignore"):  # NaN is an answer
        return by_sample.min(axis=1), by_sample.max(axis=1)


def halves_of(n: int, *, seed: int) -> NDArray[np.bool_]:
    """(n,): whether a sample is in the second of two random halves, of which the first has one more if n is odd.

    >>> halves_of(5, seed=0).sum(), halves_of(0, seed=0).sum()
    (np.int64(2), np.int64(0))
    """
    second = np.zeros(n, np.bool_)
    second[np.random.default_rng(seed).permutation(n)[: n // 2]] = True
    return second


@dataclass(frozen=True, slots=True)
class Stretch:
    """Few samples that stretch a range."""

    rows: tuple[int, ...]
    """Their positions, the most extreme first."""
    minimum: float
    maximum: float
    """The range of all other samples."""


def stretch_of(sums: RangeSums, most: int, *, factor: float) -> Stretch | None:
    """The fewest samples without which the range shrinks to a part; None if more than `most` would be needed.

    Without some samples, the width is (largest of the others' maxima) − (smallest of the others' minima), both extended
    to 0, which codes must hold. Only samples at the ends change it, so the fewest are the i samples with the largest
    maxima and the j with the smallest minima, for some i and j: all are tried, up to `most` different samples. Of
    equally many, those are chosen that leave the narrowest range.

    Args:
        sums: Of all samples.
        most: Most samples that count as few, at most `MOST_EXTREME`.
        factor: The range must be at least so many times as wide as that of the others.

    Raises:
        ValueError: If `most` is larger than `MOST_EXTREME`.
    """
    if most > MOST_EXTREME:
        raise ValueError(f"{most} samples cannot be left out, because only {MOST_EXTREME} are remembered at each end")
    width = _width(sums.minimum, sums.maximum)
    if sums.n <= most or not width > 0:
        return None
    best: tuple[int, float, Stretch] | None = None
    for above in range(most + 1):
        for below in range(most + 1):
            left = _without(sums, above, below, most)
            if left is None or factor * _width(left.minimum, left.maximum) > width:
                continue
            rank = (len(left.rows), _width(left.minimum, left.maximum), left)
            if best is None or rank[:2] < best[:2]:
                best = rank
    return None if best is None else best[2]


def _without(sums: RangeSums, above: int, below: int, most: int) -> Stretch | None:
    """The range without some samples at its ends; None without any, or if these are more than `most`."""
    rows = dict.fromkeys([*sums.high_rows[:above].tolist(), *sums.low_rows[:below].tolist()])
    if not 0 < len(rows) <= most:
        return None
    high = next(high for high, row in zip(sums.highs, sums.high_rows.tolist(), strict=True) if row not in rows)
    low = next(low for low, row in zip(sums.lows, sums.low_rows.tolist(), strict=True) if row not in rows)
    return Stretch(tuple(rows), float(low), float(high))


def few_that_stretch(sums: RangeSums) -> Stretch | None:
    """Few samples without which the range shrinks to half or less; None if there are none.

    Few are at most 1 % of the samples, at least one, and at most `MOST_EXTREME`. Under 20 samples, none are outliers.
    """
    if sums.n < _FEWEST:
        return None
    return stretch_of(sums, min(MOST_EXTREME, max(1, int(_FEW * sums.n))), factor=_STRETCHED)


def bits_lost(wide: tuple[float, float], used: tuple[float, float]) -> float | None:
    """Bits of a code that are lost if its range, each (minimum, maximum), is wider than what is used of it.

    log2 of the quotient of the widths, and 0 if the range is not wider. Codes must hold 0, so both are extended to it.
    None if only 0 is used.

    >>> bits_lost((0, 40), (2, 10)), bits_lost((0, 1), (0, 255)), bits_lost((0, 1), (0, 0))
    (2.0, 0.0, None)
    """
    widths = [_width(*ends) for ends in (wide, used)]
    if not widths[1] > 0:
        return None
    return max(0.0, float(np.log2(widths[0] / widths[1]))) if widths[0] > 0 else 0.0
