"""Makes small models of every kind that quantlab opens, with their outputs for a few samples.

Run as a program, it answers requests and writes the models to a given folder, so that the test process does not import
TensorFlow, which is imported inside the functions.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.processes import Document, Emit, serve

__all__ = ["MAKERS", "MODULE", "SAMPLES", "SmallModel", "read_models"]

Arrays = dict[str, npt.NDArray[Any]]

SAMPLES = 7

MODULE = "shop_layers"
"""The module that registers the classes of `_MODULE_TEXT`, written beside the models."""

_MODULE_TEXT = """
import keras
import tf_keras


@keras.saving.register_keras_serializable(package="shop")
class Tripled(keras.layers.Layer):
    def call(self, values):
        return 3 * values


@tf_keras.saving.register_keras_serializable(package="shop")
class Quadrupled(tf_keras.layers.Layer):
    def call(self, values):
        return 4 * values


@keras.saving.register_keras_serializable(package="shop")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(4, activation="tanh")

    def call(self, values):
        return self.dense(values)


@keras.saving.register_keras_serializable(package="shop")
class TwoArguments(keras.Model):
    def call(self, values, others):
        return values + others
"""


@dataclass(frozen=True, slots=True)
class SmallModel:
    """A model on disk."""

    path: Path
    inputs: Arrays
    """Samples by the names of the inputs; empty where the model is there to be refused."""
    outputs: list[npt.NDArray[Any]]
    """What the library that wrote the model answers to them, in the library's own order."""


def read_models(folder: Path) -> dict[str, SmallModel]:
    """Every model that was written into a folder."""
    return {name: _read(folder, path) for name, path in _written(folder).items()}


def _written(folder: Path) -> dict[str, Path]:
    lines = (folder / "written.txt").read_text().splitlines()
    return {name: folder / file for name, file in (line.split("\t") for line in lines)}


def _read(folder: Path, path: Path) -> SmallModel:
    examples = folder / f"{path.name}.npz"
    if not examples.exists():
        return SmallModel(path, {}, [])
    with np.load(examples) as arrays:
        inputs = {key.removeprefix("in "): arrays[key] for key in arrays.files if key.startswith("in ")}
        outputs = [arrays[key] for key in arrays.files if key.startswith("out ")]
    return SmallModel(path, inputs, outputs)


def _floats(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(SAMPLES, *shape)).astype(np.float32)


def _integers(low: int, high: int, *shape: int) -> npt.NDArray[np.int32]:
    return np.random.default_rng(4).integers(low, high, (SAMPLES, *shape), dtype=np.int32)


def _large_integers(*shape: int) -> npt.NDArray[np.int32]:
    """Odd ones beyond 2**24, all of which float32 would change."""
    return _integers(2**24, 2**29, *shape) | 1


def _keras3() -> Any:
    import keras

    keras.utils.set_random_seed(7)
    return keras


def _keras2() -> Any:
    import tf_keras

    tf_keras.utils.set_random_seed(7)
    return tf_keras


def _saved(model: Any, path: Path, inputs: Arrays, fed: Any = None) -> Path:
    """Save a Keras model, and what it predicts; `fed` is how its inputs are passed, if not as a list in order."""
    fed = list(inputs.values()) if fed is None else fed
    result = model.predict(fed[0] if isinstance(fed, list) and len(fed) == 1 else fed, verbose=0)
    model.save(path)
    return _with_examples(path, inputs, result)


def _with_examples(path: Path, inputs: Arrays, result: Any) -> Path:
    if isinstance(result, Mapping):
        result = [result[key] for key in sorted(result)]
    results = list(result) if isinstance(result, list | tuple) else [result]
    arrays = {f"in {name}": array for name, array in inputs.items()}
    arrays |= {f"out {place}": np.asarray(array) for place, array in enumerate(results)}
    np.savez(path.with_name(f"{path.name}.npz"), **arrays)
    return path


def _busy_norm(keras: Any, seed: int) -> Any:
    """A batch norm that does something, so that folding it matters."""
    near_zero, near_one = (
        keras.initializers.RandomUniform(-0.5, 0.5, seed),
        keras.initializers.RandomUniform(0.5, 1.5, seed),
    )
    return keras.layers.BatchNormalization(
        beta_initializer=near_zero,
        gamma_initializer=near_one,
        moving_mean_initializer=near_zero,
        moving_variance_initializer=near_one,
    )


def conv(folder: Path) -> Path:
    """Keras 3, Functional: (depthwise) convolutions, batch norms, int64 constants, softmax over 5 classes."""
    keras = _keras3()
    image = keras.Input((8, 8, 2), name="image")
    hidden = keras.layers.Conv2D(6, 3, padding="same")(image)
    hidden = keras.layers.ReLU(6.0)(_busy_norm(keras, 1)(hidden))
    hidden = keras.layers.DepthwiseConv2D(3, padding="same")(hidden)
    hidden = keras.layers.ReLU(6.0)(_busy_norm(keras, 5)(hidden))
    pooled = keras.layers.GlobalAveragePooling2D()(hidden)
    turned = keras.ops.take(pooled, np.array([5, 0, 3, 1, 4, 2], np.int64), axis=-1)
    wide = keras.layers.Dense(32)(keras.layers.Dense(40, activation="relu")(turned))  # 1,280: enough for dynamic range
    scores = keras.layers.Dense(5)(wide)
    return _saved(
        keras.Model(image, keras.layers.Softmax()(scores)), folder / "conv.keras", {"image": _floats(8, 8, 2)}
    )


def activations(folder: Path) -> Path:
    """Keras 3: every op that tfjs' converter fuses an activation into, with and without a bias, and each activation."""
    keras = _keras3()
    slopes = {"alpha_initializer": keras.initializers.RandomUniform(0.1, 0.9, seed=8), "shared_axes": [1, 2]}
    image = keras.Input((8, 8, 2), name="image")
    hidden = keras.layers.PReLU(**slopes)(image)
    hidden = keras.layers.PReLU(**slopes)(keras.layers.Conv2D(6, 3, padding="same", bias_initializer="normal")(hidden))
    branches = []
    for use_bias in (True, False):
        for after in (keras.layers.ReLU(), keras.layers.ReLU(6.0), keras.layers.ELU(), keras.layers.PReLU(**slopes)):
            depthwise = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=use_bias, bias_initializer="normal")
            branches.append(after(depthwise(hidden)))
    slope = keras.layers.LeakyReLU(negative_slope=0.3)
    branches.append(slope(keras.layers.Conv2D(6, 3, strides=2, use_bias=False)(keras.layers.ZeroPadding2D(4)(hidden))))
    branches.append(
        keras.layers.DepthwiseConv2D(3, padding="valid", dilation_rate=2)(keras.layers.ZeroPadding2D(2)(hidden))
    )
    pooled = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(branch) for branch in branches])
    wide = keras.layers.PReLU(alpha_initializer=slopes["alpha_initializer"])(keras.layers.Dense(7)(pooled))
    return _saved(
        keras.Model(image, keras.layers.Dense(5)(wide)), folder / "activations.keras", {"image": _floats(8, 8, 2)}
    )


def two_ports(folder: Path) -> Path:
    """Keras 3, Functional: a float and an int32 input, a float and an int32 output."""
    keras = _keras3()
    image, counts = keras.Input((4, 3), name="image"), keras.Input((3,), dtype="int32", name="counts")
    scores = keras.layers.Dense(5, activation="relu")(keras.layers.Flatten()(image))
    model = keras.Model([image, counts], [scores, counts + 1])
    return _saved(model, folder / "two_ports.keras", {"image": _floats(4, 3), "counts": _large_integers(3)})


def sequential(folder: Path) -> Path:
    """Keras 3, Sequential: integers into an embedding."""
    keras = _keras3()
    layers = [keras.layers.Embedding(50, 4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((6,), dtype="int32", name="words"), *layers])
    return _saved(model, folder / "sequential.keras", {"words": _integers(0, 50, 6)})


def subclassed(folder: Path) -> Path:
    """Keras 3, subclassed."""
    _keras3()
    return _saved(_own(folder, "Subclassed")(), folder / "subclassed.keras", {"args_0": _floats(5)})


def two_arguments(folder: Path) -> Path:
    """Keras 3, subclassed, called with two arguments."""
    keras = _keras3()
    model = _own(folder, "TwoArguments")()
    model(keras.ops.zeros((1, 5)), keras.ops.zeros((1, 5)))
    model.save(folder / "two_arguments.keras")
    return folder / "two_arguments.keras"


def crowded(folder: Path) -> Path:
    """Keras 3: two inputs of one shape, not in order of their names, and integers between them; thirteen outputs.

    The outputs' names in order of the alphabet (`output_10` before `output_2`) are not in order of their numbers. The
    integers are added to and nothing else, so that large ones arrive only where nobody makes floats of them.
    """
    keras = _keras3()
    second, first = keras.Input((3,), name="second"), keras.Input((3,), name="first")
    counts = keras.Input((3,), dtype="int32", name="counts")
    outputs = [second * number - first for number in range(12)]
    model = keras.Model([second, counts, first], [outputs[0], counts + 1, *outputs[1:]])
    samples = {"second": _floats(3), "counts": _large_integers(3), "first": 2 + _floats(3)}
    return _saved(model, folder / "crowded.keras", samples)


def dictionaries(folder: Path) -> Path:
    """Keras 3: inputs and outputs as dictionaries, neither written in order of the names."""
    keras = _keras3()
    inputs = {"width": keras.Input((2,), name="width"), "height": keras.Input((2,), name="height")}
    outputs = {"sum": inputs["width"] + inputs["height"], "difference": inputs["width"] - inputs["height"]}
    samples = {"width": _floats(2), "height": 3 + _floats(2)}
    return _saved(keras.Model(inputs, outputs), folder / "dictionaries.keras", samples, samples)


def keras3_h5(folder: Path) -> Path:
    """Keras 3 in an .h5 file."""
    keras = _keras3()
    values = keras.Input((4,), name="values")
    return _saved(keras.Model(values, keras.layers.Dense(3)(values)), folder / "keras3.h5", {"values": _floats(4)})


def custom(folder: Path) -> Path:
    """Keras 3 with a layer of the user's own."""
    keras = _keras3()
    values = keras.Input((4,), name="values")
    return _saved(
        keras.Model(values, _own(folder, "Tripled")()(values)), folder / "custom.keras", {"values": _floats(4)}
    )


def keras2_custom(folder: Path) -> Path:
    """Keras 2 with a layer of the user's own, in an .h5 file."""
    keras = _keras2()
    values = keras.Input((4,), name="values")
    model = keras.Model(values, _own(folder, "Quadrupled")(name="quadrupled")(values))
    return _saved(model, folder / "keras2_custom.h5", {"values": _floats(4)})


def lambda_layer(folder: Path) -> Path:
    """Keras 3 with a Lambda layer."""
    keras = _keras3()
    values = keras.Input((4,), name="values")
    doubled = keras.layers.Lambda(lambda tensor: tensor * 2, name="doubled")(values)
    return _saved(keras.Model(values, doubled), folder / "lambda.keras", {"values": _floats(4)})


def lambda_and_weights(folder: Path) -> Path:
    """Keras 3 with a Lambda layer, and a layer that can be quantized."""
    keras = _keras3()
    values = keras.Input((4,), name="values")
    doubled = keras.layers.Lambda(lambda tensor: tensor * 2, name="doubled")(values)
    mixed = keras.layers.Dense(3, use_bias=False, name="mixed")(doubled)
    return _saved(keras.Model(values, mixed), folder / "lambda_and_weights.keras", {"values": _floats(4)})


def keras2_lambda(folder: Path) -> Path:
    """Keras 2 with a Lambda layer inside a nested model, in an .h5 file."""
    keras = _keras2()
    values = keras.Input((4,), name="values")
    inner = keras.Sequential(
        [keras.layers.Lambda(lambda tensor: tensor * 2, name="hidden", input_shape=(4,))], name="inner"
    )
    return _saved(keras.Model(values, inner(values)), folder / "keras2_lambda.h5", {"values": _floats(4)})


def weights_only(folder: Path) -> Path:
    """The weights of a Keras 3 model, and nothing else."""
    keras = _keras3()
    path = folder / "alone.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save_weights(path)
    return path


def keras2_h5(folder: Path) -> Path:
    """Keras 2 in an .h5 file: two inputs, one of integers, two named outputs, a depthwise convolution."""
    keras = _keras2()
    image, counts = keras.Input((6, 6, 2), name="image"), keras.Input((3,), dtype="int32", name="counts")
    hidden = keras.layers.Flatten()(keras.layers.DepthwiseConv2D(3, name="depthwise")(image))
    outputs = [keras.layers.Dense(3, name="scores")(hidden), keras.layers.Add(name="added")([counts, counts])]
    samples = {"image": _floats(6, 6, 2), "counts": _large_integers(3)}
    return _saved(keras.Model([image, counts], outputs), folder / "keras2.h5", samples)


def keras2_keras(folder: Path) -> Path:
    """Keras 2 in a .keras file, Sequential."""
    keras = _keras2()
    layers = [
        keras.layers.Dense(4, activation="relu", input_shape=(5,), name="first"),
        keras.layers.Dense(2, name="last"),
    ]
    return _saved(keras.Sequential(layers), folder / "keras2.keras", {"first_input": _floats(5)})


def keras2_subclassed(folder: Path) -> Path:
    """Keras 2, subclassed, as a SavedModel."""
    keras = _keras2()

    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(4, activation="tanh")

        def call(self, values: Any) -> Any:
            return self.dense(values)

    return _saved(Subclassed(), folder / "keras2_subclassed", {"input_1": _floats(5)})


def module(folder: Path) -> Path:
    """A plain tf.Module with two signatures, neither of them the default; the example is of `move`."""
    import tensorflow as tf

    holder = tf.Module()
    holder.factor = tf.Variable([2.0, 3.0, 5.0])
    values = tf.TensorSpec([None, 3], tf.float32, name="values")
    shift = tf.TensorSpec([None, 3], tf.int32, name="shift")
    scale = tf.function(lambda values: {"scaled": values * holder.factor})
    move = tf.function(
        lambda values, shift: {"shifted": values * holder.factor + tf.cast(shift % 7, tf.float32), "kept": shift + 1}
    )
    path = folder / "module"
    signatures = {"scale": scale.get_concrete_function(values), "move": move.get_concrete_function(values, shift)}
    tf.saved_model.save(holder, str(path), signatures=signatures)
    samples = {"values": _floats(3), "shift": _large_integers(3)}
    return _with_examples(path, samples, move(*samples.values()))


def one_signature(folder: Path) -> Path:
    """A plain tf.Module with one signature of its own name."""
    import tensorflow as tf

    holder = tf.Module()
    holder.offset = tf.Variable([1.0, -1.0])
    move = tf.function(lambda values: {"moved": values + holder.offset})
    path = folder / "one_signature"
    signature = move.get_concrete_function(tf.TensorSpec([None, 2], tf.float32, name="values"))
    tf.saved_model.save(holder, str(path), signatures={"move": signature})
    return _with_examples(path, {"values": _floats(2)}, move(_floats(2)))


def no_signature(folder: Path) -> Path:
    """A plain tf.Module that was saved without signatures."""
    import tensorflow as tf

    holder = tf.Module()
    holder.offset = tf.Variable([1.0])
    tf.saved_model.save(holder, str(folder / "no_signature"))
    return folder / "no_signature"


def strings(folder: Path) -> Path:
    """A plain tf.Module that takes strings."""
    import tensorflow as tf

    holder = tf.Module()
    function = tf.function(lambda text: {"length": tf.strings.length(text)})
    signature = function.get_concrete_function(tf.TensorSpec([None], tf.string, name="text"))
    tf.saved_model.save(holder, str(folder / "strings"), signatures=signature)
    return folder / "strings"


def unsupported(folder: Path) -> Path:
    """A plain tf.Module with an op that neither tfjs nor TFLite has."""
    import tensorflow as tf

    holder = tf.Module()
    function = tf.function(lambda values: {"result": tf.linalg.inv(values)})
    signature = function.get_concrete_function(tf.TensorSpec([None, 2, 2], tf.float32, name="values"))
    tf.saved_model.save(holder, str(folder / "unsupported"), signatures=signature)
    return _with_examples(folder / "unsupported", {"values": _floats(2, 2)}, function(_floats(2, 2)))


def gelu(folder: Path) -> Path:
    """Keras 3 with the exact GELU, whose Erfc tfjs lacks."""
    keras = _keras3()
    values = keras.Input((4,), name="values")
    result = keras.ops.gelu(keras.layers.Dense(3)(values), approximate=False)
    return _saved(keras.Model(values, result), folder / "gelu.keras", {"values": _floats(4)})


def open_length(folder: Path) -> Path:
    """A plain tf.Module whose samples may be of any length."""
    import tensorflow as tf

    holder = tf.Module()
    holder.factor = tf.Variable(np.float32([[1, 2], [3, 4], [5, 6]]))
    function = tf.function(lambda values: {"result": tf.reduce_sum(values @ holder.factor, axis=1)})
    signature = function.get_concrete_function(tf.TensorSpec([None, None, 3], tf.float32, name="values"))
    tf.saved_model.save(holder, str(folder / "open_length"), signatures=signature)
    return _with_examples(folder / "open_length", {"values": _floats(4, 3)}, function(_floats(4, 3)))


def empty_weight(folder: Path) -> Path:
    """A plain tf.Module with a weight of no elements."""
    import tensorflow as tf

    holder = tf.Module()
    holder.nothing = tf.Variable(np.zeros((0, 2), np.float32))
    function = tf.function(lambda values: {"result": values[:, :0] @ holder.nothing + values})
    signature = function.get_concrete_function(tf.TensorSpec([None, 2], tf.float32, name="values"))
    tf.saved_model.save(holder, str(folder / "empty_weight"), signatures=signature)
    return _with_examples(folder / "empty_weight", {"values": _floats(2)}, function(_floats(2)))


def sharded(folder: Path) -> Path:
    """A plain tf.Module with more weights than one shard of tfjs holds, and constants of every dtype it keeps."""
    import tensorflow as tf

    holder = tf.Module()
    holder.factor = tf.Variable(np.random.default_rng(5).normal(size=(1100, 1000)).astype(np.float32))
    holder.narrow = tf.Variable(np.random.default_rng(6).uniform(2, 3, size=(1000, 4)).astype(np.float32))
    holder.alike = tf.Variable(np.full((4, 4), -1.25, np.float32))
    kept = tf.constant([[True, False, True, True]])
    rows = tf.constant([3, 1, 0, 2], tf.int64)

    @tf.function
    def call(values: Any) -> Any:
        hidden = tf.gather(tf.tanh(values @ holder.factor) @ holder.narrow, rows, axis=1)
        return {"result": tf.where(kept, hidden, 0.5) @ holder.alike}

    signature = call.get_concrete_function(tf.TensorSpec([None, 1100], tf.float32, name="values"))
    tf.saved_model.save(holder, str(folder / "sharded"), signatures=signature)
    return _with_examples(folder / "sharded", {"values": _floats(1100)}, call(_floats(1100)))


def spoiled(folder: Path) -> Path:
    """A plain tf.Module whose weights hold NaN, infinity, and one that half floats cannot hold."""
    import tensorflow as tf

    holder = tf.Module()
    holder.factor = tf.Variable(np.tile(np.float32([np.nan, np.inf, 1e30, 1.0]), (2, 1)))
    function = tf.function(lambda values: {"result": values @ holder.factor})
    signature = function.get_concrete_function(tf.TensorSpec([None, 2], tf.float32, name="values"))
    tf.saved_model.save(holder, str(folder / "spoiled"), signatures=signature)
    return _with_examples(folder / "spoiled", {"values": _floats(2)}, function(_floats(2)))


def _own(folder: Path, name: str) -> Any:
    """A class of the user's own module, which is written beside the models."""
    (folder / f"{MODULE}.py").write_text(_MODULE_TEXT)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return getattr(__import__(MODULE), name)


MAKERS: Mapping[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        conv,
        activations,
        two_ports,
        sequential,
        subclassed,
        two_arguments,
        crowded,
        sharded,
        dictionaries,
        keras3_h5,
        custom,
        keras2_custom,
        lambda_layer,
        lambda_and_weights,
        keras2_lambda,
        weights_only,
        keras2_h5,
        keras2_keras,
        keras2_subclassed,
        module,
        one_signature,
        no_signature,
        strings,
        unsupported,
        gelu,
        open_length,
        empty_weight,
        spoiled,
    )
}
"""What makes each model, by its name; each writes into a folder and returns the file or folder to open."""


def _make(request: Document, _emit: Emit) -> None:
    import keras2_models  # which need what is above
    import precision_models
    import recurrent_models

    folder = Path(request["folder"])
    others = (keras2_models, recurrent_models, precision_models)
    makers = {**MAKERS, **{name: maker for module in others for name, maker in module.MAKERS.items()}}
    lines = [f"{name}\t{maker(folder).name}" for name, maker in makers.items()]
    (folder / "written.txt").write_text("\n".join(lines))


if __name__ == "__main__":
    serve(_make)
