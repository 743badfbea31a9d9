"""Bounds and McNemar's test for a loss that is computed from right and wrong answers on the same samples."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantlab.statistics.paired.exact import exact_upper
from quantlab.statistics.scores.classification import changed_answers
from quantlab.statistics.scores.intervals import check_counts

__all__ = ["ChangedAnswers", "check_one_sided", "loss_bounds", "mcnemar", "mcnemar_of_loss", "zero_discordance_bound"]


@dataclass(frozen=True, slots=True, eq=False)
class ChangedAnswers:
    """Samples on which exactly one of reference and candidate is correct."""

    n: int
    """Number of all samples, changed or not."""
    right_reference: int
    right_candidate: int
    became_wrong: NDArray[np.intp]
    """Ascending indices of the samples that are correct in the reference and wrong in the candidate."""
    became_right: NDArray[np.intp]
    """Ascending indices of the samples that are wrong in the reference and correct in the candidate."""

    @classmethod
    def of(cls, reference_right: NDArray[np.bool_], candidate_right: NDArray[np.bool_]) -> Self:
        """Compare two vectors of shape (n,) about the same samples."""
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
        """Number of samples that changed either way."""
        return len(self.became_wrong) + len(self.became_right)

    @property
    def p_mcnemar(self) -> float:
        """Two-sided p-value, see `mcnemar`."""
        return mcnemar(len(self.became_wrong), len(self.became_right))

    def of_reference(self) -> float:
        """The share of samples that are correct in the reference."""
        return self.right_reference / self.n

    def bounds(self, confidence: float) -> tuple[float, float]:
        """One-sided bounds of the loss, see `loss_bounds`."""
        return loss_bounds(len(self.became_wrong), len(self.became_right), n=self.n, confidence=confidence)


def loss_bounds(became_wrong: int, became_right: int, *, n: int, confidence: float) -> tuple[float, float]:
    """One-sided lower and upper bound of the loss of right answers, as shares from −1 to 1.

    Each errs in at most 1 − confidence of cases, for every n; see `exact_upper`. Without a change they are those of
    `zero_discordance_bound`.

    Raises:
        ValueError: If n is below 1, a count is negative, the counts exceed n together, or confidence is not between
            0.5 and 1.
    """
    check_one_sided(confidence)
    check_counts(confidence, n, became_wrong=became_wrong, became_right=became_right)
    # Exchanging the counts changes the sign of the difference, so its upper bound gives the lower one.
    return (
        -exact_upper(became_right, became_wrong, n, confidence),
        exact_upper(became_wrong, became_right, n, confidence),
    )


def zero_discordance_bound(n: float, confidence: float) -> float:
    """Upper bound of the share of samples that may change if none of n did: 1 − (1 − confidence)^(1/n).

    This is the one-sided bound of Clopper and Pearson 1934 for zero events; the "rule of three", 3/n, approximates it.

    >>> round(100 * zero_discordance_bound(200, 0.95), 2)
    1.49

    Raises:
        ValueError: If n is below 1.
    """
    if n < 1:
        raise ValueError(f"a bound needs at least one sample, and n is {n}")
    return -math.expm1(math.log1p(-confidence) / n)


def mcnemar(became_wrong: int, became_right: int) -> float:
    """Two-sided p-value of the exact McNemar test that changes in both directions are equally likely; 1 if none.

    McNemar 1947, Psychometrika 12:153–157, with the binomial distribution instead of χ²: twice the smaller tail.
    """
    return min(1.0, 2 * float(_at_least(max(became_wrong, became_right), became_wrong + became_right)))


def mcnemar_of_loss(became_wrong: NDArray[Any], became_right: NDArray[Any]) -> NDArray[np.float64]:
    """One-sided p-values of the exact McNemar test that more samples became wrong than right, element by element.

    Each is the probability that at least this many of the changed samples became wrong, if both directions are equally
    likely; 1 without changes.
    """
    return _at_least(became_wrong, became_wrong + became_right)


def _at_least(heads: ArrayLike, coins: ArrayLike) -> NDArray[np.float64]:
    """The probability that so many of fair coins, or more, show heads.

    It is the regularized incomplete beta function that the binomial distribution of `scipy.stats` calls, too. To import
    that takes longer than all else that a gate does.
    """
    from scipy.special import betainc  # imported here because SciPy is slow to import and few commands need it

    least, n = np.asarray(heads), np.asarray(coins)
    return np.where(least > 0, betainc(np.maximum(least, 1), n - least + 1, 0.5), 1.0)


def check_one_sided(confidence: float) -> None:
    """Raise an error for a confidence that a one-sided bound cannot have.

    Raises:
        ValueError: If it is not between 0.5 and 1; at or below 0.5 the lower bound would exceed the upper one.
    """
    if not 0.5 < confidence < 1:
        raise ValueError(f"the one-sided confidence is {confidence}; it must be between 0.5 and 1, for example 0.95")
