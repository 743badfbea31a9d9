"""Reader for tfjs layers-models: the Keras configuration in `model.json`, and the weight shards."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quantlab.errors import ArtifactError
from quantlab.formats.contract import Contents
from quantlab.formats.tfjs_layers.keras_layers import (
    KerasLayer,
    foreign_modules,
    has_nested_ports,
    input_layers,
    layers_of,
    output_names,
    run_otherwise,
    run_otherwise_from_keras_3,
    unknown_layers,
)
from quantlab.formats.tfjs_manifest import (
    contents,
    document_file,
    is_layers_model,
    read_document,
    stored_weight,
    stored_weights,
)
from quantlab.types import Port, StoredWeight

__all__ = [
    "inspect",
    "list_weights",
    "read_configuration",
    "refuse_keras_3",
    "refuse_nested_ports",
    "refuse_unknown_layers",
]

_LONGEST_NAME = 100
"""Characters of a name that a message repeats."""

_NUMPY_DTYPES = {"float16": "float32", "float64": "float32", "int64": "int32", "uint8": "int32"}
"""Data type of an input → data type in tfjs, which has only float32, int32 and bool."""


def read_configuration(path: Path) -> dict[str, Any]:
    """The model's configuration in the form that Keras accepts: `class_name` and `config`.

    Keras never receives anything that could contain code.

    Raises:
        ArtifactError: If the file is missing, not JSON, or not a layers-model; if it contains a layer that tfjs does
            not have, or names a module other than Keras.
    """
    document = read_document(path)
    file = document_file(path)
    if not is_layers_model(document):
        raise ArtifactError(
            f"'{file}' is a {document.get('format') or 'graph-model'}, and a layers-model is needed; "
            f"convert with --output_format=tfjs_layers_model"
        )
    topology = document.get("modelTopology") or {}
    model = topology.get("model_config", topology)
    if not isinstance(model, dict) or not isinstance(model.get("config"), dict | list):
        raise ArtifactError(f"'{file}' contains weights but no layers; convert the whole model, not only its weights")
    refuse_unknown_layers(model, f"'{file}'")
    refuse_nested_ports(model, f"'{file}'")
    if foreign := foreign_modules(model):
        raise ArtifactError(f"'{file}' names the module '{foreign[0]}', which is not Keras; do not trust this model")
    return model


def refuse_unknown_layers(model: Mapping[str, Any], where: str) -> None:
    """Raise ArtifactError if the model has a layer that tfjs cannot build."""
    unknown = unknown_layers(model)
    if unknown:
        raise ArtifactError(
            f"{where} has the layer {_shortened(str(unknown[0]))}, which tfjs layers-models do not support; "
            f"use a graph-model instead, that is, the settings tfjs-*"
        )


def refuse_nested_ports(model: Mapping[str, Any], where: str) -> None:
    """Raise ArtifactError if the inputs or outputs of the model are nested."""
    if has_nested_ports(model):
        raise ArtifactError(
            f"{where} has its inputs or outputs in a dictionary or in nested lists, and tfjs loads a layers-model only "
            f"with one flat list of them; build the model with that, or use a graph-model instead, that is, the "
            f"settings tfjs-*"
        )


def _shortened(text: str) -> str:
    """A text of the file for a message; a malformed file may hold one of any length."""
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


def refuse_keras_3(model: Mapping[str, Any], where: str) -> None:
    """Raise ArtifactError for a Keras 3 configuration, which tfjs cannot load unchanged.

    Users sometimes rename the keys to those of Keras 2. Most models then load, but some compute different results; the
    message names those differences.
    """
    named = next((layer for layer in layers_of(model) if "batch_shape" in layer.config), None)
    why = f"it does not read the batch_shape of {named}" if named else "it does not know its names"
    clauses = run_otherwise_from_keras_3(model)
    also = f", and even if it could, it would ignore {' and '.join(clauses)}" if clauses else ""
    raise ArtifactError(
        f"{where} is a Keras 3 model, and tfjs cannot load that as a layers-model: {why}{also}; use a graph-model "
        f"instead, that is, the settings tfjs-*"
    )


def inspect(path: Path) -> Contents:
    """Contents of a layers-model; raises ArtifactError like `read_configuration`, and if shards are missing."""
    model = read_configuration(path)
    try:
        inputs = tuple(_input(layer, place) for place, layer in enumerate(input_layers(model)))
        outputs = tuple(Port(name, name, place, (), "float32") for place, name in enumerate(output_names(model)))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"'{document_file(path)}' does not list inputs and outputs as Keras 2 does ({error}); "
            f"convert the model again"
        ) from error
    held = contents(path, inputs, outputs)
    notes = (f"tfjs ignores {clause}, so its results differ from Keras" for clause in run_otherwise(model))
    return Contents(held.inputs, held.outputs, held.weights, (*held.notes, *notes))


def _input(layer: KerasLayer, place: int) -> Port:
    dtype = str(layer.config.get("dtype") or "float32")
    return Port(
        name=layer.name,
        tensor=layer.name,
        position=place,
        shape=tuple(layer.config.get("batch_input_shape") or ()),
        dtype=_NUMPY_DTYPES.get(dtype, dtype),
    )


def list_weights(path: Path) -> Iterator[StoredWeight]:
    """Every weight of a layers-model, with its channel axes."""
    kinds = {layer.name: layer.kind for layer in layers_of(read_configuration(path))}
    return (
        stored_weight(entry, stored, _channel_axes(entry["name"], stored.ndim, kinds))
        for entry, stored in stored_weights(path)
    )


_TRANSPOSED = frozenset({"Conv2DTranspose", "Conv3DTranspose"})


def _channel_axes(name: str, rank: int, kinds: Mapping[str, str]) -> tuple[int, ...]:
    """Axes that together index the output channel; empty for weights whose channels cannot be rated separately.

    For example, batch normalization divides each channel by its own variance, so the error of the whole vector says
    nothing about one channel.
    """
    *scopes, weight = name.split("/")
    if weight in {"gamma", "moving_variance"} and rank == 1:
        return (0,)
    if weight == "depthwise_kernel" and rank == 4:
        return (2, 3)  # HWIM: output channel = input channel × multiplier
    if weight not in {"kernel", "pointwise_kernel", "recurrent_kernel"} or rank < 2:
        return ()
    transposed = any(kinds.get(scope) in _TRANSPOSED for scope in scopes)
    return (rank - 2,) if transposed else (rank - 1,)
