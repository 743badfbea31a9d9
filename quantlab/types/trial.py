"""One variant in one runtime: a row of the table, with its scores, its times, or the reason of its failure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from quantlab.types.equivalence import Equivalence
from quantlab.types.repeated import Repeated
from quantlab.types.variant import Variant

__all__ = ["PYTHON", "REFERENCE", "Failure", "Interval", "KeptOutputs", "Scores", "Timing", "Trial"]

REFERENCE = "reference"
"""Setting name of the reference's row; no variant may have this name."""

PYTHON = "python"
"""The runtime in which the reference and every python baseline run."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be measured."""

    reason: str
    """One or two sentences, with the remedy if there is one."""
    stage: Literal["conversion", "run", "scoring"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval."""

    lower: float
    upper: float
    confidence: float = 0.95
    """Two-sided confidence: 0.95 leaves 2.5 % on each side."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Time inside the model's calls; excludes loading, reading, writing and the first batch."""

    samples: int
    seconds: float

    @property
    def ms_per_sample(self) -> float | None:
        """Milliseconds per sample; None if only the first batch ran."""
        return 1000 * self.seconds / self.samples if self.samples else None


@dataclass(frozen=True, slots=True)
class KeptOutputs:
    """The complete outputs of one run on disk, reused instead of running again."""

    files: Mapping[str, Path]
    """Output name → `.npy` file of shape (n, …)."""
    ran_on: str
    """The runtime that executed the variant."""
    environment: Mapping[str, str]
    timing: Timing
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Output name → SHA-256 of its file; empty in records of an older quantlab."""
    repeated: tuple[Repeated, ...] = ()
    """The first samples, run once more after the last one; empty in records of an older quantlab."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a candidate's output against the reference's output and the labels.

    Shares are in percent. Losses are in percentage points; positive means worse. Errors are in the output's own unit.
    A score that does not apply is None: without labels, with fewer than ten classes, or for the reference itself.
    """

    n: int
    """Number of scored samples; samples in `left_out` are not scored."""
    top1: float | None = None
    """Top-1 accuracy, in percent."""
    top1_interval: Interval | None = None
    """Wilson's 95 % interval, in percent."""
    top5: float | None = None
    """Top-5 accuracy, in percent; only with at least ten classes."""
    top1_loss_points: float | None = None
    """Top-1 accuracy of the reference minus that of the candidate, in percentage points."""
    top1_loss_interval: Interval | None = None
    """Tango's 95 % score interval of the paired difference, in percentage points."""
    top5_loss_points: float | None = None
    """Top-5 accuracy of the reference minus that of the candidate, in percentage points."""
    mean_iou: float | None = None
    """Mean intersection over union over the classes of the labels, in percent; only for label maps."""
    mean_iou_loss_points: float | None = None
    """Mean IoU of the reference minus that of the candidate, in percentage points."""
    mean_iou_loss_interval: Interval | None = None
    """95 % interval of the paired difference, in percentage points; the samples are resampled, not the pixels."""
    position_accuracy: float | None = None
    """Percent of the scored positions that are right: pixels of label maps, steps of sequences."""
    position_loss_points: float | None = None
    """Position accuracy of the reference minus that of the candidate, in percentage points."""
    position_loss_interval: Interval | None = None
    """95 % interval of the paired difference, in percentage points; the samples are resampled, not the positions."""
    metric: str | None = None
    """Name of the metric that reads ground truth of its own form, such as `cer`; the next three fields are its."""
    metric_value: float | None = None
    """In percent if the metric is a share, else in its own unit."""
    metric_loss: float | None = None
    """What the candidate loses against the reference, in percentage points or in the metric's own unit."""
    metric_loss_interval: Interval | None = None
    """95 % interval of the paired difference; the samples are resampled."""
    agreement: float | None = None
    """Percent of samples on which candidate and reference have the same top-1; of positions, if the output has a class
    for each position."""
    agreement_interval: Interval | None = None
    """Wilson's 95 % interval, in percent; of positions, that of a bootstrap of samples."""
    right_to_wrong: int | None = None
    """Number of samples that became wrong: correct in the reference, wrong in the candidate."""
    wrong_to_right: int | None = None
    """Number of samples that became right: wrong in the reference, correct in the candidate."""
    mae: float | None = None
    """Mean absolute error against the labels; only for regression."""
    mae_interval: Interval | None = None
    """Student's 95 % interval of `mae` over samples; None if an error is not finite, or all are the same."""
    rmse: float | None = None
    """Root mean square error against the labels; only for regression."""
    mae_loss: float | None = None
    """MAE of the candidate minus that of the reference; a larger error is a loss."""
    mae_loss_interval: Interval | None = None
    """Student's 95 % interval of the paired difference; None, too, if no sample differs."""
    rmse_loss: float | None = None
    """RMSE of the candidate minus that of the reference; a larger error is a loss."""
    max_abs_error: float | None = None
    """Largest absolute difference from the reference's output, over all elements."""
    rms_error: float | None = None
    """Root mean square difference from the reference's output, over all elements."""
    sqnr_db: float | None = None
    """Signal to quantization noise ratio against the reference's output, in decibels; ∞ if the outputs are equal."""
    cosine: float | None = None
    """Cosine similarity of the flattened outputs of candidate and reference."""
    kl_mean: float | None = None
    """Mean of KL(reference‖candidate) over samples, in nats; None if it is infinite or undefined for a sample."""
    kl_standard_error: float | None = None
    """Standard error of `kl_mean`, in nats; None if `kl_mean` is None, or there is one sample."""
    kl_infinite: int | None = None
    """Samples for which the candidate gives probability 0 to a class that has a positive one in the reference."""
    kl_undefined: int | None = None
    """Samples whose row is not a distribution in candidate or reference: NaN, infinite, negative or all zero."""
    total_variation: float | None = None
    """Mean over samples of ½·Σ|p − q|, 0 to 1; finite where `kl_mean` is infinite; None if a sample is undefined."""
    jensen_shannon: float | None = None
    """Mean Jensen–Shannon divergence over samples, in nats, 0 to ln 2; finite and None as `total_variation`."""
    non_finite: int | None = None
    """Number of NaN and infinite elements in the candidate's output, on scored samples; for the reference on all."""
    left_out: int | None = None
    """Samples that no score includes, because the reference is NaN or infinite there; None if there are none."""
    left_out_equal: int | None = None
    """Of these, samples on which the outputs of candidate and reference are NaN or infinite in the same places; None
    for the reference."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant in one runtime: a row of the table."""

    setting: str
    """Name of the setting, or of the variant that the user gave, or `reference`."""
    runtime: str
    variant: Variant | None = None
    """None for the reference, and if the conversion failed."""
    ran_on: str | None = None
    """The runtime that executed the variant; it differs from `runtime` only with `--fallback`."""
    requested: bool = True
    """False if the trial was added automatically, as a float32 baseline or a python baseline."""
    failure: Failure | None = None
    scores: Scores | None = None
    timing: Timing | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions, backend and flags that affect the outputs."""
    outputs: Mapping[str, Path] = field(default_factory=dict)
    """Output name → `.npy` file with the outputs of all samples."""
    max_abs_from_python: float | None = None
    """Largest difference of the scored output from the same artifact in `python`; None in Python and for failures."""
    mean_abs_from_python: float | None = None
    """Mean absolute difference of the scored output from the same artifact in `python`; None in Python and for
    failures."""
    different_from_python: float | None = None
    """Share of the scored output's elements that differ from the same artifact in `python`; None in Python and for
    failures."""
    flips_from_python: int | None = None
    """Number of samples whose top-1 differs from the same artifact in `python`; None in Python, for failures, and if
    classes are not compared."""
    equivalence: Equivalence | None = None
    """Accuracy and top-1 compared with the same artifact in `python`; None like `flips_from_python`, if no sample is
    scored, and in studies of an older quantlab."""
    constant_outputs: tuple[str, ...] = ()
    """Outputs and channels, as `output` or `output[channel]`, that are constant and vary in the reference."""
    repeated: tuple[Repeated, ...] = ()
    """Whether the first samples give the same outputs when they run once more after the last one; empty for failures,
    and in studies of an older quantlab."""
    imported: bool = False
    """Whether another program or device ran the variant (`quantlab import`, `quantlab phone`)."""
    device: str = ""
    """The device on which it ran, in words; empty for this machine, and for what a program wrote."""
    notes: tuple[str, ...] = ()
    excused: bool = False
    """Whether this failure does not change the exit status of `analyze`.

    It is that of a variant of the user in a runtime that was not named, and measured in another one, or of the float32
    baseline with which only variants of the user are compared."""

    @property
    def is_float32(self) -> bool:
        """Whether the variant is the float32 baseline of its format."""
        return self.variant is not None and self.variant.is_float32

    @property
    def in_python(self) -> bool:
        """Whether this is a measured trial in Python."""
        return self.runtime == PYTHON and self.status == "measured"

    @property
    def status(self) -> Literal["reference", "measured", "failed"]:
        """`reference` for the reference's row, otherwise `measured` or `failed`."""
        if self.failure is not None:
            return "failed"
        return "reference" if self.setting == REFERENCE else "measured"
