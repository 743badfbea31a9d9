"""Sums of int8 products in onnxruntime: exact on every processor, also where several nodes read a weight."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import node, port, write
from onnxruntime.quantization import quantize_dynamic

from quantlab.errors import ModelError
from quantlab.models import onnx as opening
from quantlab.models.onnx import open_onnx_session
from quantlab.models.onnx_sums import saturates, with_own_weights


def answers(path, x):
    return open_onnx_session(path, ModelError).run(None, {"x": x})[0]


@pytest.fixture
def shared(tmp_path):
    """Dynamically quantized: two MatMul nodes read one weight."""
    nodes = [node("MatMul", ["x", "weight"], "first"), node("MatMul", ["first", "weight"], "y")]
    weight = np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)
    write(tmp_path / "float.onnx", nodes, ([port("x", ["n", 16])], [port("y", ["n", 16])]), {"weight": weight})
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "shared.onnx")
    return tmp_path / "shared.onnx"


def test_the_largest_products_do_not_saturate(tmp_path):
    """255 · 127 · 2 is more than an int16 holds."""
    ports = [port("x", [1, 64], TensorProto.UINT8)], [port("y", [1, 16], TensorProto.INT32)]
    path = write(
        tmp_path / "sums.onnx",
        [node("MatMulInteger", ["x", "weight"], "y")],
        ports,
        {"weight": np.full((64, 16), 127, np.int8)},
    )
    assert (answers(path, np.full((1, 64), 255, np.uint8)) == 64 * 255 * 127).all()


def test_a_weight_of_several_nodes_on_a_processor_that_saturates(shared, monkeypatch):
    x = np.random.default_rng(1).normal(size=(5, 16)).astype(np.float32)
    monkeypatch.setattr(opening, "saturates", lambda: False)
    expected = answers(shared, x)
    monkeypatch.setattr(opening, "saturates", lambda: True)
    found = answers(shared, x)
    if saturates():  # the other one did
        np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.05)
    else:
        np.testing.assert_array_equal(found, expected)


def test_every_reader_gets_its_own_copy(shared):
    model = onnx.load_from_string(with_own_weights(shared))
    onnx.checker.check_model(model)
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    first, second = (one.input[1] for one in model.graph.node if one.op_type == "MatMulInteger")
    assert first != second
    np.testing.assert_array_equal(constants[first], constants[second])


def test_nothing_to_copy(tmp_path, shared):
    separate = tmp_path / "separate.onnx"
    separate.write_bytes(with_own_weights(shared))
    assert with_own_weights(separate) is None


def test_a_file_that_cannot_be_opened_says_the_same_on_every_processor(tmp_path, monkeypatch):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x07nonsense")
    messages = set()
    for does in (False, True):
        monkeypatch.setattr(opening, "saturates", lambda does=does: does)
        with pytest.raises(ModelError) as refused:
            open_onnx_session(path, ModelError)
        messages.add(str(refused.value))
    assert len(messages) == 1
