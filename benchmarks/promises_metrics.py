"""How often the bound of a metric's loss passes a setting whose true loss is the margin, for metrics of many forms.

`python benchmarks/promises_metrics.py [--draws N] [--seed N]` prints the table. The margin is the loss of the whole
population from which samples are drawn, so that a share of passes above 5 % is a broken promise.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from quantlab.statistics import CandidateSamples, ReferenceSamples, Resampling, paired_loss, paired_metric

Row = tuple[str, str, float, float, int]
"""Rule, scenario, promised share, measured share, draws."""

PROMISED = 0.05

_HEADINGS = ("rule", "scenario", "promised", "measured", "draws")
_POPULATION = 20_000
_RESAMPLES = 300
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Population:
    """Outputs of both sides and ground truth of very many samples."""

    metric: str
    reference: Array
    candidate: Array
    labels: Array

    def loss(self, rows: Array | slice, resamples: int) -> tuple[float, float]:
        """The loss of some samples, and its upper bound."""
        known = ReferenceSamples.of(
            self.reference[rows], self.labels[rows], task="metric", probabilities=False, classes=False
        )
        compared = CandidateSamples.of(known, self.candidate[rows])
        loss = paired_loss(paired_metric(self.metric), known, compared, Resampling(resamples=resamples))
        return loss.loss, loss.upper


def _sequences(random: np.random.Generator) -> Population:
    """Sequences of 20 classes; the candidate spoils whole sequences more often than single steps."""
    labels = random.integers(0, 30, (_POPULATION, 20))
    right = random.uniform(size=labels.shape) < 0.95
    spoiled = (random.uniform(size=(_POPULATION, 1)) < 0.03) & (random.uniform(size=labels.shape) < 0.5)
    reference = np.where(right, labels, 30)
    return Population("cer:plain", reference, np.where(spoiled, 31, reference), labels)


def _several(metric: str) -> Callable[[np.random.Generator], Population]:
    def make(random: np.random.Generator) -> Population:
        shares = np.array([0.5, 0.3, 0.2, 0.1, 0.05])
        labels = (random.uniform(size=(_POPULATION, 5)) < shares).astype(np.int64)
        reference = 3 * labels - 1.5 + random.normal(size=labels.shape)
        return Population(metric, reference, reference + random.normal(size=labels.shape, scale=0.7), labels)

    return make


def _keypoints(random: np.random.Generator) -> Population:
    labels = random.uniform(size=(_POPULATION, 8, 2))
    pose = random.gamma(2, 0.02, (_POPULATION, 1, 1))
    reference = labels + pose * random.normal(size=labels.shape)
    return Population("pck@0.1", reference, reference + 0.5 * pose * random.normal(size=labels.shape), labels)


def _directions(random: np.random.Generator) -> Population:
    labels = random.normal(size=(_POPULATION, 3))
    labels /= np.linalg.norm(labels, axis=1, keepdims=True)
    reference = labels + random.normal(size=labels.shape, scale=0.1)
    return Population("angular-error", reference, reference + random.normal(size=labels.shape, scale=0.05), labels)


SCENARIOS: Sequence[tuple[str, Callable[[np.random.Generator], Population], int]] = (
    ("sequences of 20 steps, whole ones spoiled", _sequences, 300),
    ("5 labels, 5 to 50 % of samples each", _several("micro-f1"), 300),
    ("5 labels, 5 to 50 % of samples each", _several("multilabel-macro-f1"), 300),
    ("5 labels, 5 to 50 % of samples each", _several("map"), 300),
    ("8 keypoints, poses of different difficulty", _keypoints, 300),
    ("directions in space", _directions, 300),
)


def rows(draws: int, seed: int) -> list[Row]:
    """Draw samples from each population, and count how often the upper bound is below its loss."""
    random = np.random.default_rng(seed)
    return [_row(scenario, make(random), n, draws, random) for scenario, make, n in SCENARIOS]


def _row(scenario: str, population: Population, n: int, draws: int, random: np.random.Generator) -> Row:
    margin, _ = population.loss(slice(None), 1)
    passed = 0
    for _ in range(draws):
        _, upper = population.loss(random.integers(0, _POPULATION, n), _RESAMPLES)
        passed += upper < margin
    return (
        f"{population.metric} at the margin",
        f"{scenario}, n = {n}, loss {margin:.3g}",
        PROMISED,
        passed / draws,
        draws,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(tabulate(rows(arguments.draws, arguments.seed), headers=_HEADINGS, floatfmt=".4f"))


if __name__ == "__main__":
    main()
