"""All charts. A new chart is a file and a line here."""

from collections.abc import Mapping

from quantlab_reports.charts.contract import Chart
from quantlab_reports.charts.layers import draw_layers
from quantlab_reports.charts.pareto import draw_pareto

__all__ = ["CHARTS"]

CHARTS: Mapping[str, Chart] = {
    "pareto": Chart(
        "Size against loss",
        draw_pareto,
        "No setting was measured that loses anything in percentage points or in the unit of a metric; give labels, or "
        "a metric, to 'quantlab analyze'.",
    ),
    "layers": Chart(
        "The error through the network",
        draw_layers,
        "Layers were not compared, or none differs; run 'quantlab analyze' again without --no-layers.",
    ),
}
"""All charts of `quantlab plot` by name."""
