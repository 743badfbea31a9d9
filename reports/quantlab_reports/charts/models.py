"""Many models: how small the setting of each is, as a share of its float32 artifact, and what it loses at most."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from quantlab.gate import rounded_down, rounded_up, size
from quantlab.names import counted
from quantlab_reports.batch import BatchRow
from quantlab_reports.charts.contract import WIDTH_OF_PHONES, Drawing
from quantlab_reports.charts.marks import cut_text, labels, marks, pixels
from quantlab_reports.figures import fixed, number, share

__all__ = ["draw_models"]

_LINE = 18.0
"""Height of a line of words."""
_BAR = 34.0
"""Height of a bar with the space below it."""
_GAP = 10.0
"""Below words without a bar."""
_THICKNESS = 12.0
_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_LETTERS = {False: 46, True: 108}
"""Letters of a line, by whether the chart is wide; the text on hovering has all."""


def draw_models(rows: Sequence[BatchRow], width: float) -> Drawing | None:
    """Draw a bar for each model that has a setting and a float32 artifact; None if none has.

    Args:
        rows: A row for each model, in the order of the table; models without a setting have words and no bar.
        width: Of the chart.
    """
    shares = [part for row in rows if (part := _share(row)) is not None]
    if not shares:
        return None
    most = max(1.0, *shares)

    def across(part: float) -> float:
        return width * part / most

    wide = width > WIDTH_OF_PHONES
    texts, bars, whole, top = [], [], [], 0.0
    for row in rows:
        for words in _lines(row, wide=wide):
            top += _LINE
            texts.append({"x": 0.0, "y": top, "text": cut_text(words, _MOST_LETTERS[wide])})
        part = _share(row)
        if part is not None:
            place = {"x": 0.0, "y": top + _LINE - _THICKNESS / 2, "bottom": top + _LINE + _THICKNESS / 2}
            whole.append({**place, "right": across(1.0)})
            colour = "@accent" if row.outcome == "fits" else "@muted"
            told = f"{row.name}: {_told(row, wide=True)}"
            bars.append({**place, "right": across(part), "colour": colour, "told": told})
        top += _GAP if part is None else _BAR
    ends = {"x2": pixels("right"), "y2": pixels("bottom")}
    chosen = "recommended" if any(row.outcome for row in rows) else "smallest"
    title = f"download size of the {chosen} setting, of float32 →" if wide else f"{chosen} setting, of float32 →"
    layers = [
        *_scale(across, most, top, title),
        marks("rect", whole, {**ends, "color": {"value": "@rule"}}, aria=False),
        marks("rect", bars, ends),
        *labels(texts),
    ]
    told_of_all = "; ".join(f"{row.name}: {_told(row, wide=True)}" for row in rows)
    return Drawing(
        {"width": width, "height": top, "layer": layers},
        f"Download size of {counted(len(rows), 'model')} as a share of float32. {told_of_all}.",
    )


def _lines(row: BatchRow, *, wide: bool) -> list[str]:
    """The words of a row; on phones the name has a line of its own."""
    told = _told(row, wide=wide)
    return [f"{row.name}: {told}"] if wide else [row.name, told]


def _scale(across: Callable[[float], float], most: float, height: float, title: str) -> list[dict[str, Any]]:
    steps = [part for part in _STEPS if part <= most] + ([most] if most > _STEPS[-1] * 1.1 else [])
    ticks = [
        {"x": across(part), "y": height + 14, "top": 0.0, "bottom": height, "text": f"{fixed(100 * part, 0)} %"}
        for part in steps
    ]
    muted = {"color": {"value": "@muted"}, "text": {"field": "text"}}
    below = [{"x": across(most), "y": height + 36, "text": title}]
    return [
        marks("rule", ticks, {"y": pixels("top"), "y2": pixels("bottom"), "color": {"value": "@rule"}}, aria=False),
        marks("text", ticks[:1], muted, align="left", fontSize=12, aria=False),
        marks("text", ticks[1:-1], muted, align="center", fontSize=12, aria=False),
        marks("text", ticks[-1:], muted, align="right", fontSize=12, aria=False),
        marks("text", below, {"text": {"field": "text"}}, align="right", aria=False),
    ]


def _share(row: BatchRow) -> float | None:
    """Size as a part of that of float32; None if one of them is not known."""
    return row.size_bytes / row.float32_bytes if row.size_bytes and row.float32_bytes else None


def _told(row: BatchRow, *, wide: bool) -> str:
    """What became of a model, in words."""
    if row.setting is None or row.size_bytes is None:
        if row.state == "failed":
            return "failed"
        known = {"breaks": "no setting fits the budget", "inconclusive": "too few samples to decide"}
        return known.get(row.outcome or "", "no size is known")
    part = share(row.size_bytes, row.float32_bytes or 0)
    if not wide:
        lost = _loss(row).replace("at most", "≤").replace("at least", "≥")
        return f"{row.setting}{f', {part}' if _share(row) else ''}{lost}"
    of_float32 = f", {part} of float32" if _share(row) is not None else ""
    return f"{row.setting} {size(row.size_bytes)}{of_float32}{_loss(row)}"


def _loss(row: BatchRow) -> str:
    """The bound that decides, rounded up; without a budget the upper end of the interval."""
    bound = row.loss if row.loss_upper is None else row.loss_upper
    if bound is None:
        return ""
    if not math.isfinite(bound):
        return ", no bound of the loss" if row.loss_upper is not None else f", loss {number(bound)}"
    points = row.loss_unit == "pt"
    decimals = 2 if points or not bound else max(2, 1 - math.floor(math.log10(abs(bound))))
    unit = " pt" if points else f" {row.metric}" if row.metric else ""
    if row.loss_upper is None:
        return f", loses {rounded_up(bound, decimals=decimals).replace('-', '−')}{unit}"
    if bound < 0:
        return f", gains at least {rounded_down(-bound, 0.0, decimals=decimals)}{unit}"
    return f", loses at most {rounded_up(bound, decimals=decimals)}{unit}"
