"""The channels came first and were reshaped to come last, or the reverse: the shape fits and the order does not."""

from collections.abc import Callable, Iterator

import numpy as np

from quantlab.conventions.contract import Array, InputConvention, InputFacts, InputFamily

__all__ = ["LAYOUT"]

_NAME = "layout"


def _conventions(facts: InputFacts) -> Iterator[InputConvention]:
    shape = facts.shape
    if len(shape) != 3 or 1 in shape:  # of one channel, both layouts are the same bytes
        return
    if shape[-1] <= min(shape[:2]):
        yield InputConvention(
            _NAME,
            "NCHW reshaped to NHWC",
            "the channels of the samples came first, and they were reshaped to come last",
            "move the channels with numpy.moveaxis(x, 1, -1) instead of reshape",
            _moved((shape[2], *shape[:2]), 1, -1),
        )
    if shape[0] <= min(shape[1:]):
        yield InputConvention(
            _NAME,
            "NHWC reshaped to NCHW",
            "the channels of the samples came last, and they were reshaped to come first",
            "move the channels with numpy.moveaxis(x, -1, 1) instead of reshape",
            _moved((*shape[1:], shape[0]), -1, 1),
        )


def _moved(shape: tuple[int, ...], source: int, target: int) -> Callable[[Array], Array]:
    return lambda values: np.moveaxis(values.reshape(-1, *shape), source, target)


LAYOUT = InputFamily(_NAME, _conventions)
