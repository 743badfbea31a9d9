"""Suggests a mode from the layers and names of a Keras model; a suggestion is shown and never applied."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Suggestion", "suggested_mode"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A mode that fits a model."""

    mode: str
    """A name of `MODES`, or a family of `FAMILY_MODES`."""
    reason: str
    """Where this is seen, as the end of the sentence `because …`."""


_FAMILY_NAMES: tuple[tuple[str, str], ...] = (
    (r"mobilenet_?v2", "mobilenet_v2"),
    (r"mobilenet_?v3", "mobilenet_v3"),
    (r"mobilenet", "mobilenet"),
    (r"efficientnet_?v2", "efficientnet_v2"),
    (r"efficientnet", "efficientnet"),
    (r"convnext", "convnext"),
    (r"resnet\d*_?v2", "resnet_v2"),
    (r"inception_?resnet_?v2", "inception_resnet_v2"),
    (r"inception_?v3", "inception_v3"),
    (r"resnet", "resnet"),
    (r"xception", "xception"),
    (r"nasnet", "nasnet"),
    (r"densenet", "densenet"),
    (r"vgg16", "vgg16"),
    (r"vgg19", "vgg19"),
)
"""Beginning of the name that `keras.applications` gives a model, longest first → its family."""

_SCALING = ("Rescaling", "Normalization")
_ARITHMETIC = {"TFOpLambda", "SlicingOpLambda", "Lambda", "TrueDivide", "Divide", "Subtract", "Multiply", "Add"}
_AS_IT_IS = ("InputLayer", "Random")
"""Beginnings of classes of layers that leave values alone outside of training."""


def suggested_mode(config: Any) -> Suggestion | None:
    """Suggest a mode for a model; None if nothing points to one.

    Args:
        config: What a Keras file holds: `class_name` and `config` of a model. Anything is accepted, because files come
            from outside.

    >>> layers = [{"class_name": "InputLayer"}, {"class_name": "Rescaling", "config": {"scale": 0.1}}]
    >>> suggested_mode({"config": {"name": "mine", "layers": layers}})
    Suggestion(mode='raw', reason="the model's first layer is Rescaling, so that it takes pixels from 0 to 255")
    >>> suggested_mode({"config": {"name": "mine", "layers": layers[:1]}}) is None
    True
    """
    for layer in _first_layers(config):
        kind = str(layer.get("class_name"))
        if kind in _SCALING:
            reason = f"the model's first layer is {kind}, so that it takes pixels from 0 to 255"
            return Suggestion("raw", reason)
        if kind in _ARITHMETIC:
            return None  # the model may scale its input itself, which only running it would show
        if kind not in {"Functional", "Model", "Sequential"}:
            break
        inner = suggested_mode(layer)
        if inner is not None:
            return inner
        break
    name = _fields(config).get("name")
    family = _family(name) if isinstance(name, str) else None
    return None if family is None else Suggestion(family, f"the model, or a model inside, has the name '{name}'")


def _first_layers(config: Any) -> Iterator[Mapping[str, Any]]:
    """The layers in order, without those that leave values alone."""
    layers = _fields(config).get("layers")
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, dict) and not str(layer.get("class_name")).startswith(_AS_IT_IS):
            yield layer


def _fields(config: Any) -> Mapping[str, Any]:
    fields = config.get("config") if isinstance(config, dict) else None
    return fields if isinstance(fields, dict) else {}


def _family(name: str) -> str | None:
    lowered = name.lower()
    return next((family for pattern, family in _FAMILY_NAMES if re.match(pattern, lowered)), None)
