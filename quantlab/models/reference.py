"""The contract between the modules that open models and the code that uses an opened model."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.types import ModelDescription
from quantlab.types.reference import RescalingLayer, TrainingLayer

__all__ = ["KerasCalls", "Reference"]

Arrays = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class KerasCalls:
    """The two ways in which users call a Keras model; each gives None if it fails, or gives other outputs."""

    call: Callable[[Arrays], list[npt.NDArray[Any]] | None]
    """`model(x)`."""
    predict: Callable[[Arrays], list[npt.NDArray[Any]] | None]
    """`model.predict(x)`."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A model that can be called, and the file that converters start from."""

    description: ModelDescription
    source: Path
    """The SavedModel, or the model's own file if it is not a TensorFlow model."""
    call: Callable[[Arrays], list[npt.NDArray[Any]]]
    """Function from one batch per input to one per output, in the description's order; may raise `ModelError`.

    It runs the source, so that it computes what the converters convert."""
    weights: Callable[[], Iterable[tuple[str, npt.NDArray[Any]]]] = tuple
    """Function that returns every variable with its name, as the library names it; nothing for a model whose `format`
    lists its own weights."""
    format: str | None = None
    """Format of a model that is already an artifact, for example `onnx`; None if the source is a SavedModel."""
    keras: KerasCalls | None = None
    """The Keras model; None for a model of another kind."""
    training_layers: tuple[TrainingLayer, ...] = ()
    """Layers that may answer as in training; see `quantlab.models.training`."""
    rescaling: tuple[RescalingLayer, ...] = ()
    """Layers that scale the inputs; see `quantlab.models.rescaling`."""
