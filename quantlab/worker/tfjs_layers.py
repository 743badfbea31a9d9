"""Runs a tfjs layers-model in Python: tf_keras rebuilds it from its `model.json` and the weights in its shards.

The manifest has the weight names of the Keras model that was saved. The name of a cell in a recurrent layer changes
between sessions; if tfjs does not find a name, it drops the cell's name. This module does the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.models import rebuilt_model
from quantlab.runtimes.exchange import Job
from quantlab.types import TapSpec
from quantlab.worker.execution import Execution
from quantlab.worker.tapping import TappedExecution
from quantlab.worker.trying import RawCalls

__all__ = ["list_taps", "load", "raw_calls", "tap"]

Array = npt.NDArray[Any]


def load(job: Job) -> Execution:
    """Load a layers-model's folder."""
    model = rebuilt_model(Path(job.artifact))
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


def list_taps(job: Job) -> list[TapSpec]:
    """List the outputs of all layers, in the order of the configuration; a layer called twice has two."""
    return [_spec(name, layer, outputs) for name, layer, outputs in _calls(rebuilt_model(Path(job.artifact)))]


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
    model = rebuilt_model(Path(job.artifact))
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

    model = rebuilt_model(Path(job.artifact))
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
