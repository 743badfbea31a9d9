"""Images with the channels first where they belong last, and the reverse; height for width."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quantlab.study.attempts.contract import Array, Attempt, RightInputs, fed, shape_text

__all__ = ["layouts"]

_CHANNELS = (1, 3, 4)


def layouts(right: RightInputs) -> Iterator[Attempt]:
    """Yield what a transposition, and one that is hidden by a reshape, make of images; nothing without images."""
    unit = tuple(values[: right.unit] for values in right.arrays)
    turned = tuple(_turned(values) for values in unit)
    if not any(turn is not None for turn in turned):
        return
    words = next(turn.words for turn in turned if turn is not None)
    arrays = tuple(values if turn is None else turn.values for values, turn in zip(unit, turned, strict=True))
    if [values.shape for values in arrays] != [values.shape for values in unit]:
        yield Attempt(f"{words}: {shape_text(arrays)}", fed(right, arrays), unit)
    hidden = tuple(values.reshape(one.shape) for values, one in zip(arrays, unit, strict=True))
    if not all(np.array_equal(one, other) for one, other in zip(hidden, unit, strict=True)):
        yield Attempt(f"{words}, reshaped to {shape_text(hidden)}", fed(right, hidden), unit)
    swapped = tuple(
        values if turn is None else np.swapaxes(values, *turn.sides) for values, turn in zip(unit, turned, strict=True)
    )
    yield Attempt(f"width before height: {shape_text(swapped)}", fed(right, swapped), unit)


@dataclass(frozen=True, slots=True)
class _Turn:
    """Images in the other layout."""

    values: Array
    words: str
    """The other layout."""
    sides: tuple[int, int]
    """The axes of height and width in the right layout."""


def _turned(values: Array) -> _Turn | None:
    """None for an array that holds no images."""
    if values.ndim != 4:
        return None
    if values.shape[3] in _CHANNELS:
        return _Turn(values.transpose(0, 3, 1, 2), "channels first", (1, 2))
    if values.shape[1] in _CHANNELS:
        return _Turn(values.transpose(0, 2, 3, 1), "channels last", (2, 3))
    return None
