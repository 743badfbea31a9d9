"""Reads the layers of a Keras configuration of either version, with what each layer reads."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from quantlab.lint.subject import Layer

__all__ = ["layers_of"]

_MODELS = frozenset({"Functional", "Model", "Sequential"})
_WRAPPED = ("layer", "backward_layer", "forward_layer", "cell")
_DEEPEST = 100
"""Models inside models; a file that is made to exhaust the stack is cut off here."""


def layers_of(model: Mapping[str, Any]) -> tuple[Layer, ...]:
    """All layers in order; those inside nested models and wrappers follow their parent.

    Args:
        model: A document with `class_name` and `config`, of Keras 2 or 3.
    """
    return tuple(_layers(model, "", _DEEPEST))


def _layers(model: Mapping[str, Any], inside: str, depth: int) -> Iterator[Layer]:
    sequential, before = model.get("class_name") == "Sequential", ""
    for member in _members(model):
        layer = replace(_layer(member, (before,) if sequential and before else ()), inside=inside)
        before = layer.name
        yield layer
        if depth and layer.kind in _MODELS:
            yield from _layers(member, layer.name, depth - 1)
        yield from (replace(wrapped, inside=inside) for wrapped in _inside(layer.config))


def _members(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The direct layers of a model; a Sequential of Keras before 2.2.3 is a plain list of layers."""
    config = model.get("config", {})
    members = config if isinstance(config, list) else config.get("layers", ()) if isinstance(config, Mapping) else ()
    return [member for member in members if isinstance(member, Mapping)]


def _inside(config: Mapping[str, Any]) -> Iterator[Layer]:
    """Layers and cells in a wrapper."""
    held = [config.get(key) for key in _WRAPPED]
    held += config.get("cells", ()) if isinstance(config.get("cells"), list) else ()
    for document in held:
        if isinstance(document, Mapping) and "class_name" in document:
            yield _layer(document, ())


def _layer(document: Mapping[str, Any], sources: tuple[str, ...]) -> Layer:
    config = document.get("config")
    config = config if isinstance(config, Mapping) else {}
    inbound = document.get("inbound_nodes") or ()
    return Layer(
        name=str(config.get("name", document.get("name", "?"))),
        kind=str(document.get("class_name")),
        config=config,
        sources=sources or tuple(dict.fromkeys(_sources(inbound))),
        training=_trains(inbound),
        module=str(document.get("module") or ""),
    )


def _sources(value: Any) -> Iterator[str]:
    """Layers that the calls of a layer read: `keras_history` of Keras 3, or `[name, node, tensor, …]` of Keras 2."""
    for part in _walk(value):
        if isinstance(part, Mapping) and isinstance(part.get("keras_history"), list):
            yield str(part["keras_history"][0])
        elif isinstance(part, list) and _is_reference(part):
            yield str(part[0])


def _is_reference(part: list[Any]) -> bool:
    return len(part) in {3, 4} and isinstance(part[0], str) and all(isinstance(number, int) for number in part[1:3])


def _trains(value: Any) -> bool:
    """Whether a call has training=True among its keywords."""
    return any(isinstance(part, Mapping) and part.get("training") is True for part in _walk(value))


def _walk(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Mapping):
            waiting += reversed(list(part.values()))
        elif isinstance(part, list | tuple):
            waiting += reversed(part)
