"""Small models with recurrent layers, of Keras 2 and 3: stacked, bidirectional, with sequences, with a state."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from small_models import _floats, _keras2, _keras3, _saved

__all__ = ["MAKERS"]

_STEPS, _FEATURES, _UNITS = 4, 3, 3
_BIASED = {"bias_initializer": "random_normal"}
"""As after training: without biases, other ops are fused."""


def keras3_recurrent(folder: Path) -> Path:
    """Keras 3: each kind of recurrent layer, one on the other; the outputs are classes, and a value for each step."""
    keras = _keras3()
    layers = keras.layers
    steps = keras.Input((_STEPS, _FEATURES), name="steps")
    both = layers.Bidirectional(layers.LSTM(_UNITS, return_sequences=True, **_BIASED))(steps)
    each = layers.GRU(_UNITS, return_sequences=True, **_BIASED)(layers.SimpleRNN(_UNITS, return_sequences=True)(both))
    scores = layers.Dense(3, activation="softmax", **_BIASED)(layers.LSTM(_UNITS, **_BIASED)(each))
    return _saved(
        keras.Model(steps, [scores, each]), folder / "keras3_recurrent.keras", {"steps": _floats(_STEPS, _FEATURES)}
    )


def keras2_gru(folder: Path) -> Path:
    """Keras 2: a bidirectional GRU below another; its mask is reversed, too."""
    keras = _keras2()
    steps = keras.Input((_STEPS, _FEATURES), name="steps")
    masked = keras.layers.Masking()(steps)
    both = keras.layers.Bidirectional(keras.layers.GRU(_UNITS, return_sequences=True, **_BIASED))(masked)
    scores = _scores(keras, keras.layers.GRU(_UNITS, **_BIASED)(both))
    return _saved(keras.Model(steps, scores), folder / "keras2_gru.h5", {"steps": _floats(_STEPS, _FEATURES)})


def keras2_lstm(folder: Path) -> Path:
    """Keras 2: an LSTM, which TFLite's converter fuses into one op with a state."""
    keras = _keras2()
    steps = keras.Input((_STEPS, _FEATURES), name="steps")
    scores = _scores(keras, keras.layers.LSTM(_UNITS, **_BIASED)(steps))
    return _saved(keras.Model(steps, scores), folder / "keras2_lstm.h5", {"steps": _floats(_STEPS, _FEATURES)})


def _scores(keras: Any, features: Any) -> Any:
    return keras.layers.Dense(3, activation="softmax", name="output_0", **_BIASED)(features)


def keras3_stateful(folder: Path) -> Path:
    """Keras 3: an LSTM that keeps its state for the next batch, of one sample."""
    keras = _keras3()
    steps = keras.Input(batch_shape=(1, _STEPS, _FEATURES), name="steps")
    scores = _scores(keras, keras.layers.LSTM(_UNITS, stateful=True, name="memory")(steps))
    keras.Model(steps, scores).save(folder / "keras3_stateful.keras")
    return folder / "keras3_stateful.keras"


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    maker.__name__: maker for maker in (keras3_recurrent, keras2_gru, keras2_lstm, keras3_stateful)
}
"""As of `small_models`."""
