"""What `quantlab diagnose --pipelines` finds out: how far the pipelines of apps are from the declared preprocessing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quantlab.types.diagnosis import Reproduction
from quantlab.types.trial import Interval

__all__ = ["ComparedPipeline", "DecodedKind", "PhotoFailure", "PipelineComparison", "StepName", "SwappedStep"]

StepName = Literal["decode", "colour", "resize", "values"]
"""The steps of a pipeline that are swapped one at a time."""


@dataclass(frozen=True, slots=True)
class PhotoFailure:
    """A file that a pipeline could not turn into a tensor."""

    file: str
    """Path in the folder of photos."""
    reason: str
    """What its library said."""


@dataclass(frozen=True, slots=True)
class SwappedStep:
    """A pipeline with one of its steps replaced by the declared one."""

    step: StepName
    left: float
    """Mean difference that is left, in 1/255 steps."""


@dataclass(frozen=True, slots=True)
class ComparedPipeline:
    """A pipeline beside the declared one, on the photos for which both give a tensor."""

    name: str
    place: str
    """Where it runs: `python`, `node`, `node-sharp` or `chromium`."""
    decoder: str
    """The call that decodes."""
    resizer: str
    """The call that resizes."""
    n: int = 0
    """Number of photos behind the figures."""
    mean_steps: float | None = None
    """Mean difference between elements of the tensors, in steps of 1/255 of the pixel range; None without photos."""
    max_steps: float | None = None
    """Largest difference, likewise."""
    changed: int | None = None
    """Photos for which the model's class is another one; None for an output that is no class."""
    became_wrong: int | None = None
    """Photos that are right with the declared pipeline and wrong with this one; None without labels."""
    became_right: int | None = None
    """The reverse."""
    loss_points: float | None = None
    """Loss of accuracy in percentage points; positive is worse; None without labels."""
    interval: Interval | None = None
    """95 % interval of the loss for pairs (Tango), in percentage points."""
    output_rms: float | None = None
    """Root mean square of the difference between the model's outputs; infinite if one is not finite."""
    steps: tuple[SwappedStep, ...] = ()
    """The steps in which it differs from the declared pipeline, in their order."""
    cause: StepName | None = None
    """The step whose replacement by the declared one removes most of the difference, at least half of it; None if no
    single one does."""
    failures: tuple[PhotoFailure, ...] = ()
    """Photos for which it gave no tensor although the declared pipeline did."""
    reason: str | None = None
    """Why it was not run, otherwise None."""


@dataclass(frozen=True, slots=True)
class DecodedKind:
    """What a decoder makes of one kind of file, beside the declared decoder."""

    kind: str
    """For example `CMYK` or `EXIF orientation`; a file that is of no special kind is `plain`."""
    decoder: str
    files: int
    """Number of files of this kind."""
    failed: int = 0
    """Files that it does not decode."""
    other_size: int = 0
    """Files to which it gives another height and width, for example because it ignores the orientation."""
    only_here: int = 0
    """Files that it decodes and the declared decoder refuses."""
    mean: float | None = None
    """Mean difference of pixel values 0–255 over the other files; None if there are none."""
    largest: float | None = None
    """Largest difference, likewise."""


@dataclass(frozen=True, slots=True)
class PipelineComparison:
    """The pipelines of apps beside the declared preprocessing, on the same files."""

    model: str
    """Path of the model, as the user wrote it."""
    data: str
    """The folder of photos, as the user wrote it."""
    output: str
    """Name of the output that is compared."""
    declared: str
    """The declared preprocessing in words."""
    n: int
    """Number of photos that the declared pipeline turned into tensors."""
    available: int
    """Number of photos in the folder."""
    drawn: str
    """How they were chosen: `all`, `stratified, seed 0`, …"""
    score: float | None
    """Accuracy of the float model with the declared pipeline, in percent; None without labels."""
    pipelines: tuple[ComparedPipeline, ...]
    kinds: tuple[DecodedKind, ...]
    """What the decoders make of each kind of file."""
    refused: tuple[PhotoFailure, ...]
    """Photos that the declared pipeline does not turn into a tensor."""
    headline: str = ""
    """What was found, in one sentence or two."""
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Where pipelines ran → versions that pixels depend on."""
    app: tuple[Reproduction, ...] = ()
    """How near the model comes to the outputs of an app with the declared preprocessing, whose family is empty, and
    with each pipeline, the nearest first; those that the photos do not tell from the nearest are named, too."""
