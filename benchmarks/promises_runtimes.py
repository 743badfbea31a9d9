"""How often two runtimes are wrongly called equivalent, or different, if their difference is exactly the margin.

`python benchmarks/promises_runtimes.py [--draws N] [--seed N]` prints the table.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from quantlab.statistics import runtime_equivalence
from quantlab.types import RUNTIME_MARGIN_POINTS, Equivalence, EquivalenceOutcome

Row = tuple[str, str, float, float, int]
"""Rule, scenario, promised share, measured share, draws."""

PROMISED = 0.05

SCENARIOS = ((1_000, 0.005), (1_000, 0.01), (2_000, 0.01), (10_000, 0.01), (10_000, 0.05))
"""Samples, and the share of them whose answer becomes wrong or right; at least the margin."""

_HEADINGS = ("rule", "scenario", "promised", "measured", "draws")


def rows(draws: int, seed: int) -> list[Row]:
    """Simulate two runtimes whose accuracies differ by the margin: the share of wrong claims of each rule."""
    random = np.random.default_rng(seed)
    return [row for n, discordant in SCENARIOS for row in _rows(n, discordant, draws, random)]


def _rows(n: int, discordant: float, draws: int, random: np.random.Generator) -> list[Row]:
    margin = RUNTIME_MARGIN_POINTS / 100
    wrong, right = (discordant + margin) / 2, (discordant - margin) / 2
    counts = random.multinomial(n, (wrong, right, 1 - discordant), draws)[:, :2]
    pairs, times = np.unique(counts[:, ::-1], axis=0, return_counts=True)
    outcomes = [
        outcome
        for back, first in zip(*np.unique(pairs[:, 0], return_index=True), strict=True)
        for outcome in _outcomes(pairs[first:][pairs[first:, 0] == back, 1].tolist(), int(back), n)
    ]
    scenario = f"{n:,} samples, {100 * discordant:g} % discordant, difference at the margin"
    return [
        (f"runtimes called {claim}", scenario, PROMISED, _share(outcomes, times.tolist(), claim), draws)
        for claim in ("equivalent", "different")
    ]


def _outcomes(became_wrong: Sequence[int], became_right: int, n: int) -> list[EquivalenceOutcome]:
    """The outcome for each of some numbers, in ascending order.

    Bounds grow with `became_wrong`: between two numbers whose bounds are on the same sides of the margin, all are. This
    saves most of the comparisons, which take some milliseconds each.
    """
    found: dict[int, Equivalence] = {}

    def compared(place: int) -> Equivalence:
        if place not in found:
            wrong = became_wrong[place]
            found[place] = runtime_equivalence(wrong + became_right, n=n, became_wrong=wrong, became_right=became_right)
        return found[place]

    outcomes = [compared(0).outcome()] * len(became_wrong)
    waiting = [(0, len(became_wrong) - 1)]
    while waiting:
        first, last = waiting.pop()
        if _sides(compared(first)) == _sides(compared(last)):
            outcomes[first : last + 1] = [compared(first).outcome()] * (last + 1 - first)
        elif last == first + 1:
            outcomes[first], outcomes[last] = compared(first).outcome(), compared(last).outcome()
        else:
            middle = (first + last) // 2
            waiting += [(first, middle), (middle, last)]
    return outcomes


def _sides(compared: Equivalence) -> tuple[bool, bool, bool, bool]:
    """On which sides of the margin both bounds are, which decides the outcome."""
    margin = RUNTIME_MARGIN_POINTS
    return compared.lower > -margin, compared.upper < margin, compared.lower >= margin, compared.upper <= -margin


def _share(outcomes: Sequence[EquivalenceOutcome], times: Sequence[int], claim: str) -> float:
    claimed = sum(count for outcome, count in zip(outcomes, times, strict=True) if outcome == claim)
    return claimed / sum(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(tabulate(rows(arguments.draws, arguments.seed), _HEADINGS, floatfmt=".4f"))


if __name__ == "__main__":
    main()
