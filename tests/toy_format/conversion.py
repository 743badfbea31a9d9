"""Makes toy files of ONNX models with one dense layer; they need no TensorFlow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quantlab.errors import ConversionError
from quantlab_converters import ConversionRequest


def convert(request: ConversionRequest) -> Iterator[str]:
    kernel, bias = _dense(request.source)
    for scheme, folder in request.schemes.items():
        yield scheme
        if scheme == "broken":
            raise ConversionError("toy files know no such scheme; leave it out")
        scale = np.float32(1 if scheme == "float32" else np.abs(kernel).max() / 127)
        stored = kernel if scheme == "float32" else np.round(kernel / scale).astype(np.int8)
        with (folder / "model.toy").open("wb") as file:
            np.savez(file, kernel=stored, bias=bias, scale=scale)


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
