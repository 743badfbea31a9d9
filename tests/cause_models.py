"""Small models whose variants go wrong for a known reason, and samples for them.

Run as a program it serves, and writes them, so that TensorFlow stays out of the process that tests.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from kept import kept, make_in_fork

from quantlab.demo.digits import samples, training
from quantlab.processes import Document, Emit, serve

__all__ = ["SAMPLES", "cause_models"]

SAMPLES = 400


@pytest.fixture(scope="session")
def cause_models(request: pytest.FixtureRequest) -> Path:
    """A folder with a `.keras` file and a `.npz` file of each model below."""

    def make(folder: Path) -> None:
        make_in_fork("cause_models", {"folder": str(folder)}, folder / "made.log")

    return kept(request, "cause-models", ("cause_models.py",), make)


def _uneven(keras: Any) -> Any:
    """A depthwise convolution whose channels differ by up to 3,000, which the next convolution takes back."""
    layers = keras.layers
    image = layers.Input((8, 8, 1))
    hidden = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(image)
    hidden = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="uneven")(hidden)
    hidden = layers.Conv2D(24, 1, activation="relu", name="mixed")(hidden)
    scores = layers.Dense(10, activation="softmax", name="scores")(layers.Flatten()(layers.MaxPooling2D()(hidden)))
    model = keras.Model(image, scores)
    # Trained, so that every channel matters to the answer.
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*training(), epochs=20, verbose=0)
    factors = np.geomspace(1, 3000, 16).astype(np.float32)
    kernel, bias = model.get_layer("uneven").get_weights()
    model.get_layer("uneven").set_weights([kernel * factors[None, None, :, None], bias * factors])
    kernel, bias = model.get_layer("mixed").get_weights()
    model.get_layer("mixed").set_weights([kernel / factors[None, None, :, None], bias])
    return model


def _beyond_half(keras: Any) -> Any:
    """A sum of squares beyond 65,504 before a normalization, and a weight of 1e5 whose output is scaled down."""
    layers = keras.layers
    values = layers.Input((16,))
    hidden = keras.ops.square(layers.Dense(64, activation="relu", name="first")(values))
    hidden = layers.LayerNormalization(name="norm")(hidden)
    large = layers.Dense(64, name="large", use_bias=False, activation="relu")(hidden)
    scores = layers.Dense(5, activation="softmax", name="scores")(layers.Rescaling(1e-5)(large))
    model = keras.Model(values, scores)
    (kernel,) = model.get_layer("large").get_weights()
    model.get_layer("large").set_weights([kernel * np.float32(1e5) / np.abs(kernel).max()])
    return model


def _quantized_before(keras: Any) -> Any:
    """Kernels that were rounded to 8 bits with one scale per tensor, as a loaded tfjs-uint8 file has them."""
    layers = keras.layers
    values = layers.Input((16,))
    hidden = layers.Dense(32, activation="relu", name="first")(values)
    model = keras.Model(values, layers.Dense(5, activation="softmax", name="scores")(hidden))
    for name in ("first", "scores"):
        kernel, bias = model.get_layer(name).get_weights()
        low, step = kernel.min(), (kernel.max() - kernel.min()) / 255
        model.get_layer(name).set_weights([(np.rint((kernel - low) / step) * step + low).astype(np.float32), bias])
    return model


_MODELS = {"uneven": _uneven, "beyond-half": _beyond_half, "quantized-before": _quantized_before}


def _kept_dimensions(keras: Any) -> Any:
    """Keras 2: a global pooling that keeps its dimensions before a convolution; TensorFlow.js drops them."""
    layers = keras.layers
    image = layers.Input((6, 6, 3))
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(4, 3)(image))
    return keras.Model(image, layers.Flatten()(layers.Conv2D(5, 1)(pooled)))


def _unknown_regularizer(keras: Any) -> Any:
    """Keras 2: a regularizer that TensorFlow.js does not have."""
    values = keras.layers.Input((8,))
    regularizer = keras.regularizers.OrthogonalRegularizer()
    return keras.Model(values, keras.layers.Dense(4, kernel_regularizer=regularizer)(values))


_KERAS2 = {"kept-dimensions": _kept_dimensions, "unknown-regularizer": _unknown_regularizer}


def _make(request: Document, _emit: Emit) -> None:
    import keras
    import tf_keras

    folder = Path(request["folder"])
    for name, make in _MODELS.items():
        keras.utils.set_random_seed(3)
        model = make(keras)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **_samples_of(model))
    for name, make in _KERAS2.items():
        tf_keras.utils.set_random_seed(3)
        model = make(tf_keras)
        model.save(folder / f"{name}.h5")
        values = np.random.default_rng(0).normal(size=(SAMPLES, *model.input_shape[1:])).astype(np.float32)
        np.savez(folder / f"{name}.npz", x=values)


def _samples_of(model: Any) -> dict[str, npt.NDArray[Any]]:
    """Held-out digits for a model of images; else noise with the model's own answers as labels."""
    shape = model.input_shape[1:]
    if len(shape) == 3:
        images, digits = samples()
        return {"x": images[:SAMPLES], "y": digits[:SAMPLES]}
    values = (20 * np.random.default_rng(0).normal(size=(SAMPLES, *shape))).astype(np.float32)
    return {"x": values, "y": model.predict(values, verbose=0).argmax(axis=1)}


if __name__ == "__main__":
    serve(_make)
