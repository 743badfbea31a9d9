"""The calls of layers in a layers-model: which layer is called on which tensors, in the order in which they run."""

import graphlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantlab.errors import ArtifactError
from quantlab.formats.tfjs_layers.keras_layers import input_layers, is_model, output_names

__all__ = ["Call", "Calls", "calls_of", "input_document"]

_Layer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a layer."""

    name: str
    """As taps have it: the layer's name, and for its second call `dense:1`."""
    layer: _Layer
    """The layer in the configuration; a nested model is one layer."""
    reads: tuple[str, ...]
    """Tensors: names of calls or of inputs, and those of other tensors than the first with their place, `lstm#1`."""

    @property
    def kind(self) -> str:
        """Class name of the layer."""
        return str(self.layer["class_name"])

    @property
    def index(self) -> int:
        """Its place among the calls of its layer, from 0."""
        place = self.name.removeprefix(str(self.layer["config"]["name"])).removeprefix(":")
        return int(place) if place else 0

    @property
    def first(self) -> int:
        """Number of the layer's first call in a configuration: a nested model was called once when it was built."""
        return int(is_model(self.layer))


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a model."""

    inputs: Mapping[str, _Layer]
    """Name of an input → its input layer, in the model's order."""
    outputs: tuple[str, ...]
    calls: tuple[Call, ...]
    """In an order in which they can run."""

    def written(self, call: Call) -> tuple[str, ...]:
        """The first tensor of a call, and those of the others that something reads."""
        read = {tensor for one in self.calls for tensor in one.reads} | set(self.outputs)
        others = sorted(tensor for tensor in read if tensor.startswith(f"{call.name}#"))
        return (call.name, *others)

    def floats(self) -> frozenset[str]:
        """Tensors that hold floats and carry no mask, which would be lost where a model is cut."""
        integers = {name for name, layer in self.inputs.items() if not _is_float(layer)}
        masked = set[str]()
        for call in self.calls:
            written = self.written(call)
            if call.kind not in _FLOATS_OF_INTEGERS and integers & set(call.reads):
                integers.update(written)
            if _masks(call) or (masked & set(call.reads) and not _ends_mask(call)):
                masked.update(written)
        known = {call.name for call in self.calls} | set(self.inputs)
        return frozenset(known - integers - masked)


_FLOATS_OF_INTEGERS = frozenset({"CategoryEncoding", "Dense", "EinsumDense", "Embedding", "Rescaling"})
"""Layers that give floats even if they read integers."""

_RECURRENT = frozenset({"Bidirectional", "ConvLSTM2D", "GRU", "LSTM", "RNN", "SimpleRNN"})


def _is_float(layer: _Layer) -> bool:
    return str(layer["config"].get("dtype") or "float32").startswith(("float", "bfloat"))


def _masks(call: Call) -> bool:
    return call.kind == "Masking" or bool(call.layer["config"].get("mask_zero"))


def _ends_mask(call: Call) -> bool:
    config = call.layer["config"]
    inner = config.get("layer", {}).get("config", {}) if call.kind == "Bidirectional" else config
    return call.kind == "GlobalAveragePooling1D" or (call.kind in _RECURRENT and not inner.get("return_sequences"))


def calls_of(model: Mapping[str, Any]) -> Calls:
    """The calls of a model's own layers; those of nested models are inside one call.

    Raises:
        ArtifactError: If a layer is called with tensors among its keyword arguments, or in nested lists.
    """
    inputs = {layer.name: input_document(layer.name, layer.config) for layer in input_layers(model)}
    config = model["config"]
    if model.get("class_name") == "Sequential":
        members = config if isinstance(config, list) else config["layers"]
        return _chained(inputs, [layer for layer in members if layer["class_name"] != "InputLayer"], model)
    layers = [layer for layer in config["layers"] if layer["class_name"] != "InputLayer"]
    nested = {str(layer["name"]) for layer in layers if is_model(layer)}
    found = {call.name: call for layer in layers for call in _calls(layer, nested)}
    sources = {name: [_owner(tensor) for tensor in call.reads] for name, call in found.items()}
    order = graphlib.TopologicalSorter(sources).static_order()
    outputs = config["output_layers"]
    outputs = [outputs] if outputs and isinstance(outputs[0], str) else outputs
    ends = tuple(_tensor(output, nested) for output in outputs)
    return Calls(inputs, ends, tuple(found[name] for name in order if name in found))


def input_document(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """An input layer of a shape and data type."""
    kept = {key: config[key] for key in ("batch_input_shape", "dtype") if key in config}
    own = {**kept, "sparse": False, "ragged": False, "name": name}
    return {"class_name": "InputLayer", "config": own, "name": name, "inbound_nodes": []}


def _chained(inputs: Mapping[str, _Layer], layers: Sequence[_Layer], model: Mapping[str, Any]) -> Calls:
    """The calls of a Sequential, each on the tensor of the one before."""
    (before,) = inputs
    calls = []
    for layer in layers:
        name = str(layer["config"]["name"])
        calls.append(Call(name, layer, (before,)))
        before = name
    return Calls(inputs, tuple(output_names(model)), tuple(calls))


def _calls(layer: _Layer, nested: Collection[str]) -> Iterator[Call]:
    for place, node in enumerate(layer["inbound_nodes"]):
        if not all(_is_plain(source) for source in node):
            raise ArtifactError(
                f"the layer '{layer['name']}' ({layer['class_name']}) is called with tensors by keyword, and such a "
                f"layers-model is not cut; use a graph-model instead, that is, the settings tfjs-*"
            )
        name = f"{layer['name']}:{place}" if place else layer["name"]
        yield Call(name, layer, tuple(_tensor(source, nested) for source in node))


def _is_plain(source: Any) -> bool:
    """Whether a source is the tensor of a call, without another among its keyword arguments."""
    is_tensor = isinstance(source, list) and len(source) in {3, 4} and isinstance(source[0], str)
    keywords = source[3] if is_tensor and len(source) == 4 else {}
    return is_tensor and isinstance(keywords, dict) and not any(isinstance(value, list) for value in keywords.values())


def _tensor(source: Sequence[Any], nested: Collection[str]) -> str:
    """The name of a tensor for `[layer, call, place]`; of nested models, the first call has the number 1."""
    name, call, place = source[0], int(source[1]) - (source[0] in nested), int(source[2])
    return (f"{name}:{call}" if call else str(name)) + (f"#{place}" if place else "")


def _owner(tensor: str) -> str:
    return tensor.partition("#")[0]
