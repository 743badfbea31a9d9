"""Keras models of the kinds of layers whose weights are tuned, as SavedModels.

Run as a program it serves, and writes them into a folder; TensorFlow stays out of the process that tests.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.processes import Document, Emit, serve

__all__ = ["INPUTS", "MAKERS"]

_RANDOM = np.random.default_rng(5)

INPUTS: Mapping[str, np.ndarray] = {
    "images": _RANDOM.normal(size=(6, 9, 8, 3)).astype(np.float32),
    "sequences": _RANDOM.integers(0, 40, (6, 5)).astype(np.int32),
}
"""Samples of each model."""


def _images(keras: Any, values: Any) -> Any:
    """Convolutions of all kinds, with odd sizes, strides and dilations, and dense layers."""
    layers = keras.layers
    hidden = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(values)
    hidden = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(hidden)
    hidden = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(hidden)
    hidden = layers.SeparableConv2D(8, (2, 3))(layers.PReLU(shared_axes=[1, 2])(hidden))
    hidden = layers.Conv2DTranspose(5, 2, strides=3)(layers.Conv2D(6, 3, dilation_rate=2)(hidden))
    hidden = layers.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=0)(hidden)
    hidden = layers.Dense(6, activation="elu")(layers.Flatten()(layers.MaxPooling2D(6)(hidden)))
    return layers.Dense(7)(hidden)


def _sequences(keras: Any, values: Any) -> Any:
    """A table, convolutions of one dimension, and recurrent layers whose kernels are read at each step."""
    layers = keras.layers
    hidden = layers.Embedding(40, 8)(values)
    hidden = layers.Conv1D(8, 3, padding="same", activation="relu")(hidden)
    hidden = layers.LSTM(6, unroll=True, return_sequences=True)(hidden)
    hidden = layers.Dense(8, activation="tanh")(layers.GRU(6, unroll=True, return_sequences=True)(hidden))
    return layers.Dense(4)(layers.GlobalAveragePooling1D()(hidden))


MAKERS: Mapping[str, Callable[[Any, Any], Any]] = {"images": _images, "sequences": _sequences}


def _make(request: Document, _emit: Emit) -> None:
    import keras

    keras.utils.set_random_seed(7)
    random = np.random.default_rng(6)
    for name, maker in MAKERS.items():
        samples = INPUTS[name]
        values = keras.Input(samples.shape[1:], dtype=samples.dtype.name, name="values")
        model = keras.Model(values, maker(keras, values))
        for weight in model.weights:
            if len(weight.shape) == 1:
                weight.assign(random.normal(size=weight.shape) / 4)
            elif "embedding" in weight.path:  # they begin near 0, and the samples would hardly differ
                weight.assign(random.normal(size=weight.shape))
        model.export(str(Path(request["folder"]) / name), verbose=False)


if __name__ == "__main__":
    serve(_make)
