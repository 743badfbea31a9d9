"""The error through the network: SQNR of every layer in the order of execution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantlab.types import LayerRow
from quantlab_reports.charts.contract import Drawing
from quantlab_reports.charts.marks import HEIGHT, grid, labels, leaders, line, marks, pixels
from quantlab_reports.charts.placing import Box, Label, free_place, placed, stacked
from quantlab_reports.figures import fixed
from quantlab_reports.layer_lines import HIGHEST_DB, DrawnLines, Line, drawn_lines
from quantlab_reports.layer_words import short_layer
from quantlab_reports.subject import Subject

__all__ = ["ONE_PERCENT_DB", "LayerAxes", "draw_layers", "plot_width"]

ONE_PERCENT_DB = 40.0
"""SQNR at which the noise is 1 % of the signal."""
_ONE_PERCENT = "40 dB: noise of 1 %"
_LOWEST_DB = -20.0
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_WIDE = 500.0
"""Width from which names of settings have a column of their own."""
_GAP = 20.0
_DOT_PIXELS = 6.0
"""Distance of dots, at least; where layers are closer, only some have one."""
_LETTER_PIXELS = 6.2
"""Width of a character of 12 pixels, on average."""
_NAME_LETTERS = 16
"""Characters of a layer's name below the chart, at most."""


def draw_layers(subject: Subject, width: float) -> Drawing | None:
    """Draw a line for each of the settings with the largest errors, and for the recommended one."""
    drawn = drawn_lines(subject)
    if drawn is None:
        return None
    axes = LayerAxes.of(drawn, plot_width(drawn, width))
    lines = [_points(one, drawn, axes, series) for series, one in enumerate(drawn.lines)]
    taken = [box for points in lines for box in _boxes(points)]
    threshold = free_place(_ONE_PERCENT, axes.down_to(ONE_PERCENT_DB) - 9, (axes.width, HEIGHT), taken)
    titles = ("SQNR in dB against the model; worse is lower ↓", "layers in the order of execution →")
    layers: list[dict[str, Any]] = [
        *grid(axes.width, down=axes.ticks(), across=axes.names(drawn), titles=titles),
        *_threshold(axes, threshold),
        line([point for points in lines for point in points], "setting", aria=False, opacity=0.8),
        *_dots(lines, axes),
        *_names(drawn.lines, lines, width, [*taken, threshold.box]),
    ]
    return Drawing({"width": width, "height": HEIGHT, "layer": layers}, _in_words(drawn.lines))


def plot_width(drawn: DrawnLines, width: float) -> float:
    """Width of a chart without the column for the names of settings, which a narrow one does not have."""
    names = max(Label(one.setting, 0.0, 0.0).width for one in drawn.lines)
    return width - names - _GAP if width >= _WIDE else width


@dataclass(frozen=True, slots=True)
class LayerAxes:
    """Places in the order of execution, and decibels, as pixels."""

    lowest: float
    highest: float
    last: int
    """Number of the last place, from 0."""
    width: float
    """In pixels."""

    @classmethod
    def of(cls, drawn: DrawnLines, width: float) -> "LayerAxes":
        """The axes of some lines."""
        decibels = [_shown(row) for one in drawn.lines for row in one.rows]
        lowest = math.floor((min(*decibels, ONE_PERCENT_DB) - 4) / 5) * 5.0
        highest = min(HIGHEST_DB, math.ceil(max(decibels) / 10) * 10.0 + 5)
        return cls(lowest, highest, max(len(drawn.order) - 1, 1), width)

    def across(self, place: int) -> float:
        """Pixels from the left."""
        return self.width * (0.01 + 0.98 * place / self.last)

    def down(self, row: LayerRow) -> float:
        """Pixels from the top; what is beyond the axis is at its end."""
        return self.down_to(_shown(row))

    def down_to(self, decibels: float) -> float:
        """Pixels from the top."""
        return HEIGHT * (self.highest - decibels) / (self.highest - self.lowest)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts of round decibels."""
        step = 20.0 if self.highest - self.lowest > 60 else 10.0
        first = math.ceil(self.lowest / step) * step
        count = int((self.highest - first) / step) + 1
        return [(self.down_to(first + step * place), fixed(first + step * place, 0)) for place in range(count)]

    def names(self, drawn: DrawnLines) -> list[tuple[float, str]]:
        """Names of as many layers as can stand beside each other, each in the middle below its place."""
        texts = [_cut(short_layer(layer)) for layer, _ in drawn.order]
        wide = max(len(text) for text in texts) * _LETTER_PIXELS + 12
        first, last = self.across(0) + wide / 2 - 24, self.across(self.last) - wide / 2 + 6
        count = max(2, int((last - first) / wide) + 1)
        wanted = [first + (last - first) * number / (count - 1) for number in range(count)]
        per_place = 0.98 * self.width / self.last
        places = dict.fromkeys(round((x / self.width - 0.01) * self.width / per_place) for x in wanted)
        return [(self.across(place), texts[place]) for place in places if 0 <= place < len(texts)]


def _cut(name: str) -> str:
    """The end of a long name tells layers apart, the beginning says what they are."""
    if len(name) <= _NAME_LETTERS:
        return name
    return f"{name[: _NAME_LETTERS // 2 - 1]}…{name[-_NAME_LETTERS // 2 :]}"


def _shown(row: LayerRow) -> float:
    decibels = row.sqnr_db if row.sqnr_db is not None else math.inf
    return max(min(decibels, HIGHEST_DB), _LOWEST_DB)


def _points(one: Line, drawn: DrawnLines, axes: LayerAxes, series: int) -> list[dict[str, Any]]:
    return [
        {"x": axes.across(place), "y": axes.down(row), "setting": one.setting, "colour": f"@series{series}"}
        for place, row in zip(drawn.places(one), one.rows, strict=True)
    ]


def _dots(lines: Sequence[Sequence[dict[str, Any]]], axes: LayerAxes) -> list[dict[str, Any]]:
    """Points of a shape for each setting, so that none is told by its colour alone."""
    every = max(1, math.ceil(_DOT_PIXELS * axes.last / axes.width))
    return [
        marks("point", points[::every], {}, size=40, shape=shape, aria=False)
        for points, shape in zip(lines, _SHAPES, strict=False)
    ]


def _threshold(axes: LayerAxes, label: Label) -> list[dict[str, Any]]:
    warning = {"color": {"value": "@warning"}}
    rule = [{"x": 0.0, "y": axes.down_to(ONE_PERCENT_DB), "right": axes.width}]
    text = [{"x": label.x, "y": label.y, "text": label.text}]
    return [
        marks("rule", rule, {"x2": pixels("right"), **warning}, strokeDash=[6, 4], aria=False),
        marks("text", text, {"text": {"field": "text"}, **warning}, align="left", fontSize=12, aria=False),
    ]


def _boxes(points: Sequence[dict[str, Any]]) -> list[Box]:
    """What a line and its dots cover."""
    found: list[Box] = []
    for one, other in zip(points, [*points[1:], points[-1]], strict=True):
        steps = max(1, int((other["x"] - one["x"]) / 8))
        for step in range(steps):
            x, y = (one[axis] + (other[axis] - one[axis]) * step / steps for axis in ("x", "y"))
            found.append((x - 3, y - 3, x + 3, y + 3))
    return found


def _names(
    lines: Sequence[Line], drawn: Sequence[Sequence[dict[str, Any]]], width: float, taken: Sequence[Box]
) -> list[dict[str, Any]]:
    """The name of each setting at the end of its line, and of the layer that adds most error to the first one."""
    ends = [points[-1] for points in drawn]
    texts, most = [one.setting for one in lines], lines[0].adds_most
    beside = ends[0]["x"] < width - _GAP - Label(max(texts, key=len), 0.0, 0.0).width
    found = stacked([(end["x"] + _GAP / 2, end["y"]) for end in ends], texts, HEIGHT) if beside else []
    if most is not None:
        ends, texts = [*ends, drawn[0][lines[0].rows.index(most)]], [*texts, f"{short_layer(most.layer)} adds most"]
    left = slice(len(found), None)
    points, covered = [(end["x"], end["y"]) for end in ends], [*taken, *(label.box for label in found)]
    found += placed(points[left], texts[left], (width, HEIGHT), covered)
    rows = [
        {"x": label.x, "y": label.y, "text": label.text, "colour": end["colour"].replace("series", "words")}
        for label, end in zip(found, ends, strict=True)
    ]
    return [*leaders(found, ends), *labels(rows)]


def _in_words(lines: Sequence[Line]) -> str:
    told = []
    for one in lines:
        most = one.adds_most
        grown = "" if most is None else f", {short_layer(most.layer)} adds most"
        told.append(f"{one.setting}: lowest SQNR {fixed(one.worst, 1)} dB{grown}")
    return f"SQNR of each layer against the model, in the order of execution. {'; '.join(told)}."
