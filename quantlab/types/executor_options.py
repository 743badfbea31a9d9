"""What only some executors must be told, beside the artifact, its inputs and its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ExecutorOptions", "ExternalFile", "ModelRequest"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The user's model, for a worker that opens it."""

    path: str
    signature: str | None
    """Of a SavedModel; None for its default."""
    custom: tuple[str, ...]
    """Modules to import first, which register layers."""
    unsafe: bool
    """Whether the file may hold Python code that is run."""
    export: str
    """Where the SavedModel of a Keras file is written."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Input of an ONNX model → its sizes, batch first, for those that the file leaves open."""


@dataclass(frozen=True, slots=True)
class ExternalFile:
    """A file beside a model that holds some of its weights."""

    path: str
    """As the model calls it."""
    file: str
    """Where it lies."""


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """Each executor reads its own; the others keep their defaults."""

    model: ModelRequest | None = None
    """For the reference."""
    saved_model: str = ""
    """For reading inside the reference: the SavedModel's folder."""
    signature: str = ""
    """Of that SavedModel."""
    float32_artifact: str = ""
    """For single ops of a variant: the float32 artifact, whose tensors they are fed."""
    external_data: tuple[ExternalFile, ...] = ()
    """For ONNX: the files of weights beside the model."""
