"""The studies that `scale.py` measures, and the formula that it fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

__all__ = ["Point", "fitted", "points", "predicted"]


@dataclass(frozen=True, slots=True)
class Point:
    """A study that is measured."""

    samples: int
    settings: int = 6
    workers: int = 2
    outputs: int = 10
    seconds: float = 0.0
    loops_seconds: float = 0.0
    """Time of plain loops on one core, scaled from `FLOOR_SAMPLES`."""
    largest_bytes: int = 0
    study_bytes: int = 0
    """Bytes of the study at the end."""
    disk_bytes: int = 0
    """Most bytes of the study, and of the files beside it, while it ran."""


def points(most: int) -> list[Point]:
    """The sweeps: samples, settings, workers, values of an output."""
    counts = [count for count in (1_000, 10_000, 100_000, 1_000_000) if count <= most]
    middle = Point(counts[min(1, len(counts) - 1)])
    return [
        *(Point(count) for count in counts),
        *(replace(middle, settings=settings) for settings in (1, 3)),
        replace(middle, workers=1),
        Point(counts[-1], workers=1),
        replace(middle, outputs=1_000),
        replace(middle, outputs=1_000, workers=1),
    ]


def fitted(measured_points: Sequence[Point]) -> tuple[float, float, float, float]:
    """The coefficients a, r, b and c of the formula, in seconds."""
    rows = np.array([_terms(point) for point in measured_points])
    seconds = np.array([point.seconds for point in measured_points])
    found, _ = nnls(rows / seconds[:, None], np.ones(len(seconds)))
    a, r, b, c = (float(value) for value in found)
    return a, r, b, c


def _terms(point: Point) -> tuple[float, float, float, float]:
    runs = point.samples * (1 + point.settings)
    return 1.0, point.samples, runs / point.workers, runs * point.outputs


def predicted(point: Point, coefficients: Sequence[float]) -> float:
    """Seconds by the formula."""
    return float(np.dot(_terms(point), coefficients))
