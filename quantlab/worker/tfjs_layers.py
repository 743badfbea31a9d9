"""Runs a tfjs layers-model in Python: rebuilt by tf_keras from its own `model.json`, with its own shards' weights.

A weight's name in the manifest is that of the Keras model it was saved from. tfjs drops the name of a cell within a
recurrent layer, which changes from one session to the next, where it does not find a name as it is; so does this.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.tfjs_layers.artifact import read_configuration
from quantlab.formats.tfjs_manifest import decode, stored_weights
from quantlab.runtimes.exchange import Job
from quantlab.types import TapSpec
from quantlab.worker.execution import Execution
from quantlab.worker.tapping import TappedExecution

__all__ = ["list_taps", "load", "tap"]

Array = npt.NDArray[Any]


def load(job: Job) -> Execution:
    """Load a layers-model's folder."""
    model = _rebuilt(Path(job.artifact))
    outputs = [_at(model.outputs, file.position, "output") for file in job.outputs]
    return Execution(_caller(model, outputs, job), {"kernels": "TensorFlow, by tf_keras"})


def _caller(model: Any, outputs: Sequence[Any], job: Job) -> Callable[[Sequence[Array]], list[Array]]:
    """What computes some tensors of the model, from one batch of each of the job's inputs."""
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
    except Exception as error:  # whatever tf_keras makes of a configuration
        text = " ".join(str(error).split())[:300]
        raise TrialError(
            f"tf_keras could not build the model that model.json describes ({type(error).__name__}: {text}); "
            f"convert the model again"
        ) from error
    if not model.inputs:
        raise TrialError("the layers-model does not tell the shape of its input; save the model after it was built")
    _set_weights(model, {entry["name"]: decode(entry, stored) for entry, stored in stored_weights(folder)})
    return model


def _set_weights(model: Any, values: dict[str, Array]) -> None:
    """Give every weight of the model its values.

    Raises:
        TrialError: If a weight has none, or another shape, or a value has no weight.
    """
    exact = {_name(weight): weight for weight in model.weights}
    short = {_without_cell(name): weight for name, weight in exact.items()}
    left = {id(weight) for weight in model.weights}
    for name, value in values.items():
        weight = next(
            (known[key] for known, key in ((exact, name), (short, _without_cell(name))) if key in known), None
        )
        if weight is None or id(weight) not in left:
            raise TrialError(f"the manifest has the weight '{name}' and the layers no such; convert the model again")
        if tuple(weight.shape) != value.shape:
            raise TrialError(
                f"the weight '{name}' has the shape {value.shape} and its layer asks for {tuple(weight.shape)}; "
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
    """The output of every layer, in the order of the configuration; of one that is called again, one for each call."""
    return [_spec(name, layer, outputs) for name, layer, outputs in _calls(_rebuilt(Path(job.artifact)))]


def _calls(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each call of a layer in the model by the tap's name, `dense` and then `dense:1`; and what it gives."""
    import tf_keras

    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.InputLayer):
            continue
        # A nested model may have been called on its own as well, which is no part of this one.
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
        return TapSpec(name, (), "float32", kind, reason="a layer of several outputs, which are not read apart")
    dtype = outputs.dtype.name
    reason = None if outputs.dtype.is_floating else f"not a float tensor: {dtype}"
    return TapSpec(name, tuple(outputs.shape), dtype, kind, reason=reason)


def tap(job: Job, taps: Sequence[str]) -> TappedExecution:
    """A layers-model whose layers' outputs are read beside its own."""
    model = _rebuilt(Path(job.artifact))
    outputs = [_at(model.outputs, file.position, "output") for file in job.outputs]
    known = {name: given for name, _, given in _calls(model)}
    call = _caller(model, [*outputs, *(known[name] for name in taps)], job)

    def split(batches: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        values = call(batches)
        return values[: len(outputs)], values[len(outputs) :]

    return TappedExecution(split)
