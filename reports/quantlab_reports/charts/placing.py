"""Places labels beside points, so that none covers another one or a point."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

__all__ = ["Box", "Label", "placed"]

_CHARACTER = 6.6
"""Width of a character of 13 pixels in a system font, on average; labels are names of settings."""
_HEIGHT = 15.0
_GAP = 8.0
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
    width, height = size
    taken = [*((x - 5, y - 5, x + 5, y + 5) for x, y in points), *lines]
    labels: list[Label] = []
    for (x, y), text in zip(points, texts, strict=True):
        wide = _CHARACTER * len(text)
        best, least = None, float("inf")
        for order, (ring, (across, down)) in enumerate(product(_RINGS, _SIDES)):
            gap = ring * _GAP
            left = x + gap if across > 0 else x - gap - wide if across < 0 else x - wide / 2
            middle = y + down * (gap + _HEIGHT / 2)
            box = (left, middle - _HEIGHT / 2, left + wide, middle + _HEIGHT / 2)
            outside = max(0.0, -box[0]) + max(0.0, box[2] - width) + max(0.0, -box[1]) + max(0.0, box[3] - height)
            cost = sum(_overlap(box, other) for other in taken) + _HEIGHT * outside + 0.01 * order
            if cost < least:
                best, least = (Label(text, left, middle), box), cost
        if best is not None:
            labels.append(best[0])
            taken.append(best[1])
    return labels


_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
"""Directions from a point, the preferred ones first."""


def _overlap(one: Box, other: Box) -> float:
    """Common area of two boxes."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0.0) * max(down, 0.0)
