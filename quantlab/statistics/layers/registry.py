"""Registry of the layer statistics that are computed besides the figures of `LayerError`."""

from quantlab.statistics.layers.contract import LayerStatistic

__all__ = ["LAYER_STATISTICS"]

LAYER_STATISTICS: dict[str, LayerStatistic] = {}
"""Statistics by name. To add one, write a file with a `LayerStatistic` and add its entry here."""
