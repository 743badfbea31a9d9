"""Size against loss: what each setting costs and saves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantlab.gate import size
from quantlab.names import counted, joined
from quantlab.types import Trial
from quantlab_reports.charts.contract import WIDTH, Drawing
from quantlab_reports.charts.marks import HEIGHT, grid, labels, leaders, line, marks, pixels
from quantlab_reports.charts.placing import Box, placed
from quantlab_reports.figures import number
from quantlab_reports.losses import ShownLoss, loss_of, severity
from quantlab_reports.subject import Subject

__all__ = ["draw_pareto", "has_front", "notes_of_pareto"]

_SIZES = [bytes_ * 10**power for power in range(3, 12) for bytes_ in (1, 2, 5)]
_LOSSES = [sign * step * 10.0**power for sign in (1, -1) for power in range(-6, 7) for step in (1, 2, 5)]
_MOST_BELOW = 3
"""Lines below the chart for settings that have no place on the scale."""
_LETTER_PIXELS = 6.6
"""Width of a letter below the chart, about."""
_SHOWN_PART = 0.05
"""Part of the height below which ticks of the loss would lie on each other."""


@dataclass(frozen=True, slots=True)
class _Point:
    """A setting on the chart."""

    setting: str
    size_bytes: int
    loss: ShownLoss
    runtime: str
    """Where it loses most."""

    @property
    def lower(self) -> float:
        """−∞ if nothing bounds the loss from below."""
        return self.loss.value if self.loss.interval is None else self.loss.interval.lower

    @property
    def upper(self) -> float:
        """Infinite if nothing bounds the loss."""
        return self.loss.value if self.loss.interval is None else self.loss.interval.upper


def draw_pareto(subject: Subject, width: float) -> Drawing | None:
    """Draw every measured setting once, in the runtime where it loses most; None without a finite loss.

    A setting whose loss is NaN or infinite in one runtime has no place on the scale, and is named below it.
    """
    points, off_scale = _points(subject)
    if not points:
        return None
    margin = _margin(subject, points[0].loss)
    axes = _Axes.of(points, _candidates(subject), margin, width)
    tried = _drawn(subject, axes)
    rows = [_row(point, axes, subject) for point in points]
    places = [(row["x"], row["y"]) for row in rows]
    found = placed(places, [point.setting for point in points], (width, HEIGHT), _taken(rows, axes, margin))
    texts = [
        {"x": label.x, "y": label.y, "text": label.text, "colour": row["colour"]}
        for label, row in zip(found, rows, strict=True)
    ]
    loss = points[0].loss
    unit = " (points)" if loss.unit == "pt" else ""
    titles = (
        f"loss of {loss.name}{unit}; worse is lower ↓",
        f"download size, {subject.target.size_word} (logarithmic) →",
    )
    layers = [
        *grid(width, down=axes.loss_ticks(), across=axes.size_ticks(), titles=titles),
        *([] if margin is None else _margin_line(axes, margin, loss)),
        *_small(tried, axes),
        *_front(points, rows),
        marks("rule", rows, {"y": pixels("lower"), "y2": pixels("upper")}, strokeWidth=2, aria=False),
        marks("point", rows, {}, size=110),
        *leaders(found, rows),
        *labels(texts),
        *_named_below(off_scale, width),
    ]
    told = " ".join([_in_words(points, subject), *notes_of_pareto(subject)])
    return Drawing({"width": width, "height": HEIGHT, "layer": layers}, told)


def _taken(rows: Sequence[dict[str, Any]], axes: "_Axes", margin: float | None) -> list[Box]:
    """What labels should not cover: the intervals, and the line of the margin with the words at its right end."""
    taken: list[Box] = [(row["x"] - 3, row["lower"], row["x"] + 3, row["upper"]) for row in rows]
    if margin is not None:
        y = axes.down(margin)
        taken += [(0.0, y - 3, axes.width, y + 3), (axes.width - 115, y - 18, axes.width, y)]
    return taken


def notes_of_pareto(subject: Subject) -> list[str]:
    """What readers must know about what is not on the scale, as sentences: settings, candidates, the allowed loss."""
    points, off_scale = _points(subject)
    told = []
    if off_scale:
        told.append(f"Not on the scale: {joined([_off_scale_in_words(point) for point in off_scale])}.")
    if not points:
        return told
    margin = _margin(subject, points[0].loss)
    tried, axes = _candidates(subject), _Axes.of(points, _candidates(subject), margin, WIDTH)
    told += _tried_in_words(tried, _drawn(subject, axes))
    limited = _limited_metric(subject)
    if limited is not None and limited != points[0].loss.metric:
        told.append(f"The budget limits {limited}, which this chart does not show.")
    return told


def _off_scale_in_words(point: _Point) -> str:
    return f"{point.setting} (loss of {point.loss.name} {number(point.loss.value)} in {point.runtime})"


def _named_below(off_scale: Sequence[_Point], width: float) -> list[dict[str, Any]]:
    """A line for each of the first settings without a place on the scale."""
    most = int(width / _LETTER_PIXELS)
    told = [f"× {one.setting}: loss {number(one.loss.value)} in {one.runtime}, off the scale" for one in off_scale]
    if len(told) > _MOST_BELOW:
        told = [*told[: _MOST_BELOW - 1], f"× and {len(told) - _MOST_BELOW + 1} more, off the scale"]
    rows = [
        {"x": 0.0, "y": HEIGHT + 62 + 18 * place, "text": text if len(text) <= most else f"{text[: most - 1]}…"}
        for place, text in enumerate(told)
    ]
    look = {"text": {"field": "text"}, "color": {"value": "@warning"}}
    return [marks("text", rows, look, align="left", fontSize=12, aria=False)] if rows else []


def _front(points: Sequence[_Point], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A thin line through the upper ends of the points of the front, if it has several."""
    known = dict(zip((point.setting for point in points), rows, strict=True))
    front = [known[point.setting] for point in _on_front(points)]
    ends = [{"x": row["x"], "y": row["upper"], "colour": "@muted", "line": "front"} for row in front]
    return [line(ends, "line", thickness=1, aria=False, opacity=0.7)] if len(ends) > 1 else []


def _on_front(points: Sequence[_Point]) -> list[_Point]:
    """The points than which none is smaller with a lower upper end, the smallest first."""
    found: list[_Point] = []
    for point in sorted(points, key=lambda one: (one.size_bytes, one.upper)):
        if not found or point.upper < found[-1].upper:
            found.append(point)
    return found


def has_front(subject: Subject) -> bool:
    """Whether the front is drawn as a line: one point alone has none."""
    return len(_on_front(_points(subject)[0])) > 1


def _points(subject: Subject) -> tuple[list[_Point], list[_Point]]:
    """The settings that the target can run, each in the runtime where it loses most: on the scale, and off it."""
    points: list[_Point] = []
    off_scale: list[_Point] = []
    for setting in dict.fromkeys(trial.setting for trial in subject.study.trials):
        shown = [(trial, loss) for trial in subject.trials_of(setting) if (loss := loss_of(trial)) is not None]
        if not shown or not _runs(shown[0][0], subject):
            continue
        trial, loss = max(shown, key=lambda one: severity(one[1]))
        size_bytes = subject.size_of(trial.variant)
        if size_bytes:
            chosen = points if math.isfinite(loss.value) else off_scale
            chosen.append(_Point(setting, size_bytes, loss, trial.runtime))
    return points, off_scale


@dataclass(frozen=True, slots=True)
class _Tried:
    """A candidate of a search, with its loss on the search samples, which are other ones than those of the table."""

    name: str
    size_bytes: int
    loss: float
    n: int

    @property
    def told(self) -> str:
        weight = size(self.size_bytes)
        return f"candidate {self.name}: {weight}, loss {number(self.loss)} on {self.n:,} search samples"


def _candidates(subject: Subject) -> list[_Tried]:
    """The candidates of the formats that the target can run; none if nothing was tuned, or they have no loss.

    A loss may be infinite or NaN.
    """
    formats = {} if subject.tuning is None else subject.tuning.formats
    return [
        _Tried(one.name, one.size_bytes, one.loss, one.n)
        for name, decided in formats.items()
        if subject.target.formats is None or name in subject.target.formats
        for one in decided.candidates
        if not one.official and one.loss is not None
    ]


def _drawn(subject: Subject, axes: "_Axes") -> list[_Tried]:
    """The candidates within the axes."""
    return [one for one in _candidates(subject) if axes.holds(one.size_bytes, one.loss)]


def _small(tried: Sequence[_Tried], axes: "_Axes") -> list[dict[str, Any]]:
    rows = [
        {"x": axes.across(one.size_bytes), "y": axes.down(one.loss), "colour": "@muted", "told": one.told}
        for one in tried
    ]
    return [marks("point", rows, {}, size=18, opacity=0.6)] if rows else []


def _tried_in_words(tried: Sequence[_Tried], drawn: Sequence[_Tried]) -> list[str]:
    """How many candidates are drawn, and how many are not."""
    outside = len(tried) - len(drawn)
    lie = "lies" if outside == 1 else "lie"
    if not drawn:
        return [f"No candidate of the search is drawn: {outside:,} {lie} outside the scale."] if outside else []
    counts = " or ".join(f"{n:,}" for n in sorted({one.n for one in drawn}))
    beyond = f"; {outside:,} more {lie} outside the scale" if outside else ""
    points = "The small point is" if len(drawn) == 1 else "Small points are"
    found = counted(len(drawn), "candidate")
    whose = "its" if len(drawn) == 1 else "their"
    return [f"{points} {found} of the search, with {whose} loss on {counts} search samples{beyond}."]


def _runs(trial: Trial, subject: Subject) -> bool:
    formats = subject.target.formats
    return formats is None or trial.variant is None or trial.variant.format in formats


def _judged(subject: Subject) -> Sequence[tuple[str, float]]:
    """The metric and the allowed loss of every judgement that has both."""
    settings = () if subject.recommendation is None else subject.recommendation.verdict.settings
    return [
        (one.loss.metric, one.margin)
        for setting in settings
        for one in setting.judgements
        if one.loss is not None and one.margin is not None
    ]


def _margin(subject: Subject, loss: ShownLoss) -> float | None:
    """The allowed loss in the unit of the chart; None if another metric is limited than the chart shows."""
    return next((margin for metric, margin in _judged(subject) if metric == loss.metric), None)


def _limited_metric(subject: Subject) -> str | None:
    return next((metric for metric, _ in _judged(subject)), None)


@dataclass(frozen=True, slots=True)
class _Axes:
    """Bytes and losses as pixels.

    Bytes are on a logarithmic scale. Losses are on one that is linear up to `linear` and logarithmic beyond, so that a
    ruined setting does not press all others onto a line.
    """

    smallest: float
    largest: float
    lowest: float
    highest: float
    linear: float
    width: float
    """In pixels."""

    @classmethod
    def of(cls, points: Sequence[_Point], tried: Sequence[_Tried], margin: float | None, width: float) -> "_Axes":
        sizes = [*(point.size_bytes for point in points), *(one.size_bytes for one in tried)]
        values = [value for point in points for value in (point.lower, point.loss.value, point.upper)]
        ends = [0.0, *(value for value in values if math.isfinite(value)), *([] if margin is None else [margin])]
        bounds = (point.upper if math.isfinite(point.upper) else point.loss.value for point in points)
        typical = sorted(map(abs, bounds))[len(points) // 2]
        linear = margin or typical or max(map(abs, ends)) or 1.0
        return cls(min(sizes) / 1.25, max(sizes) * 1.6, min(ends), max(ends), linear, width)

    def holds(self, size_bytes: float, loss: float) -> bool:
        """Whether a point is within the axes, which are those of the settings."""
        return self.smallest <= size_bytes <= self.largest and self.lowest <= loss <= self.highest

    def across(self, size_bytes: float) -> float:
        """Pixels from the left."""
        whole = math.log(self.largest / self.smallest)
        return self.width * math.log(size_bytes / self.smallest) / whole

    def down(self, loss: float) -> float:
        """Pixels from the top; a larger loss is lower, and an end without a bound is at that of the chart."""
        if not math.isfinite(loss):
            return HEIGHT if loss > 0 else 0.0
        top, bottom = self._bent(self.lowest), self._bent(self.highest)
        part = (self._bent(loss) - top) / (bottom - top) if bottom > top else 0.5
        return HEIGHT * (0.06 + 0.88 * part)

    def _bent(self, loss: float) -> float:
        return math.copysign(math.log1p(abs(loss) / self.linear), loss)

    def size_ticks(self) -> list[tuple[float, str]]:
        """Places and texts of the ticks of sizes."""
        return [
            (self.across(tick), size(tick).replace(".0 ", " ").replace(".00 ", " "))
            for tick in _SIZES
            if self.smallest <= tick <= self.largest
        ]

    def loss_ticks(self) -> list[tuple[float, str]]:
        """Places and texts of the ticks of losses: round ones, as many as can be told apart."""
        inside = [tick for tick in sorted(_LOSSES, key=abs, reverse=True) if self.lowest <= tick <= self.highest]
        chosen: list[float] = [0.0]
        for tick in inside:
            if all(abs(self.down(tick) - self.down(other)) > _SHOWN_PART * HEIGHT * 1.6 for other in chosen):
                chosen.append(tick)
        return [(self.down(tick), number(tick)) for tick in sorted(chosen)]


def _row(point: _Point, axes: _Axes, subject: Subject) -> dict[str, Any]:
    recommended = point.setting == subject.recommended
    return {
        "x": axes.across(point.size_bytes),
        "y": axes.down(point.loss.value),
        "lower": axes.down(point.lower),
        "upper": axes.down(point.upper),
        "colour": "@accent" if recommended else "@muted",
        "setting": point.setting,
        "told": _told(point),
    }


def _told(point: _Point) -> str:
    unit = "points" if point.loss.unit == "pt" else ""
    loss = f"{point.loss.figures} {unit}".rstrip()
    return f"{point.setting}: {size(point.size_bytes)}, loss of {point.loss.name} {loss}, n = {point.loss.n:,}"


def _in_words(points: Sequence[_Point], subject: Subject) -> str:
    smallest = min(points, key=lambda point: point.size_bytes)
    worst = max(points, key=lambda point: point.loss.value)
    word = subject.target.size_word
    return (
        f"Download size ({word}) against loss of {counted(len(points), 'setting')}. The smallest is {_told(smallest)}. "
        f"The largest loss: {_told(worst)}."
    )


def _margin_line(axes: _Axes, margin: float, loss: ShownLoss) -> list[dict[str, Any]]:
    unit = " points" if loss.unit == "pt" else ""
    y, text = axes.down(margin), f"allowed: {number(margin)}{unit}"
    warning = {"color": {"value": "@warning"}}
    rule = [{"x": 0.0, "right": axes.width, "y": y}]
    return [
        marks("rule", rule, {"x2": pixels("right"), **warning}, strokeDash=[6, 4], strokeWidth=1.5, aria=False),
        marks(
            "text",
            [{"x": axes.width, "y": y, "text": text}],
            {"text": {"field": "text"}, **warning},
            align="right",
            dy=-9,
        ),
    ]
