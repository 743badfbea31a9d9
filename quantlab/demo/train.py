"""Trains the model of `quantlab demo`: `python -m quantlab.demo.train` rewrites it and prints its accuracy.

Training is seeded and uses deterministic kernels. With the same versions on the same kind of processor the weights are
identical, but not the file, because Keras stores the date in it.
"""

import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantlab.demo import MODEL
from quantlab.demo.digits import samples, training

__all__ = ["build", "leave_out_new_options", "main", "train"]

_SEED = 0
_EPOCHS = 50
_BATCH_SIZE = 32


def build() -> Any:
    """The untrained Keras model, from `image` (8, 8, 1) with values 0 to 16, to `probabilities` of ten digits.

    It is a small MobileNet, because folded batch norms, ReLU6 and depthwise kernels are hard to quantize.
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
    """The trained Keras model; it is never compiled, so that its file contains no optimizer."""
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


def leave_out_new_options(path: Path) -> None:
    """Rewrite a `.keras` file without options unknown to older Keras versions, where they have their default values.

    Keras writes every option of a layer, and older versions refuse files with unknown options.
    """
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in members:
            known = info.filename != "config.json"
            archive.writestr(info, data if known else json.dumps(_without_new_options(json.loads(data))))


_NEW_OPTIONS: Mapping[str, Any] = {
    "input_axes": None,
    "output_axes": None,
    "quantization_config": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}
"""Options added between Keras 3.8 and 3.15, with their default values."""


def _without_new_options(config: Any) -> Any:
    if isinstance(config, list):
        return [_without_new_options(member) for member in config]
    if not isinstance(config, dict):
        return config
    kept = {key: value for key, value in config.items() if key not in _NEW_OPTIONS or value != _NEW_OPTIONS[key]}
    return {key: _without_new_options(value) for key, value in kept.items()}


def main() -> None:
    """Train the model, write it beside this file, and print the figures that README.md states."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    model = train()
    x, y = samples()
    right = int((model.predict(x, verbose=0).argmax(axis=1) == y).sum())
    model.save(MODEL)
    leave_out_new_options(MODEL)
    print(f"{MODEL}: {model.count_params():,} parameters, {MODEL.stat().st_size:,} bytes")
    print(f"{100 * right / len(y):.2f} % right on the held-out part ({right:,} of {len(y):,})")


if __name__ == "__main__":
    main()
