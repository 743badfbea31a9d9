"""Small versions of the files that are used in commands of the documentation."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
from command_line import quantlab_in_process
from kept import make_in_fork
from PIL import Image
from small_digits import write_small_digits
from study_fixtures import ALONE, MAKERS

from quantlab.demo.digits import samples, training
from quantlab.processes import Document, Emit, serve

__all__ = ["make_docs_folder"]

_SCORED, _CALIBRATION, _PER_CLASS = 160, 100, 3


def make_docs_folder(folder: Path) -> None:
    """Write every file that a guide names and does not make itself."""
    make_in_fork("docs_folder", {"folder": str(folder)}, folder / "made.log")
    (folder / "ports").rename(folder / "prices")
    (folder / "twice").rename(folder / "two_signatures")
    _write_samples(folder)
    onnx_models.pictures(folder / "network.onnx")
    np.savez(folder / "pictures.npz", **onnx_models.samples(40))
    # What several guides convert and run, once; the last is the study that they show.
    digits = ("analyze", "model.keras", "--data", "test.npz", "--settings")
    for words in (
        ("analyze", "keras2_model.h5", "--data", "test.npz", "--settings", "tfjs-*,tfjs-layers-*", *ALONE),
        (*digits, "tfjs-*,onnx-*", "--runtimes", "python", *ALONE),
        (*digits, "tfjs-uint8,tflite-dynamic"),
    ):
        done = quantlab_in_process(*words, cwd=folder)
        assert done.status == 0, done.stderr
    (artifact,) = (folder / "model.study" / "variants" / "tflite-dynamic").rglob("model.tflite")
    shutil.copy(artifact, folder / "model.tflite")


def _write_samples(folder: Path) -> None:
    random = np.random.default_rng(0)
    x, y = samples()
    chosen = np.sort(random.permutation(len(y))[:_SCORED])
    np.savez(folder / "test.npz", x=x[chosen], y=y[chosen])
    np.save(folder / "x.npy", x[chosen])
    np.savetxt(folder / "labels.txt", y[chosen], fmt="%d")
    x, y = training()
    chosen = random.permutation(len(y))[:_CALIBRATION]
    np.savez(folder / "train.npz", x=x[chosen], y=y[chosen])
    for digit in range(10):
        place = folder / "photos" / str(digit)
        place.mkdir(parents=True)
        for number, image in enumerate(x[y == digit][:_PER_CLASS]):
            Image.fromarray((image[..., 0] * 15).astype(np.uint8)).save(place / f"{number}.png")
    np.savez(folder / "values.npz", x=random.normal(size=(40, 3)).astype(np.float32))
    np.savez(folder / "words.npz", x=random.normal(size=(40, 6, 4)).astype(np.float32))


def _keras2(folder: Path) -> None:
    """A model of Keras 2 that takes the digits."""
    import tf_keras

    tf_keras.utils.set_random_seed(7)
    image = tf_keras.Input((8, 8, 1), name="image")
    value = tf_keras.layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    value = tf_keras.layers.Dense(10, activation="softmax", name="dense")(tf_keras.layers.Flatten()(value))
    tf_keras.Model(image, value).save(folder / "keras2_model.h5")


def _custom(folder: Path) -> None:
    """The model of the guide's custom layer, whose class the guide's module registers again."""
    import keras

    @keras.saving.register_keras_serializable()
    class Twice(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2 * x

    values = keras.Input((3,), name="values")
    keras.Model(values, Twice()(values)).save(folder / "custom.keras")
    values = keras.Input((3,), name="values")
    keras.Model(values, keras.layers.Lambda(lambda x: 2 * x)(values)).save(folder / "lambda.keras")


def _make(request: Document, _emit: Emit) -> None:
    folder = Path(request["folder"])
    write_small_digits(folder / "model.keras")
    for maker in (*MAKERS, _keras2, _custom):
        maker(folder)


if __name__ == "__main__":
    serve(_make)
