"""The error through the network: SQNR of every layer in the order of execution."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantlab.types import AGAINST_REFERENCE, PYTHON, Inside, LayerRow
from quantlab_reports.charts.contract import Drawing
from quantlab_reports.charts.marks import HEIGHT, grid, labels, line, marks
from quantlab_reports.charts.palette import SERIES
from quantlab_reports.charts.placing import placed
from quantlab_reports.figures import fixed
from quantlab_reports.layer_words import short_layer
from quantlab_reports.subject import Subject

__all__ = ["ONE_PERCENT_DB", "Line", "draw_layers", "lines_of_layers"]

ONE_PERCENT_DB = 40.0
"""SQNR at which the noise is 1 % of the signal."""
_HIGHEST_DB = 100.0
"""What is better is drawn at the top: nobody looks for errors there."""
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")


@dataclass(frozen=True, slots=True)
class Line:
    """The layers of one setting in one runtime."""

    setting: str
    runtime: str
    rows: tuple[LayerRow, ...]
    """In the order of execution; each has an SQNR that is no NaN."""

    @property
    def adds_most(self) -> LayerRow | None:
        """The layer after which the relative error grew most; None if none has grown."""
        grown = [row for row in self.rows if (row.relative_rms_growth or 0.0) > 0]
        return max(grown, key=lambda row: row.relative_rms_growth or 0.0, default=None)

    @property
    def worst(self) -> float:
        """The lowest SQNR in decibels."""
        return min(row.sqnr_db for row in self.rows if row.sqnr_db is not None)


def lines_of_layers(inside: Inside) -> list[Line]:
    """The settings whose layers were compared, the worst first: each in Python, or where it was read first."""
    found: dict[str, dict[str, list[LayerRow]]] = {}
    for row in inside.layers:
        if row.baseline == AGAINST_REFERENCE and row.aligned and row.channel is None and row.sqnr_db is not None:
            found.setdefault(row.setting, {}).setdefault(row.runtime, []).append(row)
    made = []
    for setting, runtimes in found.items():
        runtime = PYTHON if PYTHON in runtimes else next(iter(runtimes))
        rows = sorted(runtimes[runtime], key=lambda row: row.place)
        made.append(Line(setting, runtime, tuple(rows)))
    return sorted(made, key=lambda one: one.worst)


def draw_layers(subject: Subject, width: float) -> Drawing | None:
    """Draw a line for each of the settings with the largest errors, and for the recommended one."""
    if subject.inside is None:
        return None
    lines = [one for one in lines_of_layers(subject.inside) if one.worst < _HIGHEST_DB]
    chosen = [one for one in lines if one.setting == subject.recommended]
    lines = [*chosen, *(one for one in lines if one not in chosen)][: len(SERIES)]
    if not lines:
        return None
    axes = _Axes.of(lines, width)
    points = [point for place, one in enumerate(lines) for point in _points(one, axes, place)]
    titles = ("SQNR in dB against the model; worse is lower ↓", "layers in the order of execution →")
    layers: list[dict[str, Any]] = [
        *grid(width, down=axes.ticks(), across=axes.places(), titles=titles),
        *_threshold(axes),
        line(points, "setting", aria=False, opacity=0.8),
        *_dots(points, lines),
        *labels(_names(lines, points, axes)),
    ]
    return Drawing({"width": width, "height": HEIGHT, "layer": layers}, _in_words(lines))


@dataclass(frozen=True, slots=True)
class _Axes:
    lowest: float
    highest: float
    last: int
    width: float

    @classmethod
    def of(cls, lines: Sequence[Line], width: float) -> "_Axes":
        decibels = [_shown(row) for one in lines for row in one.rows]
        last = max(row.place for one in lines for row in one.rows)
        lowest = math.floor((min(*decibels, ONE_PERCENT_DB) - 1) / 10) * 10.0
        return cls(lowest, min(_HIGHEST_DB, math.ceil(max(decibels) / 10) * 10.0 + 5), max(last, 1), width)

    def across(self, place: int) -> float:
        return self.width * (0.01 + 0.98 * place / self.last)

    def down(self, decibels: float) -> float:
        return HEIGHT * (self.highest - decibels) / (self.highest - self.lowest)

    def ticks(self) -> list[tuple[float, str]]:
        step = 20.0 if self.highest - self.lowest > 60 else 10.0
        first = math.ceil(self.lowest / step) * step
        count = int((self.highest - first) / step) + 1
        return [(self.down(first + step * place), fixed(first + step * place, 0)) for place in range(count)]

    def places(self) -> list[tuple[float, str]]:
        step = max(1, 10 ** int(math.log10(self.last)))
        step = step // 2 or 1 if self.last < 4 * step else step
        return [(self.across(place), str(place)) for place in range(0, self.last + 1, step)]


def _shown(row: LayerRow) -> float:
    decibels = row.sqnr_db if row.sqnr_db is not None else math.inf
    return max(min(decibels, _HIGHEST_DB), -20.0)


def _points(one: Line, axes: _Axes, series: int) -> list[dict[str, Any]]:
    return [
        {
            "x": axes.across(row.place),
            "y": axes.down(_shown(row)),
            "setting": one.setting,
            "colour": f"@series{series}",
            "told": _told(one, row),
        }
        for row in one.rows
    ]


def _told(one: Line, row: LayerRow) -> str:
    alone = "" if row.isolated_sqnr_db is None else f", of the op alone {fixed(row.isolated_sqnr_db, 1)} dB"
    worst = row.worst_channel_sqnr_db
    channel = "" if worst is None else f", worst channel {row.worst_channel}: {fixed(worst, 1)} dB"
    return f"{one.setting}, {short_layer(row.layer)} ({row.op}): SQNR {fixed(row.sqnr_db, 1)} dB{alone}{channel}"


def _dots(points: Sequence[dict[str, Any]], lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Points of a shape for each setting, so that none is told by its colour alone."""
    return [
        marks("point", [point for point in points if point["setting"] == one.setting], {}, size=40, shape=shape)
        for one, shape in zip(lines, _SHAPES, strict=False)
    ]


def _threshold(axes: _Axes) -> list[dict[str, Any]]:
    y = axes.down(ONE_PERCENT_DB)
    warning = {"color": {"value": "@warning"}, "text": {"field": "text"}}
    rule = [{"x": 0.0, "y": y, "right": axes.width}]
    text = [{"x": 0.0, "y": y, "text": "40 dB: noise of 1 %"}]
    return [
        marks(
            "rule", rule, {"x2": {"field": "right", "type": "quantitative"}, "color": {"value": "@warning"}},
            strokeDash=[6, 4], aria=False,
        ),
        marks("text", text, warning, align="left", dy=-8, fontSize=12, aria=False),
    ]  # fmt: skip


def _names(lines: Sequence[Line], points: Sequence[dict[str, Any]], axes: _Axes) -> list[dict[str, Any]]:
    """The name of each setting at the end of its line, and of the layer that adds most error to the first one."""
    ends = [[point for point in points if point["setting"] == one.setting][-1] for one in lines]
    texts = [one.setting for one in lines]
    most = lines[0].adds_most
    if most is not None:
        at = next(point for point, row in zip(points, lines[0].rows, strict=False) if row is most)
        ends, texts = [*ends, at], [*texts, f"{short_layer(most.layer)} adds most"]
    taken = [(point["x"] - 3, point["y"] - 3, point["x"] + 3, point["y"] + 3) for point in points]
    found = placed([(end["x"], end["y"]) for end in ends], texts, (axes.width, HEIGHT), taken)
    return [
        {"x": label.x, "y": label.y, "text": label.text, "colour": end["colour"].replace("series", "words")}
        for label, end in zip(found, ends, strict=True)
    ]


def _in_words(lines: Sequence[Line]) -> str:
    told = []
    for one in lines:
        most = one.adds_most
        grown = "" if most is None else f", {short_layer(most.layer)} adds most"
        told.append(f"{one.setting}: lowest SQNR {fixed(one.worst, 1)} dB{grown}")
    return f"SQNR of each layer against the model, in the order of execution. {'; '.join(told)}."
