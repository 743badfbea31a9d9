"""The range and the mean of an input: of all values, of each sample, and of each channel."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.sums import Sums

__all__ = ["InputSums", "OutsideSums", "extreme_samples", "overlap"]

Floats = NDArray[np.float64]


def _none() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class InputSums(Sums):
    """What is known of the values of one input, as a sum over batches; parts are added in the order of the samples."""

    count: int = 0
    """Number of values."""
    sample_minimum: Floats = field(default_factory=_none)
    """(n,): smallest value of each sample."""
    sample_maximum: Floats = field(default_factory=_none)
    channel_count: int = 0
    """Number of values in each channel."""
    channel_minimum: Floats = field(default_factory=_none)
    """(channels,): smallest value of each index of the last axis."""
    channel_maximum: Floats = field(default_factory=_none)
    channel_sum: Floats = field(default_factory=_none)

    @classmethod
    def of(cls, values: NDArray[Any]) -> Self:
        """Look at one batch.

        Args:
            values: (k, …) finite numbers, with at least one in each sample. Samples that are single numbers have one
                channel.

        Raises:
            ValueError: If there are no values.
        """
        if not values.size:
            raise ValueError(f"values of shape {values.shape} have no range; give at least one")
        width = values.shape[-1] if values.ndim > 1 else 1
        by_sample = values.reshape(len(values), -1).astype(np.float64)
        by_channel = by_sample.reshape(-1, width)
        return cls(
            values.size,
            by_sample.min(axis=1),
            by_sample.max(axis=1),
            len(by_channel),
            by_channel.min(axis=0),
            by_channel.max(axis=0),
            by_channel.sum(axis=0),
        )

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        if not self.count or not other.count:
            return self if self.count else other
        if len(self.channel_sum) != len(other.channel_sum):
            raise ValueError(
                f"sums of {len(self.channel_sum)} channels and of {len(other.channel_sum)} cannot be added; look at "
                f"samples of the same shape"
            )
        return type(self)(
            self.count + other.count,
            np.concatenate([self.sample_minimum, other.sample_minimum]),
            np.concatenate([self.sample_maximum, other.sample_maximum]),
            self.channel_count + other.channel_count,
            np.minimum(self.channel_minimum, other.channel_minimum),
            np.maximum(self.channel_maximum, other.channel_maximum),
            self.channel_sum + other.channel_sum,
        )

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.sample_minimum)

    @property
    def minimum(self) -> float:
        """The smallest value; ∞ without samples."""
        return float(self.sample_minimum.min(initial=np.inf))

    @property
    def maximum(self) -> float:
        """The largest value; −∞ without samples."""
        return float(self.sample_maximum.max(initial=-np.inf))

    @property
    def mean(self) -> float:
        """The mean of all values; NaN without samples."""
        return float(self.channel_sum.sum()) / self.count if self.count else float("nan")

    @property
    def channel_mean(self) -> Floats:
        """(channels,): the mean of each channel."""
        return self.channel_sum / self.channel_count if self.channel_count else self.channel_sum

    def moved(self) -> float | None:
        """How far the ends lie apart in the even and the odd samples, as a share of the range.

        None with fewer than four samples, or if all values are equal.
        """
        width = self.maximum - self.minimum
        if self.n < _FEWEST_HALVED or width == 0:
            return None
        lows = [self.sample_minimum[start::2].min() for start in (0, 1)]
        highs = [self.sample_maximum[start::2].max() for start in (0, 1)]
        return float(abs(lows[0] - lows[1]) + abs(highs[0] - highs[1])) / width


_FEWEST_HALVED = 4


@dataclass(frozen=True, slots=True)
class OutsideSums(Sums):
    """How many values lie outside a range."""

    count: int = 0
    below: int = 0
    above: int = 0

    @classmethod
    def of(cls, values: NDArray[Any], minimum: float, maximum: float) -> Self:
        """Count the values of one batch, of any shape."""
        return cls(values.size, int(np.count_nonzero(values < minimum)), int(np.count_nonzero(values > maximum)))

    @property
    def share(self) -> float:
        """Share of the values outside; 0 without values."""
        return (self.below + self.above) / self.count if self.count else 0.0


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Share of the range `other` that lies in the range `one`, each (minimum, maximum).

    A range of a single value is wholly inside or wholly outside.

    >>> overlap((0, 1), (0, 4)), overlap((0, 1), (2, 4)), overlap((0, 1), (0.5, 0.5))
    (0.25, 0.0, 1.0)
    """
    width = other[1] - other[0]
    inside = min(one[1], other[1]) - max(one[0], other[0])
    if width == 0:
        return 1.0 if inside >= 0 else 0.0
    return max(0.0, inside) / width


def extreme_samples(sums: InputSums, most: int) -> NDArray[np.int64]:
    """The samples, at most `most`, without which the range shrinks to half or less; the most extreme first.

    They are sought one by one: each is the sample at that end of the range which lies farther from the median of the
    samples' own ends. If so few samples do not suffice, the result is empty; it never has more than are needed.

    Args:
        sums: Of all samples, (n,).
        most: Most samples that count as few.
    """
    left = np.arange(sums.n)
    whole = sums.maximum - sums.minimum
    taken: list[int] = []
    while len(taken) < most and len(left) > 1 and whole > 0:
        low, high = sums.sample_minimum[left], sums.sample_maximum[left]
        above = high.max() - np.median(high) >= np.median(low) - low.min()
        place = int(high.argmax() if above else low.argmin())
        taken.append(int(left[place]))
        left = np.delete(left, place)
        if sums.sample_maximum[left].max() - sums.sample_minimum[left].min() <= whole / 2:
            return np.array(taken, np.int64)
    return np.zeros(0, np.int64)
