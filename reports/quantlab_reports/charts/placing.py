"""Places labels beside points, so that none covers another one or a point."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

__all__ = ["Box", "Label", "free_place", "placed", "stacked"]

_CHARACTER = 6.6
"""Width of a character of 13 pixels in a system font, on average; labels are names of settings."""
_HEIGHT = 15.0
_GAP = 8.0
_NEAR = 16.0
"""Distance of a label from its point, in pixels, above which a line leads to it."""
_RINGS = (1.0, 2.2, 3.6, 5.2)
"""Distances from the point that are tried, in gaps."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text and where it stands, in pixels from the upper left corner."""

    text: str
    x: float
    """Left end, at half of its height."""
    y: float

    @property
    def width(self) -> float:
        """About how wide it is."""
        return _CHARACTER * len(self.text)

    @property
    def box(self) -> "Box":
        """What it covers."""
        return (self.x, self.y - _HEIGHT / 2, self.x + self.width, self.y + _HEIGHT / 2)

    def end_of_leader(self, x: float, y: float) -> tuple[float, float] | None:
        """Where a line from a point to this label ends; None if it is near enough without one."""
        left, _, right, _ = self.box
        across, down = min(max(x, left), right), self.y + np.clip(y - self.y, -0.4, 0.4) * _HEIGHT
        return (across, float(down)) if np.hypot(across - x, down - y) > _NEAR else None


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def placed(
    points: Sequence[tuple[float, float]], texts: Sequence[str], size: tuple[float, float], lines: Sequence[Box] = ()
) -> list[Label]:
    """Labels beside points: to the right if there is room, otherwise wherever most of them can be read.

    Each is placed in turn where it covers least of what is there already, and within the chart. A label that finds no
    free place stands at the best one.

    Args:
        points: Pixels from the upper left corner.
        texts: A text for each point.
        size: Width and height of the chart.
        lines: What should not be covered either.
    """
    taken = [*((x - 5, y - 5, x + 5, y + 5) for x, y in points), *lines]
    labels: list[Label] = []
    for point, text in zip(points, texts, strict=True):
        tried = [_beside(point, text, ring * _GAP, side) for ring, side in product(_RINGS, _SIDES)]
        labels.append(_best(tried, taken, size))
        taken.append(labels[-1].box)
    return labels


def stacked(points: Sequence[tuple[float, float]], texts: Sequence[str], height: float) -> list[Label]:
    """Labels in a column, each as near to the height of its point as the others let it.

    Args:
        points: Left end and height of each label.
        texts: A text for each point.
        height: Of the chart.
    """
    order = sorted(range(len(points)), key=lambda place: points[place][1])
    heights: list[float] = []
    for place in order:
        heights.append(max(points[place][1], heights[-1] + _HEIGHT if heights else 0.0))
    lowest = height
    for place in reversed(range(len(heights))):  # what was pushed below the chart pushes the others up
        heights[place] = min(heights[place], lowest)
        lowest = heights[place] - _HEIGHT
    found = {place: Label(texts[place], points[place][0], at) for place, at in zip(order, heights, strict=True)}
    return [found[place] for place in range(len(points))]


def free_place(text: str, y: float, size: tuple[float, float], lines: Sequence[Box]) -> Label:
    """A label at a height, as far to the left as it covers little.

    Args:
        text: The text.
        y: Its middle, in pixels from the top.
        size: Width and height of the chart.
        lines: What should not be covered.
    """
    width = _CHARACTER * len(text)
    return _best([Label(text, x, y) for x in np.arange(0.0, max(size[0] - width, 1.0), 10.0)], lines, size)


def _beside(point: tuple[float, float], text: str, gap: float, side: tuple[int, int]) -> Label:
    (x, y), (across, down), wide = point, side, _CHARACTER * len(text)
    left = x + gap if across > 0 else x - gap - wide if across < 0 else x - wide / 2
    return Label(text, left, y + down * (gap + _HEIGHT / 2))


def _best(tried: Sequence[Label], taken: Sequence[Box], size: tuple[float, float]) -> Label:
    """The label that covers least and stands least outside; of equal ones, the first."""
    left, top, right, bottom = np.array([label.box for label in tried]).T
    boxes = np.array(taken).reshape(-1, 4).T[:, :, None]
    across = np.minimum(right, boxes[2]) - np.maximum(left, boxes[0])
    down = np.minimum(bottom, boxes[3]) - np.maximum(top, boxes[1])
    covered = (np.clip(across, 0, None) * np.clip(down, 0, None)).sum(axis=0)
    outside = sum(np.clip(beyond, 0, None) for beyond in (-left, right - size[0], -top, bottom - size[1]))
    return tried[int(np.argmin(covered + _HEIGHT * outside + 0.01 * np.arange(len(tried))))]


_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
"""Directions from a point, the preferred ones first."""
