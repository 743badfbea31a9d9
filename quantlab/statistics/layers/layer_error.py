"""Error of one tensor inside a variant: all figures of a row of the layer table, computed in one pass.

The pass is compiled (`compiled.py`): MobileNetV2 has seven million intermediate values per sample, and NumPy would
need fifteen passes over them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.channel_order import channel_sqnr_db, worst_first
from quantlab.statistics.layers.registry import LAYER_STATISTICS
from quantlab.statistics.layers.sketch import ErrorSketch, Range
from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums
from quantlab.statistics.tensors import TensorError, check_numbers
from quantlab.types import Codes

if TYPE_CHECKING:
    from quantlab.statistics.layers.compiled import PairTotals

__all__ = ["ChannelSums", "LayerError"]


def _no_sums() -> NDArray[np.float64]:
    return np.zeros(0)


def _no_counts() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ChannelSums(Sums):
    """Sums of squares per channel (index of the last axis); empty if channels were not requested."""

    sum_square_error: NDArray[np.float64] = field(default_factory=_no_sums)
    """(channels,): over finite pairs, as in `TensorError`."""
    sum_square_baseline: NDArray[np.float64] = field(default_factory=_no_sums)
    non_finite: NDArray[np.int64] = field(default_factory=_no_counts)
    """(channels,): pairs with a NaN or infinite element."""

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        if not len(self) or not len(other):
            return self if len(self) else other
        if len(self) != len(other):
            raise ValueError(
                f"sums of {len(self)} channels and of {len(other)} cannot be added; compare tensors of the same shape"
            )
        return type(self)(
            self.sum_square_error + other.sum_square_error,
            self.sum_square_baseline + other.sum_square_baseline,
            self.non_finite + other.non_finite,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChannelSums):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, attribute.name), getattr(other, attribute.name)) for attribute in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are not hashable

    def __len__(self) -> int:
        return len(self.sum_square_error)

    @property
    def sqnr_db(self) -> NDArray[np.float64]:
        """(channels,): SQNR in decibels; ∞ without error, −∞ for an error on zeros or a non-finite element."""
        return channel_sqnr_db(self.sum_square_error, self.sum_square_baseline, self.non_finite > 0)

    @property
    def worst(self) -> int | None:
        """The first channel of `worst_first`; None without channels.

        A channel that is 0 in the baseline counts only if it holds NaN or infinity, or if every channel is 0.
        """
        if not len(self):
            return None
        silent = (self.sum_square_baseline == 0) & (self.non_finite == 0)
        return int(worst_first(self.sqnr_db, self.sum_square_error, silent)[0])


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Add sums with the same name; keep the others, because the neutral element has no names."""
    return {**one, **other, **{name: one[name] + other[name] for name in one.keys() & other.keys()}}


@dataclass(frozen=True, slots=True)
class LayerError(Sums):
    """Error of a candidate's tensor against a baseline, as sums over batches; error = candidate − baseline."""

    error: TensorError = field(default_factory=TensorError)
    sketch: ErrorSketch = field(default_factory=ErrorSketch)
    """Quantiles of |error|; a pair with a NaN or infinite element counts as a non-finite error."""
    range: Range = field(default_factory=Range)
    """Range of the candidate's finite elements."""
    range_baseline: Range = field(default_factory=Range)
    """Range of the baseline's finite elements."""
    coded: int = 0
    """Number of elements that are codes of an integer tensor."""
    at_lowest: int = 0
    """Number of codes at the lower end of the range; 0 if that code stands for 0, because a ReLU produces zeros."""
    at_highest: int = 0
    """Number of codes at the upper end of the range."""
    clipped: int = 0
    """Number of the baseline's elements outside the range that the candidate's codes can hold, by more than half a
    step."""
    channels: ChannelSums = field(default_factory=ChannelSums)
    more: Mapping[str, Sums] = field(default_factory=dict, metadata={"add": _added})
    """Name in `LAYER_STATISTICS` → sums of that statistic."""

    @classmethod
    def of(
        cls,
        baseline: NDArray[Any],
        candidate: NDArray[Any],
        *,
        channels: bool = False,
        codes: Codes | None = None,
    ) -> Self:
        """Compare one batch element by element, in float64.

        Args:
            baseline: Any shape, also with no elements; real numbers. An array that is not contiguous is copied.
            candidate: The same shape; for an integer activation, the decoded floats.
            channels: Whether to sum each index of the last axis separately. This costs 0.2 to 3 ns more per element,
                most with few channels. A tensor of shape (n,) has no channels.
            codes: Quantization parameters of an integer activation, to count codes at the ends of the range.

        Raises:
            ValueError: If the shapes differ, or a dtype is not one of real numbers.
        """
        from quantlab.statistics.layers import compiled  # imported here because it imports Numba

        check_same_shape(baseline, candidate)
        check_numbers(baseline=baseline, candidate=candidate)
        width = baseline.shape[-1] if channels and baseline.ndim > 1 and baseline.size else 0
        expected, actual = _flat_pair(baseline, candidate)
        buckets = compiled.take_buckets()
        totals = compiled.compare(expected, actual, width, buckets)
        _, zeros, *_, spoiled = totals.counts.tolist()
        ends_baseline, ends_candidate, ends = (Range(*side) for side in totals.ends.tolist())
        below, above = _count_saturated(actual, codes)
        return cls(
            _error_of(baseline, candidate, totals),
            ErrorSketch.drained(buckets, ends, finite=baseline.size - spoiled, zeros=zeros, non_finite=spoiled),
            ends_candidate,
            ends_baseline,
            coded=baseline.size if codes else 0,
            at_lowest=below,
            at_highest=above,
            clipped=_count_clipped(expected, codes),
            channels=ChannelSums(totals.channels[0], totals.channels[1], totals.spoiled) if width else ChannelSums(),
            more={name: statistic.sums(baseline, candidate) for name, statistic in LAYER_STATISTICS.items()},
        )

    @property
    def more_figures(self) -> dict[str, float]:
        """Name in `LAYER_STATISTICS` → figure; without statistics that are undefined for this tensor."""
        figures = {name: LAYER_STATISTICS[name].figure(sums) for name, sums in self.more.items()}
        return {name: figure for name, figure in figures.items() if figure is not None}

    @property
    def saturated(self) -> float | None:
        """Share of codes at an end of the code range; None for floats."""
        return (self.at_lowest + self.at_highest) / self.coded if self.coded else None

    @property
    def clipped_share(self) -> float | None:
        """Share of the baseline's elements that the candidate's codes cannot hold; None for floats."""
        return self.clipped / self.coded if self.coded else None

    @property
    def worst_channel(self) -> int | None:
        """See `ChannelSums.worst`."""
        return self.channels.worst

    @property
    def worst_channel_sqnr_db(self) -> float | None:
        """SQNR of the worst channel in decibels; None without channels."""
        worst = self.channels.worst
        return None if worst is None else float(self.channels.sqnr_db[worst])


_SUMS = (
    "sum_error",
    "sum_abs_error",
    "sum_square_error",
    "sum_square_reference",
    "sum_square_candidate",
    "sum_product",
)
"""Fields of `TensorError` in the column order of `PairTotals.sums`."""


def _error_of(baseline: NDArray[Any], candidate: NDArray[Any], totals: "PairTotals") -> TensorError:
    different, _, non_finite, non_finite_baseline, _ = totals.counts.tolist()
    if baseline.dtype.kind in "iu" and candidate.dtype.kind in "iu":  # float64 cannot distinguish all 64-bit integers
        different = int(np.count_nonzero(np.not_equal(baseline, candidate)))
    return TensorError(
        count=baseline.size,
        different=different,
        non_finite=non_finite,
        non_finite_reference=non_finite_baseline,
        largest_error=max(0.0, float(totals.ends[2, 1])),
        **{name: _total(column) for name, column in zip(_SUMS, totals.sums.T, strict=True)},
    )


def _total(blocks: NDArray[np.float64]) -> float:
    """Sum with exact rounding; infinite or NaN if a block is, or if the sum overflows."""
    try:
        return math.fsum(blocks.tolist())
    except (OverflowError, ValueError):
        with np.errstate(over="ignore", invalid="ignore"):
            return float(blocks.sum())


def _flat_pair(baseline: NDArray[Any], candidate: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as flat vectors of the same dtype: float32 if both are float32, otherwise float64."""
    from quantlab.statistics.layers.compiled import read_only

    both_float32 = baseline.dtype == candidate.dtype == np.float32
    dtype = np.float32 if both_float32 else np.float64
    one, other = (read_only(np.ascontiguousarray(tensor, dtype).reshape(-1)) for tensor in (baseline, candidate))
    return one, other


def _count_saturated(actual: NDArray[Any], codes: Codes | None) -> tuple[int, int]:
    """Number of elements at the lowest and at the highest code; 0 for a lowest code that stands for 0."""
    if codes is None:
        return 0, 0
    from quantlab.statistics.layers.compiled import count_beyond

    # A value beyond the midpoint to the next code rounds to the end of the range; this avoids decoding every code.
    lowest = (codes.lowest + 0.5 - codes.zero_point) * codes.scale
    highest = (codes.highest - 0.5 - codes.zero_point) * codes.scale
    below, above = count_beyond(actual, lowest, highest)
    return below if codes.lowest < codes.zero_point else 0, above


def _count_clipped(expected: NDArray[Any], codes: Codes | None) -> int:
    """Number of elements below the lowest or above the highest code by more than half a step."""
    if codes is None:
        return 0
    from quantlab.statistics.layers.compiled import count_beyond

    lowest = (codes.lowest - 0.5 - codes.zero_point) * codes.scale
    highest = (codes.highest + 0.5 - codes.zero_point) * codes.scale
    return sum(count_beyond(expected, lowest, highest))
