"""The dtypes in which quantized ops of ONNX files compute, for each layout that onnxruntime writes."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import node, pictures, port, samples, write
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from quantlab.formats import FORMATS

CODES = np.ones((4, 4), np.int8)
READ = {
    "scale": np.float32(0.1),
    "zero": np.int8(0),
    "unsigned": np.uint8(128),
    "codes": CODES,
    "scales": np.full(4, 0.1, np.float32),
    "zeros": np.zeros(4, np.int8),
    "lstm": np.ones((1, 4, 16), np.int8),
    "one_scale": np.ones(1, np.float32),
    "one_zero": np.zeros(1, np.int8),
}
LSTM = ["x", "lstm", "lstm", "", "", "", "", "", "one_scale", "one_zero", "one_scale", "one_zero"]


class Samples(CalibrationDataReader):
    def __init__(self):
        self._left = iter([samples(2)])

    def get_next(self):
        return next(self._left, None)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("source") / "model.onnx")


@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=["uint8", "int8"])
@pytest.mark.parametrize("written", list(QuantFormat), ids=lambda quant_format: quant_format.name)
def test_codes_are_those_of_the_activation(written, activations, source, tmp_path):
    made = tmp_path / "made.onnx"
    quantize_static(
        str(source), str(made), Samples(), quant_format=written, activation_type=activations, per_channel=True
    )
    rows = [row for row in FORMATS["onnx"].ops(made, "mine") if "Linear" not in row.op or row.op[0] == "Q"]
    rows = [row for row in rows if row.op not in {"QuantizeLinear", "Softmax"}]
    assert {"Conv", "QLinearConv"} & {row.op for row in rows}
    name = "uint8" if activations == QuantType.QUInt8 else "int8"
    assert {(row.op, row.computes_in) for row in rows} == {(row.op, name) for row in rows}
    kernels = [row.weights for row in rows if row.op.removeprefix("QLinear") in {"Conv", "MatMul", "Gemm", "QGemm"}]
    assert kernels == ["int8"] * 5


@pytest.mark.parametrize(
    ("nodes", "op", "computed"),
    [
        pytest.param(
            [node("Gather", ["codes", "place"], "g"), node("DequantizeLinear", ["g", "scale", "zero"], "y")],
            "Gather",
            ("int8", "int8"),
            id="a Gather of codes",
        ),
        pytest.param(
            [
                node("QuantizeLinear", ["x", "scale", "unsigned"], "q"),
                node("QGemm", ["q", "scale", "unsigned", "codes", "scales", "zeros"], "y", domain="com.microsoft"),
            ],
            "QGemm",
            ("uint8", "int8"),
            id="QGemm",
        ),
        pytest.param(
            [node("DynamicQuantizeLSTM", LSTM, "y", domain="com.microsoft")],
            "DynamicQuantizeLSTM",
            ("hybrid", "int8"),
            id="DynamicQuantizeLSTM",
        ),
        pytest.param(
            [
                node("QuantizeLinear", ["x", "scale", "unsigned"], "q"),
                node("Reshape", ["q", "shape"], "r"),
                node("QLinearAdd", ["r", "scale", "unsigned", "codes", "scale", "zero"], "y", domain="com.microsoft"),
            ],
            "QLinearAdd",
            ("uint8", "int8"),
            id="codes that were only moved before",
        ),
        pytest.param(
            [
                helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "found", "z"]),
                node("Mul", ["found", "scale"], "s"),
                node("Identity", ["s"], "y"),
            ],
            "Mul",
            ("float", ""),
            id="leaves alone: the scale of what was quantized while it runs",
        ),
        pytest.param(
            [node("Gather", ["x", "place"], "y")], "Gather", ("float", ""), id="leaves alone: a Gather of floats"
        ),
    ],
)
def test_ops_of_codes(nodes, op, computed, tmp_path):
    ports = [port("x", ["b", 4]), port("place", ["b"], TensorProto.INT64)], [port("y", None)]
    path = write(tmp_path / "model.onnx", nodes, ports, {**READ, "shape": np.array([-1, 4])})
    (row,) = [row for row in FORMATS["onnx"].ops(path, "mine") if row.op == op]
    assert (row.computes_in, row.weights) == computed
