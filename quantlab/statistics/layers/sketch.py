"""Quantiles of |error| from counts that add: whole tensors are never sorted, nor kept."""

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.layers.buckets import DROPPED_BITS
from quantlab.statistics.sums import Sums

__all__ = ["SKETCH_ACCURACY", "ErrorSketch", "Range"]

SKETCH_ACCURACY = 0.004
"""How far a quantile may be from the true one, relative to it: half a bucket is 2⁻⁸, and float32 rounds by 2⁻²⁴."""

_INFINITY = 0xFF << 7
"""The bucket of what float32 cannot hold: the difference of two float32 values may be twice its greatest."""


@dataclass(frozen=True, slots=True)
class Range(Sums):
    """The least and the greatest of some finite values; of none +∞ and −∞, which `minimum` and `maximum` hide."""

    least: float = field(default=math.inf, metadata={"add": min})
    greatest: float = field(default=-math.inf, metadata={"add": max})

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Of any shape and dtype that has an order; all of it finite."""
        return cls(float(values.min()), float(values.max())) if values.size else cls()

    @property
    def minimum(self) -> float | None:
        """The least, or None where there was no finite value."""
        return self.least if self.least <= self.greatest else None

    @property
    def maximum(self) -> float | None:
        """The greatest, or None where there was no finite value."""
        return self.greatest if self.least <= self.greatest else None


def _no_counts() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ErrorSketch(Sums):
    """How many |errors| fell into each bucket, 128 buckets between a power of two and the next.

    A quantile is the midpoint of the bucket it falls into, at most `SKETCH_ACCURACY` from the true value; zeros, the
    least and the greatest are exact. Adding sketches loses nothing: the sum is the sketch of the whole.

    The idea is that of DDSketch (Masson, Rim, Lee: DDSketch: a fast and fully-mergeable quantile sketch with
    relative-error guarantees, PVLDB 12(12), 2019): buckets whose width grows with their value. Its logarithm is here
    replaced by the bits of the float32 itself, exponent and first 7 bits of the mantissa, so that finding a bucket is
    a shift, and no bucket is ever collapsed.

    Below float32's least normal value, 1.2e-38, buckets stop shrinking and are 2⁻¹³³ wide; above its greatest,
    3.4e38, there is one bucket, whose quantile is the greatest value. Neither is met by tensors that mean anything.
    """

    zeros: int = 0
    non_finite: int = 0
    """Errors that are NaN or infinite; they rank above every other."""
    range: Range = field(default_factory=Range)
    """Of the finite |errors|, zeros too."""
    first: int = 0
    """The bucket that `counts` begins with: the upper 15 bits of a float32 without its sign."""
    counts: NDArray[np.int64] = field(default_factory=_no_counts)
    """Finite errors other than zero, from the first bucket that holds any to the last; empty where none does."""

    @staticmethod
    def of(errors: NDArray[Any]) -> "ErrorSketch":
        """Count errors of any shape, real numbers; their sign is dropped."""
        from quantlab.statistics.layers import compiled  # which imports Numba

        flat = np.ascontiguousarray(errors, np.float64).reshape(-1)
        buckets = compiled.take_buckets()
        zeros, non_finite, ends = compiled.sketch(compiled.read_only(flat), buckets)
        return ErrorSketch.drained(
            buckets, Range(*ends.tolist()), finite=flat.size - non_finite, zeros=zeros, non_finite=non_finite
        )

    @staticmethod
    def drained(buckets: NDArray[np.int64], ends: Range, *, finite: int, zeros: int, non_finite: int) -> "ErrorSketch":
        """Make a sketch of what compiled loops counted; the buckets are of `take_buckets`, and given back."""
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

    __hash__ = None  # type: ignore[assignment]  # what holds an array is not hashed, and __eq__ says when two are equal

    @property
    def count(self) -> int:
        """Errors counted, those that are not finite too."""
        return self.zeros + int(self.counts.sum()) + self.non_finite

    def quantile(self, q: float) -> float:
        """Return the least value that a share of at least `q` of the errors does not exceed (inverted CDF).

        It is one of the errors, not a point between two of them: `numpy.quantile(…, method="inverted_cdf")`. NaN of
        no errors; infinite where the quantile falls among those that are not finite.

        Args:
            q: From 0, the least error, to 1, the greatest.

        Raises:
            ValueError: If q is outside of that.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}, and a quantile is asked for as a share from 0 to 1")
        if not self.count:
            return math.nan
        # Minus 1 before rounding up, as NumPy does it: where n·q is a hair above an integer, it ranks the same.
        rank = max(0, math.ceil(self.count * q - 1))
        return self._ranked(rank)

    def _ranked(self, rank: int) -> float:
        """The error that `rank` others stand before, in ascending order."""
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
    """Halfway between the least float32 of the bucket and of the next; infinite for the last."""
    if bucket >= _INFINITY:
        return math.inf
    edges = (np.array([bucket, bucket + 1], np.uint32) << DROPPED_BITS).view(np.float32).astype(np.float64)
    # The bucket after the greatest finite one begins where float32's next power of two would.
    upper = edges[1] if np.isfinite(edges[1]) else 2.0**128
    return float((edges[0] + upper) / 2)
