"""The error through the network: accumulated and isolated SQNR of every layer in the order of execution."""

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
"""Distance of points, at least; where layers are closer, only the worst one of so many pixels has one."""
_DASHES: tuple[list[int], ...] = ([1, 0], [8, 3], [2, 3], [8, 3, 2, 3], [14, 4], [4, 4])
"""Of lines, so that none is told by its colour alone; the first is solid."""
_INFINITE_PIXELS = 24.0
"""Height below all decibels for layers with −∞."""
_LETTER_PIXELS = 6.2
"""Width of a character of 12 pixels, on average."""
_NAME_LETTERS = 16
"""Characters of a layer's name below the chart, at most."""


def draw_layers(subject: Subject, width: float) -> Drawing | None:
    """Draw the lines with the largest errors, and those of the recommended setting, with a point for each op alone."""
    drawn = drawn_lines(subject)
    if drawn is None:
        return None
    axes = LayerAxes.of(drawn, plot_width(drawn, width))
    lines = [_points(one, drawn, axes, series) for series, one in enumerate(drawn.lines)]
    own = _own(drawn, axes)
    taken = [box for points in lines for box in _boxes(points)]
    taken += [(dot["x"] - 4, dot["y"] - 4, dot["x"] + 4, dot["y"] + 4) for dots in own for dot in dots]
    threshold = free_place(_ONE_PERCENT, axes.down_to(ONE_PERCENT_DB) - 9, (axes.width, HEIGHT), taken)
    title = "SQNR in dB against the model: lines accumulated, points of the op alone; worse is lower ↓"
    narrow = "SQNR, dB; line: accumulated, point: op alone"
    titles = (title if width >= _WIDE else narrow, "layers in the order of execution →")
    layers: list[dict[str, Any]] = [
        *_band(axes),
        *grid(axes.width, down=axes.ticks(), across=axes.names(drawn), titles=titles),
        *_threshold(axes, threshold),
        *(
            line(points, "line", aria=False, opacity=0.8, strokeDash=dash)
            for points, dash in zip(lines, _DASHES, strict=False)
        ),
        *_dots(own),
        *_crosses(drawn, lines),
        *_names(drawn.lines, lines, width, [*taken, threshold.box]),
    ]
    return Drawing({"width": width, "height": HEIGHT, "layer": layers}, _in_words(drawn.lines))


def plot_width(drawn: DrawnLines, width: float) -> float:
    """Width of a chart without the column for the names of settings, which a narrow one does not have."""
    names = max(Label(one.name, 0.0, 0.0).width for one in drawn.lines)
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
    infinite: bool = False
    """Whether there is a place for −∞ below all decibels."""

    @classmethod
    def of(cls, drawn: DrawnLines, width: float) -> "LayerAxes":
        """The axes of some lines."""
        rows = [row for one in drawn.lines for row in one.rows]
        every = [value for row in rows for value in (row.sqnr_db, row.isolated_sqnr_db) if value is not None]
        decibels = [_shown(value) for value in every if value != -math.inf] or [ONE_PERCENT_DB]
        lowest = math.floor((min(*decibels, ONE_PERCENT_DB) - 4) / 5) * 5.0
        highest = min(HIGHEST_DB, math.ceil(max(decibels) / 10) * 10.0 + 5)
        return cls(lowest, highest, max(len(drawn.order) - 1, 1), width, -math.inf in every)

    def across(self, place: int) -> float:
        """Pixels from the left."""
        return self.width * (0.01 + 0.98 * place / self.last)

    def down(self, row: LayerRow) -> float:
        """Pixels from the top; what is beyond the axis is at its end."""
        return self.down_to(math.inf if row.sqnr_db is None else row.sqnr_db)

    def down_to(self, decibels: float) -> float:
        """Pixels from the top; −∞ has a place of its own below all decibels."""
        if decibels == -math.inf:
            return HEIGHT - _INFINITE_PIXELS / 2
        height = HEIGHT - _INFINITE_PIXELS if self.infinite else HEIGHT
        return height * (self.highest - _shown(decibels)) / (self.highest - self.lowest)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts of round decibels."""
        step = 20.0 if self.highest - self.lowest > 60 else 10.0
        first = math.ceil(self.lowest / step) * step
        count = int((self.highest - first) / step) + 1
        found = [(self.down_to(first + step * place), fixed(first + step * place, 0)) for place in range(count)]
        return [*([(self.down_to(-math.inf), "−∞")] if self.infinite else []), *found]

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


def _shown(decibels: float) -> float:
    """Finite decibels within the axis; NaN, which nothing measured, is at its end."""
    if math.isnan(decibels):
        return _LOWEST_DB
    return max(min(decibels, HIGHEST_DB), _LOWEST_DB)


def _points(one: Line, drawn: DrawnLines, axes: LayerAxes, series: int) -> list[dict[str, Any]]:
    return [
        {"x": axes.across(place), "y": axes.down(row), "line": one.name, "colour": f"@series{series}"}
        for place, row in zip(drawn.places(one), one.rows, strict=True)
    ]


def _own(drawn: DrawnLines, axes: LayerAxes) -> list[list[dict[str, Any]]]:
    """Points of the errors that ops make alone, for each line; where they are dense, the worst of each few pixels.

    The errors of ops alone are those in Python, so only the first line of a setting has them.
    """
    met: set[str] = set()
    found = []
    for series, one in enumerate(drawn.lines):
        lowest: dict[int, dict[str, Any]] = {}
        for place, row in zip(drawn.places(one), one.rows, strict=True):
            if row.isolated_sqnr_db is None or one.setting in met:
                continue
            x, y = axes.across(place), axes.down_to(row.isolated_sqnr_db)
            known = lowest.get(int(x / _DOT_PIXELS))
            if known is None or y > known["y"]:
                lowest[int(x / _DOT_PIXELS)] = {"x": x, "y": y, "colour": f"@series{series}"}
        found.append(list(lowest.values()))
        met |= {one.setting} if lowest else set()
    return found


def _dots(own: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Points of a shape for each line, so that none is told by its colour alone."""
    return [
        marks("point", dots, {}, size=40, shape=shape, aria=False)
        for dots, shape in zip(own, _SHAPES, strict=False)
        if dots
    ]


def _crosses(drawn: DrawnLines, lines: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A cross for each layer with −∞, which no decibels on the axis are."""
    rows = [
        {**point, "text": "×"}
        for one, points in zip(drawn.lines, lines, strict=True)
        for row, point in zip(one.rows, points, strict=True)
        if row.sqnr_db == -math.inf
    ]
    return [marks("text", rows, {"text": {"field": "text"}}, fontSize=18, aria=False)] if rows else []


def _band(axes: LayerAxes) -> list[dict[str, Any]]:
    """Where the noise is more than 1 % of the signal."""
    area = [{"x": 0.0, "y": axes.down_to(ONE_PERCENT_DB), "right": axes.width, "bottom": HEIGHT}]
    ends = {"x2": pixels("right"), "y2": pixels("bottom"), "color": {"value": "@band"}}
    return [marks("rect", area, ends, aria=False)]


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
    """The name of each line at its end, and of the layer of the first one that adds most error or has −∞ dB."""
    ends = [points[-1] for points in drawn]
    texts, most = [one.name for one in lines], lines[0].marked
    beside = ends[0]["x"] < width - _GAP - Label(max(texts, key=len), 0.0, 0.0).width
    found = stacked([(end["x"] + _GAP / 2, end["y"]) for end in ends], texts, HEIGHT) if beside else []
    if most is not None:
        ends, texts = [*ends, drawn[0][lines[0].rows.index(most)]], [*texts, _about(lines[0], most)]
    left = slice(len(found), None)
    points, covered = [(end["x"], end["y"]) for end in ends], [*taken, *(label.box for label in found)]
    found += placed(points[left], texts[left], (width, HEIGHT), covered)
    rows = [
        {"x": label.x, "y": label.y, "text": label.text, "colour": end["colour"].replace("series", "words")}
        for label, end in zip(found, ends, strict=True)
    ]
    return [*leaders(found, ends), *labels(rows)]


def _about(one: Line, row: LayerRow) -> str:
    """What is said about the marked layer of a line."""
    told = "is the first with −∞ dB" if row is one.first_infinite else "adds most"
    return f"{short_layer(row.layer)} {told}"


def _in_words(lines: Sequence[Line]) -> str:
    told = []
    for one in lines:
        marked = one.marked
        grown = "" if marked is None else f", {_about(one, marked)}"
        alone = [row.isolated_sqnr_db for row in one.rows if row.isolated_sqnr_db is not None]
        own = f", of an op alone {fixed(min(alone), 1)} dB" if alone else ""
        told.append(f"{one.name}: lowest SQNR {fixed(one.worst, 1)} dB{own}{grown}")
    return f"SQNR of each layer against the model, in the order of execution. {'; '.join(told)}."
