"""Makes toy files of ONNX models with one dense layer; they need no TensorFlow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quantlab.errors import ConversionError
from quantlab_converters import ConversionRequest, Part
from quantlab_converters.float_layers import kept_parts

PARTS = (Part("dense", ("kernel",), ("dense",), 36), Part("y", (), ("y",)))
"""The ops of every toy file."""


def convert(request: ConversionRequest) -> Iterator[str]:
    kernel, bias = _dense(request.source)
    for scheme, folder in request.schemes.items():
        yield scheme
        if scheme == "broken":
            raise ConversionError("toy files know no such scheme; leave it out")
        dtype = kept_parts(PARTS, request.float_layers.get(scheme, ())).get(PARTS[0], "int8")
        stored, scale = _stored(kernel, "float32" if scheme == "float32" else dtype)
        with (folder / "model.toy").open("wb") as file:
            np.savez(file, kernel=stored, bias=bias, scale=scale)


def _stored(kernel: np.ndarray, dtype: str) -> tuple[np.ndarray, np.float32]:
    """The kernel as it is stored, and the scale of its codes."""
    if dtype != "int8":
        return kernel.astype(dtype), np.float32(1)
    scale = np.float32(np.abs(kernel).max() / 127)
    return np.round(kernel / scale).astype(np.int8), scale


def refuse(request: ConversionRequest) -> Iterator[str]:
    for scheme in request.schemes:
        yield scheme
        raise ConversionError("nothing is converted today; come again")


def _dense(source: Path) -> tuple[np.ndarray, np.ndarray]:
    import onnx
    from onnx import numpy_helper

    arrays = {
        initializer.name: numpy_helper.to_array(initializer) for initializer in onnx.load(source).graph.initializer
    }
    if set(arrays) != {"kernel", "bias"}:
        raise ConversionError(f"a toy file holds one dense layer, and the model has {len(arrays)} weights")
    return arrays["kernel"], arrays["bias"]
