"""Runs a tfjs layers-model in Python: tf_keras rebuilds it from its `model.json` and the weights in its shards.

The manifest has the weight names of the Keras model that was saved. The name of a cell in a recurrent layer changes
between sessions; if tfjs does not find a name, it drops the cell's name. This module does the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.tfjs_layers.artifact import read_configuration
from quantlab.formats.tfjs_manifest import decode, stored_weights
from quantlab.models.precision import keras2_to_float32
from quantlab.runtimes.exchange import Job
from quantlab.types import TapSpec
from quantlab.worker.execution import Execution
from quantlab.worker.tapping import TappedExecution
from quantlab.worker.trying import RawCalls

__all__ = ["list_taps", "load", "raw_calls", "tap"]

Array = npt.NDArray[Any]


def load(job: Job) -> Execution:
    """Load a layers-model's folder."""
    model = _rebuilt(Path(job.artifact))
    outputs = [_at(model.outputs, file.position, "output") for file in job.outputs]
    return Execution(_caller(model, outputs, job), {"kernels": "TensorFlow, by tf_keras"})


def _caller(model: Any, outputs: Sequence[Any], job: Job) -> Callable[[Sequence[Array]], list[Array]]:
    """A function that computes `outputs` from one batch of each of the job's inputs."""
    import tensorflow as tf
    import tf_keras

    whole = tf_keras.Model(model.inputs, list(outputs))
    inputs = [_at(model.inputs, file.position, "input") for file in job.inputs]
    function = tf.function(lambda tensors: whole(tensors, training=False), reduce_retracing=True)

    def call(batches: Sequence[Array]) -> list[Array]:
        fed: list[Any] = [None] * len(model.inputs)
        for file, batch, tensor in zip(job.inputs, batches, inputs, strict=True):
            fed[file.position] = tf.constant(batch.astype(tensor.dtype.as_numpy_dtype, copy=False))
        return [value.numpy() for value in tf.nest.flatten(function(fed))]

    return call


def _at(tensors: Sequence[Any], position: int, what: str) -> Any:
    if position >= len(tensors):
        raise TrialError(f"the layers-model has {len(tensors)} {what}s and not {position + 1}; convert the model again")
    return tensors[position]


def _rebuilt(folder: Path) -> Any:
    import tf_keras

    configuration = read_configuration(folder)
    try:
        model = tf_keras.models.model_from_config(configuration)
    except Exception as error:  # tf_keras may raise anything for an invalid configuration
        text = " ".join(str(error).split())[:300]
        raise TrialError(
            f"tf_keras could not build the model that model.json describes ({type(error).__name__}: {text}); "
            f"convert the model again"
        ) from error
    keras2_to_float32(model)  # tfjs ignores the policies of mixed precision
    if not model.inputs:
        raise TrialError("the layers-model lacks the shape of its input; build the model before it is saved")
    _set_weights(model, {entry["name"]: decode(entry, stored) for entry, stored in stored_weights(folder)})
    return model


def _set_weights(model: Any, values: dict[str, Array]) -> None:
    """Set all weights of the model.

    Raises:
        TrialError: If a weight has no value or one of another shape, or a value has no weight.
    """
    exact = {_name(weight): weight for weight in model.weights}
    short = {_without_cell(name): weight for name, weight in exact.items()}
    left = {id(weight) for weight in model.weights}
    for name, value in values.items():
        weight = next(
            (known[key] for known, key in ((exact, name), (short, _without_cell(name))) if key in known), None
        )
        if weight is None or id(weight) not in left:
            raise TrialError(f"the manifest has the weight '{name}' and the layers do not; convert the model again")
        if tuple(weight.shape) != value.shape:
            raise TrialError(
                f"the weight '{name}' has the shape {value.shape} and its layer needs {tuple(weight.shape)}; "
                f"convert the model again"
            )
        weight.assign(np.asarray(value, weight.dtype.as_numpy_dtype))
        left.discard(id(weight))
    missing = [name for name, weight in exact.items() if id(weight) in left]
    if missing:
        raise TrialError(f"the manifest lacks the weight '{missing[0]}'; convert the model again")


def _name(weight: Any) -> str:
    return str(weight.name).removesuffix(":0")


def _without_cell(name: str) -> str:
    """`lstm/lstm_cell_3/kernel` as `lstm/kernel`, as tfjs-layers' Container.loadWeights does; `dense/kernel` stays."""
    *scopes, last = name.split("/")
    return "/".join([*scopes[:-1], last]) if len(scopes) > 1 else name


def list_taps(job: Job) -> list[TapSpec]:
    """List the outputs of all layers, in the order of the configuration; a layer called twice has two."""
    return [_spec(name, layer, outputs) for name, layer, outputs in _calls(_rebuilt(Path(job.artifact)))]


def _calls(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """Tap name → output of a call of a layer in the model; names are `dense`, `dense:1` and so on."""
    import tf_keras

    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.InputLayer):
            continue
        # A nested model may also have been called outside of this model; such calls are ignored.
        own = [
            node
            for place, node in enumerate(layer._inbound_nodes)
            if f"{layer.name}_ib-{place}" in model._network_nodes
        ]
        for place, node in enumerate(own):
            yield (f"{layer.name}:{place}" if place else layer.name), layer, node.outputs


def _spec(name: str, layer: Any, outputs: Any) -> TapSpec:
    kind = type(layer).__name__
    if isinstance(outputs, list | tuple | dict):
        return TapSpec(
            name, (), "float32", kind, reason="a layer with several outputs, which cannot be read separately"
        )
    dtype = outputs.dtype.name
    reason = None if outputs.dtype.is_floating else f"not a float tensor: {dtype}"
    return TapSpec(name, tuple(outputs.shape), dtype, kind, reason=reason)


def tap(job: Job, taps: Sequence[str]) -> TappedExecution:
    """Open a layers-model with the outputs of its layers as additional outputs."""
    model = _rebuilt(Path(job.artifact))
    outputs = [_at(model.outputs, file.position, "output") for file in job.outputs]
    known = {name: given for name, _, given in _calls(model)}
    call = _caller(model, [*outputs, *(known[name] for name in taps)], job)

    def split(batches: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        values = call(batches)
        return values[: len(outputs)], values[len(outputs) :]

    return TappedExecution(split)


def raw_calls(job: Job) -> RawCalls:
    """Open a part of a layers-model; its inputs have any batch."""
    import tensorflow as tf

    model = _rebuilt(Path(job.artifact))
    function = tf.function(lambda tensors: model(tensors, training=False), reduce_retracing=True)

    def in_order(arrays: Sequence[Array]) -> list[tuple[str, Any]]:
        fed = [
            tf.constant(array.astype(tensor.dtype.as_numpy_dtype, copy=False))
            for array, tensor in zip(arrays, model.inputs, strict=True)
        ]
        values = tf.nest.flatten(function(fed))
        return [(name, value.numpy()) for name, value in zip(model.output_names, values, strict=True)]

    def by_name(arrays: Mapping[str, Array]) -> list[tuple[str, Any]]:
        return in_order([arrays[name] for name in model.input_names])

    return RawCalls(by_name, in_order)
