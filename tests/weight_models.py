"""Artifacts for tests of weights: real models and an unusual one, converted once, and TFLite files made by hand.

Run as a program it serves, and writes the odd model as a SavedModel; TensorFlow stays out of the process that tests.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept import QUANTLAB, kept, make_in_fork

from quantlab.formats import FORMATS
from quantlab.processes import ChildPool, Document, Emit, serve
from quantlab.statistics import compare_weights
from quantlab.store import Store
from quantlab.types import WeightRow
from quantlab_converters import CONVERTERS, ConversionRequest, convert_settings

__all__ = ["FAINT", "HandMade", "compared", "odd_variants", "real_variants", "write_tflite"]

FAINT = 5
"""The depthwise channel of the odd model whose values are 10,000 times smaller than the others'."""

_SCHEMES = {"tfjs": ("float32", "float16", "uint8"), "tflite": ("float32", "float16", "dynamic", "int8")}


def compared(variants: Mapping[str, Path], setting: str) -> list[WeightRow]:
    """The rows of one of the variants."""
    format_name = setting.partition("-")[0]
    weights = FORMATS[format_name].weights
    return list(compare_weights(setting, weights(variants[setting]), weights(variants[f"{format_name}-float32"])))


@pytest.fixture(scope="session")
def odd_variants(request: pytest.FixtureRequest) -> dict[str, Path]:
    """Setting → artifact of a model with a faint channel, a mask, a huge weight and a loop."""
    return _variants(kept(request, "odd-weights", ("weight_models.py", *QUANTLAB), _odd))


@pytest.fixture(scope="session")
def real_variants(converted: Callable[[str], Path]) -> Callable[[str], dict[str, Path]]:
    """Setting → artifact of `fashion` or `kws`, converted when first asked for."""

    @cache
    def variants(name: str) -> dict[str, Path]:
        trials = Store(converted(name)).read_study().trials
        return {trial.setting: trial.variant.path for trial in trials if trial.variant is not None}

    return variants


def _odd(folder: Path) -> None:
    make_in_fork("weight_models", {"folder": str(folder / "saved_model")}, folder / "made.log")
    samples = np.random.default_rng(2).normal(size=(16, 6, 6, 8)).astype(np.float32)
    _convert(folder / "saved_model", {"values": samples}, folder)


def _convert(saved_model: Path, samples: Mapping[str, np.ndarray], folder: Path) -> None:
    calibration = {name: folder / f"{name}.npy" for name in samples}
    for name, values in samples.items():
        np.save(calibration[name], values)
    for format_name, schemes in _SCHEMES.items():
        request = ConversionRequest(
            source=saved_model,
            signature="serving_default",
            schemes={scheme: folder / f"{format_name}-{scheme}" for scheme in schemes},
            sample_shapes={},
            calibration=calibration,
            work=folder / f"{format_name}-work",
        )
        with ChildPool(folder / "shop", stall_seconds=300) as pool:
            made = list(
                convert_settings(CONVERTERS[format_name], request, log=folder / f"{format_name}.log", pool=pool)
            )
        assert [result.reason for result in made] == [None] * len(schemes)


def _variants(folder: Path) -> dict[str, Path]:
    return {
        f"{format_name}-{scheme}": FORMATS[format_name].served(folder / f"{format_name}-{scheme}")
        for format_name, schemes in _SCHEMES.items()
        for scheme in schemes
    }


def _save_odd(folder: Path) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(1)
    sizes = np.where(np.arange(8) == FAINT, 1e-4, 1)[:, None]
    holder = tf.Module()
    holder.spread = tf.Variable((rng.uniform(-1, 1, (3, 3, 8, 1)) * sizes).astype(np.float32))
    holder.huge = tf.Variable(np.where(np.eye(8, 4) == 1, 1e30, rng.normal(size=(8, 4))).astype(np.float32))
    holder.turned = tf.Variable(rng.normal(size=(8, 8)).astype(np.float32))
    mask = tf.constant([0, 0, -1e9, 0, -1e9, 0, 0, 0], tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((None, 6, 6, 8), tf.float32, name="values")])
    def call(values: Any) -> Any:
        pooled = tf.reduce_mean(tf.nn.relu(tf.nn.depthwise_conv2d(values, holder.spread, [1, 1, 1, 1], "SAME")), [1, 2])
        looped = tf.while_loop(
            lambda turn, _: turn < 3,
            lambda turn, hidden: (turn + 1, tf.tanh(hidden @ holder.turned)),
            [tf.constant(0), pooled],
        )[1]
        return {"masked": tf.nn.softmax(pooled + mask), "huge": tf.tanh(pooled @ holder.huge), "looped": looped}

    tf.saved_model.save(holder, str(folder), signatures={"serving_default": call})


@dataclass(frozen=True, slots=True)
class HandMade:
    """A tensor of a TFLite file made by hand."""

    name: str
    dtype: str = "float32"
    shape: tuple[int, ...] = (4,)
    data: bytes = b""
    """Empty where an op makes it; equal bytes share a buffer, as converters write them."""
    scales: tuple[float, ...] = ()
    zeros: tuple[int, ...] = ()
    axis: int = 0
    sparse: bool = False
    in_blocks: bool = False


def write_tflite(
    path: Path,
    tensors: Sequence[HandMade],
    ops: Sequence[tuple[str, list[int], list[int]]],
    *,
    metadata: Sequence[tuple[str, bytes]] = (),
    version: int = 2,
) -> Path:
    """A file with these tensors, of which the first goes in and the last comes out, and (op, inputs, outputs)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version, model.buffers = 3, [schema.BufferT()]
    codes = list(dict.fromkeys(name for name, _, _ in ops))
    model.operatorCodes = [_code(schema, name, version) for name in codes]
    graph = schema.SubGraphT()
    graph.inputs, graph.outputs = [0], [len(tensors) - 1]
    graph.tensors = [_tensor(schema, model, tensor) for tensor in tensors]
    graph.operators = [_operator(schema, codes.index(name), inputs, outputs) for name, inputs, outputs in ops]
    model.subgraphs = [graph]
    model.metadata = [_metadata(schema, model, name, data) for name, data in metadata]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def _code(schema: Any, name: str, version: int) -> Any:
    code = schema.OperatorCodeT()
    known = vars(schema.BuiltinOperator)
    code.version, code.builtinCode = version, known.get(name, schema.BuiltinOperator.CUSTOM)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = None if name in known else name
    return code


def _operator(schema: Any, code: int, inputs: list[int], outputs: list[int]) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    return operator


def _tensor(schema: Any, model: Any, made: HandMade) -> Any:
    tensor, quantization = schema.TensorT(), schema.QuantizationParametersT()
    tensor.name, tensor.shape, tensor.type = made.name, list(made.shape), getattr(schema.TensorType, made.dtype.upper())
    tensor.buffer = _buffer(schema, model, made.data)
    quantization.scale, quantization.zeroPoint = list(made.scales), list(made.zeros)
    quantization.quantizedDimension = made.axis
    if made.in_blocks:
        quantization.detailsType = schema.QuantizationDetails.BlockwiseQuantization
        quantization.details = schema.BlockwiseQuantizationT()
    tensor.quantization = quantization
    tensor.sparsity = schema.SparsityParametersT() if made.sparse else None
    return tensor


def _metadata(schema: Any, model: Any, name: str, data: bytes) -> Any:
    metadata = schema.MetadataT()
    metadata.name, metadata.buffer = name, _buffer(schema, model, data)
    return metadata


def _buffer(schema: Any, model: Any, data: bytes) -> int:
    for place, buffer in enumerate(model.buffers):
        if bytes(buffer.data or b"") == data:
            return place
    buffer = schema.BufferT()
    buffer.data = list(data)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _save_asked(request: Document, _emit: Emit) -> None:
    _save_odd(Path(request["folder"]))


if __name__ == "__main__":
    serve(_save_asked)
