"""Quantiles of |error| from bucket counts that can be added; tensors are neither sorted nor stored."""

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.layers.buckets import DROPPED_BITS
from quantlab.statistics.sums import Sums

__all__ = ["SKETCH_ACCURACY", "ErrorSketch", "Range"]

SKETCH_ACCURACY = 0.004
"""Largest relative error of a quantile: half a bucket is 2⁻⁸, and rounding to float32 adds 2⁻²⁴."""

_INFINITY = 0xFF << 7
"""Bucket of values beyond float32's range; the difference of two float32 values may be twice its largest value."""


@dataclass(frozen=True, slots=True)
class Range(Sums):
    """Smallest and largest of finite values; +∞ and −∞ without values, for which `minimum` and `maximum` are None."""

    least: float = field(default=math.inf, metadata={"add": min})
    greatest: float = field(default=-math.inf, metadata={"add": max})

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Range of an array of any shape; all elements must be finite."""
        return cls(float(values.min()), float(values.max())) if values.size else cls()

    @property
    def minimum(self) -> float | None:
        """Smallest value, or None without values."""
        return self.least if self.least <= self.greatest else None

    @property
    def maximum(self) -> float | None:
        """Largest value, or None without values."""
        return self.greatest if self.least <= self.greatest else None


def _no_counts() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ErrorSketch(Sums):
    """Histogram of |errors| with 128 buckets per power of two.

    A quantile is the midpoint of its bucket, within `SKETCH_ACCURACY` of the true value; zeros, the minimum and the
    maximum are exact. Adding sketches is exact: the sum equals the sketch of all values.

    The idea is that of DDSketch (Masson, Rim, Lee: DDSketch: a fast and fully-mergeable quantile sketch with
    relative-error guarantees, PVLDB 12(12), 2019): bucket widths are proportional to the value. Instead of a logarithm,
    the bucket index is taken from the bits of the float32, exponent and first 7 mantissa bits, so that finding a bucket
    is a shift and no bucket is ever collapsed.

    Below the smallest normal float32, 1.2e-38, buckets have a constant width of 2⁻¹³³. Above the largest, 3.4e38, there
    is a single bucket, whose quantile is the maximum. Neither range occurs in practice.
    """

    zeros: int = 0
    non_finite: int = 0
    """Errors that are NaN or infinite; they rank above all others."""
    range: Range = field(default_factory=Range)
    """Range of the finite |errors|, including zeros."""
    first: int = 0
    """Index of the first bucket in `counts`: the upper 15 bits of a float32 without its sign."""
    counts: NDArray[np.int64] = field(default_factory=_no_counts)
    """Counts of finite nonzero errors, from the first nonempty bucket to the last; empty if there are none."""

    @staticmethod
    def of(errors: NDArray[Any]) -> "ErrorSketch":
        """Sketch of an array of errors, of any shape; the sign is ignored."""
        from quantlab.statistics.layers import compiled  # imported here because it imports Numba

        flat = np.ascontiguousarray(errors, np.float64).reshape(-1)
        buckets = compiled.take_buckets()
        zeros, non_finite, ends = compiled.sketch(compiled.read_only(flat), buckets)
        return ErrorSketch.drained(
            buckets, Range(*ends.tolist()), finite=flat.size - non_finite, zeros=zeros, non_finite=non_finite
        )

    @staticmethod
    def drained(buckets: NDArray[np.int64], ends: Range, *, finite: int, zeros: int, non_finite: int) -> "ErrorSketch":
        """Make a sketch from buckets that compiled loops filled, and return the buckets for reuse."""
        from quantlab.statistics.layers import compiled

        first, counts = compiled.drain(buckets, max(ends.greatest, 0.0), finite, zeros)
        compiled.give_back(buckets)
        return ErrorSketch(zeros, non_finite, ends, first, counts)

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        first, counts = _added(self, other)
        return type(self)(
            self.zeros + other.zeros, self.non_finite + other.non_finite, self.range + other.range, first, counts
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ErrorSketch):
            return NotImplemented
        mine, theirs = ((sketch.zeros, sketch.non_finite, sketch.range, sketch.first) for sketch in (self, other))
        return mine == theirs and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # arrays are not hashable

    @property
    def count(self) -> int:
        """Number of errors counted, including non-finite ones."""
        return self.zeros + int(self.counts.sum()) + self.non_finite

    def quantile(self, q: float) -> float:
        """The smallest value that at least a share `q` of the errors does not exceed (inverted CDF).

        Same definition as `numpy.quantile(…, method="inverted_cdf")`: the result is not interpolated between errors.
        NaN without errors; infinite if the quantile falls on a non-finite error.

        Args:
            q: Share from 0 (minimum) to 1 (maximum).

        Raises:
            ValueError: If q is not in 0…1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}; a quantile needs a share from 0 to 1")
        if not self.count:
            return math.nan
        # Subtract 1 before rounding up, as NumPy does, so that rounding errors in n·q give the same rank.
        rank = max(0, math.ceil(self.count * q - 1))
        return self._ranked(rank)

    def _ranked(self, rank: int) -> float:
        """The error at position `rank` in ascending order, from 0."""
        finite = self.count - self.non_finite
        if rank >= finite:
            return math.inf
        if rank == 0:
            return self.range.least
        if rank < self.zeros:
            return 0.0
        if rank == finite - 1:
            return self.range.greatest
        bucket = self.first + int(np.searchsorted(self.counts.cumsum(), rank - self.zeros, side="right"))
        return min(max(_midpoint(bucket), self.range.least), self.range.greatest)


def _added(one: ErrorSketch, other: ErrorSketch) -> tuple[int, NDArray[np.int64]]:
    if not one.counts.size or not other.counts.size:
        held = one if one.counts.size else other
        return held.first, held.counts
    first = min(one.first, other.first)
    counts = np.zeros(max(sketch.first + sketch.counts.size for sketch in (one, other)) - first, np.int64)
    for sketch in (one, other):
        counts[sketch.first - first :][: sketch.counts.size] += sketch.counts
    return first, counts


def _midpoint(bucket: int) -> float:
    """Midpoint between the lowest float32 of this bucket and of the next; infinite for the last bucket."""
    if bucket >= _INFINITY:
        return math.inf
    edges = (np.array([bucket, bucket + 1], np.uint32) << DROPPED_BITS).view(np.float32).astype(np.float64)
    # Above the largest finite float32, use the next power of two as the bucket's upper end.
    upper = edges[1] if np.isfinite(edges[1]) else 2.0**128
    return float((edges[0] + upper) / 2)
