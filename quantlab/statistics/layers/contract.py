"""The interface of a layer statistic: sums over a batch of a tensor, and a figure computed from the added sums."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from quantlab.statistics.sums import Sums

__all__ = ["LayerStatistic"]


@dataclass(frozen=True, slots=True)
class LayerStatistic:
    """An additional figure for every layer, besides those of `LayerError`.

    It is computed for each tensor, baseline and batch, and for each channel if channels are requested. It runs in
    several threads, so it must not modify its arguments.
    """

    name: str
    """Key in `LayerRow.more` and column heading. Change the name when the meaning changes: a study recomputes stored
    rows only when the names of its statistics change."""
    sums: Callable[[NDArray[Any], NDArray[Any]], Sums]
    """Sums of (baseline, candidate): real numbers of the same shape, possibly empty, possibly with NaN or infinity."""
    figure: Callable[[Any], float | None]
    """The figure for the added sums; None if it is undefined, for example without elements."""
