"""What an opened model is: the contract of those that open one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.types import ModelDescription

__all__ = ["Reference"]

Arrays = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Reference:
    """A model that can be called, and what converters start from."""

    description: ModelDescription
    source: Path
    """The SavedModel, or the model's own file where it is no TensorFlow one."""
    call: Callable[[Arrays], list[npt.NDArray[Any]]]
    """From one batch of each input to one of each output, in the description's order; a `ModelError` may be raised."""
    format: str | None = None
    """Of a model that is an artifact already, as `onnx`; None where the source is a SavedModel."""
