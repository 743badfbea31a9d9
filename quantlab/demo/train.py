"""Trains the model of `quantlab demo`: `python -m quantlab.demo.train` writes it anew and prints its accuracy.

Seeded, and with deterministic kernels: on the same kind of processor the same versions give the same weights, though
not the same bytes, since Keras writes the date into the file.
"""

import math
from typing import Any

from quantlab.demo import MODEL
from quantlab.demo.digits import samples, training

__all__ = ["build", "main", "train"]

_SEED = 0
_EPOCHS = 50
_BATCH_SIZE = 32


def build() -> Any:
    """The untrained Keras model: `image` (8, 8, 1) from 0 to 16, to `probabilities` of the ten digits.

    A small MobileNet, since its parts (folded batch norms, ReLU6, depthwise kernels) are what quantization is hard on.
    """
    import keras

    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 16, name="rescale")(image)
    x = _activated(x, keras.layers.Conv2D(24, 3, padding="same", use_bias=False, name="stem"))
    for number, (filters, strides) in enumerate(((40, 1), (72, 2)), start=1):
        depthwise = keras.layers.DepthwiseConv2D(
            3, strides=strides, padding="same", use_bias=False, name=f"depthwise_{number}"
        )
        x = _activated(x, depthwise)
        x = _activated(x, keras.layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise_{number}"))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    output = keras.layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(image, output, name="digits")


def _activated(x: Any, convolution: Any) -> Any:
    import keras

    x = convolution(x)
    x = keras.layers.BatchNormalization(name=f"{convolution.name}_norm")(x)
    return keras.layers.ReLU(6.0, name=f"{convolution.name}_relu6")(x)


def train() -> Any:
    """The trained Keras model, never compiled, so that a file of it holds no optimizer."""
    import keras

    keras.utils.set_random_seed(_SEED)
    x, y = training()
    model = build()
    steps = _EPOCHS * math.ceil(len(x) / _BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=_BATCH_SIZE, epochs=_EPOCHS, verbose=0)
    trained = build()
    trained.set_weights(model.get_weights())
    return trained


def main() -> None:
    """Train, write the model beside this file, and print what README.md must say."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    model = train()
    x, y = samples()
    right = int((model.predict(x, verbose=0).argmax(axis=1) == y).sum())
    model.save(MODEL)
    print(f"{MODEL}: {model.count_params():,} parameters, {MODEL.stat().st_size:,} bytes")
    print(f"{100 * right / len(y):.2f} % right on the held-out part ({right:,} of {len(y):,})")


if __name__ == "__main__":
    main()
