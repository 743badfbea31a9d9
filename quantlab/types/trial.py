"""One variant in one runtime: a row of the table, its scores, its times, or why it failed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from quantlab.types.variant import Variant

__all__ = ["PYTHON", "REFERENCE", "Failure", "Interval", "KeptOutputs", "Scores", "Timing", "Trial"]

REFERENCE = "reference"
"""How the reference's row is called, which no variant may be."""

PYTHON = "python"
"""The runtime of the reference, and of each variant's Python baseline."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be measured."""

    reason: str
    """One sentence or two, with the remedy where there is one."""
    stage: Literal["conversion", "run", "scoring"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval."""

    lower: float
    upper: float
    confidence: float = 0.95
    """Two-sided: 0.95 leaves 2.5 % on either side."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Time inside the model's calls, without loading, reading, writing or the first batch."""

    samples: int
    seconds: float

    @property
    def ms_per_sample(self) -> float | None:
        """Milliseconds; None if nothing beyond the first batch was timed."""
        return 1000 * self.seconds / self.samples if self.samples else None


@dataclass(frozen=True, slots=True)
class KeptOutputs:
    """The outputs of one run, whole and on disk; all that need not be run again."""

    files: Mapping[str, Path]
    """Output name → `.npy` of shape (n, …)."""
    ran_on: str
    environment: Mapping[str, str]
    timing: Timing


@dataclass(frozen=True, slots=True)
class Scores:
    """What the comparison of a candidate's outputs with the reference's and the labels came to.

    Shares are in percent, losses in percentage points with positive meaning worse, errors in the output's own unit.
    None stands where a number does not apply (no labels, fewer than ten classes, the reference itself).
    """

    n: int
    top1: float | None = None
    top1_interval: Interval | None = None
    """Wilson's, in percent."""
    top5: float | None = None
    """From ten classes on."""
    top1_loss_points: float | None = None
    """reference − candidate."""
    top1_loss_interval: Interval | None = None
    """Tango's score interval for the paired difference, in points."""
    top5_loss_points: float | None = None
    agreement: float | None = None
    """Share of samples on which candidate and reference have the same top-1."""
    agreement_interval: Interval | None = None
    right_to_wrong: int | None = None
    wrong_to_right: int | None = None
    mae: float | None = None
    rmse: float | None = None
    mae_loss: float | None = None
    """candidate − reference: an error that grows is a loss."""
    rmse_loss: float | None = None
    max_abs_error: float | None = None
    """Against the reference's output, over every element."""
    rms_error: float | None = None
    sqnr_db: float | None = None
    cosine: float | None = None
    kl_mean: float | None = None
    """KL(reference‖candidate) in nats, mean over samples; None where one is infinite, see `kl_infinite`."""
    kl_standard_error: float | None = None
    kl_infinite: int | None = None
    """Samples where the candidate gives 0 to a class that the reference does not."""
    kl_undefined: int | None = None
    """Samples that are no distribution in candidate or reference: NaN, infinite, negative or all zero."""
    non_finite: int | None = None
    """NaN and infinite elements of the candidate's output."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One variant in one runtime: a row of the table."""

    setting: str
    """The setting's name, that of a user's variant, or `reference`."""
    runtime: str
    variant: Variant | None = None
    """None for the reference, and where conversion failed."""
    ran_on: str | None = None
    """The runtime it really ran on; differs from `runtime` only under `--fallback`."""
    requested: bool = True
    """False where it was not asked for and was added as a float32 baseline or a Python baseline."""
    failure: Failure | None = None
    scores: Scores | None = None
    timing: Timing | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions, backend and flags that the outputs depend on."""
    outputs: Mapping[str, Path] = field(default_factory=dict)
    """Output name → `.npy` file of every sample."""
    max_abs_from_python: float | None = None
    """Largest difference of the scored output from the same artifact's in `python`; None there, or where it failed."""
    mean_abs_from_python: float | None = None
    """Mean difference of the scored output's elements from the same artifact's in `python`; None as above."""
    different_from_python: float | None = None
    """Share of the scored output's elements that are not equal; None as above."""
    flips_from_python: int | None = None
    """Samples whose top-1 is another than in `python`; None also where no classes are compared."""
    notes: tuple[str, ...] = ()

    @property
    def is_float32(self) -> bool:
        """Whether its variant is the float32 baseline of its format."""
        return self.variant is not None and self.variant.is_float32

    @property
    def in_python(self) -> bool:
        """Whether it is a Python baseline that was measured."""
        return self.runtime == PYTHON and self.status == "measured"

    @property
    def status(self) -> Literal["reference", "measured", "failed"]:
        """What kind of row this is."""
        if self.failure is not None:
            return "failed"
        return "reference" if self.setting == REFERENCE else "measured"
