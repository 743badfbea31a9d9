"""What a variant does to single samples: how many become worse, how far, and which ones."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["ChangeRow", "SampleKind", "SampleRow"]

SampleKind = Literal["became wrong", "became right", "changed", "became worse", "became better", "moved"]
"""What happened to a sample.

`changed`: another top-1, which is wrong both times, or there is no label. `became worse` and `became better`: the error
or the score of the sample itself. `moved`: other outputs, where nothing says which are better.
"""


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """What one setting does to the samples in one runtime, compared with the model."""

    setting: str
    runtime: str
    metric: str
    """What is compared in each sample: `top1`; `agreement` for classes without labels; the name of a metric that each
    sample has, of which `mae` and `rmse` are over the elements of the sample; `output`, the largest absolute difference
    of an element, where there is no such metric."""
    unit: str
    """`pt`: percentage points; empty: the unit of the target, of the metric or of the output."""
    n: int
    """Number of samples that are compared."""
    undefined: int
    """Samples that are left out: the model is NaN or infinite there, or its metric is not defined. Where only that of
    the setting is not, the sample counts as an infinite loss."""
    worse: int | None
    """Samples that became worse: wrong, with a larger error or a lower score; for `agreement` those with another top-1;
    null for `output`."""
    better: int | None
    """Samples that became better; null for `agreement` and `output`."""
    worse_percent: float | None
    """Percent of samples that became worse."""
    worse_percent_lower: float | None
    """Lower end of its 95 % interval (Clopper & Pearson); null for samples in groups, like every bound below."""
    worse_percent_upper: float | None
    """Upper end of the same interval."""
    median: float | None
    """Median change of a sample; positive is worse. For `output` the median difference. Null for classes, like all keys
    below."""
    median_lower: float | None
    """Lower end of its 95 % interval, from order statistics; null if there are too few samples for it."""
    median_upper: float | None
    """Upper end of the same interval."""
    p90: float | None
    """90th percentile of the change: nine samples in ten lose at most this, or gain. For `output`, nine in ten
    differ by at most this."""
    p90_lower: float | None
    """Lower end of its 95 % interval, as for the median."""
    p90_upper: float | None
    """Upper end of the same interval."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One sample that changed in one setting and runtime."""

    setting: str
    runtime: str
    index: int
    """Position of the sample in the source, from 0."""
    row: int
    """Position among the scored samples, from 0."""
    file: str
    """Name of the sample's file below the source; empty if samples are no files."""
    kind: SampleKind
    """`became wrong`, `became right` or `changed` for classes, `became worse`, `became better` or `moved` for other
    outputs."""
    label: str | None = None
    """Name or number of the true class; null without labels of classes."""
    answer_before: str | None = None
    """Top-1 of the model; null if the outputs hold no classes, like the next three keys."""
    answer_after: str | None = None
    """Top-1 of the setting; `none` of a row that contains NaN."""
    probability_before: float | None = None
    """Probability of the model's top-1."""
    probability_after: float | None = None
    """Probability of the setting's top-1."""
    element: tuple[int, ...] = ()
    """Place of the element of the output that the next three keys are about: that which changed most. Empty if the
    output has one element, and for classes."""
    target: float | None = None
    """The target of that element; null without numeric targets."""
    before: float | None = None
    """That element in the output of the model; null for classes."""
    after: float | None = None
    """That element in the output of the setting."""
    error_before: float | None = None
    """The metric of this sample in the model; null without a metric of single samples."""
    error_after: float | None = None
    """The metric of this sample in the setting."""
    change: float | None = None
    """What the sample loses, in the unit of the metric; positive is worse. Of `moved` samples the largest absolute
    difference of an element. Null for classes."""
