"""The options of a comparison of pipelines."""

from dataclasses import dataclass, field
from pathlib import Path

from quantlab.models import ModelOptions
from quantlab.types import Preprocessing

__all__ = ["PipelineOptions"]


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """All options of `compare_pipelines` except the model, the photos and the pipelines."""

    app: Path | None = None
    """Outputs of an app for all photos, class folder by class folder, sorted by name in each: a `.npz` file with an
    array for each output. The comparison says which pipeline reproduces them."""
    score_output: str | None = None
    """Name of the output that is compared; required if the model has several outputs."""
    class_names: str | None = None
    """Names of the classes in the order of the outputs, which give class folders their order: a file with a name per
    line, or names separated by commas. None takes those of a file beside the model, else the alphabetical order."""
    limit: int = 500
    """Maximum number of photos: a random sample, stratified by class folder."""
    seed: int = 0
    """Seed for all random sampling."""
    model: ModelOptions = field(default_factory=ModelOptions)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """The declared preprocessing, with which the pipelines are compared."""
    time_limit: float = 600.0
    """Seconds after which a child that reports nothing is stopped."""
