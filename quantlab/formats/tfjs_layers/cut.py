"""Cuts a part out of a layers-model: some calls of layers, with input layers for the tensors that they take."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantlab.formats.tfjs_files import write_part
from quantlab.formats.tfjs_layers.artifact import read_configuration
from quantlab.formats.tfjs_layers.calls import Call, Calls, calls_of, input_document
from quantlab.formats.tfjs_layers.keras_layers import layers_of
from quantlab.formats.tfjs_manifest import read_document, stored_weights
from quantlab.types.reduction import CutGraph, CutOp

__all__ = ["cut_graph", "write_cut"]


def cut_graph(path: Path) -> CutGraph:
    """The calls of a model's layers, each one op; a nested model is one layer.

    Raises:
        ArtifactError: As `read_configuration` and `calls_of`.
    """
    model = calls_of(read_configuration(path))
    ops = tuple(CutOp(call.kind, call.reads, model.written(call)) for call in model.calls)
    return CutGraph(tuple(model.inputs), model.outputs, ops, model.floats())


def write_cut(path: Path, target: Path, inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]) -> None:
    """Write the calls that compute `outputs` from `inputs`; inputs of the model that they need must be among these.

    Args:
        path: The artifact.
        target: The folder to write.
        inputs: Names of tensors, in the order of the part's inputs → the shapes of their values.
        outputs: Names of its outputs.

    Raises:
        ArtifactError: As `cut_graph`.
    """
    configuration = read_configuration(path)
    model = calls_of(configuration)
    needed = _needed(model, outputs, inputs)
    entries = {tensor: _input(model, tensor, shape) for tensor, shape in inputs.items()}
    places = {tensor: [layer["name"], 0, 0] for tensor, layer in entries.items()} | _places(needed)
    layers = [*entries.values(), *_layers(needed, places)]
    config = {
        "name": "part",
        "layers": layers,
        "input_layers": [places[tensor] for tensor in inputs],
        "output_layers": [_place(tensor, places) for tensor in outputs],
    }
    topology = {key: value for key, value in read_document(path)["modelTopology"].items() if key.endswith("version")}
    document = {
        "format": "layers-model",
        "modelTopology": {**topology, "model_config": {"class_name": "Functional", "config": config}},
    }
    write_part(path, target, document, set(_weights(path, configuration, needed)))


def _input(model: Calls, tensor: str, shape: Sequence[int]) -> Mapping[str, Any]:
    """The input layer that takes the place of a tensor; an input of the model stays as it is."""
    if tensor in model.inputs:
        return model.inputs[tensor]
    names = {call.layer["config"]["name"] for call in model.calls} | set(model.inputs)
    name = f"{tensor.replace(':', '_').replace('#', '_')}_input"
    while name in names:
        name += "_"
    return input_document(name, {"batch_input_shape": [None, *shape[1:]], "dtype": "float32"})


def _needed(model: Calls, outputs: Sequence[str], fed: Collection[str]) -> list[Call]:
    """The calls that compute some tensors from others, in their order."""
    by_name = {call.name: call for call in model.calls}
    waiting, kept = [tensor for tensor in outputs if tensor not in fed], set[str]()
    while waiting:
        name = waiting.pop().partition("#")[0]
        if name in by_name and name not in kept:
            kept.add(name)
            waiting += [tensor for tensor in by_name[name].reads if tensor not in fed]
    return [call for call in model.calls if call.name in kept]


def _places(calls: Sequence[Call]) -> dict[str, list[Any]]:
    """First tensor of each call → where it is among the calls that are kept: layer, call, place."""
    counts: dict[str, int] = {}
    places: dict[str, list[Any]] = {}
    for call in sorted(calls, key=lambda call: call.index):
        layer = str(call.layer["config"]["name"])
        places[call.name] = [layer, counts.setdefault(layer, call.first), 0]
        counts[layer] += 1
    return places


def _place(tensor: str, places: Mapping[str, list[Any]]) -> list[Any]:
    if tensor in places:
        return places[tensor]
    name, _, place = tensor.partition("#")
    return [*places[name][:2], int(place)]


def _layers(calls: Sequence[Call], places: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The layers of some calls, each once, called on the tensors that are kept or fed."""
    by_layer: dict[str, list[Call]] = {}
    for call in calls:
        by_layer.setdefault(str(call.layer["config"]["name"]), []).append(call)
    for name, own in by_layer.items():
        own.sort(key=lambda call: places[call.name][1])
        nodes = [
            [[*_place(tensor, places), *_keywords(call, place)] for place, tensor in enumerate(call.reads)]
            for call in own
        ]
        yield {**own[0].layer, "name": name, "inbound_nodes": nodes}


def _keywords(call: Call, place: int) -> list[Any]:
    """The keyword arguments of a call, which stand behind each of its tensors; a Sequential states none."""
    nodes = call.layer.get("inbound_nodes")
    return list(nodes[call.index][place][3:]) if nodes else [{}]


def _weights(path: Path, configuration: Mapping[str, Any], calls: Sequence[Call]) -> Iterator[str]:
    """Names of the weights of some layers: the first part of a name that is one of a layer names its owner."""
    known = {layer.name for layer in layers_of(configuration)}
    kept = {layer.name for call in calls for layer in layers_of({"config": {"layers": [call.layer]}})}
    for entry, _ in stored_weights(path):
        scopes = entry["name"].split("/")[:-1]
        if next((scope for scope in scopes if scope in known), None) in kept:
            yield entry["name"]
