"""Statically quantized ONNX files of which only weights, or only activations, stay quantized."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

from quantlab_converters.onnx_apart import write_apart
from quantlab_converters.onnx_float import KeptNodes, hold_in_float

RANDOM = np.random.default_rng(5)
SQUARE, WIDE = RANDOM.normal(size=(6, 6)).astype(np.float32), RANDOM.normal(size=(6, 4)).astype(np.float32)
ROWS = RANDOM.normal(size=(20, 6)).astype(np.float32)


class Samples(CalibrationDataReader):
    def __init__(self):
        self.rows = iter(ROWS)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"rows": row[None]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A float32 file with a square matrix that is read transposed, and a quantized file of it."""
    folder = tmp_path_factory.mktemp("apart")
    nodes = [
        helper.make_node("Gemm", ["rows", "square", "bias"], ["hidden"], "first", transB=1),
        helper.make_node("Relu", ["hidden"], ["positive"], "relu"),
        helper.make_node("MatMul", ["positive", "wide"], ["scores"], "second"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 4])],
        [
            numpy_helper.from_array(SQUARE, "square"),
            numpy_helper.from_array(WIDE, "wide"),
            numpy_helper.from_array(np.ones(6, np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "float32.onnx")
    quantize_static(folder / "float32.onnx", folder / "int8.onnx", Samples(), per_channel=True)
    return folder


def outputs(file):
    return onnxruntime.InferenceSession(file).run(None, {"rows": ROWS})[0]


def float_of(file, name):
    """The weight as the file decodes it."""
    graph = onnx.load(file).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (node,) = (node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] == name)
    codes, scale, zero = (stored[part].astype(np.float32) for part in node.input)
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    shape = [-1 if place == min(axis, codes.ndim - 1) else 1 for place in range(codes.ndim)] if scale.ndim else []
    return (codes - zero.reshape(shape)) * scale.reshape(shape)


def test_weights_alone(files):
    """The activations are those of the float32 ops, on weights that were decoded from codes."""
    write_apart(files / "int8.onnx", files / "float32.onnx", files / "weights.onnx", "weights")
    kept = {node.op_type for node in onnx.load(files / "weights.onnx").graph.node}
    assert kept == {"Gemm", "Relu", "MatMul"}
    square, wide = float_of(files / "int8.onnx", "square_quantized"), float_of(files / "int8.onnx", "wide_quantized")
    bias = float_of(files / "int8.onnx", "bias_quantized")
    expected = np.maximum(ROWS @ square.T + bias, 0) @ wide
    np.testing.assert_allclose(outputs(files / "weights.onnx"), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected - outputs(files / "float32.onnx")).max() > 1e-4


def test_activations_alone(files):
    """Every weight is that of the float32 file, also the square one that a Gemm reads transposed."""
    write_apart(files / "int8.onnx", files / "float32.onnx", files / "activations.onnx", "activations")
    graph = onnx.load(files / "activations.onnx").graph
    read = {name for node in graph.node for name in node.input}
    floats = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name in read}
    found = [values for values in floats.values() if values.dtype == np.float32 and values.ndim == 2]
    assert {values.shape for values in found} == {(6, 6), (6, 4)}
    for values in found:
        np.testing.assert_array_equal(values, SQUARE if values.shape == (6, 6) else WIDE)
    assert np.abs(outputs(files / "activations.onnx") - outputs(files / "float32.onnx")).max() > 1e-4


def weights_in_a_session(file):
    """Shape → data type of the matrices that onnxruntime computes with."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(file.with_suffix(".optimized.onnx"))
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(file, options)
    graph = onnx.load(options.optimized_model_filepath).graph
    return {tuple(tensor.dims): tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 2}


def test_onnxruntime_does_not_quantize_restored_weights_again(files):
    file = files / "restored.onnx"
    write_apart(files / "int8.onnx", files / "float32.onnx", file, "activations")
    assert set(weights_in_a_session(file).values()) == {TensorProto.FLOAT}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_onnxruntime_does_not_quantize_weights_that_stay_in_float(dtype, tmp_path):
    """A Gemm in float between two quantized ones, whose weights have other shapes."""
    sizes = (6, 5, 4, 3)
    weights = [RANDOM.normal(size=pair).astype(np.float32) for pair in itertools.pairwise(sizes)]
    nodes = [
        helper.make_node("Gemm", ["rows" if not place else f"y{place - 1}", f"w{place}"], [f"y{place}"], f"gemm{place}")
        for place in range(3)
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y2", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(values, f"w{place}") for place, values in enumerate(weights)],
    )
    base, file = tmp_path / "base.onnx", tmp_path / "kept.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), base)
    quantize_static(base, file, Samples(), per_channel=True, nodes_to_exclude=["gemm1"])
    hold_in_float(file, KeptNodes(("gemm1",)) if dtype == "float32" else KeptNodes((), ("gemm1",)))
    assert weights_in_a_session(file) == {(6, 5): TensorProto.INT8, (5, 4): TensorProto.FLOAT, (4, 3): TensorProto.INT8}
