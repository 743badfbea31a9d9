"""White and black are swapped: ink on paper against light on a dark ground."""

from collections.abc import Callable, Iterator

import numpy as np

from quantlab.conventions.contract import Array, InputConvention, InputFacts, InputFamily
from quantlab.conventions.encodings import SCALES, possible_sources

__all__ = ["INVERTED"]

_NAME = "inverted"


def _conventions(facts: InputFacts) -> Iterator[InputConvention]:
    if len(facts.shape) < 2:
        return
    source = next((one for one in possible_sources(facts) if one in SCALES), None)
    if source is None:
        return
    total = source.low + source.high
    yield InputConvention(
        _NAME,
        "light ↔ dark",
        "light and dark of the samples are swapped",
        "invert them with -x" if total == 0 else f"invert them with {total:g} - x",
        _subtracted(total),
    )


def _subtracted(total: float) -> Callable[[Array], Array]:
    return lambda values: total - values.astype(np.float64)


INVERTED = InputFamily(_NAME, _conventions)
