"""The range and the mean of an input: of all values, and of each channel."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.sums import Sums

__all__ = ["InputSums", "OutsideSums", "overlap"]

Floats = NDArray[np.float64]


def _none() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class InputSums(Sums):
    """What is known of the values of one input, as a sum over batches; parts are added in any order."""

    n: int = 0
    """Number of samples."""
    count: int = 0
    """Number of values."""
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
        by_channel = values.reshape(-1, width).astype(np.float64)
        return cls(
            len(values),
            values.size,
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
            self.n + other.n,
            self.count + other.count,
            self.channel_count + other.channel_count,
            np.minimum(self.channel_minimum, other.channel_minimum),
            np.maximum(self.channel_maximum, other.channel_maximum),
            self.channel_sum + other.channel_sum,
        )

    @property
    def minimum(self) -> float:
        """The smallest value; ∞ without samples."""
        return float(self.channel_minimum.min(initial=np.inf))

    @property
    def maximum(self) -> float:
        """The largest value; −∞ without samples."""
        return float(self.channel_maximum.max(initial=-np.inf))

    @property
    def mean(self) -> float:
        """The mean of all values; NaN without samples."""
        return float(self.channel_sum.sum()) / self.count if self.count else float("nan")

    @property
    def channel_mean(self) -> Floats:
        """(channels,): the mean of each channel."""
        return self.channel_sum / self.channel_count if self.channel_count else self.channel_sum


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
