"""A model of the digits with half the layers of the demo's, for tests that open or convert one many times.

Run as a program it serves, and writes the model, so that TensorFlow stays out of the process that tests.
"""

from pathlib import Path
from typing import Any

import numpy as np

from quantlab.demo.digits import training
from quantlab.processes import Document, Emit, serve

__all__ = ["write_small_digits"]


def write_small_digits(file: Path) -> None:
    """Write a `.keras` file whose layers have names of those of the demo's, in a process that may import Keras.

    The first layers are random, and the last is the least-squares fit to the labels, which needs no training.
    """
    import keras

    keras.utils.set_random_seed(7)
    image = keras.Input((8, 8, 1), name="image")
    hidden = _hidden(keras.layers, keras.initializers.RandomUniform(0.5, 1.5), image)
    last = keras.layers.Dense(10, activation="softmax", name="probabilities")
    model = keras.Model(image, last(hidden), name="digits")
    x, y = training()
    features = np.asarray(keras.Model(image, hidden)(x), np.float64)
    squares = features.T @ features + np.eye(features.shape[1])
    last.set_weights([10 * np.linalg.solve(squares, features.T @ (np.eye(10)[y] - 0.1)), np.zeros(10)])
    model.save(file)


def _hidden(layers: Any, about_one: Any, image: Any) -> Any:
    """One convolution of each kind that converters treat in a way of their own, and a norm that they fold into it."""
    hidden = layers.Rescaling(1 / 16, name="rescale")(image)
    hidden = layers.Conv2D(24, 3, padding="same", use_bias=False, name="stem")(hidden)
    hidden = layers.BatchNormalization(gamma_initializer=about_one, name="stem_norm")(hidden)
    hidden = layers.ReLU(6.0, name="stem_relu6")(hidden)
    # Keras' own initial values are for kernels that add up channels, and would leave next to nothing here.
    depthwise = layers.DepthwiseConv2D(
        3, strides=2, padding="same", activation="relu", depthwise_initializer=about_one, name="depthwise_1"
    )
    hidden = depthwise(hidden)
    for number in (1, 2):
        hidden = layers.Conv2D(24, 1, activation="relu", name=f"pointwise_{number}")(hidden)
    return layers.Flatten(name="flatten")(hidden)


def _write(request: Document, _emit: Emit) -> None:
    write_small_digits(Path(request["file"]))


if __name__ == "__main__":
    serve(_write)
