"""The statistics of layers that there are beside the figures of `LayerError`."""

from quantlab.statistics.layers.contract import LayerStatistic

__all__ = ["LAYER_STATISTICS"]

LAYER_STATISTICS: dict[str, LayerStatistic] = {}
"""By name. A new one is a file with a `LayerStatistic`, and its entry here."""
