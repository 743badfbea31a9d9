"""Bounds of the loss of right answers if samples come in groups whose members are not independent.

Groups are copies of one photo, or images of one patient. Members of a group tend to change together, so that n samples
say less than n independent ones. The bounds are Tango's for the number of independent samples that say as much: all
counts are divided by the design effect, as Rao & Scott 1992 (Biometrics 48:577–585) do for other counts. The design
effect is the variance of the loss between groups (Obuchowski 1998, Statistics in Medicine 17:1495–1507) divided by the
variance of independent samples. Student's t replaces the normal quantile, because the number of groups may be small.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import ChangedAnswers, check_one_sided, zero_discordance_bound
from quantlab.statistics.paired.decision import ENOUGH_CHANGES
from quantlab.statistics.scores.intervals import tango

__all__ = ["GroupChanges", "effective_groups", "student_factor"]


@dataclass(frozen=True, slots=True, eq=False)
class GroupChanges:
    """Changed answers of each group of samples."""

    sizes: NDArray[np.int64]
    """(groups,): number of samples, at least 1."""
    became_wrong: NDArray[np.int64]
    """(groups,)."""
    became_right: NDArray[np.int64]
    """(groups,)."""

    @classmethod
    def of(cls, answers: ChangedAnswers, codes: NDArray[np.int64]) -> Self:
        """Count the changes of each group.

        Args:
            answers: The changed answers of n samples.
            codes: (n,): group of each sample, from 0, each of them with a sample.
        """
        groups = int(codes.max()) + 1
        return cls(
            np.bincount(codes, minlength=groups),
            np.bincount(codes[answers.became_wrong], minlength=groups),
            np.bincount(codes[answers.became_right], minlength=groups),
        )

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.sizes.sum())

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.sizes)

    @property
    def differences(self) -> NDArray[np.int64]:
        """(groups,): samples that became wrong minus samples that became right."""
        return self.became_wrong - self.became_right

    @property
    def changed_groups(self) -> int:
        """Number of groups with a changed answer."""
        return int(np.count_nonzero(self.became_wrong + self.became_right))

    @property
    def act_as_one(self) -> bool:
        """Whether all samples of a changed group changed in the same direction, as copies do."""
        differences = self.differences
        changed = (self.became_wrong + self.became_right) > 0
        return bool((np.abs(differences[changed]) == self.sizes[changed]).all())

    @property
    def variance(self) -> float:
        """Variance of the loss, a share, between groups: G/(G − 1) · Σ(dᵢ − nᵢ·d̄)² / n²; infinite for one group.

        dᵢ is the difference of a group, nᵢ its size, and d̄ the loss (Obuchowski 1998).
        """
        if self.groups < 2:
            return math.inf
        loss = float(self.differences.sum()) / self.n
        residuals = self.differences - self.sizes * loss
        return self.groups / (self.groups - 1) * float((residuals**2).sum()) / self.n**2

    @property
    def design_effect(self) -> float:
        """`variance` divided by that of n independent samples with the same changes; at least 1, also without changes.

        It is 1 for groups of one sample, and (k·n − 1)/(n − 1), about k, if each of n samples is there k times. A value
        below 1 would say that members of a group differ more than strangers do; few groups show that by chance, so it
        is not used.
        """
        n, changes = self.n, int((self.became_wrong + self.became_right).sum())
        loss = float(self.differences.sum()) / n
        alone = (changes / n - loss**2) / (n - 1) if n > 1 else 0.0
        return max(1.0, self.variance / alone) if alone > 0 else 1.0

    @property
    def chi_square(self) -> float:
        """Obuchowski's χ² with one degree of freedom of the hypothesis that there is no loss; 0 without changes.

        (G − 1)/G · (Σdᵢ)² / Σdᵢ² (Obuchowski 1998, as Yang, Sun & Hardin 2010, Biometrical Journal 52:638–652, write
        it).
        """
        squares = float((self.differences.astype(np.float64) ** 2).sum())
        if squares == 0:
            return 0.0
        return (self.groups - 1) / self.groups * float(self.differences.sum()) ** 2 / squares

    def bounds(self, confidence: float) -> tuple[float, float]:
        """One-sided lower and upper bound of the loss of right answers, as shares from −1 to 1.

        The upper bound is never below the share of groups that may be ruined although none of these is
        (`zero_discordance_bound` for `effective_groups`): ten patients do not show that one in a hundred is not
        ruined, whatever their images say. This is left out if groups act as one sample and at least `ENOUGH_CHANGES`
        changed, because they then are what independent samples are. With fewer changed groups, the variance between
        them is not known, and the lower bound is as far from the loss. With one group, nothing is known.

        Raises:
            ValueError: If confidence is not between 0.5 and 1.
        """
        check_one_sided(confidence)
        if self.groups < 2:
            return -1.0, 1.0
        unseen = zero_discordance_bound(effective_groups(self.sizes), confidence)
        if not self.changed_groups:
            return -unseen, unseen
        loss = float(self.differences.sum()) / self.n
        lower, upper = self._tango(confidence)
        few = self.changed_groups < ENOUGH_CHANGES
        if few or not self.act_as_one:
            skewed = self._skewed(confidence)
            lower, upper = min(lower, skewed[0]), max(upper, skewed[1], unseen)
        return max(-1.0, min(lower, loss - unseen) if few else lower), min(1.0, upper)

    def _skewed(self, confidence: float) -> tuple[float, float]:
        """Bounds of a mean by Student's t, corrected for the skewness of the groups' differences.

        A few groups that lose much make the bounds of a symmetric distribution too low. The term γ·(1 + 2t²)/(6√G) is
        that of Johnson 1978, Journal of the ASA 73:536–544, and of Hall 1992, Journal of the RSS B 54:221–228.
        """
        from scipy.special import stdtrit  # imported here because SciPy is slow to import

        loss = float(self.differences.sum()) / self.n
        residuals = self.differences - self.sizes * loss
        power = float((residuals**2).mean())
        skewness = float((residuals**3).mean()) / power**1.5 if power > 0 else 0.0
        quantile = float(stdtrit(self.groups - 1, confidence))
        shift = skewness * (1 + 2 * quantile**2) / (6 * math.sqrt(self.groups))
        error = math.sqrt(self.variance)
        return loss + error * (shift - quantile), loss + error * (shift + quantile)

    def _tango(self, confidence: float) -> tuple[float, float]:
        """Tango's bounds with counts divided by the design effect, and Student's t."""
        from scipy.special import ndtr, stdtrit  # imported here because SciPy is slow to import

        effect = self.design_effect
        quantile = float(stdtrit(self.groups - 1, confidence))
        interval = tango(
            float(self.became_wrong.sum()) / effect,
            float(self.became_right.sum()) / effect,
            n=self.n / effect,
            confidence=2 * float(ndtr(quantile)) - 1,
        )
        return interval.lower, interval.upper


def effective_groups(sizes: NDArray[np.int64]) -> float:
    """Number of groups of equal size that say as much about the mean as these do at most: n² / Σnᵢ² (Kish 1965).

    >>> effective_groups(np.array([100] * 10)), effective_groups(np.array([98, 1, 1]))
    (10.0, 1.0410...)
    """
    return float(sizes.sum()) ** 2 / float((sizes.astype(np.float64) ** 2).sum())


def student_factor(groups: int, confidence: float) -> float:
    """By how much Student's t with `groups` − 1 degrees of freedom exceeds the normal quantile; infinite for one."""
    from scipy.special import ndtri, stdtrit  # imported here because SciPy is slow to import

    return math.inf if groups < 2 else float(stdtrit(groups - 1, confidence)) / float(ndtri(confidence))
