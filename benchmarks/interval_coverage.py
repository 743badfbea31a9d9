"""Coverage of Tango's interval, and how often the gate passes and breaks at its margin, by exact enumeration.

For a given true loss and share of discordant samples, the numbers of samples that became wrong and right are trinomial.
For every table with a relevant probability, the program checks whether the 95 % interval contains the true loss, and
whether the gate, at 95 % one-sided, passes or breaks if the loss equals the margin. Tango's interval is not computed:
it contains a difference if the score test does not reject it, which is a formula (a test compares that formula with
`tango`). The exact bound is below the margin only if its test rejects the margin (`rejection`), so the rates of that
test are no lower than those of the gate.

Printed for a grid of n and discordance: the least and greatest coverage over losses from none to all of the
discordance, and the passing rate at several margins. `--every` adds the worst n between 200 and 3,000 where all flips
go one way: what is discrete is worst there, and a grid can step over it. `--docs` prints the tables of
`docs/guides/deciding.md` alone.
"""

import argparse
import math
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, ndtri, xlogy
from scipy.stats import binom
from tabulate import tabulate

from quantlab.statistics import zero_discordance_bound
from quantlab.statistics.paired.exact import rejection

SAMPLES = (200, 300, 400, 500, 597, 598, 700, 800, 1000, 1500, 2000, 3000, 5000, 7000, 10_000)
DISCORDANCE = (0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1)
LOSS_OF_DISCORDANCE = (0.0, 0.25, 0.5, 0.75, 1.0)
MARGINS = (0.001, 0.0025, 0.005, 0.01, 0.02)
CONFIDENCE = 0.95
NEGLIGIBLE = 1e-14

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", action="store_true", help="also every n from 200 to 3,000, for flips of one kind")
    parser.add_argument("--docs", action="store_true", help="print the tables of the guide alone")
    asked = parser.parse_args()
    if asked.docs:
        print(docs_tables())
        return
    print("Coverage of the 95 % interval in %, least–greatest over true losses; * where n·d ≥ 10")
    print_table(lambda n, d: coverage_cell(n, d, [coverage(n, d, share * d) for share in LOSS_OF_DISCORDANCE]))
    for margin in MARGINS:
        print(f"\nPassing rate in % where the loss is the margin, {100 * margin:g} pt; + where d ≥ 2·margin")
        print_table(lambda n, d, margin=margin: passing_cell(d, margin, passing_rate(n, d, margin)))
    print("\n" + tabulate(summary(), ("over the grid", "found", "asked")))
    if asked.every:
        print(
            "\n"
            + tabulate(worst_of_every_n(), ("d, all flips harmful", "least coverage %", "n", "passing by Tango %", "n"))
        )


def tables(n: int, discordant: float, loss: float) -> tuple[Counts, Counts, Floats]:
    """Numbers that became wrong (b, 1) and right (1, c), and the probability (b, c) of each relevant pair."""
    harm, help_ = (discordant + loss) / 2, max(0.0, (discordant - loss) / 2)
    b, c = likely(n, harm)[:, None], likely(n, help_)[None, :]
    rest = n - b - c
    logarithm = gammaln(n + 1) - gammaln(b + 1) - gammaln(c + 1) - gammaln(np.maximum(rest, 0) + 1)
    logarithm = logarithm + xlogy(b, harm) + xlogy(c, help_) + xlogy(rest, 1 - discordant)
    return b, c, np.where(rest >= 0, np.exp(logarithm), 0.0)


def likely(n: int, probability: float) -> Counts:
    low, high = binom.ppf([NEGLIGIBLE, 1 - NEGLIGIBLE], n, probability) if probability else (0, 0)
    return np.arange(max(0, int(low) - 1), min(n, int(high) + 1) + 1)


def score(b: Counts, c: Counts, n: int, loss: float) -> Floats:
    """Tango's statistic (1998): the distance of (b − c) / n from a loss in standard errors under that loss."""
    linear = (2 * n - b + c) * loss - b - c
    q = (np.sqrt(np.maximum(0.0, linear**2 + 8 * n * c * loss * (1 - loss))) - linear) / (4 * n)
    variance = np.maximum(0.0, 2 * q + loss * (1 - loss))
    distance = b - c - n * loss
    with np.errstate(divide="ignore", invalid="ignore"):
        # Without variance, every value except the estimate itself is rejected.
        return np.where(distance == 0, 0.0, distance / np.sqrt(n * variance))


def coverage(n: int, discordant: float, loss: float) -> float:
    b, c, probability = tables(n, discordant, loss)
    return float(probability[np.abs(score(b, c, n, loss)) <= ndtri((1 + CONFIDENCE) / 2)].sum())


def below_margin(b: Counts, c: Counts, n: int, margin: float) -> NDArray[np.bool_]:
    """Whether Tango's upper bound of the loss of these tables is below the margin, without looking for the bound."""
    flipless = zero_discordance_bound(n, CONFIDENCE) < margin
    return np.where(b + c == 0, flipless, score(b, c, n, margin) < -ndtri(CONFIDENCE))


def passes(b: Counts, c: Counts, n: int, margin: float) -> NDArray[np.bool_]:
    """Whether `decide` may say that the loss of these tables, (b, 1) and (1, c), fits the margin."""
    most = [most_wrong(int(right), n, margin, int(b.min()), int(min(b.max(), n - right))) for right in c.ravel()]
    return b <= np.array(most)[None, :]


def breaks(b: Counts, c: Counts, n: int, margin: float) -> NDArray[np.bool_]:
    """Whether `decide` may say that the loss breaks the margin: with the counts exchanged, it is below −margin."""
    return passes(c.reshape(-1, 1), b.reshape(1, -1), n, -margin).T


@cache
def most_wrong(right: int, n: int, margin: float, low: int, high: int) -> int:
    """The most samples from `low` to `high` that may become wrong if the margin is rejected; `low` − 1 if none."""
    low -= 1
    while low < high:
        middle = (low + high + 1) // 2
        if rejects(middle, right, n, margin):
            low = middle
        else:
            high = middle - 1
    return low


def rejects(wrong: int, right: int, n: int, margin: float) -> bool:
    if wrong == right == 0:
        return zero_discordance_bound(n, CONFIDENCE) < margin
    return rejection(wrong, right, n, margin, 1 - CONFIDENCE) <= 1 - CONFIDENCE


def passing_rate(
    n: int, discordant: float, margin: float, rule: Callable[[Counts, Counts, int, float], NDArray[np.bool_]] = passes
) -> float:
    """How often the gate passes where the true loss is the margin; NaN where so few flips cannot make it."""
    if discordant < margin:
        return math.nan
    b, c, probability = tables(n, discordant, margin)
    return float(probability[rule(b, c, n, margin)].sum())


def coverage_cell(n: int, d: float, coverages: list[float]) -> str:
    return f"{100 * min(coverages):.1f}–{100 * max(coverages):.1f}{'*' if n * d >= 10 else ' '}"


def passing_cell(d: float, margin: float, rate: float) -> str:
    return "" if math.isnan(rate) else f"{100 * rate:.2f}{'+' if d >= 2 * margin else ' '}"


def print_table(cell: Callable[[int, float], str]) -> None:
    rows = [(n, *(cell(n, d) for d in DISCORDANCE)) for n in SAMPLES]
    print(tabulate(rows, ("n", *(f"d = {100 * d:g} %" for d in DISCORDANCE)), disable_numparse=True))


DOCS_MARGIN = 0.005
DOCS_SAMPLES = (50, 100, 200, 355, 598, 1000, 2000)
DOCS_DISCORDANCE = (0.005, 0.01, 0.015, 0.02, 0.05)


def docs_tables() -> str:
    """How often a loss of the margin is wrongly called fitting and breaking, in percent; in Markdown."""
    return "\n\n".join(docs_table(heading, rule) for heading, rule in DOCS_RULES.items())


def docs_table(heading: str, rule: Callable[[Counts, Counts, int, float], NDArray[np.bool_]]) -> str:
    headings = (heading, *(f"{100 * d:g} % changed" for d in DOCS_DISCORDANCE))
    return tabulate([docs_row(n, rule) for n in DOCS_SAMPLES], headings, tablefmt="github", disable_numparse=True)


def docs_row(n: int, rule: Callable[[Counts, Counts, int, float], NDArray[np.bool_]]) -> tuple[str, ...]:
    return f"{n:,}", *(f"{100 * passing_rate(n, d, DOCS_MARGIN, rule):.1f}" for d in DOCS_DISCORDANCE)


DOCS_RULES = {"samples (wrongly fits)": passes, "samples (wrongly breaks)": breaks}


def summary() -> Iterable[tuple[str, str, str]]:
    cells = [(n, d) for n in SAMPLES for d in DISCORDANCE]
    coverages = [(n * d >= 10, coverage(n, d, share * d)) for n, d in cells for share in LOSS_OF_DISCORDANCE]
    many, few = [rate for much, rate in coverages if much], [rate for much, rate in coverages if not much]
    rates = [passing_rate(n, d, m) for n, d in cells for m in MARGINS if d >= m]
    yield "coverage where n·d ≥ 10", f"{100 * min(many):.2f}–{100 * max(many):.2f} %", "94–97 %"
    yield "coverage elsewhere", f"at least {100 * min(few):.2f} %", "93 %"
    yield "passing at the margin", f"at most {100 * max(rates):.2f} %", "5 %"


def worst_of_every_n() -> Iterable[tuple[str, float, int, float, int]]:
    for d in (0.005, 0.0075, 0.01, 0.015, 0.02):
        least, at = min((coverage(n, d, d), n) for n in range(200, 3000))
        most, where = max((passing_rate(n, d, d, below_margin), n) for n in range(200, 3000))
        yield f"{100 * d:g} %", round(100 * least, 2), at, round(100 * most, 2), where


if __name__ == "__main__":
    main()
