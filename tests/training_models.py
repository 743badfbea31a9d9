"""Models of both versions of Keras that answer as in training, and what is found about each.

Run as a program it serves: it makes them in the folder that it is asked for, opens each as quantlab does, and writes
`found.json`, so that TensorFlow stays out of the process that tests; it is imported inside the functions.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.processes import Document, Emit, serve

__all__ = ["MAKERS", "MODULE", "N"]

MODULE = "training_models"
N = 40
"""Samples that each model is asked about."""


def _keras(version: int) -> Any:
    if version == 2:
        import tf_keras

        return tf_keras
    import keras

    return keras


def _functional(version: int, *middle: tuple[str, Mapping[str, Any], Mapping[str, Any]]) -> Callable[[Path], None]:
    """A maker: a convolution, some layers by class name with their arguments and those of their calls, a softmax."""

    def make(path: Path) -> None:
        keras = _keras(version)
        keras.utils.set_random_seed(0)
        image = hidden = keras.Input((8, 8, 3), name="image")
        hidden = keras.layers.Conv2D(4, 3)(hidden)
        for kind, made_with, called_with in middle:
            layer = getattr(keras.layers, kind, None) or getattr(_own_layers(keras), kind)
            hidden = layer(**made_with)(hidden, **called_with)
        pooled = keras.layers.GlobalAveragePooling2D()(hidden)
        keras.Model(image, keras.layers.Dense(3, activation="softmax", name="scores")(pooled)).save(path)

    return make


def _own_layers(keras: Any) -> Any:
    """Layers as users write them, by class name."""
    import tensorflow as tf

    def registered(layer: type) -> type:
        return keras.saving.register_keras_serializable()(layer)

    class Shaken(keras.layers.Layer):
        """Adds noise unless it is told that it is not in training."""

        def call(self, values: Any, training: bool = True) -> Any:
            return values + tf.random.normal(tf.shape(values)) if training else values

    class Forgetful(keras.layers.Layer):
        """Holds a dropout, and always calls it as in training."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.inner = keras.layers.Dropout(0.5, name="inner")

        def call(self, values: Any) -> Any:
            return self.inner(values, training=True)

    class Sociable(keras.layers.Layer):
        """Subtracts the mean over the batch."""

        def call(self, values: Any) -> Any:
            return values - tf.reduce_mean(values, axis=0, keepdims=True)

    layers = {kind.__name__: registered(kind) for kind in (Shaken, Forgetful, Sociable)}
    return type("Own", (), layers)


_TRAINS = {"training": True}
MAKERS: Mapping[str, Callable[[Path], None]] = {
    f"{name} {version}": _functional(version, *middle)
    for version in (3, 2)
    for name, middle in {
        "dropout": [("Dropout", {"rate": 0.5, "name": "dropped"}, _TRAINS)],
        "norm": [("BatchNormalization", {"name": "normed"}, _TRAINS)],
        "noise": [("GaussianNoise", {"stddev": 1.0, "name": "noisy"}, _TRAINS)],
        "augmentation": [("RandomRotation", {"factor": 0.3, "name": "turned"}, {}), ("Dropout", {"rate": 0.5}, {})],
        "truthy": [("Shaken", {"name": "shaken"}, {})],
        "inside": [("Forgetful", {"name": "forgetful"}, {})],
        "batch": [("Sociable", {"name": "sociable"}, {})],
        "clean": [
            ("Dropout", {"rate": 0.5}, {}),
            ("BatchNormalization", {}, {}),
            ("GaussianNoise", {"stddev": 1.0}, {}),
        ],
        "harmless": [("Dropout", {"rate": 0.0, "name": "kept"}, _TRAINS)],
    }.items()
}
"""Case → function that saves a model to a path."""


def _found(path: Path, folder: Path) -> dict[str, Any]:
    """The probe of a model, and the layers that may act."""
    from quantlab.runtimes import Job, python
    from quantlab.types.executor_options import ExecutorOptions, ModelRequest
    from quantlab.worker.probing import probed
    from quantlab.worker.reference import open_once

    request = ModelRequest(str(path), None, (), unsafe=False, export=str(folder / f"{path.name}.export"))
    job = Job("", "", "", N, 0, N, (), (), ExecutorOptions(model=request), python.REFERENCE)
    batch = [np.random.default_rng(0).normal(size=(N, 8, 8, 3)).astype(np.float32)]
    told = probed(job, batch)
    import tensorflow as tf

    reference = open_once(job)
    export = tf.saved_model.load(str(reference.source)).signatures["serving_default"]
    [exported] = export(**{reference.description.inputs[0].name: tf.constant(batch[0])}).values()
    return {
        "equals_export": bool(np.array_equal(reference.call(batch)[0], exported.numpy())),
        "probe": {name: getattr(told, name) for name in ("again", "single", "call", "predict")},
        "layers": [dataclasses.asdict(layer) for layer in reference.training_layers],
    }


def _make(request: Document, _emit: Emit) -> None:
    folder, found = Path(request["folder"]), {}
    _own_layers(_keras(2)), _own_layers(_keras(3))
    for name, make in MAKERS.items():
        path = folder / f"{name.replace(' ', '-')}.keras"
        make(path)
        found[name] = _found(path, folder)
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    serve(_make)
