"""Small models that converters refuse: in half floats, quantized by Keras, with text, with nested outputs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from small_models import _floats, _integers, _keras2, _keras3, _saved, _with_examples

__all__ = ["MAKERS"]


def keras3_mixed(folder: Path) -> Path:
    """Keras 3 in mixed_float16, with a layer norm, which TFLite cannot run in int16x8; the last layer is float32."""
    keras = _keras3()
    values = keras.Input((6,), name="values")
    model = keras.Model(values, _normed(keras, values, "mixed_float16"))
    return _saved(model, folder / "keras3_mixed.keras", {"values": _floats(6)})


def keras2_mixed(folder: Path) -> Path:
    """Keras 2 in mixed_bfloat16."""
    keras = _keras2()
    values = keras.Input((6,), name="values")
    model = keras.Model(values, _normed(keras, values, keras.mixed_precision.Policy("mixed_bfloat16")))
    return _saved(model, folder / "keras2_mixed.h5", {"values": _floats(6)})


def _normed(keras: Any, values: Any, policy: Any) -> Any:
    hidden = keras.layers.Dense(8, activation="relu", dtype=policy)(values)
    hidden = keras.layers.LayerNormalization(dtype=policy)(hidden)
    return keras.layers.Dense(3, activation="softmax", dtype="float32", name="output_0")(hidden)


def half_saved_model(folder: Path) -> Path:
    """A SavedModel of a Keras 3 model in mixed_bfloat16, as Keras exports it."""
    keras = _keras3()
    values = keras.Input((6,), name="values")
    model = keras.Model(values, _normed(keras, values, "mixed_bfloat16"))
    model.export(str(folder / "half_saved_model"), verbose=False)
    inputs = {"values": _floats(6)}
    return _with_examples(folder / "half_saved_model", inputs, model.predict(inputs["values"], verbose=0))


def keras3_quantized(folder: Path) -> Path:
    """Keras 3 after `model.quantize`."""
    keras = _keras3()
    values = keras.Input((6,), name="values")
    model = keras.Model(values, keras.layers.Dense(3, activation="softmax")(keras.layers.Dense(8)(values)))
    model.quantize("int8")
    return _saved(model, folder / "keras3_quantized.keras", {"values": _floats(6)})


def quantized_saved_model(folder: Path) -> Path:
    """The same as a SavedModel, as Keras exports it, in int4: two values in each int8."""
    keras = _keras3()
    values = keras.Input((6,), name="values")
    model = keras.Model(values, keras.layers.Dense(3, activation="softmax")(keras.layers.Dense(8)(values)))
    model.quantize("int4")
    model.export(str(folder / "quantized_saved_model"), verbose=False)
    inputs = {"values": _floats(6)}
    return _with_examples(folder / "quantized_saved_model", inputs, model.predict(inputs["values"], verbose=0))


def text(folder: Path) -> Path:
    """A SavedModel of Keras 2 that writes integers as text and looks the words up."""
    import tensorflow as tf

    keras = _keras2()
    vectorize = keras.layers.TextVectorization(output_sequence_length=2, vocabulary=["1", "2", "3"])
    embed = keras.layers.Embedding(5, 4)
    number = keras.Input((1,), dtype="int64", name="number")
    words = vectorize(keras.layers.Lambda(tf.strings.as_string)(number))
    scores = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(embed(words)))
    model = keras.Model(number, scores)
    model.save(folder / "text", save_format="tf", include_optimizer=False)
    inputs = {"number": _integers(0, 5, 1).astype(np.int64)}
    return _with_examples(folder / "text", inputs, model.predict(inputs["number"], verbose=0))


def keras2_nested(folder: Path) -> Path:
    """Keras 2 with outputs in nested lists and a dictionary."""
    keras = _keras2()
    values = keras.Input((2,), name="values")
    tensors = [values]
    for name in ("one", "two", "three", "four"):
        tensors.append(keras.layers.Dense(2, name=name)(tensors[-1]))
    _, one, two, three, four = tensors
    keras.Model(values, [[one, [two]], {"deep": three, "last": four}]).save(folder / "keras2_nested.h5")
    return folder / "keras2_nested.h5"


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        *(keras3_mixed, keras2_mixed, half_saved_model),
        *(keras3_quantized, quantized_saved_model),
        *(text, keras2_nested),
    )
}
"""As of `small_models`."""
