"""What a statistic of layers is: sums over a batch of a tensor, and the figure that all batches together come to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from quantlab.statistics.sums import Sums

__all__ = ["LayerStatistic"]


@dataclass(frozen=True, slots=True)
class LayerStatistic:
    """A figure of every layer beside those that `LayerError` has by itself.

    It is computed for each tensor, baseline and batch, and for each channel where channels were asked for, in the
    threads that sum; so it reads its arguments and changes nothing.
    """

    name: str
    """Its key in `LayerRow.more`, and the heading of its column. One whose meaning changes takes another name: rows
    that a study keeps are made anew when the names of its statistics change."""
    sums: Callable[[NDArray[Any], NDArray[Any]], Sums]
    """Baseline and candidate, of one shape and of real numbers, NaN and infinities too; perhaps of no elements."""
    figure: Callable[[Any], float | None]
    """Of the added sums; None where it says nothing, as of no elements."""
