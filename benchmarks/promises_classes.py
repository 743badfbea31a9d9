"""What `max_class_loss` promises, simulated: how often it is wrong where classes lose exactly the limit.

`rows` gives a row for each rule and scenario. Classes are independent, with the same number of samples each; the
numbers of samples that became wrong and right are trinomial. A draw is a verdict of `judge_parts`: it fits if
every class fits and breaks if some class breaks, so it is put together from verdicts about single tables of counts.
"""

import argparse
from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from quantlab.gate.class_limits import Part, Parts, judge_parts
from quantlab.statistics import loss_bounds
from quantlab.types import ClassLoss, Margin

__all__ = ["Row", "rows"]

Row = tuple[str, str, float, float, int]
"""Rule, scenario, promised share, measured share, draws."""

Counts = NDArray[np.int64]

CONFIDENCE = 0.95
FITS, BREAKS = 0.055, 0.06
"""Most wrong verdicts that are promised, as shares."""
CLASSES = (10, 100)
SAMPLES = (50, 100, 200, 500, 1000)
LIMITS = (0.02, 0.05)
CHANGES = (1.0, 2.0, 5.0)
"""Share of changed samples as a multiple of the limit: 1 if all changed samples became wrong."""


def rows(
    draws: int,
    seed: int,
    *,
    classes: tuple[int, ...] = CLASSES,
    samples: tuple[int, ...] = SAMPLES,
    limits: tuple[float, ...] = LIMITS,
) -> list[Row]:
    """Simulate each scenario with so many draws: three rows for each."""
    random = np.random.default_rng(seed)
    return [
        row
        for number, n, limit, changes in product(classes, samples, limits, CHANGES)
        for row in _scenario(random, draws, number, n, limit=limit, changed=limit * changes)
    ]


def _scenario(
    random: np.random.Generator, draws: int, classes: int, n: int, *, limit: float, changed: float
) -> Iterator[Row]:
    at_limit = _drawn(random, (draws, classes), n, limit, changed)
    fits, breaks = _verdicts(at_limit, n, limit, classes)
    words = f"{classes} classes at the limit of {100 * limit:g} pt, {n:,} samples each, {100 * changed:g} % change"
    yield "a class limit breaks wrongly", words, BREAKS, float(breaks.any(axis=1).mean()), draws
    yield "a class limit fits wrongly", words, FITS, float(fits.all(axis=1).mean()), draws
    # The hardest case of "fits": the other classes are perfect, so that a single class decides. Each is such a class.
    alone = words.replace(f"{classes} classes", f"one of {classes} classes", 1)
    yield "a class limit fits wrongly", alone, FITS, float(fits.mean()), fits.size


def _drawn(random: np.random.Generator, shape: tuple[int, int], n: int, loss: float, changed: float) -> Counts:
    """(draws, classes, 2): samples that became wrong and right."""
    wrong, right = (changed + loss) / 2, (changed - loss) / 2
    return random.multinomial(n, [wrong, right, 1 - wrong - right], size=shape)[..., :2]


def _verdicts(counts: Counts, n: int, limit: float, classes: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(draws, classes) and (draws, classes): whether the table of a class fits, and whether it breaks."""
    tables, where = np.unique(counts.reshape(-1, 2), axis=0, return_inverse=True)
    outcomes = np.array([_outcome(int(wrong), int(right), n, limit, classes) for wrong, right in tables])
    of_all = outcomes[where].reshape(counts.shape[:2])
    return of_all == "fits", of_all == "breaks"


@lru_cache(maxsize=2**20)
def _outcome(wrong: int, right: int, n: int, limit: float, classes: int) -> str:
    """The verdict about classes that all have the same table."""
    lower, upper = loss_bounds(wrong, right, n=n, confidence=CONFIDENCE)
    loss = ClassLoss(0, n, wrong, right, 100 * (wrong - right) / n, 100 * lower, 100 * upper, CONFIDENCE, 1.0, 1.0)
    parts = Parts("class", "classes", [Part("class 0", loss)] * classes, ())
    return judge_parts(parts, Margin(100 * limit, "pt")).outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer draws and scenarios")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    classes, samples = ((10,), (50, 200)) if asked.quick else (CLASSES, SAMPLES)
    simulated = rows(1000 if asked.quick else 4000, asked.seed, classes=classes, samples=samples)
    table = [
        (rule, scenario, f"{100 * promised:.1f} %", f"{100 * measured:.2f} %", draws)
        for rule, scenario, promised, measured, draws in simulated
    ]
    print(tabulate(table, ("rule", "scenario", "promised", "measured", "draws")))


if __name__ == "__main__":
    main()
