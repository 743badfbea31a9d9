"""The model scales its input itself, and the samples are scaled already."""

from collections.abc import Callable, Iterator

import numpy as np

from quantlab.conventions.contract import Array, InputConvention, InputFacts, InputFamily
from quantlab.conventions.encodings import BYTES, converted, possible_sources
from quantlab.preprocessing import UNIT_SCALE
from quantlab.types import RescalingLayer

__all__ = ["DOUBLE_RESCALING"]

_NAME = "double-rescaling"


def _conventions(facts: InputFacts) -> Iterator[InputConvention]:
    if not facts.floats:
        return
    for layer in facts.rescaling:
        cause = (
            f"the samples are scaled already, to {facts.low:.4g}…{facts.high:.4g}, and the model scales its input once "
            f"more, in its layer '{layer.name}' ({layer.kind})"
        )
        if layer.suits(facts.shape):
            change = "give the samples as they were before they were scaled"
            if (layer.scale, layer.offset) == ((UNIT_SCALE.factor,), (UNIT_SCALE.offset,)):
                change += ", which is x * 255"
            yield InputConvention(_NAME, f"without the scaling of '{layer.name}'", cause, change, _undone(layer))
        for source in possible_sources(facts):
            if source != BYTES:
                change = f"give the pixels of 0…255 as they are; these samples are {source.make}"
                yield InputConvention(
                    _NAME, f"{source.name} → 0…255", cause, change, converted(source, BYTES, facts.colour_axis or -1)
                )


def _undone(layer: RescalingLayer) -> Callable[[Array], Array]:
    scale, offset = np.array(layer.scale), np.array(layer.offset)
    return lambda values: (values.astype(np.float64) - offset) / scale


DOUBLE_RESCALING = InputFamily(_NAME, _conventions)
