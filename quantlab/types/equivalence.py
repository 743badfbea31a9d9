"""Whether a runtime answers as Python does, on the same samples, within a margin."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["RUNTIME_MARGIN_POINTS", "Equivalence", "EquivalenceOutcome"]

EquivalenceOutcome = Literal["equivalent", "different", "not shown"]

RUNTIME_MARGIN_POINTS = 0.5
"""Percentage points of accuracy by which two runtimes may differ and are called equivalent. 598 samples with the same
top-1 show it; a budget of the usual size, 0.5 to 2 points, is not spent on the runtime alone."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The answers of one artifact in two runtimes, on the same samples; shares in percent, differences in points.

    The accuracy difference is that of the baseline (`python`) minus that of the runtime: positive if the runtime is
    worse. `lower` and `upper` are one-sided bounds at `confidence`. Both together are the two one-sided tests of
    equivalence (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15:657–680): at 95 % each, the 90 %
    interval lies within the margin exactly if both tests reject.
    """

    n: int
    """Number of compared samples, at least 1."""
    changed: int
    """Samples with another top-1."""
    changed_upper: float
    """Exact one-sided upper bound of the share of samples with another top-1, in percent (Clopper and Pearson 1934)."""
    lower: float
    """Lower bound of the accuracy difference, in points."""
    upper: float
    """Upper bound of the accuracy difference, in points."""
    became_wrong: int | None = None
    """Samples that are right in the baseline and wrong in the runtime; None without labels."""
    became_right: int | None = None
    """Samples that are wrong in the baseline and right in the runtime; None without labels.

    Without labels the bounds are ±`changed_upper`: an accuracy cannot change by more than the share of samples whose
    top-1 changes, whatever the labels are."""
    confidence: float = 0.95
    """One-sided confidence of each bound."""
    settings: int = 1
    """How many settings are compared in this runtime. All of them are equivalent if each is, without a correction; but
    that one of them is different is only shown by bounds at 1 − (1 − `confidence`) / `settings` (Bonferroni)."""
    outer_lower: float | None = None
    """`lower` at that confidence; None in studies of an older quantlab: `lower`."""
    outer_upper: float | None = None
    """`upper` at that confidence; None: `upper`."""
    groups: int | None = None
    """Number of groups of samples, by which the bounds are computed; None if samples are independent."""

    @property
    def accuracy_difference(self) -> float | None:
        """Accuracy of the baseline minus that of the runtime, in points; None without labels."""
        if self.became_wrong is None or self.became_right is None:
            return None
        return 100 * (self.became_wrong - self.became_right) / self.n

    @property
    def widest(self) -> float:
        """The largest accuracy difference in either direction that the samples allow, in points."""
        return max(-self.lower, self.upper)

    @property
    def apart(self) -> float:
        """The smallest accuracy difference that the samples allow, in points, whichever of the settings is looked at.

        Negative if they allow that there is none.
        """
        lower = self.lower if self.outer_lower is None else self.outer_lower
        upper = self.upper if self.outer_upper is None else self.outer_upper
        return max(lower, -upper)

    def outcome(self, margin: float = RUNTIME_MARGIN_POINTS) -> EquivalenceOutcome:
        """What the samples show about a margin in points.

        `equivalent`: the difference is smaller. `different`: it is at least as large. `not shown`: neither. Each of the
        first two is wrong in at most 1 − `confidence` of cases, to the extent that the bounds hold.

        >>> Equivalence(n=1000, changed=0, changed_upper=0.3, lower=-0.3, upper=0.3).outcome()
        'equivalent'
        >>> Equivalence(n=1000, changed=0, changed_upper=0.3, lower=-0.3, upper=0.3).outcome(0.2)
        'not shown'
        """
        if self.widest < margin:
            return "equivalent"
        return "different" if self.apart >= margin else "not shown"
