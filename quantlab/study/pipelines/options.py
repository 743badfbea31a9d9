"""The options of a comparison of pipelines."""

from dataclasses import dataclass, field

from quantlab.models import ModelOptions
from quantlab.types import Preprocessing

__all__ = ["PipelineOptions"]


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """All options of `compare_pipelines` except the model, the photos and the pipelines."""

    score_output: str | None = None
    """Name of the output that is compared; required if the model has several outputs."""
    limit: int = 500
    """Maximum number of photos: a random sample, stratified by class folder."""
    seed: int = 0
    """Seed for all random sampling."""
    model: ModelOptions = field(default_factory=ModelOptions)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """The declared preprocessing, with which the pipelines are compared."""
    time_limit: float = 600.0
    """Seconds after which a child that reports nothing is stopped."""
