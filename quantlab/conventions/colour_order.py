"""The colours are in the order of BGR where the model wants RGB, or the reverse."""

from collections.abc import Iterator

import numpy as np

from quantlab.conventions.contract import InputConvention, InputFacts, InputFamily

__all__ = ["COLOUR_ORDER"]

_NAME = "colour-order"


def _conventions(facts: InputFacts) -> Iterator[InputConvention]:
    axis = facts.colour_axis
    if axis is None:
        return
    index = "x[..., ::-1]" if axis == -1 else "x[:, ::-1]"
    yield InputConvention(
        _NAME,
        "BGR ↔ RGB",
        "red and blue of the samples are swapped: they are BGR and the model wants RGB, or the reverse",
        f"reverse the channels with {index}",
        lambda values: np.flip(values, axis),
    )


COLOUR_ORDER = InputFamily(_NAME, _conventions)
