"""Small Keras 2 models that can be stored as layers-models, equal to the models of the same names in `small_models`."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from small_models import _busy_norm, _floats, _integers, _keras2, _large_integers, _saved

__all__ = ["MAKERS"]


def keras2_conv(folder: Path) -> Path:
    """Functional: (depthwise) convolutions, batch norms, softmax over 5 classes."""
    keras = _keras2()
    image = keras.Input((8, 8, 2), name="image")
    hidden = keras.layers.Conv2D(6, 3, padding="same")(image)
    hidden = keras.layers.ReLU(6.0)(_busy_norm(keras, 1)(hidden))
    hidden = keras.layers.DepthwiseConv2D(3, padding="same")(hidden)
    hidden = keras.layers.ReLU(6.0)(_busy_norm(keras, 5)(hidden))
    wide = keras.layers.Dense(40, activation="relu")(keras.layers.GlobalAveragePooling2D()(hidden))
    scores = keras.layers.Dense(5, activation="softmax", name="output_0")(wide)
    return _saved(keras.Model(image, scores), folder / "keras2_conv.h5", {"image": _floats(8, 8, 2)})


def keras2_activations(folder: Path) -> Path:
    """Every activation that is a layer, with slopes of its own; a model in the model, and a layer called twice."""
    keras = _keras2()
    slopes = {"alpha_initializer": keras.initializers.RandomUniform(0.1, 0.9, seed=8), "shared_axes": [1, 2]}
    image = keras.Input((8, 8, 2), name="image")
    twice = keras.layers.Conv2D(2, 3, padding="same", bias_initializer="normal", name="twice")
    hidden = keras.layers.PReLU(**slopes)(twice(twice(image)))
    branches = [
        after(keras.layers.DepthwiseConv2D(3, padding="same", bias_initializer="normal")(hidden))
        for after in (
            keras.layers.ReLU(),
            keras.layers.ReLU(6.0),
            keras.layers.ELU(),
            keras.layers.PReLU(**slopes),
            keras.layers.LeakyReLU(alpha=0.2),
        )
    ]
    inner_image = keras.Input((8, 8, 2))
    inner_scores = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2DTranspose(4, 3)(inner_image))
    inner = keras.Model(inner_image, inner_scores, name="inner")
    pooled = [keras.layers.GlobalAveragePooling2D()(branch) for branch in branches]
    joined = keras.layers.Concatenate()([*pooled, inner(hidden)])
    scores = keras.layers.Dense(5, activation="tanh", name="output_0")(joined)
    return _saved(keras.Model(image, scores), folder / "keras2_activations.h5", {"image": _floats(8, 8, 2)})


def keras2_crowded(folder: Path) -> Path:
    """Two inputs of one shape, not in order of their names, and integers between them; thirteen outputs.

    As in `crowded`, the outputs' names are not in order of their numbers, and large integers are only added to.
    """
    keras = _keras2()
    second, first = keras.Input((3,), name="second"), keras.Input((3,), name="first")
    counts = keras.Input((3,), dtype="int32", name="counts")
    scaled = [keras.layers.Rescaling(float(number))(second) for number in range(12)]
    places = [0, *range(2, 13)]
    sums = [
        keras.layers.Add(name=f"output_{place}")([tensor, first]) for place, tensor in zip(places, scaled, strict=True)
    ]
    doubled = keras.layers.Add(name="output_1", dtype="int32")([counts, counts])
    model = keras.Model([second, counts, first], [sums[0], doubled, *sums[1:]])
    samples = {"second": _floats(3), "counts": _large_integers(3), "first": 2 + _floats(3)}
    return _saved(model, folder / "keras2_crowded.h5", samples)


def keras2_recurrent(folder: Path) -> Path:
    """Sequential without an input layer: an embedding, and recurrent layers whose cells have names of their own."""
    keras = _keras2()
    keras.layers.LSTM(2)  # so that the cells of the next are numbered
    layers = [
        keras.layers.Embedding(50, 4, input_length=6, name="words"),
        keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True)),
        keras.layers.GRU(4, reset_after=False),
        keras.layers.Dense(3, name="output_0"),
    ]
    return _saved(keras.Sequential(layers), folder / "keras2_recurrent.h5", {"words_input": _integers(0, 50, 6)})


def keras2_wide_norm(folder: Path) -> Path:
    """A batch norm whose variances span five powers of ten, as of channels that are rarely active."""
    keras = _keras2()
    image = keras.Input((8, 8, 2), name="image")
    convolution = keras.layers.Conv2D(16, 3, use_bias=False, name="first")
    norm = keras.layers.BatchNormalization(name="wide_norm", epsilon=1e-6)
    active = keras.layers.ReLU(name="active")(norm(convolution(image)))
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(active)
    model = keras.Model(image, keras.layers.Dense(5, activation="softmax", name="output_0")(pooled))
    sizes = np.logspace(-2.5, 0, 16, dtype=np.float32)
    _, beta, mean, _ = norm.get_weights()
    norm.set_weights([sizes, beta, mean, sizes**2])  # so that together they change next to nothing
    return _saved(model, folder / "keras2_wide_norm.h5", {"image": _floats(8, 8, 2)})


def keras2_alien(folder: Path) -> Path:
    """A layer that tfjs does not have."""
    keras = _keras2()
    values = keras.Input((4,), name="values")
    shifted = keras.layers.Subtract(name="shifted")([keras.layers.Dense(4)(values), values])
    return _saved(keras.Model(values, shifted), folder / "keras2_alien.h5", {"values": _floats(4)})


def keras2_otherwise(folder: Path) -> Path:
    """Layers that tfjs runs otherwise than Keras."""
    keras = _keras2()
    image = keras.Input((4, 4, 2), name="image")
    hidden = keras.layers.ReLU(threshold=0.5, name="cut")(image)
    larger = keras.layers.UpSampling2D(interpolation="bilinear", name="larger")(hidden)
    scores = keras.layers.Dense(3, name="output_0")(keras.layers.Flatten()(larger))
    return _saved(keras.Model(image, scores), folder / "keras2_otherwise.h5", {"image": _floats(4, 4, 2)})


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        keras2_conv,
        keras2_activations,
        keras2_crowded,
        keras2_recurrent,
        keras2_wide_norm,
        keras2_alien,
        keras2_otherwise,
    )
}
"""As of `small_models`."""
