"""The study: everything that `study.json` keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quantlab.types.model import ModelDescription
from quantlab.types.samples import SampleSet
from quantlab.types.trial import Trial

__all__ = ["Study", "Task"]

Task = Literal["classification", "regression", "similarity"]
"""What the scored output is compared for: labelled classes, labelled numbers, or the reference alone."""


@dataclass(frozen=True, slots=True)
class Study:
    """All of it, as `study.json` keeps it."""

    model: ModelDescription
    samples: SampleSet
    calibration: SampleSet | None
    """What static quantization was calibrated on, and nothing is scored on."""
    task: Task
    scored_output: str
    classes: bool
    """Whether the scored output's last dimension are classes, so that top-1, agreement and KL mean something."""
    probabilities: bool
    """Whether the reference's scored output is a distribution already; otherwise softmax is applied before KL."""
    batch_size: int
    seed: int
    reference: Trial
    trials: tuple[Trial, ...]
    warnings: tuple[str, ...] = ()
    """What is said above the table, most severe first."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time of each phase."""
    versions: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    """What a budget is judged by where it names no metric; None goes by the task."""
    created: str = ""
    """ISO 8601, UTC."""
    schema: int = 1

    parity: Mapping[str, str] = field(default_factory=dict)
    """Format, or a given variant's name → what the float32 check found, in a clause."""

    @property
    def failed(self) -> tuple[Trial, ...]:
        """The trials that could not be measured."""
        return tuple(trial for trial in self.trials if trial.failure is not None)
