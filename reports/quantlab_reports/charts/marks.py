"""Marks at places in pixels, from which charts are put together.

Places are computed here and not by scales of Vega-Lite, because labels are placed where they cover nothing, and that
needs the places of all other marks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from quantlab_reports.charts.placing import Label

__all__ = ["HEIGHT", "cut_text", "grid", "labels", "leaders", "line", "marks", "pixels"]

HEIGHT = 320.0
"""Of the charts, in pixels, without the titles of axes."""

Rows = Sequence[Mapping[str, Any]]
Ticks = Sequence[tuple[float, str]]
"""Places in pixels, and what stands there."""


def cut_text(text: str, most: int) -> str:
    """A text of at most `most` letters: a longer one is cut, and ends with dots.

    >>> cut_text("conv", 4), cut_text("dense", 4)
    ('conv', 'den…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def pixels(field: str) -> dict[str, Any]:
    """A position that a field has in pixels."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def marks(kind: str, rows: Rows, fields: Mapping[str, Any], **look: Any) -> dict[str, Any]:
    """A layer of marks.

    Args:
        kind: A mark of Vega-Lite.
        rows: One for each mark: `x` and `y` in pixels, `colour`, and `told`, which is shown on hovering.
        fields: Encodings besides these, or in place of these.
        look: Properties of the mark.
    """
    first = rows[0] if rows else {}
    own: dict[str, Any] = {"x": pixels("x"), "y": pixels("y")}
    if "colour" in first:
        own["color"] = {"field": "colour", "type": "nominal", "scale": None}
    if "told" in first:
        own["description"] = {"field": "told"}
    filled = {"filled": True, "opacity": 1.0} if kind == "point" else {}
    return {
        "data": {"values": [{name: _rounded(value) for name, value in row.items()} for row in rows]},
        "mark": {"type": kind, **filled, **look},
        "encoding": {**own, **fields},
    }


def _rounded(value: Any) -> Any:
    """A place to a tenth of a pixel: more digits would be a third of the file."""
    return round(value, 1) if isinstance(value, float) else value


def labels(rows: Rows, **look: Any) -> list[dict[str, Any]]:
    """Texts with a rim in the colour of the paper, so that lines behind them do not disturb."""
    text = {"text": {"field": "text"}}
    rim = {"color": {"value": "@paper"}, "stroke": {"value": "@paper"}}
    align = {"align": "left", **look}
    return [
        marks("text", rows, {**text, **rim}, strokeWidth=4, strokeJoin="round", aria=False, **align),
        marks("text", rows, text, aria=False, **align),
    ]


def leaders(found: Sequence[Label], ends: Rows) -> list[dict[str, Any]]:
    """Thin lines from points to labels that stand far from them; a layer, or none.

    Args:
        found: The labels.
        ends: The point of each.
    """
    rows = [
        {"x": end["x"], "y": end["y"], "right": last[0], "bottom": last[1]}
        for label, end in zip(found, ends, strict=True)
        if (last := label.end_of_leader(end["x"], end["y"])) is not None
    ]
    fields = {"x2": pixels("right"), "y2": pixels("bottom"), "color": {"value": "@muted"}}
    return [marks("rule", rows, fields, strokeWidth=0.75, aria=False)] if rows else []


def line(rows: Rows, by: str, *, thickness: float = 2, **look: Any) -> dict[str, Any]:
    """Lines through points, one for each value of a field, in the order of the rows."""
    return marks("line", rows, {"detail": {"field": by}}, strokeWidth=thickness, **look)


def grid(
    width: float, *, down: Ticks, across: Ticks, titles: tuple[str, str], height: float = HEIGHT
) -> list[dict[str, Any]]:
    """Lines and ticks of both axes with their titles: that of the vertical one above, of the other one below.

    Args:
        width: Of the chart.
        down: The ticks of the vertical axis, from the top.
        across: The ticks of the horizontal axis, from the left.
        titles: Of the vertical axis, and of the horizontal one.
        height: Of the chart.
    """
    rules = [{"x": 0.0, "right": width, "y": place, "text": text} for place, text in down]
    steps = [
        {"x": place, "y": height + 18, "text": text, "top": height, "bottom": height + 5} for place, text in across
    ]
    muted = {"color": {"value": "@muted"}}
    text = {"text": {"field": "text"}}
    above, below = titles
    return [
        marks("rule", rules, {"x2": pixels("right"), "color": {"value": "@rule"}}, aria=False),
        marks("text", rules, {**text, **muted}, align="right", dx=-8, fontSize=12, aria=False),
        marks("rule", steps, {"y": pixels("top"), "y2": pixels("bottom"), "color": {"value": "@muted"}}, aria=False),
        marks("text", steps, {**text, **muted}, align="center", fontSize=12, aria=False),
        marks("text", [{"x": 0.0, "y": -14.0, "text": above}], text, align="left", aria=False),
        marks("text", [{"x": width, "y": height + 40, "text": below}], text, align="right", aria=False),
    ]
