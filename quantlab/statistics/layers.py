"""How far one tensor inside a variant strays: everything a row of the layer table is made of, in one pass.

The pass goes block by block through buffers that stay in the processor's cache: a whole MobileNetV2 holds seven
million numbers a sample, and one temporary of a whole tensor costs more than all that is computed from it.
"""

import math
import threading
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sketch import BLOCK, ErrorCounter, ErrorSketch, Range
from quantlab.statistics.sums import Sums, sum_products
from quantlab.statistics.tensors import TensorError, check_numbers
from quantlab.types import Codes

__all__ = ["ChannelSums", "LayerError"]

Vector = NDArray[Any]


def _no_sums() -> NDArray[np.float64]:
    return np.zeros(0)


def _no_counts() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ChannelSums(Sums):
    """Noise and signal of each channel, an index of the last axis; without any where channels were not asked for."""

    sum_square_error: NDArray[np.float64] = field(default_factory=_no_sums)
    """(channels,), over pairs that are finite, as in `TensorError`."""
    sum_square_baseline: NDArray[np.float64] = field(default_factory=_no_sums)
    non_finite: NDArray[np.int64] = field(default_factory=_no_counts)
    """(channels,), pairs of which either is NaN or infinite."""

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        if not len(self) or not len(other):
            return self if len(self) else other
        if len(self) != len(other):
            raise ValueError(f"{len(self)} channels and {len(other)} do not add; compare tensors of one shape")
        return type(self)(
            self.sum_square_error + other.sum_square_error,
            self.sum_square_baseline + other.sum_square_baseline,
            self.non_finite + other.non_finite,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChannelSums):
            return NotImplemented
        return all(np.array_equal(getattr(self, each.name), getattr(other, each.name)) for each in fields(self))

    __hash__ = None  # type: ignore[assignment]  # what holds arrays is not hashed

    def __len__(self) -> int:
        return len(self.sum_square_error)

    @property
    def sqnr_db(self) -> NDArray[np.float64]:
        """(channels,), each as `TensorError.sqnr_db`: ∞ without noise, −∞ for noise on zeros or anything not finite."""
        with np.errstate(divide="ignore", invalid="ignore"):
            noise, signal = np.log10(self.sum_square_error), np.log10(self.sum_square_baseline)
            decibels = np.where(np.isneginf(noise), math.inf, 10 * (signal - noise))
        spoiled = (self.non_finite > 0) | ~np.isfinite(self.sum_square_error + self.sum_square_baseline)
        return np.where(spoiled, -math.inf, decibels)

    @property
    def worst(self) -> int | None:
        """The channel of the least SQNR; among equals that of the most noise, then the first; None without channels."""
        if not len(self):
            return None
        return int(np.lexsort((-self.sum_square_error, self.sqnr_db))[0])


@dataclass(frozen=True, slots=True)
class LayerError(Sums):
    """How a candidate's tensor differs from the baseline's, as sums of batches; the error is candidate − baseline."""

    error: TensorError = field(default_factory=TensorError)
    sketch: ErrorSketch = field(default_factory=ErrorSketch)
    """Of |error|; a pair of which either is NaN or infinite counts as an error that is not finite."""
    range: Range = field(default_factory=Range)
    """Of the candidate's finite elements."""
    range_baseline: Range = field(default_factory=Range)
    coded: int = 0
    """Elements that were codes of an integer tensor."""
    at_lowest: int = 0
    """How many of them stand at the lowest code; not counted where that stands for 0, as behind a ReLU, whose zeros it
    rightly holds."""
    at_highest: int = 0
    channels: ChannelSums = field(default_factory=ChannelSums)

    @classmethod
    def of(
        cls,
        baseline: NDArray[Any],
        candidate: NDArray[Any],
        *,
        channels: bool = False,
        codes: Codes | None = None,
    ) -> Self:
        """Compare a batch element by element, in float64.

        Args:
            baseline: Any shape, zero-size too; real numbers. What is not contiguous is copied first.
            candidate: The same shape; an integer activation as the floats its codes stand for.
            channels: Whether to sum each index of the last axis by itself, for about 1 ns an element more; a tensor
                of samples alone, (n,), has no channels.
            codes: What the candidate's codes stand for, so that those at the ends of the range are counted.

        Raises:
            ValueError: If the shapes differ, or one holds something else than real numbers.
        """
        check_same_shape(baseline, candidate)
        check_numbers(baseline=baseline, candidate=candidate)
        width = baseline.shape[-1] if channels and baseline.ndim > 1 and baseline.size else 0
        blocks = _Blocks(baseline.size, width, codes)
        # Squares of float64 values may overflow and infinities cancel: that is counted, and needs no warning.
        with np.errstate(over="ignore", invalid="ignore"):
            blocks.compare(baseline.reshape(-1), candidate.reshape(-1))
        return cls(
            blocks.error(),
            blocks.counter.sketch(),
            Range(*blocks.ends_candidate),
            Range(*blocks.ends_baseline),
            coded=baseline.size if codes else 0,
            at_lowest=blocks.at_lowest,
            at_highest=blocks.at_highest,
            channels=blocks.channels,
        )

    @property
    def saturated(self) -> float | None:
        """Share of codes at either end of their range; None for floats."""
        return (self.at_lowest + self.at_highest) / self.coded if self.coded else None

    @property
    def worst_channel(self) -> int | None:
        """See `ChannelSums.worst`."""
        return self.channels.worst

    @property
    def worst_channel_sqnr_db(self) -> float | None:
        """The SQNR of that channel; None without channels."""
        worst = self.channels.worst
        return None if worst is None else float(self.channels.sqnr_db[worst])


class _Buffers(threading.local):
    """What a block is turned into, made once a thread: fresh memory would cost as much as all that is done with it."""

    def __init__(self) -> None:
        self.float64 = np.empty((3, BLOCK))


_buffers = _Buffers()


class _Blocks:
    """Adds up a pair of flat tensors block by block; only `LayerError.of` sees it unfinished."""

    def __init__(self, size: int, width: int, codes: Codes | None) -> None:
        self._size, self._width, self._codes = size, width, codes
        # Whole rows of channels; a row longer than a block is a block by itself.
        self._block = max(BLOCK - BLOCK % width, width) if width else BLOCK
        self._sums: list[tuple[float, ...]] = []
        self._different = self._non_finite = self._non_finite_baseline = 0
        self.counter = ErrorCounter()
        self.ends_baseline = self.ends_candidate = (math.inf, -math.inf)
        self.at_lowest = self.at_highest = 0
        self.channels = ChannelSums()

    def compare(self, baseline: Vector, candidate: Vector) -> None:
        for start in range(0, self._size, self._block):
            self._add(baseline[start : start + self._block], candidate[start : start + self._block])

    def error(self) -> TensorError:
        columns = zip(*self._sums, strict=True)
        return TensorError(
            count=self._size,
            different=self._different,
            non_finite=self._non_finite,
            non_finite_reference=self._non_finite_baseline,
            largest_error=max(0.0, self.counter.greatest),
            **{name: math.fsum(column) for name, column in zip(_SUMS, columns, strict=False)},
        )

    def _add(self, baseline: Vector, candidate: Vector) -> None:
        n = baseline.size
        buffers = _buffers.float64 if n <= BLOCK else np.empty((3, n))
        expected, actual, difference = buffers[:, :n]
        np.copyto(expected, baseline, casting="same_kind")
        np.copyto(actual, candidate, casting="same_kind")
        different = int(np.count_nonzero(np.not_equal(baseline, candidate)))
        self._different += different
        self._count_saturated(actual)
        signal, power = sum_products(expected, expected), sum_products(actual, actual)
        # A sum of squares is finite only if each of them is: asking every element costs a third more.
        if not math.isfinite(signal + power):
            self._add_spoiled(expected, actual)
            return
        self.counter.zeros += n - different
        self.ends_baseline = _wider(self.ends_baseline, baseline)
        self.ends_candidate = _wider(self.ends_candidate, candidate)
        np.subtract(actual, expected, out=difference)
        if self._width:
            self.channels += self._channel_sums(difference, expected)
        self._sum(expected, actual, difference, (signal, power))

    def _add_spoiled(self, expected: Vector, actual: Vector) -> None:
        """Add the finite pairs of a block, and count the others."""
        finite_expected, finite_actual = np.isfinite(expected), np.isfinite(actual)
        self._non_finite_baseline += expected.size - int(np.count_nonzero(finite_expected))
        self._non_finite += actual.size - int(np.count_nonzero(finite_actual))
        self.ends_baseline = _wider(self.ends_baseline, expected[finite_expected])
        self.ends_candidate = _wider(self.ends_candidate, actual[finite_actual])
        usable = finite_expected & finite_actual
        if self._width:
            difference = np.where(usable, actual - expected, 0)
            self.channels += self._channel_sums(difference, np.where(usable, expected, 0), ~usable)
        expected, actual = expected[usable], actual[usable]
        difference = actual - expected
        self.counter.non_finite += usable.size - expected.size
        self.counter.zeros += difference.size - int(np.count_nonzero(difference))
        self._sum(expected, actual, difference, (sum_products(expected, expected), sum_products(actual, actual)))

    def _sum(self, expected: Vector, actual: Vector, difference: Vector, squares: tuple[float, float]) -> None:
        """Add finite pairs; what stood in `difference` is its size afterwards."""
        total, noise = float(difference.sum()), sum_products(difference, difference)
        np.abs(difference, out=difference)
        self._sums.append((total, float(difference.sum()), noise, *squares, sum_products(expected, actual)))
        self.counter.add(difference)

    def _count_saturated(self, actual: Vector) -> None:
        if self._codes is None:
            return
        # Halfway to the next code stands for rounding to the end: value / scale + zero point, without computing it.
        lowest = (self._codes.lowest + 0.5 - self._codes.zero_point) * self._codes.scale
        highest = (self._codes.highest - 0.5 - self._codes.zero_point) * self._codes.scale
        if self._codes.lowest < self._codes.zero_point:
            self.at_lowest += int(np.count_nonzero(actual < lowest))
        self.at_highest += int(np.count_nonzero(actual > highest))

    def _channel_sums(
        self, difference: Vector, expected: Vector, spoiled: NDArray[np.bool_] | None = None
    ) -> ChannelSums:
        rows = (-1, self._width)
        return ChannelSums(
            _column_squares(difference.reshape(rows)),
            _column_squares(expected.reshape(rows)),
            np.zeros(self._width, np.int64) if spoiled is None else spoiled.reshape(rows).sum(axis=0, dtype=np.int64),
        )


_SUMS = (
    "sum_error",
    "sum_abs_error",
    "sum_square_error",
    "sum_square_reference",
    "sum_square_candidate",
    "sum_product",
)
"""What each block is summed into, in the order that `_Blocks._sum` gives."""


def _column_squares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.einsum("ij,ij->j", rows, rows)
    return squares


def _wider(ends: tuple[float, float], values: Vector) -> tuple[float, float]:
    if not values.size:
        return ends
    return min(ends[0], float(values.min())), max(ends[1], float(values.max()))
