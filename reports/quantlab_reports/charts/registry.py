"""All charts. A new chart is a file and a line here."""

from collections.abc import Mapping

from quantlab_reports.charts.classes import draw_classes
from quantlab_reports.charts.contract import Chart
from quantlab_reports.charts.layers import draw_layers
from quantlab_reports.charts.pareto import draw_pareto
from quantlab_reports.charts.times import draw_times

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
    "classes": Chart(
        "Classes that lose and gain",
        draw_classes,
        "No class lost or gained an answer, or there are no labels of classes; give labels to 'quantlab analyze'.",
    ),
    "times": Chart(
        "Time of a call",
        draw_times,
        "No trial was timed; run 'quantlab analyze' again without --no-costs.",
    ),
}
"""All charts of `quantlab plot` by name."""
