"""Loss of a candidate against the reference on the same samples, with its statistical uncertainty."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quantlab.types.outputs import ConstantOutput, OutputFigure

__all__ = ["ANY_LOOK", "ClassLoss", "Direction", "Evidence", "Loss", "SliceLosses", "Spread", "Tail", "WorstSample"]

ANY_LOOK = "for any number of looks"
"""End of the method of bounds that hold at every number of samples."""

Direction = Literal["higher", "lower"]
"""Which direction of a metric is better."""


@dataclass(frozen=True, slots=True)
class Tail:
    """How much of a loss the few samples with the largest differences carry; a bootstrap misses what is rarer."""

    samples: int
    """Number of samples with the largest differences, 1 % of all."""
    share: float
    """Their part of the sum of all absolute differences, 0 to 1."""
    index: float | None
    """Hill's tail index of the largest 5 %; below 2, the variance of such differences may be infinite. None if not
    known."""

    @property
    def heavy(self) -> bool:
        """Whether so few samples carry the loss that no bound of it can be relied on: a tail index below 2, or a third.

        >>> Tail(3, 0.1, 4.5).heavy, Tail(3, 0.1, 1.4).heavy, Tail(3, 0.4, 4.5).heavy
        (False, True, True)
        """
        return self.share > _CARRIED or (self.index is not None and self.index < _FINITE_VARIANCE)


_CARRIED = 1 / 3
_FINITE_VARIANCE = 2.0


@dataclass(frozen=True, slots=True)
class Loss:
    """Loss of one metric from the reference to the candidate; positive is worse, for every metric."""

    metric: str
    """Metric name from `quantlab.statistics.PAIRED_METRICS`, or `module:function`."""
    direction: Direction
    unit: str
    """`pt`: percentage points, for metrics that are shares; empty: the metric's own unit."""
    n: int
    """Number of samples."""
    reference: float
    """The reference's metric; in percent if the unit is `pt`."""
    candidate: float
    """The candidate's metric; in percent if the unit is `pt`."""
    loss: float
    """reference − candidate if higher is better, otherwise candidate − reference; NaN if either is not finite."""
    lower: float
    """One-sided lower bound at `confidence`; −∞ if nothing is known."""
    upper: float
    """One-sided upper bound at `confidence`. Both bounds form the two-sided interval at 2·confidence − 1."""
    confidence: float
    """One-sided confidence of each bound, for example 0.95."""
    method: str
    """Method of the bounds: `exact`, `exact without a flip`, `studentized bootstrap`, `BCa bootstrap`,
    `percentile bootstrap`, or `BCa bootstrap of DeLong's components` for the area under the curve; with `, or what
    unseen samples may do` where that is wider. For samples in groups: `Tango with the groups' design effect`, `exact
    without a change in a group`, or a bootstrap `of groups`."""
    discordant: int | None = None
    """Samples that became wrong plus samples that became right; None for metrics that do not count right answers, and
    for samples in groups, which do not count as so many."""
    p_mcnemar: float | None = None
    """p-value of the two-sided exact McNemar test; None for metrics that do not count right answers, and for samples
    in groups."""
    groups: int | None = None
    """Number of groups of samples that are not independent (`--group`); None if samples count as independent."""
    tail: Tail | None = None
    """How few samples carry the loss; None where a sample has a greatest value, and with fewer than 100 samples."""

    @property
    def changed(self) -> tuple[int, int] | None:
        """Samples that became wrong and right, from their sum and difference; None if the metric counts none.

        >>> Loss("top1", "higher", "pt", 200, 97.5, 97.0, 0.5, 0, 1, 0.95, "Tango", discordant=3).changed
        (2, 1)
        """
        if self.discordant is None or not math.isfinite(self.loss):
            return None
        more_lost = round(self.loss * self.n / 100)
        return (self.discordant + more_lost) // 2, (self.discordant - more_lost) // 2

    @property
    def any_look(self) -> bool:
        """Whether the bounds hold at every number of samples."""
        return self.method.endswith(ANY_LOOK)

    @property
    def interval_confidence(self) -> float:
        """Confidence of the two-sided interval between the bounds: 0.90 if each bound has 0.95.

        >>> Loss("top1", "higher", "pt", 1, 0, 0, 0, 0, 0, 0.95, "exact").interval_confidence
        0.9
        """
        return round(2 * self.confidence - 1, 12)


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of a quantity over samples. Values that are not finite are counted and make statistics None."""

    n: int
    infinite: int = 0
    undefined: int = 0
    """Number of samples whose value is NaN."""
    mean: float | None = None
    """Mean; None if a value is infinite or NaN, or there are no samples."""
    standard_error: float | None = None
    """Standard error of the mean; None if the mean is None, or there is one sample."""
    median: float | None = None
    """Median; None with fewer than 100 samples or if a value is NaN; infinite if it falls on an infinite value."""
    percentiles: Mapping[str, float] = field(default_factory=dict)
    """Percentiles `90`, `95`, `99` and `99.9`; empty if the median is None."""
    maximum: float | None = None
    """Maximum; infinite if a value is infinite; None if a value is NaN, or there are no samples."""


@dataclass(frozen=True, slots=True)
class ClassLoss:
    """Loss of accuracy on the samples of one class, or of one slice."""

    label: int
    """Number of the class; of a slice, the place of its value among those of the attribute."""
    n: int
    right_to_wrong: int
    """Number of samples that became wrong."""
    wrong_to_right: int
    """Number of samples that became right."""
    loss: float
    """Percentage points of this class's samples: (right_to_wrong − wrong_to_right) / n · 100."""
    lower: float
    """One-sided lower bound in percentage points (see `loss_bounds`), not corrected for multiple testing."""
    upper: float
    """One-sided upper bound in percentage points (see `loss_bounds`), not corrected for multiple testing."""
    confidence: float
    p: float
    """p-value of the one-sided exact McNemar test that the class loses accuracy."""
    p_holm: float
    """The p-value after Holm's correction for the number of classes."""
    name: str = ""
    """Name of the class, or the value of the slice; empty for a class without a name."""
    any_look: bool = False
    """Whether the bounds hold at every number of samples, see `at_any_look`."""

    @property
    def number_and_name(self) -> str:
        """`3`, or `3 (boots)` if the class has a name."""
        return f"{self.label} ({self.name})" if self.name else str(self.label)

    @property
    def loses(self) -> bool:
        """Whether it is significant, at `confidence` and after the correction, that the loss is above 0.

        A limit of the loss is another question: see `simultaneous_lower`.
        """
        return self.p_holm < 1 - self.confidence


@dataclass(frozen=True, slots=True)
class SliceLosses:
    """Losses of accuracy on slices: the samples with one value of an attribute."""

    attribute: str
    """Name of the column with the values."""
    losses: tuple[ClassLoss, ...]
    """Loss of each slice that has samples, in the order of the values."""
    unscored: tuple[str, ...] = ()
    """Values of which no sample was judged."""


@dataclass(frozen=True, slots=True)
class WorstSample:
    """A sample on which the candidate differs strongly from the reference."""

    index: int
    """Position among the scored samples, from 0."""
    label: int | None
    reference_class: int | None
    """Top-1 of the reference; None if classes are not compared, or its row contains NaN."""
    candidate_class: int | None
    """Top-1 of the candidate; None if classes are not compared, or its row contains NaN."""
    divergence: float | None
    """KL(reference‖candidate) in nats; None if classes are not compared."""
    max_abs: float
    """Largest absolute difference between the two outputs; infinite if an element is not finite."""
    source_index: int | None = None
    """Position in the user's source, from 0; None if the study does not know it."""
    file: str = ""
    """Name of its file below the source; empty if samples are no files."""
    label_name: str = ""
    """Name of the true class; empty if classes have no names, like the next two."""
    reference_name: str = ""
    candidate_name: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Paired statistics of one trial against the reference, computed from the stored outputs."""

    setting: str
    runtime: str
    n: int
    loss: Loss | None
    """Loss of the metric that decides; None without labels."""
    others: tuple[Loss, ...] = ()
    """Losses of further metrics, shown for information."""
    right_to_wrong: tuple[int, ...] = ()
    """Indices of samples that became wrong: correct in the reference, wrong in the candidate."""
    wrong_to_right: tuple[int, ...] = ()
    """Indices of samples that became right: wrong in the reference, correct in the candidate."""
    same: int | None = None
    """Number of samples with the same top-1; None if classes are not compared."""
    agreement: Loss | None = None
    """Share of positions with another class than in the reference, as a loss of agreement; for samples in groups, the
    share of samples with another top-1. None if the output has no class for each position, and no groups."""
    classes: tuple[ClassLoss, ...] = ()
    """Loss of each class that has samples, in label order; empty without labelled classes."""
    unscored_classes: tuple[str, ...] = ()
    """Classes of the scored output of which no sample was judged, by number and name (`3` or `3 (boots)`)."""
    slices: tuple[SliceLosses, ...] = ()
    """Losses by the attributes of the samples that the study has; empty without labelled classes."""
    divergence: Spread | None = None
    """Distribution of KL(reference‖candidate) in nats."""
    total_variation: Spread | None = None
    """Distribution of the total variation ½·Σ|p − q|, 0 to 1, of outputs that hold probabilities. None for logits:
    their KL divergence is always finite."""
    jensen_shannon: Spread | None = None
    """Distribution of the Jensen–Shannon divergence in nats, 0 to ln 2; None like `total_variation`."""
    true_class: Spread | None = None
    """Distribution of the decrease of the true class's probability, reference − candidate; positive is worse, so the
    high percentiles and the maximum show the largest decreases."""
    calibration_error: float | None = None
    """Expected calibration error of the candidate, 15 bins of equal width, 0 to 1; None without labelled classes."""
    calibration_error_reference: float | None = None
    """Expected calibration error of the reference, computed in the same way."""
    worst: tuple[WorstSample, ...] = ()
    """The samples that differ most from the reference, most different first."""
    non_finite: int = 0
    """Number of NaN and infinite elements in the candidate's scored output, on judged samples."""
    left_out: int = 0
    """Samples that are not judged, because the model itself is NaN or infinite there."""
    constant: tuple[ConstantOutput, ...] = ()
    """Outputs and channels, scored or not, that are constant in the candidate and vary in the reference."""
    non_finite_outputs: Mapping[str, int] = field(default_factory=dict)
    """Other outputs than the scored one → number of their elements that are NaN or infinite in the candidate and
    finite in the reference; without outputs that have none."""
    figures: tuple[OutputFigure, ...] = ()
    """The figures of outputs and channels that the budget limits, in the order of the figures, then of the outputs."""
