"""Imports the compiled loops of the layer comparison ahead of the first batch."""

import contextlib

import numpy as np

from quantlab.statistics import LayerError

__all__ = ["load_loops"]


def load_loops() -> None:
    """Import the compiled loops, which takes half a second, before the first batch waits for them."""
    nothing = np.zeros((1, 1), np.float32)
    with contextlib.suppress(Exception):  # the first batch will report the error
        LayerError.of(nothing, nothing, channels=True)
