"""The study: the content of `study.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quantlab.types.finite import NonFinite
from quantlab.types.kept_scores import StoreKind
from quantlab.types.model import ModelDescription
from quantlab.types.notebooks import InNotebooks
from quantlab.types.reference import ReferenceCheck
from quantlab.types.samples import SampleSet
from quantlab.types.trial import Trial

__all__ = ["Study", "Task"]

Task = Literal["classification", "positions", "regression", "metric", "similarity"]
"""What the scored output is compared with: class labels, class labels for each position (a pixel of a label map, a step
of a sequence), numeric labels, ground truth that only a metric reads, or only the reference's output."""


@dataclass(frozen=True, slots=True)
class Study(InNotebooks):
    """The result of a study; the content of `study.json`."""

    model: ModelDescription
    samples: SampleSet
    calibration: SampleSet | None
    """Calibration samples for static quantization; they are never scored."""
    task: Task
    scored_output: str
    """Name of the model output that is scored."""
    classes: bool
    """Whether the last dimension of the scored output holds classes, so that top-1, agreement and KL apply."""
    probabilities: bool
    """Whether the reference's scored output already holds probabilities; otherwise softmax is applied before KL."""
    batch_size: int
    seed: int
    reference: Trial
    trials: tuple[Trial, ...]
    warnings: tuple[str, ...] = ()
    """Warnings shown above the table, most severe first."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Phase → wall time in seconds."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package → version."""
    metric: str | None = None
    """Metric for budgets that name none; None selects the default of the task."""
    created: str = ""
    """Time of creation, ISO 8601 in UTC."""
    schema: int = 1
    """Version of the file's layout."""
    positions: bool = False
    """Whether the scored output holds a class for each position of a sample, or the number of one class, so that
    agreement counts positions."""

    threshold: float | None = None
    """Value above which one score is a yes: 0.5 of probabilities, 0 of logits; None if no output is read so."""

    search: SampleSet | None = None
    """Samples on which `quantlab tune` searched; they are never scored."""

    parity: Mapping[str, str] = field(default_factory=dict)
    """Format, or name of a variant that the user gave → result of the float32 check, as a clause."""
    non_finite: tuple[NonFinite, ...] = ()
    """Where the reference itself is NaN or infinite, on scored and on calibration samples, in outputs or inside."""

    pipeline: str = ""
    """The app's pipeline that made `samples`, with which variants are fed; empty if it is the declared one."""
    declared: SampleSet | None = None
    """The samples of the declared preprocessing, on which the reference runs, if `pipeline` is another one."""
    fed_reference: Trial | None = None
    """The reference on `samples`, if the app's pipeline made these: what the pipeline alone costs the float model."""

    reference_check: ReferenceCheck | None = None
    """What was found about the reference before anything was compared with it; None in records of an older quantlab."""

    store: StoreKind = "outputs"
    """What is kept of each row: its outputs, or scores only, from which the same figures are computed."""

    @property
    def failed(self) -> tuple[Trial, ...]:
        """Trials that could not be measured."""
        return tuple(trial for trial in self.trials if trial.failure is not None)

    @property
    def complete(self) -> bool:
        """Whether every trial was measured, except for those whose failure is excused."""
        return all(trial.excused for trial in self.failed)
