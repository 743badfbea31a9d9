"""Reader for the Keras configuration in a tfjs layers-model: layers, inputs, outputs, and what tfjs ignores.

No model is built here. The supported layers and configuration keys are those of tfjs-layers 4.22
(`serialization.registerClass` and the constructor of each class).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "TFJS_LAYERS",
    "KerasLayer",
    "foreign_modules",
    "has_nested_ports",
    "input_layers",
    "is_model",
    "layers_of",
    "output_names",
    "run_otherwise",
    "run_otherwise_from_keras_3",
    "unknown_layers",
]

TFJS_LAYERS = frozenset(
    """
    Activation Add AlphaDropout Average AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization
    Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose
    ConvLSTM2D ConvLSTM2DCell Cropping2D Dense DepthwiseConv2D Dot Dropout ELU EinsumDense Embedding Flatten
    Functional GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalMaxPooling1D GlobalMaxPooling2D InputLayer LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D
    MaxPooling2D MaxPooling3D Maximum Minimum Model MultiHeadAttention Multiply PReLU Permute RNN RandomHeight
    RandomWidth ReLU RepeatVector Rescaling Reshape Resizing SeparableConv2D Sequential SimpleRNN SimpleRNNCell
    Softmax SpatialDropout1D StackedRNNCells ThresholdedReLU TimeDistributed UpSampling2D ZeroPadding2D
    """.split()  # noqa: SIM905 (seventy quoted names read worse)
)
"""Classes that tfjs can build from a configuration. Lambda is not among them: its configuration is executable code."""

_MODELS = frozenset({"Functional", "Model", "Sequential"})


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """A layer in a configuration, at any nesting depth."""

    name: str
    kind: str
    """Class name, for example `Conv2D`."""
    config: Mapping[str, Any]

    def __str__(self) -> str:
        return f"'{self.name}' ({self.kind})"


def is_model(layer: Mapping[str, Any]) -> bool:
    """Whether a layer is a model with layers of its own."""
    return layer.get("class_name") in _MODELS


def layers_of(model: Mapping[str, Any]) -> Iterator[KerasLayer]:
    """All layers of a configuration in order; layers inside nested models and wrappers follow their parent."""
    for member in _members(model):
        layer = _layer(member)
        yield layer
        if layer.kind in _MODELS:
            yield from layers_of(member)
        for wrapped in ("layer", "backward_layer", "cell"):
            if isinstance(inner := layer.config.get(wrapped), Mapping):
                yield _layer(inner)
        yield from (_layer(cell) for cell in layer.config.get("cells", ()))


def _layer(document: Mapping[str, Any]) -> KerasLayer:
    config = document.get("config")
    config = config if isinstance(config, Mapping) else {}
    name = config.get("name", document.get("name", "?"))
    return KerasLayer(str(name), str(document.get("class_name")), config)


def _members(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The direct layers of a model; a Sequential of Keras before 2.2.3 is a plain list of layers."""
    config = model.get("config", {})
    return list(config if isinstance(config, list) else config.get("layers", ()))


def unknown_layers(model: Mapping[str, Any]) -> list[KerasLayer]:
    """Layers whose class tfjs does not support."""
    return [layer for layer in layers_of(model) if layer.kind not in TFJS_LAYERS]


def foreign_modules(configuration: Any) -> list[str]:
    """Modules outside Keras that a configuration names, at any depth; Keras would import them."""
    inner = configuration.values() if isinstance(configuration, dict) else configuration
    modules = [foreign for part in inner if isinstance(part, dict | list) for foreign in foreign_modules(part)]
    module = configuration.get("module") if isinstance(configuration, dict) and "class_name" in configuration else None
    own = module is None or str(module).partition(".")[0] in {"keras", "tf_keras", "builtins"}
    return modules if own else [str(module), *modules]


def run_otherwise(model: Mapping[str, Any]) -> list[str]:
    """What tfjs silently ignores or computes differently from Keras, as clauses: `the threshold 6 of 'relu' (ReLU)`."""
    return [f"{what} of {layer}" for layer in layers_of(model) for what in _ignored(layer)]


def run_otherwise_from_keras_3(model: Mapping[str, Any]) -> list[str]:
    """Like `run_otherwise`, for a Keras 3 configuration, whose hard_sigmoid is defined differently."""
    activations = ("activation", "recurrent_activation")
    return [
        *run_otherwise(model),
        *(
            f"the hard_sigmoid (of Keras 3) of {layer}"
            for layer in layers_of(model)
            if any(layer.config.get(key) == "hard_sigmoid" for key in activations)
        ),
    ]


def _ignored(layer: KerasLayer) -> Iterator[str]:
    """Parts of a layer's configuration that tfjs does not read, or interprets differently."""
    config = layer.config
    for key in _UNREAD.get(layer.kind, ()):
        if config.get(key):
            yield f"the {key} {config[key]:g}" if isinstance(config[key], int | float) else f"the {key}"
    if layer.kind in {"UpSampling2D", "Resizing"} and config.get("interpolation") == "bilinear":
        yield "the bilinear interpolation (half-pixel centres)"


_UNREAD: Mapping[str, tuple[str, ...]] = {"ReLU": ("negative_slope", "threshold"), "LeakyReLU": ("negative_slope",)}
"""Keras 3 names the slope of LeakyReLU `negative_slope`; tfjs reads `alpha` (Keras 2), and uses 0.3 without it."""


def has_nested_ports(model: Mapping[str, Any]) -> bool:
    """Whether a functional model has its inputs or outputs in a dictionary or in lists of lists, as Keras allows.

    tfjs loads one flat list of them, each as `[layer, node, tensor]`.
    """
    config = model.get("config")
    if model.get("class_name") == "Sequential" or not isinstance(config, Mapping):
        return False
    return any(not _is_flat(config.get(key, [])) for key in ("input_layers", "output_layers"))


def _is_flat(places: Any) -> bool:
    alone = isinstance(places, list) and bool(places) and isinstance(places[0], str)
    return isinstance(places, list) and (
        alone or all(isinstance(place, list) and place and isinstance(place[0], str) for place in places)
    )


def input_layers(model: Mapping[str, Any]) -> list[KerasLayer]:
    """The input layers of a model, in order.

    A Sequential may have no input layer; then its first layer defines the shape, and Keras names the input
    `<layer>_input`.

    Raises:
        ValueError: If the inputs are a dictionary, which tfjs does not load.
    """
    if model.get("class_name") != "Sequential":
        by_name = {layer.name: layer for layer in map(_layer, _members(model))}
        return [by_name[name] for name in _references(model["config"]["input_layers"])]
    first = _members(model)[0]
    layer = _layer(first)
    if layer.kind in _MODELS:
        (inner,) = input_layers(first)
        return [KerasLayer(f"{layer.name}_input", "InputLayer", inner.config)]
    return [layer if layer.kind == "InputLayer" else KerasLayer(f"{layer.name}_input", "InputLayer", layer.config)]


def output_names(model: Mapping[str, Any]) -> list[str]:
    """Output names of a model, in order, as Keras assigns them: the layer's name, with a suffix `_1`, … if repeated.

    Raises:
        ValueError: If the outputs are a dictionary, which tfjs does not load.
    """
    if model.get("class_name") == "Sequential":
        return [_layer(_members(model)[-1]).name]
    names: list[str] = []
    for layer in _references(model["config"]["output_layers"]):
        count = sum(name == layer or name.rpartition("_")[0] == layer for name in names)
        names.append(f"{layer}_{count}" if layer in names else layer)
    return names


def _references(places: Any) -> list[str]:
    """Layer names from `[[name, node, tensor], …]`, or from a single such triple."""
    if not isinstance(places, list):
        raise ValueError("the inputs or outputs are not a list, and tfjs supports only lists")
    if places and isinstance(places[0], str):
        return [places[0]]
    return [str(place[0]) for place in places]
