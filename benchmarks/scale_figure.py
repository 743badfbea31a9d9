"""Draws what `scale.py` measured, and what its formula computes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scale_points import Point, predicted

__all__ = ["drawn"]

COMPUTED = (
    ("1 core, 6 settings", Point(0, workers=1), "#0072b2"),
    ("2 cores, 6 settings", Point(0), "#d55e00"),
    ("2 cores, 1,000 outputs", Point(0, outputs=1_000), "#009e73"),
    ("100 cores, 6 settings", Point(0, workers=100), "#cc79a7"),
)
"""Lines of the figure: name, what is computed, color."""
LEFT, TOP, WIDTH, HEIGHT = 70, 30, 560, 330
DECADES_X, DECADES_Y = (3, 9), (0, 6)
NAMED_SECONDS = {0: "1 s", 1: "10 s", 2: "100 s", 3: "17 min", 4: "2.8 h", 5: "28 h", 6: "12 days"}


def drawn(measured_points: Sequence[Point], coefficients: Sequence[float]) -> str:
    """The figure: measured points, and the formula up to 10⁹ samples, on two logarithmic axes."""
    label = "Wall time of a study against its number of samples, measured and computed"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 420" role="img" aria-label="{label}">',
        '<rect width="840" height="420" fill="#ffffff"/>',
        '<g font-family="sans-serif" font-size="12" fill="#444444">',
        *_grid(),
    ]
    last = max(one.samples for one in measured_points)
    for place, (name, point, color) in enumerate(COMPUTED):
        for first, end, dashes in ((10.0 ** DECADES_X[0], last, "none"), (last, 10.0 ** DECADES_X[1], "5 4")):
            path = " ".join(
                f"{_x(samples):.1f},{_y(predicted(replace(point, samples=int(samples)), coefficients)):.1f}"
                for samples in np.geomspace(first, end, 31)
            )
            stroke = f'stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"'
            parts.append(f'<polyline points="{path}" fill="none" {stroke}/>')
        y = TOP + 10 + 20 * place
        x = LEFT + WIDTH + 12
        parts.append(f'<line x1="{x}" x2="{x + 22}" y1="{y}" y2="{y}" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 28}" y="{y + 4}">{name}</text>')
    y = TOP + 14 + 20 * len(COMPUTED)
    parts += [
        f'<circle cx="{_x(one.samples):.1f}" cy="{_y(one.seconds):.1f}" r="4" fill="none" stroke="#222222"/>'
        for one in measured_points
    ]
    parts.append(f'<text x="{LEFT + WIDTH + 16}" y="{y}">○ measured</text>')
    parts.append(f'<text x="{LEFT + WIDTH + 12}" y="{y + 20}">dashed: computed</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _x(samples: float) -> float:
    first, last = DECADES_X
    return LEFT + WIDTH * (float(np.log10(samples)) - first) / (last - first)


def _y(seconds: float) -> float:
    first, last = DECADES_Y
    return TOP + HEIGHT * (last - float(np.log10(seconds))) / (last - first)


def _grid() -> Iterator[str]:
    for decade in range(DECADES_X[0], DECADES_X[1] + 1):
        x = _x(10.0**decade)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + HEIGHT}" stroke="#dddddd"/>'
        yield f'<text x="{x:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{10**decade:,}</text>'
    for decade in range(DECADES_Y[0], DECADES_Y[1] + 1):
        y = _y(10.0**decade)
        yield f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{NAMED_SECONDS[decade]}</text>'
    yield f'<text x="{LEFT}" y="{TOP - 12}">wall time</text>'
    yield f'<text x="{LEFT + WIDTH}" y="{TOP + HEIGHT + 38}" text-anchor="end">samples</text>'
