"""Keras models of one kind of kernel each, with channels that one scale does not serve, as SavedModels.

Run as a program it serves, and writes them into a folder; TensorFlow stays out of the process that tests.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.processes import Document, Emit, serve

__all__ = ["INPUTS", "MAKERS"]

INPUTS: Mapping[str, np.ndarray] = {
    name: np.random.default_rng(5).normal(size=shape).astype(np.float32)
    for name, shape in {
        "shared": (3, 32),
        "one_channel": (3, 12, 12, 4),
        "zero_channels": (3, 12, 12, 4),
        "transposed": (3, 6, 6, 8),
        "one_dimensional": (3, 20, 8),
        "unrolled": (3, 4, 16),
    }.items()
} | {"embedding": np.random.default_rng(5).integers(0, 50, (3, 7)).astype(np.int32)}
"""Samples of each model."""


def _shared(keras: Any, values: Any) -> Any:
    """One kernel that two ops read."""
    dense = keras.layers.Dense(32)
    return dense(dense(values))


def _one_channel(keras: Any, values: Any) -> Any:
    """Kernels of one channel; without a bias, which the converter would fuse in a rank that wasm refuses."""
    return keras.layers.Dense(1)(keras.layers.Flatten()(keras.layers.Conv2D(1, 3, use_bias=False)(values)))


def _zero_channels(keras: Any, values: Any) -> Any:
    """Kernels of which the channels 0 and 5 are 0, after `_spread`."""
    hidden = keras.layers.Conv2D(24, 3, activation="relu", name="zeroed")(values)
    return keras.layers.Dense(24, name="zeroed_too")(keras.layers.GlobalAveragePooling2D()(hidden))


def _transposed(keras: Any, values: Any) -> Any:
    """Transposed convolutions of two and one dimensions."""
    hidden = keras.layers.Conv2DTranspose(16, 3, strides=2)(values)
    return keras.layers.Conv1DTranspose(16, 3)(keras.layers.Reshape((-1, 16))(hidden))


def _one_dimensional(keras: Any, values: Any) -> Any:
    """Convolutions of one dimension: plain, separable and depthwise."""
    hidden = keras.layers.Conv1D(32, 3, activation="relu")(values)
    return keras.layers.DepthwiseConv1D(17)(keras.layers.SeparableConv1D(32, 3, padding="same")(hidden))


def _embedding(keras: Any, values: Any) -> Any:
    """A table whose rows are gathered."""
    return keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(50, 16)(values))


def _unrolled(keras: Any, values: Any) -> Any:
    """Recurrent layers whose kernels are read at each step."""
    hidden = keras.layers.LSTM(12, unroll=True, return_sequences=True)(values)
    hidden = keras.layers.GRU(12, unroll=True, return_sequences=True)(hidden)
    return keras.layers.SimpleRNN(24, unroll=True)(hidden)


MAKERS: Mapping[str, Callable[[Any, Any], Any]] = {
    maker.__name__.removeprefix("_"): maker
    for maker in (_shared, _one_channel, _zero_channels, _transposed, _one_dimensional, _embedding, _unrolled)
}


def _spread(model: Any) -> None:
    """Make the channels of each kernel differ a thousandfold, and some of them 0 where a name says so."""
    random = np.random.default_rng(6)
    for weight in model.weights:
        axis = -2 if "transpose" in weight.path or "depthwise" in weight.path else -1
        if len(weight.shape) > 1:
            sizes = 10.0 ** random.uniform(-3, 0, weight.shape[axis])
            if "zeroed" in weight.path:
                sizes[[0, 5]] = 0
            weight.assign(weight.numpy() * sizes.reshape([-1, *[1] * (-1 - axis)]))
        else:
            weight.assign(random.normal(size=weight.shape))


def _make(request: Document, _emit: Emit) -> None:
    import keras

    keras.utils.set_random_seed(7)
    for name, maker in MAKERS.items():
        samples = INPUTS[name]
        values = keras.Input(samples.shape[1:], dtype=samples.dtype.name, name="values")
        model = keras.Model(values, maker(keras, values))
        _spread(model)
        model.export(str(Path(request["folder"]) / name), verbose=False)


if __name__ == "__main__":
    serve(_make)
