"""Simulates what verdicts promise for samples in groups: a loss at the margin passes in at most 5 % of cases.

Run with `python -m benchmarks.promises_groups [draws]`. Each row is a rule, a scenario, what is promised (largest share
that passes), the measured share, and the number of draws.
"""

import sys

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics import ChangedAnswers, GroupChanges, loss_bounds

Row = tuple[str, str, float, float, int]

_GROUPED, _ALONE = "upper bound below the margin, with --group", "upper bound below the margin, without --group"
_CONFIDENCE = 0.95


def rows(draws: int, seed: int) -> list[Row]:
    """Simulate each scenario.

    Args:
        draws: Studies for each scenario.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    found: list[Row] = []
    for copies, distinct, margin in ((5, 1000, 0.01), (10, 1000, 0.01), (5, 400, 0.02), (10, 700, 0.005)):
        sides = [_copies(random, copies, distinct, margin) for _ in range(draws)]
        scenario = f"{distinct} samples, each {copies} times, margin {100 * margin:g} pt"
        found.append((_GROUPED, scenario, 0.06, _share(sides, margin), draws))
        found.append((_ALONE, scenario, 1.0, _share_alone(sides, margin), draws))
    for patients, images, margin, correlation in (
        (10, 100, 0.02, 0.05),
        (10, 100, 0.02, 0.3),
        (10, 100, 0.3, 0.1),
        (50, 20, 0.1, 0.1),
        (300, 10, 0.02, 0.2),
    ):
        sides = [_patients(random, patients, images, margin, correlation) for _ in range(draws)]
        scenario = f"{patients} patients with {images} images, correlation {correlation:g}, margin {100 * margin:g} pt"
        found.append((_GROUPED, scenario, 0.06, _share(sides, margin), draws))
        found.append((_ALONE, scenario, 1.0, _share_alone(sides, margin), draws))
    return found


def _copies(random: np.random.Generator, copies: int, distinct: int, margin: float) -> GroupChanges:
    """Samples that became wrong (margin + 2 %) or right (2 %), each there several times."""
    draw = random.random(distinct)
    wrong, right = draw < margin + 0.02, (draw >= margin + 0.02) & (draw < margin + 0.04)
    return _changes(np.repeat(wrong, copies), np.repeat(right, copies), np.repeat(np.arange(distinct), copies))


def _patients(
    random: np.random.Generator, patients: int, images: int, margin: float, correlation: float
) -> GroupChanges:
    """Images whose loss differs between patients by a beta distribution, and 2 % that change either way."""
    scale = 1 / correlation - 1
    loss = random.beta(margin * scale, (1 - margin) * scale, patients)
    codes = np.repeat(np.arange(patients), images)
    draw = random.random(len(codes))
    wrong = draw < np.minimum(1.0, loss + 0.02)[codes]
    return _changes(wrong, (draw >= 0.98) & ~wrong, codes)


def _changes(wrong: NDArray[np.bool_], right: NDArray[np.bool_], codes: NDArray[np.int64]) -> GroupChanges:
    return GroupChanges.of(ChangedAnswers.of(~right, ~wrong), codes)


def _share(sides: list[GroupChanges], margin: float) -> float:
    return float(np.mean([changes.bounds(_CONFIDENCE)[1] < margin for changes in sides]))


def _share_alone(sides: list[GroupChanges], margin: float) -> float:
    bounds = (
        loss_bounds(int(one.became_wrong.sum()), int(one.became_right.sum()), n=one.n, confidence=_CONFIDENCE)
        for one in sides
    )
    return float(np.mean([upper < margin for _, upper in bounds]))


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else 2000, 0):
        print(f"{row[0]} | {row[1]} | {100 * row[2]:.0f} % | {100 * row[3]:.1f} % | {row[4]}")
