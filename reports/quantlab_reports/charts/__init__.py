"""Charts of a study: each is one specification, drawn for the page, or as an SVG, PNG or PDF file."""

from quantlab_reports.charts.contract import WIDTH, Chart, Drawing
from quantlab_reports.charts.drawing import FILES, for_page, several_for_page
from quantlab_reports.charts.registry import CHARTS, OVERVIEWS

__all__ = ["CHARTS", "FILES", "OVERVIEWS", "WIDTH", "Chart", "Drawing", "for_page", "several_for_page"]
