"""Errors of an output and of each of its channels, and which of them became constant, as sums that add.

A single figure hides a channel whose unit is smaller than that of the others: next to boxes of 0 to 640, scores of 0
to 1 may all become 0 and the SQNR of the output remains good.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.channel_order import channel_sqnr_db, worst_first
from quantlab.statistics.narrow import column_max, column_min, column_sums, count_in_columns
from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums
from quantlab.statistics.tensors import TensorError, check_numbers
from quantlab.types import ConstantOutput

__all__ = ["OutputSums", "constant_parts", "sum_channels"]

_BLOCK_BYTES = 2**18
"""A block and what is computed from it fit the cache of a core, which halves the time."""

_FEWEST = 10
"""With fewer elements, a channel may be constant by chance."""

_ROUNDING = 2.0**-20
"""Share of the largest value by which float32 sums of a constant may differ."""

_NEGLIGIBLE_PROBABILITY = 0.01
"""Between 0 and 1, a channel that varies by less is the class that never occurs: int8 rounds it to 0, which is right.

TFLite's int8 probabilities have a step of 1/256, so a channel that varies by more than two steps is not lost by them.
"""


def _counts() -> NDArray[np.int64]:
    return np.zeros((4, 0), np.int64)


def _sums() -> NDArray[np.float64]:
    return np.zeros((6, 0))


def _errors() -> NDArray[np.float64]:
    return np.zeros(0)


def _ends() -> NDArray[np.float64]:
    return np.zeros((2, 0))


@dataclass(frozen=True, slots=True, eq=False)
class OutputSums(Sums):
    """Error of a candidate's output against the reference, per channel: index of the last axis, if there are two.

    Elements that are not finite in the reference are left out, on both sides, and counted. What is not finite in the
    candidate alone spoils its channel, as in `TensorError`. An output of one value per sample has one channel. The size
    of the sums is that of one sample.
    """

    samples: int = 0
    counts: NDArray[np.int64] = field(default_factory=_counts)
    """(4, channels): elements compared, different ones, those that are not finite in the candidate, those left out."""
    sums: NDArray[np.float64] = field(default_factory=_sums)
    """(6, channels): the sums of `TensorError`, in the order of `_SUMS`."""
    largest_error: NDArray[np.float64] = field(default_factory=_errors)
    """(channels,)"""
    lowest: NDArray[np.float64] = field(default_factory=_ends)
    """(2, elements of a sample): smallest values over the samples of reference and candidate; ∞ where all are left
    out."""
    highest: NDArray[np.float64] = field(default_factory=_ends)
    """(2, elements of a sample): largest values; −∞ where all are left out."""

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], scored: NDArray[np.bool_] | None = None) -> Self:
        """Sum one batch, in float64.

        Args:
            reference: Samples first, then any shape; floats, integers or booleans.
            candidate: The same shape; the dtype may differ.
            scored: (n,), whether a sample is compared; the elements of the others are left out. None compares all.

        Raises:
            ValueError: If the shapes differ, or a dtype is not one of real numbers.
        """
        check_same_shape(reference, candidate)
        check_numbers(reference=reference, candidate=candidate)
        n = len(reference)
        if not reference.size:
            return cls(samples=n)
        channels = reference.shape[-1] if reference.ndim > 1 else 1
        expected = np.asarray(reference, np.float64).reshape(n, -1)
        actual = np.asarray(candidate, np.float64).reshape(n, -1)
        different = np.not_equal(reference, candidate).reshape(n, -1)
        known, usable = np.isfinite(expected), np.isfinite(actual)
        if scored is not None and not scored.all():
            known &= scored[:, np.newaxis]
        if not (known.all() and usable.all()):
            return cls._of_spoiled((expected, actual), (known, usable), different, channels)
        count = np.full(expected.shape[1], n)
        none = np.zeros_like(count)
        return cls(
            n,
            _by_channel([count, count_in_columns(different), none, none], channels),
            *_of_finite(expected, actual, channels),
            np.stack([column_min(expected), column_min(actual)]),
            np.stack([column_max(expected), column_max(actual)]),
        )

    @classmethod
    def _of_spoiled(
        cls,
        pair: tuple[NDArray[np.float64], NDArray[np.float64]],
        finite: tuple[NDArray[np.bool_], NDArray[np.bool_]],
        different: NDArray[np.bool_],
        channels: int,
    ) -> Self:
        """The same with elements that are not finite: zeros in the sums, and no ends of the range."""
        (expected, actual), (known, usable) = pair, finite
        usable = known & usable
        counts = [known, different & known, known & ~usable, ~known]
        return cls(
            len(expected),
            _by_channel([np.count_nonzero(counted, axis=0) for counted in counts], channels),
            *_of_finite(np.where(usable, expected, 0.0), np.where(usable, actual, 0.0), channels),
            np.stack([np.where(known, expected, np.inf).min(axis=0), np.where(usable, actual, np.inf).min(axis=0)]),
            np.stack([np.where(known, expected, -np.inf).max(axis=0), np.where(usable, actual, -np.inf).max(axis=0)]),
        )

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        if not self.elements or not other.elements:  # the neutral element, or a batch without samples
            one, empty = (self, other) if self.elements else (other, self)
            return type(self)(
                one.samples + empty.samples, one.counts, one.sums, one.largest_error, one.lowest, one.highest
            )
        if (self.channels, self.elements) != (other.channels, other.elements):
            raise ValueError(
                f"sums of {self.channels} channels and {self.elements} elements, and of {other.channels} and "
                f"{other.elements}, cannot be added; compare outputs of the same shape"
            )
        return type(self)(
            self.samples + other.samples,
            self.counts + other.counts,
            self.sums + other.sums,
            np.maximum(self.largest_error, other.largest_error),
            np.minimum(self.lowest, other.lowest),
            np.maximum(self.highest, other.highest),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OutputSums):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, attribute.name), getattr(other, attribute.name)) for attribute in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are not hashable

    @property
    def channels(self) -> int:
        """Number of channels; 0 without elements."""
        return len(self.largest_error)

    @property
    def elements(self) -> int:
        """Number of elements of one sample."""
        return int(self.lowest.shape[1])

    @property
    def left_out(self) -> int:
        """Number of elements that are not compared: not finite in the reference, or of samples that are not scored."""
        return int(self.counts[3].sum())

    @property
    def error(self) -> TensorError:
        """Error of the whole output."""
        return _error(self.counts.sum(axis=1), self.sums.sum(axis=1), self.largest_error.max(initial=0.0))

    def error_of(self, channel: int) -> TensorError:
        """Error of one channel."""
        return _error(self.counts[:, channel], self.sums[:, channel], self.largest_error[channel])

    def left_out_of(self, channel: int) -> int:
        """The same for one channel."""
        return int(self.counts[3, channel])

    def ranges(self, channel: int | None = None) -> NDArray[np.float64]:
        """(2, 2): smallest and largest finite value of the reference, then of the candidate; NaN where there is none.

        Args:
            channel: None for the whole output.
        """
        at = slice(None) if channel is None else slice(channel, None, self.channels)
        ends = np.stack(
            [
                self.lowest[:, at].min(axis=1, initial=math.inf),
                self.highest[:, at].max(axis=1, initial=-math.inf),
            ],
            axis=1,
        )
        return np.where(np.isfinite(ends), ends, math.nan)

    @property
    def is_constant(self) -> bool:
        """Whether the candidate gives one value, or the same values for every sample, and the reference varies."""
        if self.counts[0].sum() < _FEWEST:
            return False
        if self.channels == 1:
            return bool(self.constant_channels.size)
        still, _ = self._movement()
        return bool(still.all() and self.lost_channels.size)

    @property
    def lost_channels(self) -> NDArray[np.intp]:
        """If the whole output is constant: the channels that vary in the reference, in order."""
        still, moves = self._movement()
        return np.flatnonzero(still & (moves > _ROUNDING * self._largest()))

    @property
    def constant_channels(self) -> NDArray[np.intp]:
        """Channels that are constant in this sense, in order.

        A channel with fewer than ten elements is not judged. Where all values of the reference are between 0 and 1, as
        probabilities are, one of several channels that varies by at most 0.01 is not named: the class never occurs.
        """
        if not self.channels:
            return np.zeros(0, np.intp)
        still, moves = self._movement()
        least = _ROUNDING * self._largest()
        (low, high), _ = self.ranges()
        if self.channels > 1 and low >= 0 and high <= 1:
            least = np.maximum(least, _NEGLIGIBLE_PROBABILITY)
        return np.flatnonzero(still & (moves > least) & (self.counts[0] >= _FEWEST))

    def worst_channels(self, number: int) -> list[int]:
        """Constant channels first, then the others in the order of `worst_first`."""
        noise, signal, candidate = self.sums[2:5]
        non_finite = self.counts[2] > 0
        decibels = channel_sqnr_db(noise, signal, non_finite | ~np.isfinite(candidate))
        decibels = np.where(self.counts[0] == 0, math.nan, decibels)
        order = worst_first(decibels, noise, (signal == 0) & ~non_finite)
        constant = np.isin(order, self.constant_channels)
        return [int(channel) for channel in (*order[constant], *order[~constant])][:number]

    def _movement(self) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """(channels,): whether the candidate's is constant, and by how much the reference's then varies.

        A candidate of one value is compared with all values of the reference, one that gives the same values for every
        sample with how far the reference moves between samples.
        """
        (low, low_candidate), (high, high_candidate) = (
            ends.reshape(2, -1, self.channels) for ends in (self.lowest, self.highest)
        )
        sound = (self.counts[0] > 0) & (self.counts[2] == 0)
        one_value = sound & (low_candidate.min(axis=0) == high_candidate.max(axis=0))
        # Where all samples are left out, the lowest value is ∞ and the highest −∞.
        same = sound & (low_candidate >= high_candidate).all(axis=0) & (self.samples > 1)
        with np.errstate(invalid="ignore"):
            over_all, over_samples = high.max(axis=0) - low.min(axis=0), (high - low).max(axis=0)
        return one_value | same, np.where(one_value, over_all, over_samples)

    def _largest(self) -> NDArray[np.float64]:
        """(channels,): largest absolute value of the reference; 0 where there is none."""
        ends = np.abs(np.stack([self.lowest[0], self.highest[0]])).reshape(2, -1, self.channels)
        largest: NDArray[np.float64] = np.where(np.isfinite(ends), ends, 0.0).max(axis=(0, 1))
        return largest


def _of_finite(
    expected: NDArray[np.float64], actual: NDArray[np.float64], channels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sums and the largest errors of (n, elements)."""
    # Squares of float64 values may overflow to infinity; the properties of TensorError report that.
    with np.errstate(over="ignore", invalid="ignore"):
        error = actual - expected
        size = np.abs(error)
        sums = [
            column_sums(error),
            column_sums(size),
            *(
                np.einsum("ij,ij->j", one, other)
                for one, other in ((error, error), (expected, expected), (actual, actual), (expected, actual))
            ),
        ]
    return _by_channel(sums, channels), column_max(size).reshape(-1, channels).max(axis=0)


def _by_channel(of_elements: Sequence[NDArray[Any]], channels: int) -> NDArray[Any]:
    """(kinds, elements of a sample) added up to (kinds, channels)."""
    added: NDArray[Any] = np.stack(of_elements).reshape(len(of_elements), -1, channels).sum(axis=1)
    return added


def _error(counts: NDArray[np.int64], sums: NDArray[np.float64], largest: float) -> TensorError:
    count, different, non_finite, _ = counts.tolist()
    return TensorError(
        count=count,
        different=different,
        non_finite=non_finite,
        largest_error=float(largest),
        **dict(zip(_SUMS, sums.tolist(), strict=True)),
    )


_SUMS = (
    "sum_error",
    "sum_abs_error",
    "sum_square_error",
    "sum_square_reference",
    "sum_square_candidate",
    "sum_product",
)
"""Fields of `TensorError` in the order of the rows of `OutputSums.sums`."""


def sum_channels(
    reference: NDArray[Any], candidate: NDArray[Any], scored: NDArray[np.bool_] | None = None
) -> OutputSums:
    """Sum a whole output in blocks; arrays may be memory-mapped, and memory use does not grow with n.

    Raises:
        ValueError: See `OutputSums.of`.
    """
    check_same_shape(reference, candidate)  # a longer candidate's end would be ignored
    parts = (
        OutputSums.of(reference[rows], candidate[rows], None if scored is None else scored[rows])
        for rows in blocks(reference, block_bytes=_BLOCK_BYTES)
    )
    return sum(parts, OutputSums())


def constant_parts(output: str, sums: OutputSums) -> tuple[ConstantOutput, ...]:
    """What became constant of an output: itself, or channels of it in order; empty if nothing did."""
    if sums.is_constant:
        lost = tuple(sums.lost_channels.tolist()) if sums.channels > 1 else ()
        return (replace(_constant(output, None, sums), channels=lost),)
    return tuple(_constant(output, channel, sums) for channel in sums.constant_channels.tolist())


def _constant(output: str, channel: int | None, sums: OutputSums) -> ConstantOutput:
    (low, high), (low_candidate, high_candidate) = sums.ranges(channel).tolist()
    return ConstantOutput(output, channel, low_candidate, high_candidate, low, high)
