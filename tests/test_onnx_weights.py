"""Constants of ONNX files from quantizers, exporters and by hand: decoded, or with the reason why not."""

import hashlib
import re
from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import node, pictures, port, samples, write
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS
from quantlab.statistics import compare_weights

PORTS = [port("x", ["b", 4])], [port("y", None)]
CODES = np.arange(-8, 8, dtype=np.int8).reshape(4, 4)
SCALES = np.float32([1, 2, 3, 4])


def listed(path):
    return {weight.name: weight for weight in FORMATS["onnx"].weights(path)}


def write_tensors(path, nodes, tensors, ports=PORTS):
    graph = helper.make_graph(nodes, "graph", *ports, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


def dequantized(inputs, **attributes):
    return [node("DequantizeLinear", inputs, "d", **attributes), node("MatMul", ["x", "d"], "y")]


class Samples(CalibrationDataReader):
    def __init__(self):
        self._left = iter([samples(2)])

    def get_next(self):
        return next(self._left, None)


def test_codes_of_the_format_of_operators(tmp_path):
    """Every weight has a scale, biases that of the input times the weight's, and no scale of activations is listed."""
    source, made = pictures(tmp_path / "model.onnx"), tmp_path / "made.onnx"
    quantize_static(
        str(source),
        str(made),
        Samples(),
        quant_format=QuantFormat.QOperator,
        activation_type=QuantType.QUInt8,
        per_channel=True,
    )
    weights = FORMATS["onnx"].weights
    rows = compare_weights("mine", weights(made), weights(source))
    assert {row.counterpart: row.reason for row in rows} == {weight.name: None for weight in weights(source)}
    assert min(row.sqnr_db for row in rows) > 30
    assert {row.counterpart: row.scales for row in rows if len(row.shape) > 1} == {
        "filter": 6,
        "spread": 6,
        "matrix": 8,
        "straight": 7,
        "turned": 5,
    }


def lstm(path, directions):
    """Words to an LSTM of four units."""
    random, both = np.random.default_rng(0), {"direction": "bidirectional" if directions == 2 else "forward"}
    shapes = {"words": (10, 6), "W": (directions, 16, 6), "R": (directions, 16, 4), "B": (directions, 32)}
    nodes = [
        node("Gather", ["words", "x"], "e"),
        helper.make_node("LSTM", ["e", "W", "R", "B"], ["", "y"], name="lstm", hidden_size=4, **both),
    ]
    ports = [port("x", ["t", "b"], TensorProto.INT64)], [port("y", [directions, "b", 4])]
    return write(
        path, nodes, ports, {name: random.normal(size=size).astype(np.float32) for name, size in shapes.items()}
    )


AXES = "its scales differ along several axes, which quantlab cannot read"


@pytest.mark.parametrize(
    ("directions", "per_channel", "expected"),
    [
        pytest.param(1, False, (None, 1, None, (1, 16, 6)), id="one scale"),
        pytest.param(2, False, (None, 2, 0, (2, 16, 6)), id="one scale a direction"),
        pytest.param(1, True, (None, 16, 1, (1, 16, 6)), id="one scale a channel"),
        pytest.param(2, True, (AXES, 0, None, (2, 6, 16)), id="one scale a direction and channel"),
    ],
)
def test_an_lstm_that_onnxruntime_quantized(directions, per_channel, expected, tmp_path):
    source, made = lstm(tmp_path / "model.onnx", directions), tmp_path / "made.onnx"
    quantize_dynamic(str(source), str(made), per_channel=per_channel, weight_type=QuantType.QInt8)
    weights = FORMATS["onnx"].weights
    rows = {row.counterpart: row for row in compare_weights("mine", weights(made), weights(source))}
    assert set(rows) == {"words", "W", "R", "B"}
    told = rows["W"]
    assert (told.reason, told.scales, told.channel_axis, told.shape) == expected
    assert min(row.sqnr_db for row in rows.values() if row.reason is None) > 40


NO_TYPE = "Enum DataType has no name defined for value 99"
NO_ZERO = "its zero point is not a constant of the file"
NO_SCALE = "its scale is not a constant of the file"
BLOCKS = "its scales are per block, which quantlab cannot read"
NO_OP = "its name is that of a quantized weight, but no op of the file gives its scale"


@pytest.mark.parametrize(
    ("nodes", "constants", "reason"),
    [
        pytest.param(
            dequantized(["k", "s"], axis=0, block_size=2), {"s": np.ones((2, 4), np.float32)}, BLOCKS, id="blocks"
        ),
        pytest.param(
            dequantized(["k", "s"], axis=0), {"s": np.ones((2, 4), np.float32)}, BLOCKS, id="scales of two axes"
        ),
        pytest.param(
            [node("Identity", ["x"], "z"), *dequantized(["k", "s", "z"])],
            {"s": np.float32(1)},
            NO_ZERO,
            id="a zero point that is computed",
        ),
        pytest.param(
            [node("Identity", ["x"], "s"), *dequantized(["k", "s"])], {}, NO_SCALE, id="a scale that is computed"
        ),
        pytest.param(
            dequantized(["k", "s"], axis=1),
            {"s": np.ones(3, np.float32)},
            "its 3 scales match no axis of its shape [4, 4]",
            id="too few scales",
        ),
        pytest.param(
            [node("DequantizeLinear", ["k", "s", "z"], "y")],
            {"s": np.float32(1), "z": np.zeros(4, np.int8)},
            "it has 1 scale but 4 zero points",
            id="more zero points than scales",
        ),
    ],
)
def test_codes_that_cannot_be_decoded(nodes, constants, reason, tmp_path):
    path = write(tmp_path / "model.onnx", nodes, PORTS, {"k": CODES, **constants})
    weight = listed(path)["k"]
    assert (weight.reason, weight.shape, weight.dtype, weight.size_bytes) == (reason, (4, 4), "int8", 16)


def test_codes_that_nothing_explains(tmp_path):
    nodes = [node("Cast", ["k_quantized"], "c", to=1), node("MatMul", ["x", "c"], "y")]
    path = write(tmp_path / "model.onnx", nodes, PORTS, {"k_quantized": CODES})
    assert {name: weight.reason for name, weight in listed(path).items()} == {"k_quantized": NO_OP}


def test_constants_that_are_all_named_value(tmp_path):
    held = [("a", {"value": numpy_helper.from_array(SCALES, "value")}), ("b", {"value_float": 2.5})]
    held += [("c", {"value": numpy_helper.from_array(CODES, "value")}), ("d", {"value_ints": [1, 2]})]
    nodes = [helper.make_node("Constant", [], [name], **value) for name, value in held]
    path = write(tmp_path / "model.onnx", [*nodes, node("Add", ["x", "a"], "y")], PORTS)
    weights = listed(path)
    assert [weights[name].values.tolist() for name in "abcd"] == [SCALES.tolist(), 2.5, CODES.tolist(), [1, 2]]


def test_two_branches_that_name_alike(tmp_path):
    """Each is read by the scale of its own branch."""
    branches = {}
    for branch, scale in (("then_branch", 2), ("else_branch", 3)):
        tensors = [numpy_helper.from_array(CODES, "k"), numpy_helper.from_array(np.float32(scale), "s")]
        body = [node("DequantizeLinear", ["k", "s"], "out")]
        branches[branch] = helper.make_graph(body, branch, [], [port("out", [4, 4])], tensors)
    path = write(tmp_path / "model.onnx", [node("If", ["x"], "y", **branches)], PORTS)
    weights = {name: weight.values.tolist() for name, weight in listed(path).items()}
    assert sorted(weights.values()) == sorted([(CODES * 2.0).tolist(), (CODES * 3.0).tolist()])
    assert set(weights) == {"k", "2/k"}


def test_floats_that_are_named_as_codes_are_compared_with_themselves(tmp_path):
    nodes = [node("MatMul", ["x", name], f"by_{name}") for name in ("k", "k_quantized")]
    nodes += [node("Sum", ["by_k", "by_k_quantized", "k_scale"], "y")]
    held = {"k": CODES.astype(np.float32), "k_quantized": -CODES.astype(np.float32), "k_scale": SCALES}
    path = write(tmp_path / "model.onnx", nodes, PORTS, held)
    weights = FORMATS["onnx"].weights
    rows = compare_weights("mine", weights(path), weights(path))
    assert {row.tensor: (row.different, row.reason) for row in rows} == dict.fromkeys(held, (0, None))


@pytest.mark.parametrize(
    ("reader", "listed_as"),
    [
        pytest.param("Mul", {"k_quantized": None}, id="a scale that multiplies"),
        pytest.param(
            "Add", {"k_quantized": NO_SCALE, "k_scale": None}, id="leaves alone: what is added, as it is named"
        ),
    ],
)
def test_a_scale_that_comes_later(reader, listed_as, tmp_path):
    nodes = [
        node("MatMulInteger", ["x", "k_quantized"], "p"),
        node("Cast", ["p"], "f", to=1),
        node(reader, ["f", "k_scale"], "m"),
        node("Mul", ["m", "k_scale"], "y"),
    ]
    weights = listed(write(tmp_path / "model.onnx", nodes, PORTS, {"k_quantized": CODES, "k_scale": np.float32(2)}))
    assert {name: weight.reason for name, weight in weights.items()} == listed_as
    if weights["k_quantized"].reason is None:
        np.testing.assert_array_equal(weights["k_quantized"].values, CODES * np.float32(2))


LSTM = ["x", "w_quantized", "r_quantized", "", "", "", "", "", "ws", "wz", "rs", "rz"]
LSTM_CODES = np.arange(-32, 32, dtype=np.int8).reshape(1, 4, 16)


@pytest.mark.parametrize(
    ("nodes", "constants", "name", "values", "place"),
    [
        pytest.param(
            [node("Gather", ["k", "x"], "g"), node("DequantizeLinear", ["g", "s", "z"], "y")],
            {"k": CODES, "s": np.float32(2), "z": np.int8(1)},
            "k",
            (CODES - 1.0) * 2,
            "Gather 1 of 1, input 0",
            id="codes that a Gather picks among",
        ),
        pytest.param(
            [node("Gather", ["k", "x"], "g"), node("DequantizeLinear", ["g", "s"], "y", axis=2)],
            {"k": CODES, "s": SCALES},
            "k",
            CODES * SCALES,
            "Gather 1 of 1, input 0",
            id="with a scale a column",
        ),
        pytest.param(
            [node("QGemm", ["x", "a", "z", "k", "s", "", "c"], "y", transB=1, domain="com.microsoft")],
            {"a": np.float32(0.5), "z": np.uint8(3), "k": CODES, "s": SCALES, "c": np.arange(4, dtype=np.int32)},
            "k",
            CODES.T * SCALES,
            "MatMul 1 of 1, input 1",
            id="QGemm, turned",
        ),
        pytest.param(
            [node("QGemm", ["x", "a", "z", "k", "s", "", "c"], "y", transB=1, domain="com.microsoft")],
            {"a": np.float32(0.5), "z": np.uint8(3), "k": CODES, "s": SCALES, "c": np.arange(4, dtype=np.int32)},
            "c",
            np.arange(4) * SCALES / 2,
            "MatMul 1 of 1, input 2",
            id="QGemm's bias",
        ),
        pytest.param(
            [node("QAttention", ["x", "k", "b", "a", "s", "", "z", "kz"], "y", num_heads=1, domain="com.microsoft")],
            {"a": np.float32(0.5), "z": np.uint8(3), "k": CODES, "s": SCALES, "kz": np.full(4, 2, np.int8)},
            "k",
            (CODES - 2.0) * SCALES,
            "Attention 1 of 1, input 1",
            id="QAttention",
        ),
        pytest.param(
            [node("DynamicQuantizeLSTM", LSTM, "y", domain="com.microsoft")],
            {
                "w_quantized": LSTM_CODES,
                "r_quantized": LSTM_CODES,
                "ws": np.full((1, 16), 0.5, np.float32),
                "rs": np.ones(1, np.float32),
                **dict.fromkeys(["wz", "rz"], np.zeros(1, np.int8)),
            },
            "w_quantized",
            LSTM_CODES.transpose(0, 2, 1) * 0.5,
            "LSTM 1 of 1, input 1",
            id="an LSTM, as it is before quantization",
        ),
    ],
)
def test_codes_of_other_ops(nodes, constants, name, values, place, tmp_path):
    weights = listed(write(tmp_path / "model.onnx", nodes, PORTS, constants))
    assert weights[name].reason is None
    np.testing.assert_array_equal(weights[name].values, values.astype(np.float32))
    assert (weights[name].keys, weights[name].lasting_name) == ((place,), name.removesuffix("_quantized"))
    assert set(weights) <= {"k", "c", "w_quantized", "r_quantized"}


@pytest.mark.parametrize(
    ("dtype", "code_range", "size_bytes"),
    [
        pytest.param(TensorProto.INT4, (-8, 7), 8, id="int4"),
        pytest.param(TensorProto.UINT4, (0, 15), 8, id="uint4"),
        pytest.param(TensorProto.FLOAT8E4M3FN, None, 16, id="float8"),
    ],
)
def test_narrow_codes(dtype, code_range, size_bytes, tmp_path):
    held = np.arange(16, dtype=np.float32).reshape(4, 4) / (1 if dtype == TensorProto.UINT4 else 2)
    held = held.astype(np.int8) - (8 if dtype == TensorProto.INT4 else 0)
    kind = {TensorProto.INT4: ml_dtypes.int4, TensorProto.UINT4: ml_dtypes.uint4}.get(dtype, ml_dtypes.float8_e4m3fn)
    tensors = [numpy_helper.from_array(held.astype(kind), "k"), numpy_helper.from_array(np.float32(0.5), "s")]
    weight = listed(write_tensors(tmp_path / "model.onnx", dequantized(["k", "s"]), tensors))["k"]
    assert (weight.code_range, weight.size_bytes, weight.reason) == (code_range, size_bytes, None)
    np.testing.assert_array_equal(weight.values, held * np.float32(0.5))


def test_one_damaged_tensor_hides_no_other(tmp_path):
    tensors = [TensorProto(name="cut", data_type=1, dims=[2], raw_data=b"123"), TensorProto(name="odd", data_type=99)]
    tensors.append(numpy_helper.from_array(SCALES, "whole"))
    weights = listed(write_tensors(tmp_path / "model.onnx", [node("Add", ["x", "whole"], "y")], tensors))
    assert weights["cut"].reason == "it could not be decoded (buffer size must be a multiple of element size)"
    assert (weights["odd"].reason, weights["odd"].dtype) == (f"it could not be decoded ({NO_TYPE})", "type 99")
    assert (weights["whole"].reason, weights["whole"].values.tolist()) == (None, SCALES.tolist())


@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        pytest.param(
            TensorProto(name="w", data_type=1, dims=[2], raw_data=b"123"),
            "buffer size must be a multiple of element size",
            id="cut short",
        ),
        pytest.param(
            TensorProto(name="w", data_type=TensorProto.INT8, dims=[2], raw_data=b"123"),
            "cannot reshape array of size 3 into shape (2,)",
            id="integers of another shape",
        ),
        pytest.param(TensorProto(name="w", data_type=99), NO_TYPE, id="of no type"),
    ],
)
def test_a_damaged_tensor_is_named(tensor, why, tmp_path):
    path = write_tensors(tmp_path / "model.onnx", [node("Add", ["x", "w"], "y")], [tensor])
    said = f"the weight 'w' of '{path}' cannot be read ({why}); export or copy it again"
    with pytest.raises(ArtifactError, match=f"^{re.escape(said)}$"):
        FORMATS["onnx"].inspect(path)


@pytest.mark.parametrize(
    ("dtype", "values", "notes"),
    [
        pytest.param(
            np.float64, [np.nan, 1], ("weight 'w' holds 1 value that is not finite in float64",), id="NaN in float64"
        ),
        pytest.param(
            ml_dtypes.bfloat16,
            [np.inf, np.nan],
            ("weight 'w' holds 2 values that are not finite in bfloat16",),
            id="NaN in bfloat16",
        ),
        pytest.param(
            np.float16,
            [65504, -65504],
            ("weight 'w' holds 2 values at ±65,504, the limit of float16",),
            id="the end of float16",
        ),
        pytest.param(np.float64, [65504, 1], (), id="leaves alone: the same in float64"),
    ],
)
def test_values_that_are_told_of(dtype, values, notes, tmp_path):
    tensor = numpy_helper.from_array(np.asarray(values).astype(dtype), "w")
    path = write_tensors(tmp_path / "model.onnx", [node("Add", ["x", "w"], "y")], [tensor])
    assert FORMATS["onnx"].inspect(path).notes == notes


# A weight of the float32 file is found by what reads it, not by its name


def nameless(source, target):
    """A copy of which only the inputs and outputs have kept their names."""
    model = onnx.load(source)
    graph = model.graph
    del graph.value_info[:]
    ports = {value.name for value in (*graph.input, *graph.output)}
    made = [*(tensor.name for tensor in graph.initializer), *(name for node in graph.node for name in node.output)]
    names = {name: f"t{hashlib.sha256(name.encode()).hexdigest()[:12]}" for name in made if name and name not in ports}
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    for operator in graph.node:
        operator.name = ""
        for part in (operator.input, operator.output):
            part[:] = [names.get(name, name) for name in part]
    onnx.save(model, target)
    return target


def figures(rows):
    """Counterpart → everything else that is said of it, but for the names of the file itself."""
    return {row.counterpart: replace(row, tensor="", reason=None) for row in rows if row.counterpart}


def quantized(source, scheme, folder):
    """In each way that onnxruntime writes a file of codes."""
    made = folder / f"{scheme}.onnx"
    if scheme == "dynamic":
        quantize_dynamic(str(source), str(made), per_channel=True, weight_type=QuantType.QInt8)
    else:
        written, activations = QuantFormat[scheme], QuantType.QUInt8
        quantize_static(
            str(source), str(made), Samples(), quant_format=written, activation_type=activations, per_channel=True
        )
    return made


@pytest.mark.parametrize("scheme", ["dynamic", "QDQ", "QOperator"])
def test_names_tell_nothing(scheme, tmp_path):
    source = pictures(tmp_path / "model.onnx")
    made = quantized(source, scheme, tmp_path)
    weights = FORMATS["onnx"].weights
    named = compare_weights("mine", weights(made), weights(source))
    unnamed = compare_weights("mine", weights(nameless(made, tmp_path / "nameless.onnx")), weights(source))
    assert set(figures(unnamed)) == {weight.name for weight in weights(source)}
    assert min(row.sqnr_db for row in unnamed if row.counterpart) > 30
    assert figures(unnamed) == figures(named)


def test_names_tell_nothing_of_an_lstm(tmp_path):
    source, made = lstm(tmp_path / "model.onnx", 1), tmp_path / "made.onnx"
    quantize_dynamic(str(source), str(made), weight_type=QuantType.QInt8)
    weights = FORMATS["onnx"].weights
    rows = compare_weights("mine", weights(nameless(made, tmp_path / "nameless.onnx")), weights(source))
    assert {row.counterpart for row in rows} == {"words", "W", "R", "B"}
    assert min(row.sqnr_db for row in rows) > 40


def test_names_that_mislead(tmp_path):
    """Two weights of one shape, each named as the other is in the float32 file."""
    one, other = np.float32(CODES), np.float32(CODES[::-1] + 3)
    nodes = [node("MatMul", ["x", "a"], "h"), node("MatMul", ["h", "b"], "y")]
    source = write(tmp_path / "model.onnx", nodes, PORTS, {"a": one, "b": other})
    swapped = write(tmp_path / "made.onnx", nodes, PORTS, {"b": other, "a": one})
    model = onnx.load(swapped)
    for part in (*model.graph.initializer,):
        part.name = {"a": "b", "b": "a"}[part.name]
    for operator in model.graph.node:
        operator.input[1] = {"a": "b", "b": "a"}[operator.input[1]]
    onnx.save(model, swapped)
    weights = FORMATS["onnx"].weights
    rows = compare_weights("mine", weights(swapped), weights(source))
    assert {row.tensor: (row.counterpart, row.different) for row in rows} == {"a": ("b", 0), "b": ("a", 0)}


def test_a_transposed_copy_is_told_as_it_is_multiplied(tmp_path):
    """A Gemm's transB, a copy that lies the other way round, and a Transpose of the codes are one weight."""
    values = np.float32(CODES[:3])
    source = write(
        tmp_path / "model.onnx", [node("Gemm", ["x", "w"], "y", transB=1)], PORTS, {"w": values * np.float32(0.5)}
    )
    gemm = [node("MatMul", ["x", "d"], "y")]
    dequantize = node("DequantizeLinear", ["k", "s"], "d", axis=1)
    turned = [node("DequantizeLinear", ["k", "s"], "c", axis=0), node("Transpose", ["c"], "d", perm=[1, 0])]
    scales = np.full(3, 0.5, np.float32)
    copies = {
        "copied": write(tmp_path / "1.onnx", [dequantize, *gemm], PORTS, {"k": CODES[:3].T.copy(), "s": scales}),
        "turned": write(tmp_path / "2.onnx", [*turned, *gemm], PORTS, {"k": CODES[:3], "s": scales}),
    }
    weights = FORMATS["onnx"].weights
    for name, path in copies.items():
        (row,) = compare_weights(name, weights(path), weights(source))
        assert (row.counterpart, row.shape, row.channel_axis, row.different) == ("w", (4, 3), 1, 0)


ACTIVATION = node("QuantizeLinear", ["x", "xs", "xz"], "q")


@pytest.mark.parametrize(
    ("nodes", "scale"),
    [
        pytest.param([node("Mul", ["f", "ws"], "y")], 2, id="by itself"),
        pytest.param([node("Mul", ["xs", "ws"], "s"), node("Mul", ["f", "s"], "y")], 2, id="times the activation's"),
        pytest.param([node("Mul", ["f", "xs"], "p"), node("Mul", ["p", "ws"], "y")], 2, id="after the activation's"),
        pytest.param(
            [node("Reshape", ["f", "shape"], "r"), node("Mul", ["ws", "r"], "y")], 2, id="beyond what moves alone"
        ),
        pytest.param([node("Add", ["f", "ws"], "y")], None, id="leaves alone: what is added"),
        pytest.param([node("Mul", ["f", "x"], "y")], None, id="leaves alone: what is computed"),
    ],
)
def test_a_scale_is_found_behind_the_op(nodes, scale, tmp_path):
    before = [ACTIVATION, node("MatMulInteger", ["q", "k", "xz"], "p0"), node("Cast", ["p0"], "f", to=1)]
    held = {"k": CODES, "xs": np.float32(0.25), "xz": np.uint8(3), "ws": np.float32(2), "shape": np.array([-1, 4])}
    weight = listed(write(tmp_path / "model.onnx", [*before, *nodes], PORTS, held))["k"]
    if scale is None:
        assert weight.reason == NO_SCALE
    else:
        assert weight.reason is None
        np.testing.assert_array_equal(weight.values, CODES * np.float32(scale))
