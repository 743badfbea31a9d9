"""The options of a diagnosis."""

from dataclasses import dataclass, field
from pathlib import Path

from quantlab.models import ModelOptions
from quantlab.types import Preprocessing

__all__ = ["DiagnoseOptions"]


@dataclass(frozen=True, slots=True)
class DiagnoseOptions:
    """All options of `diagnose` except the model and the data."""

    app: Path | None = None
    """Outputs of an app for the same samples in the same order: a `.npz` file with an array for each output."""
    labels: str | None = None
    """A file of labels, for data that contain none."""
    score_output: str | None = None
    """Name of the output that is compared; required if the model has several outputs."""
    class_names: str | None = None
    """Names of the classes in the order of the outputs, which give class folders their order: a file with a name per
    line, or names separated by commas. None takes those of a file beside the model, else the alphabetical order."""
    limit: int | None = None
    """Maximum number of samples; None takes 500, or fewer if they are large: 320 MiB, but at least 100."""
    seed: int = 0
    """Seed for all random sampling."""
    model: ModelOptions = field(default_factory=ModelOptions)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """How image files become samples."""
    time_limit: float = 600.0
    """Seconds after which a child that reports nothing is stopped."""
