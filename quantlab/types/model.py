"""The model: its inputs and outputs, what is known of it, and what converters start from."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ModelDescription", "OpenedModel", "TensorSpec"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model by its name."""

    name: str
    """The name users write: the signature's argument or result, for Keras the layer's."""
    shape: tuple[int | None, ...]
    """With the batch dimension first; None where any size goes."""
    dtype: str
    """NumPy's name: `float32`, `int64`, `bool`, `str` for strings."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What is known of a model once it was opened."""

    path: str
    """As the user wrote it."""
    kind: str
    """`Keras 3`, `Keras 2` (opened by tf_keras), `SavedModel` or `ONNX`."""
    sha256: str
    """Of every byte of the file, or of a folder's files and their relative names."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int | None
    """Number of weights, trained or not; None where the model does not tell."""
    signature: str | None = None
    """The signature of a SavedModel that is called; None for Keras files."""


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model that was opened, and what converters start from."""

    description: ModelDescription
    source: Path
    """The SavedModel, or the model's own file where it is no TensorFlow one."""
    format: str | None = None
    """Of a model that is an artifact already, as `onnx`; None where the source is a SavedModel."""

    @property
    def signature(self) -> str:
        """The signature of that SavedModel."""
        return self.description.signature or "serving_default"
