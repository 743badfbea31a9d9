"""Promises of single bounds: how often they miss where a loss is exactly at its margin.

Of paired differences and agreement floors all possible outcomes are enumerated, so `draws` is 0. Errors of regressions
are drawn. A miss is an upper bound below the true loss, or a lower bound above it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.interval_coverage import breaks, passes, passing_rate
from quantlab.statistics import (
    CandidateSamples,
    ReferenceSamples,
    Resampling,
    clopper_pearson,
    paired_loss,
    paired_metric,
)
from quantlab.types import Loss

Row = tuple[str, str, str, float, int]
Floats = NDArray[np.float64]

SAMPLES = (10, 20, 50, 100, 200, 355, 598, 1000)
MARGINS = (0.005, 0.01, 0.02, 0.05, 0.1)
TIMES = (1.0, 1.5, 2.0, 4.0, 8.0)
"""Shares of changed samples, in margins."""
FLOORS = (0.9, 0.95, 0.98, 0.99, 0.995)
SPREADS = (0.25, 0.5, 1.0, 2.0)
REGRESSIONS = 300
RANKED = 20_000
HALF_NORMAL = float(np.sqrt(2 / np.pi))


def rows(draws: int, seed: int, *, samples: tuple[int, ...] = SAMPLES) -> list[Row]:
    """All promises; `draws` is the number of simulated sets of samples for each distribution of errors."""
    return [*paired(samples), *agreement(), *regressions(draws, seed), *areas(seed)]


def paired(samples: tuple[int, ...] = SAMPLES) -> Iterator[Row]:
    for name, rule in (("fits", passes), ("breaks", breaks)):
        for n in samples:
            worst = max(
                passing_rate(n, margin * times, margin, rule)
                for margin in MARGINS
                for times in TIMES
                if margin * times <= 0.5
            )
            yield f"one look {name}", f"loss at the margin, n = {n}, worst of margins and changes", "≤ 5 %", worst, 0


def agreement() -> Iterator[Row]:
    for floor in FLOORS:
        kept, missed = zip(*(floor_rates(n, floor) for n in (10, 50, 100, 300, 1000, 3000)), strict=True)
        yield "agreement fits", f"agreement at the floor of {100 * floor:g} %, worst n", "≤ 5 %", max(kept), 0
        yield "agreement breaks", f"agreement at the floor of {100 * floor:g} %, worst n", "≤ 5 %", max(missed), 0


def floor_rates(n: int, floor: float) -> tuple[float, float]:
    """How often the bounds of an agreement that is the floor lie above and below it."""
    same = np.arange(n + 1)
    probability = binom.pmf(same, n, floor)
    bounds = [clopper_pearson(int(count), n, confidence=0.9) for count in same]
    above = np.array([bound.lower >= floor for bound in bounds])
    below = np.array([bound.upper < floor for bound in bounds])
    return float(probability[above].sum()), float(probability[below].sum())


def regressions(draws: int, seed: int) -> Iterator[Row]:
    for spread in SPREADS:
        promised = "≤ 6 %" if spread <= 0.5 else "none: warned of"
        random = np.random.default_rng(seed)
        errors = random.lognormal(0.0, spread, (draws, REGRESSIONS))
        yield from misses(f"lognormal errors, σ = {spread:g}", promised, errors, float(np.exp(spread**2 / 2)))
    random = np.random.default_rng(seed)
    normal, rare = random.normal(size=(2, draws, REGRESSIONS))
    errors = np.abs(np.where(random.random(normal.shape) < 0.05, 10 * rare, normal))
    yield from misses("normal errors, 5 % of them ten times as large", "≤ 6 %", errors, HALF_NORMAL * 1.45)


def misses(scenario: str, promised: str, errors: Floats, truth: float) -> Iterator[Row]:
    losses = [mean_absolute_error(sample, seed) for seed, sample in enumerate(errors)]
    below = float(np.mean([loss.upper < truth for loss in losses]))
    above = float(np.mean([loss.lower > truth for loss in losses]))
    where = f"{scenario}, n = {errors.shape[1]}"
    yield "mae upper bound misses", where, promised, below, len(errors)
    yield "mae lower bound misses", where, promised, above, len(errors)
    warned = float(np.mean([loss.tail is not None and loss.tail.heavy for loss in losses]))
    yield "mae warned of few samples", where, "stated", warned, len(errors)


def mean_absolute_error(errors: Floats, seed: int) -> Loss:
    """The loss of a candidate with these errors against a reference without any."""
    reference = ReferenceSamples.of(
        np.zeros((len(errors), 1)), np.zeros(len(errors)), task="regression", probabilities=False, classes=False
    )
    candidate = CandidateSamples.of(reference, errors[:, None])
    return paired_loss(paired_metric("mae"), reference, candidate, Resampling(resamples=1000, seed=seed))


def areas(seed: int, *, draws: int = RANKED) -> Iterator[Row]:
    for n, rare in ((400, 0.5), (1000, 0.05)):
        labels, scores = scored(n, rare, seed)
        reference, candidate = (np.stack([1 - side, side], axis=1) for side in scores)
        known = ReferenceSamples.of(reference, labels, task="classification", probabilities=True, classes=True)
        loss = paired_loss(paired_metric("auc"), known, CandidateSamples.of(known, candidate), Resampling(seed=seed))
        low, high = ranked_again(labels, scores, seed, draws)
        ratio = (loss.upper - loss.lower) / (high - low)
        scenario = f"n = {n}, {100 * rare:g} % positive, against a bootstrap that ranks again"
        yield "auc width", scenario, "within 1.5", ratio, draws


def scored(n: int, rare: float, seed: int) -> tuple[NDArray[np.int64], tuple[Floats, Floats]]:
    """Labels of two classes, and the scores of a model and of one with small errors."""
    random = np.random.default_rng(seed)
    labels = (np.arange(n) < rare * n).astype(np.int64)
    logits = random.normal(size=n) + 1.5 * labels
    noisy = logits + 0.2 * random.normal(size=n)
    reference, candidate = (1 / (1 + np.exp(-side)) for side in (logits, noisy))
    return labels, (reference, candidate)


def ranked_again(
    labels: NDArray[np.int64], scores: tuple[Floats, Floats], seed: int, draws: int
) -> tuple[float, float]:
    """Percentiles 5 and 95 of the loss of area, in points, over resamples that are ranked anew."""
    random, n, losses = np.random.default_rng(seed), len(labels), []
    for start in range(0, draws, 1000):
        counts = random.multinomial(n, np.full(n, 1 / n), size=min(1000, draws - start))
        reference, candidate = (weighted_area(labels, side, counts) for side in scores)
        losses.append(100 * (reference - candidate))
    low, high = np.quantile(np.concatenate(losses), [0.05, 0.95])
    return float(low), float(high)


def weighted_area(labels: NDArray[np.int64], scores: Floats, counts: NDArray[np.int64]) -> Floats:
    """(draws,): the area where sample i occurs counts[:, i] times; scores are distinct."""
    order = np.argsort(scores)
    positive, sorted_counts = labels[order] == 1, counts[:, order]
    negatives = np.cumsum(np.where(positive, 0, sorted_counts), axis=1)
    beaten = (np.where(positive, sorted_counts, 0) * negatives).sum(axis=1)
    positives = sorted_counts[:, positive].sum(axis=1)
    return np.asarray(beaten / (positives * negatives[:, -1]))
