"""How many samples decide about a loss, and with which probability.

What is known of a setting comes from a pilot: counts of answers that changed. They are uncertain, so the probability of
a decision is a mean over all shares of changed answers that the pilot leaves plausible (assurance: O'Hagan, Stevens &
Campbell 2005, Pharmaceutical Statistics 4:187–201), and not that of the shares that the pilot happened to show.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import check_one_sided, zero_discordance_bound
from quantlab.statistics.paired.decision import ENOUGH_CHANGES, fewest_samples
from quantlab.statistics.paired.exact import tango_statistic
from quantlab.statistics.paired.sequential import log_capital

__all__ = ["MOST_SAMPLES", "Chances", "Expected", "Pilot", "PlanTerms", "chances", "samples_to_decide"]

Counts = NDArray[np.int64]
Looks = Literal["one", "any"]

MOST_SAMPLES = 10_000_000
"""Largest number of samples that is planned."""

_DRAWS = 4000
_PRIOR = 0.5
"""Added to each count (Jeffreys): no changed answer among a few hundred does not mean that none can change."""


@dataclass(frozen=True, slots=True)
class Pilot:
    """Changed answers of samples that were seen."""

    became_wrong: int
    became_right: int
    n: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError("a pilot of 0 samples says nothing; give the counts of at least one sample")
        if min(self.became_wrong, self.became_right) < 0 or self.became_wrong + self.became_right > self.n:
            raise ValueError(
                f"a pilot of {self.n:,} samples cannot have {self.became_wrong:,} that became wrong and "
                f"{self.became_right:,} that became right"
            )

    def shares(self, random: np.random.Generator, draws: int) -> NDArray[np.float64]:
        """Plausible shares of samples that become wrong, become right and do not change: (draws, 3)."""
        unchanged = self.n - self.became_wrong - self.became_right
        return random.dirichlet([self.became_wrong + _PRIOR, self.became_right + _PRIOR, unchanged + _PRIOR], draws)


@dataclass(frozen=True, slots=True)
class Expected:
    """Shares that are taken as known."""

    discordance: float
    """Share of samples whose answer changes."""
    loss: float = 0.0
    """Share of samples that become wrong minus the share that become right."""

    def __post_init__(self) -> None:
        if not abs(self.loss) <= self.discordance <= 1:
            raise ValueError(
                f"a loss of {_percent(self.loss)} points needs a share of changed answers from "
                f"{_percent(abs(self.loss))} % to 100 %, not {_percent(self.discordance)} %"
            )

    def shares(self, random: np.random.Generator, draws: int) -> NDArray[np.float64]:
        """The same shares in each row: (draws, 3)."""
        del random
        wrong, right = (self.discordance + self.loss) / 2, (self.discordance - self.loss) / 2
        return np.tile([wrong, right, max(0.0, 1 - wrong - right)], (draws, 1))


def _percent(share: float) -> str:
    return f"{round(100 * share, 9):g}"


Known = Pilot | Expected
"""What is known of a setting."""


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """By what a study is judged."""

    margin: float
    """Allowed loss, a share between 0 and 1."""
    confidence: float = 0.95
    """One-sided."""
    looks: Looks = "one"
    """Whether the study is judged once, or at any number of samples."""

    def __post_init__(self) -> None:
        check_one_sided(self.confidence)
        if not 0 <= self.margin < 1:
            raise ValueError(
                f"the margin is {_percent(self.margin)} points; it must be at least 0 and below 100 points"
            )

    @property
    def decides(self) -> Callable[[Counts, Counts, int], tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Function from counts that became wrong and right, and n, to whether they fit, and whether they break."""
        return self._at_one_look if self.looks == "one" else self._at_any_look

    # Tango's test stands for the exact bound, which takes milliseconds for each pair of counts and differs by a few
    # percent of its width. With few changes Tango's is too narrow, so that the least number of samples is asked for.
    def _at_one_look(self, wrong: Counts, right: Counts, n: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        from scipy.special import ndtri  # imported here because SciPy is slow to import and few commands need it

        quantile, changed = float(ndtri(self.confidence)), wrong + right
        score = tango_statistic(wrong, right, n, self.margin)
        enough = (n >= fewest_samples(self.margin, self.confidence)) | (changed >= ENOUGH_CHANGES)
        unchanged = zero_discordance_bound(n, self.confidence) < self.margin
        return np.where(changed == 0, unchanged, (score < -quantile) & enough), score > quantile

    def _at_any_look(self, wrong: Counts, right: Counts, n: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        needed = -math.log1p(-self.confidence)
        return log_capital(wrong, right, n, self.margin) > needed, log_capital(right, wrong, n, -self.margin) > needed


@dataclass(frozen=True, slots=True)
class Chances:
    """Probabilities of the outcomes of a study."""

    n: int
    fits: float
    breaks: float

    @property
    def decided(self) -> float:
        """Probability that the study decides."""
        return self.fits + self.breaks


def chances(known: Known, n: int, terms: PlanTerms, *, seed: int = 0) -> Chances:
    """Probabilities of the outcomes of a study of n new samples, from 4,000 draws of it with a fixed seed.

    Raises:
        ValueError: If n is below 1.
    """
    if n < 1:
        raise ValueError(f"a study needs at least one sample, and n is {n}")
    random = np.random.default_rng(seed)
    counts = random.multinomial(n, known.shares(random, _DRAWS))
    fits, breaks = terms.decides(counts[:, 0], counts[:, 1], n)
    return Chances(n, float(fits.mean()), float(breaks.mean()))


def samples_to_decide(known: Known, terms: PlanTerms, *, power: float = 0.8, seed: int = 0) -> Chances | None:
    """The smallest study that decides with a probability of at least `power`, to 2 % of its size.

    After a pilot, half of the probability of no decision is kept for pilots that happened to look too good: the mean
    over plausible shares must be half-way between `power` and 1. Simulated with pilots of 200 to 1,000 samples, the
    number then decides in at least 80 % of cases for each true share that was tried (`benchmarks/promises.py`).

    Returns:
        None if that takes more than `MOST_SAMPLES`.

    Raises:
        ValueError: If the power is not between 0 and 1.
    """
    if not 0 < power < 1:
        raise ValueError(f"the power is {power:g}; it must be between 0 and 1, for example 0.8")
    asked = (1 + power) / 2 if isinstance(known, Pilot) else power
    low, high = 1, 16
    while chances(known, high, terms, seed=seed).decided < asked:
        low, high = high, 2 * high
        if low > MOST_SAMPLES:
            return None
    while high - low > max(1, _STEP * high):
        middle = (low + high) // 2
        if chances(known, middle, terms, seed=seed).decided < asked:
            low = middle
        else:
            high = middle
    return chances(known, high, terms, seed=seed)


_STEP = 0.02
