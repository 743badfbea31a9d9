"""What a right or wrong answer for each of the same samples tells about a loss: changes, bounds, McNemar's test."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.scores.classification import changed_answers
from quantlab.statistics.scores.intervals import tango

__all__ = ["ChangedAnswers", "check_one_sided", "loss_bounds", "mcnemar", "mcnemar_of_loss", "zero_discordance_bound"]


@dataclass(frozen=True, slots=True, eq=False)
class ChangedAnswers:
    """On which samples reference and candidate differ in being right."""

    n: int
    """All samples, changed or not."""
    right_reference: int
    right_candidate: int
    became_wrong: NDArray[np.intp]
    """Indices of the samples that the reference has right and the candidate wrong, in order."""
    became_right: NDArray[np.intp]

    @classmethod
    def of(cls, reference_right: NDArray[np.bool_], candidate_right: NDArray[np.bool_]) -> Self:
        """Compare two vectors (n,) of the same samples."""
        became_wrong, became_right = changed_answers(reference_right, candidate_right)
        return cls(
            n=len(reference_right),
            right_reference=int(np.count_nonzero(reference_right)),
            right_candidate=int(np.count_nonzero(candidate_right)),
            became_wrong=np.flatnonzero(became_wrong),
            became_right=np.flatnonzero(became_right),
        )

    @property
    def discordant(self) -> int:
        """Samples that changed either way."""
        return len(self.became_wrong) + len(self.became_right)

    @property
    def p_mcnemar(self) -> float:
        """Two-sided: see `mcnemar`."""
        return mcnemar(len(self.became_wrong), len(self.became_right))

    def bounds(self, confidence: float) -> tuple[float, float]:
        """One-sided bounds of the loss: see `loss_bounds`."""
        return loss_bounds(len(self.became_wrong), len(self.became_right), n=self.n, confidence=confidence)


def loss_bounds(became_wrong: int, became_right: int, *, n: int, confidence: float) -> tuple[float, float]:
    """One-sided lower and upper bound of a loss of right answers, as shares from −1 to 1.

    The ends of Tango's two-sided interval at 2·confidence − 1; without a change the exact bound of
    `zero_discordance_bound` both ways, which is a tenth wider than Tango's.

    Raises:
        ValueError: If n is not above zero, the counts are negative or together above n, or confidence is not between
            0.5 and 1.
    """
    check_one_sided(confidence)
    if became_wrong == became_right == 0:
        bound = zero_discordance_bound(n, confidence)
        return -bound, bound
    interval = tango(became_wrong, became_right, n=n, confidence=2 * confidence - 1)
    return interval.lower, interval.upper


def zero_discordance_bound(n: int, confidence: float) -> float:
    """The greatest share of samples that may still change where none of n did: 1 − (1 − confidence)^(1/n).

    The one-sided bound of Clopper and Pearson 1934 at zero, of which the "rule of three", 3/n, is the approximation.

    >>> round(100 * zero_discordance_bound(200, 0.95), 2)
    1.49

    Raises:
        ValueError: If n is not above zero.
    """
    if n < 1:
        raise ValueError(f"a bound needs a sample, and n is {n}")
    return -math.expm1(math.log1p(-confidence) / n)


def mcnemar(became_wrong: int, became_right: int) -> float:
    """Two-sided p of the exact McNemar test that changes either way are equally likely; 1 without a change.

    McNemar 1947, Psychometrika 12:153–157, with the binomial distribution instead of χ²: twice the smaller tail.
    """
    from scipy.stats import binom  # Slow to import, and most commands need no test.

    fewer = min(became_wrong, became_right)
    return min(1.0, 2 * float(binom.cdf(fewer, became_wrong + became_right, 0.5)))


def mcnemar_of_loss(became_wrong: NDArray[Any], became_right: NDArray[Any]) -> NDArray[np.float64]:
    """One-sided p of the exact McNemar test that more samples became wrong than right, element by element.

    The probability that at least as many became wrong where either way is equally likely; 1 without a change.
    """
    from scipy.stats import binom

    p: NDArray[np.float64] = binom.sf(became_wrong - 1, became_wrong + became_right, 0.5)
    return p


def check_one_sided(confidence: float) -> None:
    """Refuse what is no confidence of a one-sided bound.

    Raises:
        ValueError: If it is not between 0.5 and 1; at 0.5 and below a lower bound is above the upper one.
    """
    if not 0.5 < confidence < 1:
        raise ValueError(f"a one-sided confidence of {confidence} is not between 0.5 and 1; 95 % is 0.95")
