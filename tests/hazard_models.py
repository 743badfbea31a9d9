"""Small files with planted hazards, and clean ones, as the libraries write them.

Answers a request in a child with TensorFlow, and writes the models into a folder. `PLANTED` says what lint must find in
each: all of it, and nothing else.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.processes import Document, Emit, serve

__all__ = ["CLEAN", "NORMED", "PLANTED"]

PLANTED: Mapping[str, tuple[str, ...]] = {
    "overflow.keras": ("warning F16-OVERFLOW head/bias",),
    "nan.keras": ("error NONFINITE-WEIGHT head/kernel",),
    "mixed.keras": ("warning MIXED-PRECISION head (Dense)",),
    "rescaled_twice.keras": ("warning DOUBLE-RESCALING inner_scale (Rescaling)",),
    "wide_norm.keras": ("warning CHANNEL-SPREAD first/kernel",),
    "slopes.keras": ("note LEAKYRELU-ALPHA leaky (LeakyReLU)", "note HARD-SIGMOID-DEFINITION gate (Activation)"),
    "gru.h5": ("warning GRU-RESET-AFTER gru (GRU)",),
    "layer_norm.h5": ("warning LAYERNORM-EPSILON norm (LayerNormalization)",),
    "upsampled.h5": ("warning UPSAMPLE-HALFPIXEL larger (UpSampling2D)",),
    "dropping.h5": ("warning TRAINING-TRUE drop (Dropout)",),
    "wide_norm_saved_model": ("warning CHANNEL-SPREAD model/first/kernel",),
    "random": ("warning RANDOM-OP random_uniform/RandomUniform",),
    "large_integers": ("warning INT64-WRAP Const",),
    "keepdims": ("error KEEPDIMS-IGNORED pool (GlobalAveragePooling2D)",),
    "norm_uint8": ("error BN-VARIANCE-U8 norm/moving_variance", "note NOT-FASTER "),
    "graph_layer_norm": ("error LAYERNORM-EPSILON StatefulPartitionedCall/model/norm/FusedBatchNormV3",),
    "depthwise_uint8": (
        "warning PER-TENSOR-DEPTHWISE StatefulPartitionedCall/model/wide/depthwise/ReadVariableOp",
        "note NOT-FASTER ",
    ),
    "flex.tflite": ("error FLEX-OPS Identity",),
    "halfway.tflite": ("warning UINT8-IO-HALFWAY image",),
    "boxes.tflite": ("warning CONCAT-SCALES Identity1",),
    "called_float32.tflite": ("warning LABEL-LIE ",),
}
"""File or folder → severity, hazard and place of each finding, in order."""

NORMED: tuple[str, ...] = ("normed_2.h5", "normed_2.saved", "normed_3.keras", "normed_3.saved")
"""Models with a batch norm behind layers of several kinds; the graph-model of each has its name without the suffix."""

CLEAN: tuple[str, ...] = (
    "clean.keras",
    "clean.h5",
    "clean_saved_model",
    "clean_graph",
    "clean_layers",
    "clean.tflite",
    "clean_int8.tflite",
)


def _keras3(*layers: Any, shape: Sequence[int] = (12,)) -> Any:
    import keras

    return keras.Sequential([keras.Input(shape, name="image"), *layers])


def _keras2(*layers: Any, shape: Sequence[int] = (12,)) -> Any:
    import tf_keras

    tensor = image = tf_keras.Input(shape, name="image")
    for layer in layers:
        tensor = layer(tensor)
    return tf_keras.Model(image, tensor, name="model")


def _convolutions(layers: Any) -> list[Any]:
    """Layers that every format has, with a batch norm to fold."""
    norm = layers.BatchNormalization(name="norm", beta_initializer="ones", moving_mean_initializer="ones")
    return [
        layers.Conv2D(8, 3, name="first"),
        norm,
        layers.ReLU(6.0, name="active"),
        layers.GlobalAveragePooling2D(name="pool"),
        layers.Dense(4, activation="softmax", name="head"),
    ]


def _keras3_files(folder: Path) -> None:
    import keras

    layers = keras.layers
    head: Callable[[], Any] = lambda: layers.Dense(4, name="head")  # noqa: E731 (a new layer for each model)
    overflow = _keras3(head())
    overflow.layers[-1].bias.assign([0, 0, 0, 1e5])
    overflow.save(folder / "overflow.keras")
    nan = _keras3(head())
    nan.layers[-1].kernel.assign(np.full((12, 4), np.nan))
    nan.save(folder / "nan.keras")
    _keras3(layers.Dense(4, name="head", dtype="mixed_float16")).save(folder / "mixed.keras")
    inner = keras.Sequential([keras.Input((12,)), layers.Rescaling(1 / 255, name="inner_scale"), head()], name="inner")
    _keras3(layers.Rescaling(1 / 255, name="outer_scale"), inner).save(folder / "rescaled_twice.keras")
    slopes = [layers.LeakyReLU(negative_slope=0.1, name="leaky"), layers.Activation("hard_sigmoid", name="gate")]
    _keras3(head(), *slopes).save(folder / "slopes.keras")
    wide = _keras3(*_convolutions(layers), shape=(8, 8, 2))
    _spread_norm(wide.get_layer("norm"))
    wide.save(folder / "wide_norm.keras")
    _keras3(*_convolutions(layers), shape=(8, 8, 2)).save(folder / "clean.keras")


def _spread_norm(norm: Any) -> None:
    """Give a batch norm factors that span five powers of ten, as of channels that are rarely active."""
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([np.logspace(-2.5, 0, len(gamma), dtype=np.float32), beta, mean, variance])


def _keras2_files(folder: Path) -> None:
    import tf_keras

    layers = tf_keras.layers
    _keras2(layers.GRU(4, name="gru"), shape=(6, 3)).save(folder / "gru.h5")
    _keras2(layers.LayerNormalization(name="norm")).save(folder / "layer_norm.h5")
    upsampled = layers.UpSampling2D(interpolation="bilinear", name="larger")
    _keras2(layers.Conv2D(8, 3), upsampled, shape=(8, 8, 2)).save(folder / "upsampled.h5")
    image = tf_keras.Input((12,), name="image")
    dropped = layers.Dropout(0.5, name="drop")(layers.Dense(4)(image), training=True)
    tf_keras.Model(image, dropped).save(folder / "dropping.h5")
    clean = _keras2(*_convolutions(layers), shape=(8, 8, 2))
    clean.save(folder / "clean.h5")
    _spread_norm(clean.get_layer("norm"))
    clean.save(folder / "wide_norm_saved_model", save_format="tf")


def _saved_models(folder: Path) -> None:
    import tensorflow as tf

    spec = tf.TensorSpec([None, 4], tf.float32, name="values")
    whole = tf.TensorSpec([None, 4], tf.int64, name="values")
    kernel = tf.Variable(np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4), name="kernel")
    functions = {
        "random": tf.function(lambda values: values + tf.random.uniform([4]), [spec]),
        "large_integers": tf.function(lambda values: values + tf.constant(2**32 + 5, tf.int64), [whole]),
        "clean_saved_model": tf.function(lambda values: tf.nn.relu(values @ kernel), [spec]),
    }
    for name, function in functions.items():
        holder = tf.Module()
        holder.kernel, holder.call = kernel, function
        tf.saved_model.save(holder, str(folder / name), signatures=function.get_concrete_function())


def _tfjs_files(folder: Path) -> None:
    import tensorflowjs
    import tf_keras

    layers = tf_keras.layers
    save = tensorflowjs.converters.save_keras_model
    pool = layers.GlobalAveragePooling2D(keepdims=True, name="pool")
    save(_keras2(layers.Conv2D(8, 3, name="first"), pool, shape=(8, 8, 2)), str(folder / "keepdims"))
    normed = _keras2(*_convolutions(layers), shape=(8, 8, 2))
    save(normed, str(folder / "clean_layers"))
    _graph(normed, folder / "clean_graph")
    norm = normed.get_layer("norm")
    gamma, beta, mean, _ = norm.get_weights()
    norm.set_weights([gamma, beta, mean, np.logspace(-4, 1, len(gamma), dtype=np.float32)])
    save(normed, str(folder / "norm_uint8"), quantization_dtype_map={"uint8": "*"})
    _graph(_keras2(layers.LayerNormalization(name="norm")), folder / "graph_layer_norm")
    wide = layers.DepthwiseConv2D(3, name="wide")
    spread = _keras2(wide, shape=(8, 8, 8))
    kernel, bias = wide.get_weights()
    wide.set_weights([np.sign(kernel) * np.logspace(-3, 0, 8)[:, None], bias])
    _graph(spread, folder / "depthwise_uint8", quantization_dtype_map={"uint8": "*"})


def _graph(model: Any, folder: Path, **options: Any) -> None:
    from tensorflowjs.converters.tf_saved_model_conversion_v2 import convert_tf_saved_model

    saved = folder.with_name(f"{folder.name}.saved")
    model.save(saved, save_format="tf")
    convert_tf_saved_model(str(saved), str(folder), **options)


def _normed_files(folder: Path) -> None:
    """Layers with weights, each with a batch norm behind it, as files of both versions and as graph-models."""
    import keras
    import tf_keras
    from tensorflowjs.converters.tf_saved_model_conversion_v2 import convert_tf_saved_model

    old = _keras2(*_normed_layers(tf_keras.layers), shape=(12, 12, 2))
    new = _keras3(*_normed_layers(keras.layers), shape=(12, 12, 2))
    _set_weights(old)
    _set_weights(new)
    old.save(folder / "normed_2.h5")
    old.save(folder / "normed_2.saved", save_format="tf")
    new.save(folder / "normed_3.keras")
    new.export(folder / "normed_3.saved", verbose=False)
    for name in ("normed_2", "normed_3"):
        convert_tf_saved_model(str(folder / f"{name}.saved"), str(folder / name))


def _normed_layers(layers: Any) -> list[Any]:
    computing = [
        layers.Conv2D(3, 3, name="biased"),
        layers.Conv2D(4, 3, use_bias=False, name="bare"),
        layers.Conv2D(5, 2, use_bias=False, dilation_rate=2, name="dilated"),
        layers.DepthwiseConv2D(2, name="depthwise"),
        layers.SeparableConv2D(6, 2, use_bias=False, name="separable"),
        layers.Conv2DTranspose(7, 2, name="transposed"),
        layers.Dense(8, name="dense"),
    ]
    return [layer for one in computing for layer in (one, layers.BatchNormalization(name=f"{one.name}_norm"))]


def _set_weights(model: Any) -> None:
    """Give a model weights, of which no two channels have the same norm."""
    drawn = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights([drawn.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])


def _tflite_files(folder: Path) -> None:
    import tensorflow as tf

    kernel = tf.constant(np.linspace(-1, 1, 3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4))
    image = tf.TensorSpec([1, 8, 8, 2], tf.float32, name="image")

    def convolved(image: Any) -> Any:
        return tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME"))

    def boxes(image: Any) -> Any:
        features = tf.reduce_mean(convolved(image), [1, 2])
        return tf.concat([300 * features, tf.sigmoid(features)], axis=1)

    pictures = [np.linspace(-1, 1, 128, dtype=np.float32).reshape(1, 8, 8, 2) * sign for sign in (1, -1)]
    converted: dict[str, tuple[Callable[[Any], Any], Mapping[str, Any]]] = {
        "clean.tflite": (convolved, {}),
        "clean_int8.tflite": (convolved, {"samples": pictures}),
        "called_float32.tflite": (convolved, {"samples": pictures}),
        "halfway.tflite": (convolved, {"samples": pictures, "ends": tf.uint8}),
        "boxes.tflite": (boxes, {"samples": pictures}),
        "flex.tflite": (tf.tan, {"flex": True}),
    }
    for name, (function, options) in converted.items():
        (folder / name).write_bytes(_tflite(tf.function(function, [image]), **options))


def _tflite(function: Any, samples: Sequence[Any] = (), ends: Any = None, *, flex: bool = False) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    if samples:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample] for sample in samples)
    if ends is not None:
        converter.inference_input_type = converter.inference_output_type = ends
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    held: bytes = converter.convert()
    return held


def _make(request: Document, _emit: Emit) -> None:
    folder = Path(request["folder"])
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for make in (_keras3_files, _keras2_files, _saved_models, _normed_files, _tfjs_files, _tflite_files):
        make(folder)


if __name__ == "__main__":
    serve(_make)
