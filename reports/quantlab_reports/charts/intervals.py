"""Rows of intervals: a name on the left, and a point with its interval on a common scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantlab_reports.charts.contract import WIDTH_OF_PHONES
from quantlab_reports.charts.marks import cut_text, grid, marks, pixels
from quantlab_reports.figures import number

__all__ = ["Interval", "draw_intervals"]

_ROW = 24.0
"""Height of a row in pixels."""
_MARGIN = 0.03
"""Part of the width that is free at both ends."""
_TICKS = 5
_NAMES = {False: 22, True: 36}
"""Most characters of a name, by whether the chart is wide; the text on hovering has all."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One row."""

    name: str
    value: float
    lower: float
    upper: float
    told: str
    """What is shown on hovering, as a sentence."""
    colour: str = "@ink"
    """Its role, see `palette.py`."""


def draw_intervals(rows: Sequence[Interval], width: float, titles: tuple[str, str], *, zero: bool) -> dict[str, Any]:
    """A specification of rows from the top; with `zero`, 0 is on the scale and has a line of its own.

    Args:
        rows: At least one, with finite ends.
        width: Of the chart.
        titles: What stands above, and what the scale shows.
        zero: Whether 0 is a value to compare with.
    """
    ends = [end for row in rows for end in (row.lower, row.upper, row.value)] + ([0.0] if zero else [])
    low, high = min(ends), max(ends)
    whole = (high - low) or 1.0

    def across(value: float) -> float:
        return width * (_MARGIN + (1 - 2 * _MARGIN) * (value - low) / whole)

    height = _ROW * len(rows)
    most = _NAMES[width > WIDTH_OF_PHONES]
    down = [(_ROW * (place + 0.5), cut_text(row.name, most)) for place, row in enumerate(rows)]
    points = [
        {
            "x": across(row.value),
            "left": across(row.lower),
            "right": across(row.upper),
            "y": y,
            "colour": row.colour,
            "told": row.told,
        }
        for row, (y, _) in zip(rows, down, strict=True)
    ]
    steps = [(across(tick), number(tick)) for tick in _ticks(low, high)]
    layers = [
        *grid(width, down=down, across=steps, titles=titles, height=height),
        marks("rule", points, {"x": pixels("left"), "x2": pixels("right")}, strokeWidth=2, aria=False),
        marks("point", points, {}, size=70),
    ]
    if zero:
        line = [{"x": across(0.0), "y": 0.0, "bottom": height}]
        look = {"y2": pixels("bottom"), "color": {"value": "@muted"}}
        layers.insert(len(layers) - 2, marks("rule", line, look, strokeDash=[3, 3], aria=False))
    return {"width": width, "height": height, "layer": layers}


def _ticks(low: float, high: float) -> list[float]:
    """Round values in a range, about as many as `_TICKS`."""
    step = (high - low) / _TICKS
    if step <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(step))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * place for place in range(first, math.floor(high / step + 1e-9) + 1)]
