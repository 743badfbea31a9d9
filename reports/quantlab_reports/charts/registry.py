"""All charts. A new chart is a file and a line here."""

from collections.abc import Mapping, Sequence

from quantlab_reports.batch import BatchRow
from quantlab_reports.charts.classes import draw_classes
from quantlab_reports.charts.contract import Chart
from quantlab_reports.charts.layers import draw_layers
from quantlab_reports.charts.models import draw_models
from quantlab_reports.charts.pareto import draw_pareto
from quantlab_reports.charts.times import draw_times
from quantlab_reports.subject import Subject

__all__ = ["CHARTS", "OVERVIEWS"]

CHARTS: Mapping[str, Chart[Subject]] = {
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

OVERVIEWS: Mapping[str, Chart[Sequence[BatchRow]]] = {
    "models": Chart(
        "Size of each model",
        draw_models,
        "No model has a setting whose size and float32 size are known.",
    ),
}
"""All charts of the overview of many models."""
