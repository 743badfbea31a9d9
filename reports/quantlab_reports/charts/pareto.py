"""Size against loss: what each setting costs and saves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantlab.gate import size
from quantlab.types import Trial
from quantlab_reports.charts.contract import Drawing
from quantlab_reports.charts.marks import HEIGHT, grid, labels, leaders, line, marks, pixels
from quantlab_reports.charts.placing import placed
from quantlab_reports.figures import number
from quantlab_reports.losses import ShownLoss, loss_of
from quantlab_reports.subject import Subject

__all__ = ["draw_pareto", "has_candidates"]

_SIZES = [bytes_ * 10**power for power in range(3, 12) for bytes_ in (1, 2, 5)]
_LOSSES = [sign * step * 10.0**power for sign in (1, -1) for power in range(-6, 7) for step in (1, 2, 5)]
_SHOWN_PART = 0.05
"""Part of the height below which ticks of the loss would lie on each other."""


@dataclass(frozen=True, slots=True)
class _Point:
    """A setting on the chart."""

    setting: str
    size_bytes: int
    loss: ShownLoss
    runtimes: tuple[str, ...]

    @property
    def lower(self) -> float:
        return self.loss.value if self.loss.interval is None else self.loss.interval.lower

    @property
    def upper(self) -> float:
        return self.loss.value if self.loss.interval is None else self.loss.interval.upper


def draw_pareto(subject: Subject, width: float) -> Drawing | None:
    """Draw every measured setting once, in the runtime where it loses most; None without a loss."""
    points = _points(subject)
    if not points:
        return None
    margin = _margin(subject)
    tried = _candidates(subject)
    axes = _Axes.of(points, tried, margin, width)
    rows = [_row(point, axes, subject) for point in points]
    taken = [(row["x"] - 3, row["lower"], row["x"] + 3, row["upper"]) for row in rows]
    if margin is not None:  # the line, and the words at its right end
        y = axes.down(margin)
        taken += [(0.0, y - 3, width, y + 3), (width - 115, y - 18, width, y)]
    places = [(row["x"], row["y"]) for row in rows]
    found = placed(places, [point.setting for point in points], (width, HEIGHT), taken)
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
        *_small([one for one in tried if axes.holds(one.size_bytes, one.loss)], axes),
        *_front(points, rows),
        marks("rule", rows, {"y": pixels("lower"), "y2": pixels("upper")}, strokeWidth=2, aria=False),
        marks("point", rows, {}, size=110),
        *leaders(found, rows),
        *labels(texts),
    ]
    return Drawing(
        {"width": width, "height": HEIGHT, "layer": layers}, f"{_in_words(points, subject)}{_tried_in_words(tried)}"
    )


def _front(points: Sequence[_Point], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A thin line through the upper ends of the settings than which none is smaller with a lower upper end."""
    found: list[tuple[_Point, dict[str, Any]]] = []
    for point, row in sorted(zip(points, rows, strict=True), key=lambda one: (one[0].size_bytes, one[0].upper)):
        if not found or point.upper < found[-1][0].upper:
            found.append((point, row))
    ends = [{"x": row["x"], "y": row["upper"], "colour": "@muted", "line": "front"} for _, row in found]
    return [line(ends, "line", thickness=1, aria=False, opacity=0.7)] if len(ends) > 1 else []


def _points(subject: Subject) -> list[_Point]:
    """The settings that the target can run."""
    points = []
    for setting in dict.fromkeys(trial.setting for trial in subject.study.trials):
        shown = [(trial, loss) for trial in subject.trials_of(setting) if (loss := _finite(trial))]
        if not shown or not _runs(shown[0][0], subject):
            continue
        trial, loss = max(shown, key=lambda one: one[1].value)
        size_bytes = subject.size_of(trial.variant)
        if size_bytes:
            points.append(_Point(setting, size_bytes, loss, tuple(one.runtime for one, _ in shown)))
    return points


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
    """The candidates of the formats that the target can run; none if nothing was tuned, or they have no loss."""
    formats = {} if subject.tuning is None else subject.tuning.formats
    return [
        _Tried(one.name, one.size_bytes, one.loss, one.n)
        for name, decided in formats.items()
        if subject.target.formats is None or name in subject.target.formats
        for one in decided.candidates
        if not one.official and one.loss is not None and math.isfinite(one.loss)
    ]


def has_candidates(subject: Subject) -> bool:
    """Whether candidates of a search are drawn."""
    return bool(_candidates(subject))


def _small(tried: Sequence[_Tried], axes: "_Axes") -> list[dict[str, Any]]:
    rows = [
        {"x": axes.across(one.size_bytes), "y": axes.down(one.loss), "colour": "@muted", "told": one.told}
        for one in tried
    ]
    return [marks("point", rows, {}, size=18, opacity=0.6)] if rows else []


def _tried_in_words(tried: Sequence[_Tried]) -> str:
    if not tried:
        return ""
    return f" Small points are {len(tried)} candidates of the search, with their loss on {tried[0].n:,} search samples."


def _runs(trial: Trial, subject: Subject) -> bool:
    formats = subject.target.formats
    return formats is None or trial.variant is None or trial.variant.format in formats


def _finite(trial: Trial) -> ShownLoss | None:
    loss = loss_of(trial)
    return loss if loss is not None and math.isfinite(loss.value) else None


def _margin(subject: Subject) -> float | None:
    """The allowed loss in the unit of the chart."""
    chosen = subject.recommendation
    if chosen is None:
        return None
    margins = [one.margin for setting in chosen.verdict.settings for one in setting.judgements]
    return next((margin for margin in margins if margin is not None), None)


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
        ends = [0.0, *(point.lower for point in points), *(point.upper for point in points)]
        ends += [] if margin is None else [margin]
        typical = sorted(abs(point.upper) for point in points)[len(points) // 2]
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
        """Pixels from the top; a larger loss is lower."""
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
    interval = point.loss.interval
    between = "" if interval is None else f" [{number(interval.lower)}, {number(interval.upper)}]"
    loss = f"{number(point.loss.value)}{between} {unit}".rstrip()
    return f"{point.setting}: {size(point.size_bytes)}, loss of {point.loss.name} {loss}, n = {point.loss.n:,}"


def _in_words(points: Sequence[_Point], subject: Subject) -> str:
    smallest = min(points, key=lambda point: point.size_bytes)
    worst = max(points, key=lambda point: point.loss.value)
    word = subject.target.size_word
    return (
        f"Download size ({word}) against loss of {len(points)} settings. The smallest is {_told(smallest)}. "
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
