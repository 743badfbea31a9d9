"""Description of a model: its inputs and outputs, its properties, and the file that converters start from."""

from dataclasses import dataclass
from pathlib import Path

from quantlab.types.reference import RescalingLayer, TrainingLayer

__all__ = ["ModelDescription", "OpenedModel", "TensorSpec"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    """Name that users write: the argument or result of the signature; for Keras models the layer's name."""
    shape: tuple[int | None, ...]
    """Shape with the batch dimension first; None for a dimension of any size."""
    dtype: str
    """NumPy's name of the data type, for example `float32`, `int64`, `bool`; `str` for strings."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """Properties of a model, known after opening it."""

    path: str
    """Path as the user wrote it."""
    kind: str
    """`Keras 3`, `Keras 2` (opened by tf_keras), `SavedModel`, or of an artifact `ONNX`, `TFLite`, `graph-model` or
    `layers-model`."""
    sha256: str
    """SHA-256 of the file's bytes; for a folder, of its files and their relative names."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int | None
    """Number of weights, trainable or not; None if the model does not report it."""
    signature: str | None = None
    """Name of the SavedModel signature that is called; None for other kinds."""
    cast_from: str | None = None
    """Dtype policy of a Keras model that was exported in float32 instead, as `mixed_float16`; None if none was."""
    quantized: str | None = None
    """How `model.quantize` of Keras has quantized layers of it, as `int8`; of a SavedModel, the data type of its
    quantized kernels. None if nothing is quantized."""
    decoded_from: tuple[str, ...] = ()
    """Data types narrower than float32 in which an artifact that is given as the model stores weights, those with most
    bytes first; the reference has their values in float32."""


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """An opened model and the file that converters start from."""

    description: ModelDescription
    source: Path
    """The SavedModel, or the model's own file if it is not a TensorFlow model."""
    format: str | None = None
    """Format of a model that is already an artifact, for example `onnx`; None if the source is a SavedModel."""
    sha256: str = ""
    """SHA-256 of all files of the source; empty in records of an older quantlab."""
    training_layers: tuple[TrainingLayer, ...] = ()
    """Layers that may answer as in training, or otherwise in a batch; only calls of the model tell whether they do."""
    rescaling: tuple[RescalingLayer, ...] = ()
    """Layers of a Keras model that scale its inputs; empty in records of an older quantlab."""

    @property
    def signature(self) -> str:
        """The signature to call in the SavedModel."""
        return self.description.signature or "serving_default"
