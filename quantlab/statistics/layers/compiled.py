"""Loops over the elements of two tensors, compiled by Numba on first use and cached on disk.

One loop replaces fifteen NumPy passes, each of which acquires the interpreter lock, so that two threads would mostly
wait for each other. Sums are kept in columns that are added at the end of a block. The processor can then add several
columns at once without changing the order of additions, so results are the same on every processor.

`TensorError.of` implements some of these sums in NumPy; its module explains why.
"""

import functools
import math
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.layers.buckets import DROPPED_BITS

__all__ = [
    "BLOCK",
    "PairTotals",
    "compare",
    "count_beyond",
    "drain",
    "give_back",
    "read_only",
    "sketch",
    "take_buckets",
]

BLOCK = 16_384
"""Elements per block; intermediate values of one block stay in the processor's cache."""

_BUCKETS = 1 << (31 - DROPPED_BITS)  # for every value of a float32 without its sign bit and the dropped bits
_COLUMNS = 128
_UNEQUAL, _ENDS, _ROWS = 6, 7, 13
"""Rows of the column sums: first the sums, then the count of unequal pairs, then minima and maxima; total of rows."""
_SUMS = 6

Array = NDArray[Any]
_Function = TypeVar("_Function", bound=Callable[..., Any])
_part: Callable[[_Function], _Function] = numba.njit(nogil=True)


def _kept(function: _Function) -> _Function:
    """Compile a function and cache it beside this file or in the user's cache, if one of them is writable."""
    try:
        compiled = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no cache location is writable
        return _part(function)

    @functools.wraps(compiled)
    def call(*arguments: Any) -> Any:
        try:
            return compiled(*arguments)
        except OSError:  # disk full: the function is compiled but was not cached; call it again
            return compiled(*arguments)

    return call  # type: ignore[return-value]


class _Spare(threading.local):
    buckets: NDArray[np.int64] | None = None


_spare = _Spare()


def take_buckets() -> NDArray[np.int64]:
    """(buckets, 2): zeros for counting. One array per thread is reused, because allocation is as slow as a tensor."""
    buckets, _spare.buckets = _spare.buckets, None
    return np.zeros((_BUCKETS, 2), np.int64) if buckets is None else buckets


def give_back(buckets: NDArray[np.int64]) -> None:
    """Keep zeroed buckets for the next tensor; after an exception they may not be zero and must not be returned."""
    _spare.buckets = buckets


def read_only(flat: NDArray[Any]) -> NDArray[Any]:
    """A read-only view: Numba treats it as a different type, and memory-mapped files are always read-only."""
    view = flat.view()
    view.flags.writeable = False
    return view


class PairTotals(NamedTuple):
    """Sums for a pair of flat tensors, except the bucket counts."""

    sums: NDArray[np.float64]
    """(blocks, 6): Σ error, Σ |error|, Σ error², Σ baseline², Σ candidate², Σ baseline · candidate, of finite pairs."""
    counts: NDArray[np.int64]
    """(5,): pairs that differ; finite pairs without error; non-finite elements of the candidate, and of the baseline;
    pairs with a non-finite element."""
    ends: NDArray[np.float64]
    """(3, 2): smallest and largest finite element of baseline, candidate and |error|; +∞ and −∞ if there is none."""
    channels: NDArray[np.float64]
    """(2, width): Σ error² and Σ baseline² per channel."""
    spoiled: NDArray[np.int64]
    """(width,): pairs with a non-finite element per channel."""


_DIFFERENT, _ZEROS, _NON_FINITE, _NON_FINITE_BASELINE, _NON_FINITE_PAIRS = range(5)


@_part
def _add_pair(expected: Any, actual: Any, columns: Array, column: int) -> Any:
    """Add one pair to a column and return its |error|."""
    error = actual - expected
    size = abs(error)
    columns[0, column] += error
    columns[1, column] += size
    columns[2, column] += error * error
    columns[3, column] += expected * expected
    columns[4, column] += actual * actual
    columns[5, column] += expected * actual
    columns[6, column] += 1.0 if expected != actual else 0.0
    columns[7, column] = expected if expected < columns[7, column] else columns[7, column]
    columns[8, column] = expected if expected > columns[8, column] else columns[8, column]
    columns[9, column] = actual if actual < columns[9, column] else columns[9, column]
    columns[10, column] = actual if actual > columns[10, column] else columns[10, column]
    columns[11, column] = size if size < columns[11, column] else columns[11, column]
    columns[12, column] = size if size > columns[12, column] else columns[12, column]
    return size


@_part
def _add_pairs(baseline: Array, candidate: Array, sizes: Array, columns: Array) -> None:
    """Set the columns to the sums of one block, and write its |errors| as float32 to `sizes`."""
    columns[:_ENDS] = 0.0
    columns[_ENDS::2], columns[_ENDS + 1 :: 2] = np.inf, -np.inf
    whole = baseline.size - baseline.size % _COLUMNS
    rows = (whole // _COLUMNS, _COLUMNS)
    expected, actual, size = (
        baseline[:whole].reshape(rows),
        candidate[:whole].reshape(rows),
        sizes[:whole].reshape(rows),
    )
    for row in range(rows[0]):
        for column in range(_COLUMNS):
            error = _add_pair(np.float64(expected[row, column]), np.float64(actual[row, column]), columns, column)
            size[row, column] = np.float32(error)
    for column in range(baseline.size - whole):
        error = _add_pair(np.float64(baseline[whole + column]), np.float64(candidate[whole + column]), columns, column)
        sizes[whole + column] = np.float32(error)


@_part
def _widen(ends: Array, least: Any, greatest: Any) -> None:
    ends[0] = min(ends[0], least)
    ends[1] = max(ends[1], greatest)


@_part
def _tally(sizes: Array, buckets: Array) -> None:
    """Count |errors| in buckets, alternating between two columns, so that equal buckets do not wait for each other."""
    bits = sizes.view(np.uint32)
    even = bits.size - bits.size % 2
    for place in range(0, even, 2):
        buckets[bits[place] >> DROPPED_BITS, 0] += 1
        buckets[bits[place + 1] >> DROPPED_BITS, 1] += 1
    if even < bits.size:
        buckets[bits[even] >> DROPPED_BITS, 0] += 1


@_part
def _sum_channels(baseline: Array, candidate: Array, noise: Array, signal: Array) -> None:
    for row in range(baseline.shape[0]):
        for channel in range(baseline.shape[1]):
            expected = np.float64(baseline[row, channel])
            error = np.float64(candidate[row, channel]) - expected
            noise[channel] += error * error
            signal[channel] += expected * expected


@_part
def _add_spoiled(baseline: Array, candidate: Array, sums: Array, totals: PairTotals, buckets: Array) -> None:
    """Add a block with non-finite elements, or non-finite squares, element by element."""
    sums[:] = 0.0
    size = np.empty(1, np.float32)
    for place in range(baseline.size):
        expected, actual = np.float64(baseline[place]), np.float64(candidate[place])
        error = actual - expected
        totals.counts[_DIFFERENT] += expected != actual
        for side, value in ((0, expected), (1, actual)):
            if math.isfinite(value):
                _widen(totals.ends[side], value, value)
        totals.counts[_NON_FINITE_BASELINE] += not math.isfinite(expected)
        totals.counts[_NON_FINITE] += not math.isfinite(actual)
        if not (math.isfinite(expected) and math.isfinite(actual)):
            totals.counts[_NON_FINITE_PAIRS] += 1
            if totals.spoiled.size:
                totals.spoiled[place % totals.spoiled.size] += 1
            continue
        totals.counts[_ZEROS] += error == 0
        _widen(totals.ends[2], abs(error), abs(error))
        size[0] = np.float32(abs(error))
        _tally(size, buckets)
        products = (error, abs(error), error * error, expected * expected, actual * actual, expected * actual)
        for which in range(_SUMS):
            sums[which] += products[which]
        if totals.spoiled.size:
            totals.channels[0, place % totals.spoiled.size] += error * error
            totals.channels[1, place % totals.spoiled.size] += expected * expected


@_part
def _add_finite(
    baseline: Array, candidate: Array, sizes: Array, columns: Array, totals: PairTotals, buckets: Array
) -> None:
    """Add a block whose elements and squares are all finite, except for its sums."""
    different = int(columns[_UNEQUAL].sum())
    totals.counts[_DIFFERENT] += different
    totals.counts[_ZEROS] += baseline.size - different
    for side in range(3):
        _widen(totals.ends[side], columns[_ENDS + 2 * side].min(), columns[_ENDS + 2 * side + 1].max())
    _tally(sizes, buckets)
    width = totals.spoiled.size
    if width:
        rows = (baseline.size // width, width)
        _sum_channels(baseline.reshape(rows), candidate.reshape(rows), totals.channels[0], totals.channels[1])


@_kept
def compare(baseline: Array, candidate: Array, width: int, buckets: Array) -> PairTotals:
    """Compare two flat tensors of the same dtype, float32 or float64.

    Both must be read-only, so that one compiled function is enough.

    Args:
        width: Number of channels to sum separately, 0 for none; the tensor's size must be a multiple of it.
        buckets: From `take_buckets`; receives the counts of finite |errors|, which `drain` reads.
    """
    block = BLOCK if width == 0 else max(BLOCK - BLOCK % width, width)
    totals = PairTotals(
        np.zeros(((baseline.size + block - 1) // block, _SUMS)),
        np.zeros(5, np.int64),
        np.full((3, 2), np.inf),
        np.zeros((2, width)),
        np.zeros(width, np.int64),
    )
    totals.ends[:, 1] = -np.inf
    columns, room = np.empty((_ROWS, _COLUMNS)), np.empty(min(block, baseline.size), np.float32)
    for place in range(totals.sums.shape[0]):
        expected = baseline[place * block : (place + 1) * block]
        actual = candidate[place * block : (place + 1) * block]
        sums, sizes = totals.sums[place], room[: expected.size]
        _add_pairs(expected, actual, sizes, columns)
        for which in range(_SUMS):
            sums[which] = columns[which].sum()
        # A sum of squares is finite only if every square is.
        if math.isfinite(sums[3] + sums[4]):
            _add_finite(expected, actual, sizes, columns, totals, buckets)
        else:
            _add_spoiled(expected, actual, sums, totals, buckets)
    return totals


@_kept
def sketch(values: Array, buckets: Array) -> tuple[int, int, Array]:
    """Count |values| of a flat float64 tensor in buckets.

    Returns the number of zeros, the number of non-finite values, and the smallest and largest finite |value|.
    """
    zeros, held = 0, 0
    ends = np.array([np.inf, -np.inf])
    room = np.empty(min(BLOCK, values.size), np.float32)
    for start in range(0, values.size, BLOCK):
        fill = 0
        for value in values[start : start + BLOCK]:
            if math.isfinite(value):
                zeros += value == 0
                _widen(ends, abs(value), abs(value))
                room[fill] = np.float32(abs(value))
                fill += 1
        _tally(room[:fill], buckets)
        held += fill
    return zeros, values.size - held, ends


@_kept
def drain(buckets: Array, greatest: float, counted: int, zeros: int) -> tuple[int, Array]:
    """Read and reset the bucket counts, without zeros, which share the lowest bucket with the smallest subnormals.

    Returns the first nonempty bucket, and the counts from there up to the bucket of the largest value; the buckets are
    zero afterwards.
    """
    buckets[0, 0] -= zeros
    top: Any = np.array([greatest], np.float32).view(np.uint32)[0] >> DROPPED_BITS
    left: Any = counted - zeros
    first: Any = top + 1
    while left > 0:
        first -= 1
        left -= buckets[first, 0] + buckets[first, 1]
    counts = np.empty(top + 1 - first if counted > zeros else 0, np.int64)
    for place in range(counts.size):
        counts[place] = buckets[first + place, 0] + buckets[first + place, 1]
        buckets[first + place] = 0
    buckets[0] = 0  # zeros were counted in both columns but subtracted from one
    return (first if counts.size else 0), counts


@_kept
def count_beyond(values: Array, lowest: float, highest: float) -> tuple[int, int]:
    """Number of elements below `lowest` and number above `highest`; NaN counts as neither."""
    below, above = 0, 0
    for value in values:
        below += int(np.float64(value) < lowest)
        above += int(np.float64(value) > highest)
    return below, above
