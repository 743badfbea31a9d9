"""Options of single executors, sent to a child process besides the artifact, its inputs and its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ExecutorOptions", "ExternalFile", "ModelRequest"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The user's model and how a child process opens it."""

    path: str
    signature: str | None
    """Name of the SavedModel's signature; None selects its default."""
    custom: tuple[str, ...]
    """Modules to import before opening, because they register custom layers."""
    unsafe: bool
    """Whether Python code stored in the model file may be executed."""
    export: str
    """Folder into which a Keras model is exported as a SavedModel."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Input name of an ONNX model → its shape, batch first, for shapes that the file leaves open."""


@dataclass(frozen=True, slots=True)
class ExternalFile:
    """A file that belongs to an artifact, for example with its weights."""

    path: str
    """Name in the artifact, as its main file writes it."""
    file: str
    """Path on disk."""


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """Options by executor: each executor reads the fields that concern it; the others keep their defaults."""

    model: ModelRequest | None = None
    """The model to open; only for the reference."""
    saved_model: str = ""
    """Folder of the SavedModel whose inner tensors are read; only for taps in the reference."""
    signature: str = ""
    """Signature of the SavedModel in `saved_model`."""
    float32_artifact: str = ""
    """Path of the float32 artifact whose tensors are fed to single ops of a variant (isolated SQNR), or whose weights
    are swapped."""
    swapped: tuple[str, ...] = ()
    """Weights of the variant that replace those of the float32 artifact; only for `PythonExecutor.swapped`."""
    external_data: tuple[ExternalFile, ...] = ()
    """Weight files of an ONNX model; the JSON file and the shards of a tfjs model that is given as this file."""
    unsafe: bool = False
    """Whether ops of the artifact may do more than compute, for example read or write files."""
