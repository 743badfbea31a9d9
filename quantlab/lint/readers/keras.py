"""Reads a `.keras` or `.h5` file without Keras: its configuration, and its weights in a child."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantlab.lint.children import ask, weights_from
from quantlab.lint.keras_config import layers_of
from quantlab.lint.subject import Layer, Subject
from quantlab.models.files import read_keras_config
from quantlab.types import Port

__all__ = ["read"]


def read(path: Path) -> Subject:
    """Read layers and every weight.

    Raises:
        ModelError: If the file is truncated, or contains only weights.
    """
    config = read_keras_config(path)
    layers = layers_of(config.layers)
    answer = ask("quantlab.lint.keras_weights", path, {layer.name: layer.kind for layer in layers})
    weights = weights_from(answer["weights"])
    return Subject(
        path=str(path),
        kind="Keras 3" if config.of_keras_3 else "Keras 2",
        name=path.name,
        inputs=_inputs(layers),
        layers=layers,
        weights=weights,
        held=_held(weights),
        metadata={"version": config.version},
    )


def _inputs(layers: tuple[Layer, ...]) -> tuple[Port, ...]:
    """Ports of the input layers, those of nested models included; shapes as far as the configuration has them."""
    found = [layer for layer in layers if layer.kind == "InputLayer"]
    if not found and layers:
        found = [layer for layer in layers[:1] if _shape(layer.config) is not None]
    return tuple(
        Port(layer.name, layer.name, place, _shape(layer.config) or (), _dtype(layer.config))
        for place, layer in enumerate(found)
    )


def _shape(config: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    return tuple(shape) if isinstance(shape, list) else None


def _dtype(config: Mapping[str, Any]) -> str:
    dtype = config.get("dtype")
    return dtype if isinstance(dtype, str) else "float32"


def _held(weights: Any) -> dict[str, int]:
    sizes = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "bool": 1}
    held: dict[str, int] = {}
    for weight in weights:
        held[weight.dtype] = held.get(weight.dtype, 0) + weight.elements * sizes.get(weight.dtype, 4)
    return held
