"""What a candidate lost against the reference on the same samples, and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ClassLoss", "Direction", "Evidence", "Loss", "Spread", "WorstSample"]

Direction = Literal["higher", "lower"]
"""Which way a metric is better."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What one metric lost from the reference to the candidate; positive is worse, whichever way the metric goes."""

    metric: str
    """Its name in `quantlab.statistics.PAIRED_METRICS`, or `module:function`."""
    direction: Direction
    unit: str
    """`pt`: points, of a metric that is a share and told in percent; empty: the metric's own unit."""
    n: int
    """Samples it is of."""
    reference: float
    """The metric of the reference, in percent where the unit is `pt`."""
    candidate: float
    loss: float
    """reference − candidate where higher is better, else candidate − reference; NaN where either is not finite."""
    lower: float
    """One-sided lower bound at `confidence`; −∞ where nothing is known."""
    upper: float
    """One-sided upper bound at `confidence`. Both together are the two-sided interval at 2·confidence − 1."""
    confidence: float
    """One-sided, as 0.95."""
    method: str
    """How the bounds were found: `Tango`, `exact without a flip`, `BCa bootstrap`, `percentile bootstrap`, or
    `BCa bootstrap of DeLong's components` for areas under curves."""
    discordant: int | None = None
    """Samples that flipped either way; None where the metric does not count right and wrong."""
    p_mcnemar: float | None = None
    """Two-sided exact McNemar test of the flips; None as above."""

    @property
    def interval_confidence(self) -> float:
        """Of the two-sided interval that the two bounds make: 0.90 for bounds at 0.95.

        >>> Loss("top1", "higher", "pt", 1, 0, 0, 0, 0, 0, 0.95, "Tango").interval_confidence
        0.9
        """
        return round(2 * self.confidence - 1, 12)


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number is spread over samples. What is not finite is counted and spoils mean, percentiles and maximum."""

    n: int
    infinite: int = 0
    undefined: int = 0
    """NaN."""
    mean: float | None = None
    """None where a sample is infinite or undefined, and for no samples."""
    standard_error: float | None = None
    """Of the mean; None where the mean is, and for one sample."""
    median: float | None = None
    """None under 100 samples and where one is undefined, as the percentiles; infinite where it falls on one that is."""
    percentiles: Mapping[str, float] = field(default_factory=dict)
    """`90`, `95`, `99` and `99.9`; empty where the median is None."""
    maximum: float | None = None
    """Infinite where one sample is; None where one is undefined, and for no samples."""


@dataclass(frozen=True, slots=True)
class ClassLoss:
    """The samples of one class."""

    label: int
    n: int
    right_to_wrong: int
    wrong_to_right: int
    loss: float
    """In points of this class' own samples: (right_to_wrong − wrong_to_right) / n · 100."""
    lower: float
    """One-sided bounds by Tango, in points, not corrected for many looks."""
    upper: float
    confidence: float
    p: float
    """One-sided exact McNemar test that it loses."""
    p_holm: float
    """The same, corrected for as many looks as there are classes (Holm)."""

    @property
    def loses(self) -> bool:
        """Whether that it loses is sure at the confidence, after the correction."""
        return self.p_holm < 1 - self.confidence


@dataclass(frozen=True, slots=True)
class WorstSample:
    """A sample on which the candidate strays far."""

    index: int
    """From 0, in the order of the samples that were scored."""
    label: int | None
    reference_class: int | None
    candidate_class: int | None
    """None where no classes are compared, and for a row with NaN, which has no top-1."""
    divergence: float | None
    """KL(reference‖candidate) in nats; None where no classes are compared."""
    max_abs: float
    """Greatest difference of an output; infinite where one is not finite."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one trial beside the reference, from the outputs that are kept."""

    setting: str
    runtime: str
    n: int
    loss: Loss | None
    """Of the metric that decides; None where there are no labels."""
    others: tuple[Loss, ...] = ()
    """Of the metrics that are told beside it."""
    right_to_wrong: tuple[int, ...] = ()
    """Indices of the samples that the reference has right and the candidate wrong."""
    wrong_to_right: tuple[int, ...] = ()
    same: int | None = None
    """Samples with the same top-1; None where no classes are compared."""
    classes: tuple[ClassLoss, ...] = ()
    """Every class that has samples, by its label; empty where there are no labelled classes."""
    divergence: Spread | None = None
    """KL(reference‖candidate) in nats."""
    true_class: Spread | None = None
    """Fall of the true class's probability, reference − candidate: positive is worse, as in every loss, so that the
    percentiles and the maximum are of what fell most."""
    calibration_error: float | None = None
    """Expected calibration error of the candidate, 15 bins of equal width, 0 to 1; None without labelled classes."""
    calibration_error_reference: float | None = None
    worst: tuple[WorstSample, ...] = ()
    non_finite: int = 0
    """NaN and infinite elements of the candidate's scored output."""
