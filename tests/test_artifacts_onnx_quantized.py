"""Quantized ONNX files as the only file of a model: the reference has the values of their weights in float32."""

import shutil

import numpy as np
import onnx
import pytest
from command_line import quantlab_in_process
from onnx import TensorProto, helper
from onnx_models import node, port, write

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS, artifact_sha256
from quantlab.formats.onnx.floats import coded_weights
from quantlab.models import ModelOptions, identify
from quantlab.models.onnx import open_onnx_session
from quantlab.store import Store

pytestmark = pytest.mark.starts_children

QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}


@pytest.fixture(scope="module")
def files(workbench):
    return workbench.variants("conv", "onnx")


def answers(path, image):
    session = open_onnx_session(path, ArtifactError)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[np.newaxis]})[0] for sample in image])


@pytest.mark.parametrize(
    ("scheme", "narrow"),
    [
        pytest.param("float32", (), id="floats"),
        pytest.param("float16", (), id="half floats are run as they are"),
        pytest.param("dynamic", ("int8",), id="codes that are multiplied"),
        pytest.param("int8", ("int8",), id="codes that are decoded"),
    ],
)
def test_what_a_file_is(scheme, narrow, files):
    file = identify(files[scheme].path, ModelOptions())
    assert (file.kind, file.narrow) == ("ONNX", narrow)


@pytest.mark.parametrize(("scheme", "apart"), [("dynamic", 0.1), ("int8", 0.1)])
def test_the_float_copy_has_the_values_of_the_weights(scheme, apart, files, workbench, tmp_path):
    quantized, image = files[scheme].path, workbench.models["conv"].inputs["image"]
    FORMATS["onnx"].write_float(quantized, tmp_path / "float")
    copy = tmp_path / "float" / "model.onnx"
    onnx.checker.check_model(str(copy), full_check=True)
    assert {one.op_type for one in onnx.load(copy).graph.node}.isdisjoint(QUANTIZED)
    assert coded_weights(copy) == {}
    assert [port.name for port in FORMATS["onnx"].inspect(copy).inputs] == [
        port.name for port in FORMATS["onnx"].inspect(quantized).inputs
    ]
    own = [one for one in FORMATS["onnx"].weights(quantized) if one.scales and one.dtype == "int8"]
    theirs = [one.values for one in FORMATS["onnx"].weights(copy)]
    assert own
    assert all(any(np.array_equal(one.values, other) for other in theirs) for one in own)
    difference = np.abs(answers(copy, image) - answers(quantized, image)).max()
    assert 0 < difference <= apart


def test_a_quantized_file_alone_is_compared_with_its_own_weights(files, workbench, tmp_path):
    np.savez(tmp_path / "data.npz", **workbench.models["conv"].inputs)
    shutil.copy(files["int8"].path, tmp_path / "app.onnx")
    words = ("analyze", "app.onnx", "--data", "data.npz", "--no-costs", "--runtimes", "python")
    done = quantlab_in_process(*words, cwd=tmp_path)
    assert done.status == 0, done.stderr
    store = Store(tmp_path / "app.study")
    study, inside = store.read_study(), store.read_inside()
    rows = {trial.setting: trial for trial in study.trials}
    assert list(rows) == ["onnx-float32", "as-given"]
    assert rows["as-given"].variant.sha256 == artifact_sha256(tmp_path / "app.onnx")
    assert "weights decoded from int8" in rows["onnx-float32"].variant.notes
    assert "the model is an artifact with weights in int8, and the reference computes in float32" in done.stdout
    assert study.parity["onnx"].startswith("ok")
    of_layers = [row.sqnr_db for row in inside.layers if (row.setting, row.reason) == ("as-given", None)]
    assert of_layers
    assert all(value > 5 for value in of_layers)


# Written by hand


def one_node(path, op, inputs, constants, *, domain="", **attributes):
    """A file with one op that computes with codes."""
    made = node(op, inputs, "y", **attributes)
    made.domain = domain
    ports = ([port("x", [None, 4])], [port("y", [None, 3])])
    return write(path, [made], ports, constants, opsets={"": 17, "com.microsoft": 1})


REFUSED = {
    "an op on codes without a float op": (
        lambda path: one_node(
            path,
            "DynamicQuantizeMatMul",
            ["x", "w", "scale"],
            {"w": np.ones((4, 3), np.int8), "scale": np.float32([0.5])},
            domain="com.microsoft",
        ),
        (
            "'model.onnx' computes with codes in the op DynamicQuantizeMatMul (node 'y'), which no float op replaces; "
            "give the float model with --reference"
        ),
    ),
    "codes whose scale is computed": (
        lambda path: write(
            path,
            [
                node("DequantizeLinear", ["w", "s"], "d"),
                node("MatMul", ["x", "d"], "y"),
            ],
            ([port("x", [None, 4]), port("s", [])], [port("y", [None, 3])]),
            {"w": np.ones((4, 3), np.int8)},
        ),
        (
            "the scale of a weight of the node 'd' in 'model.onnx' is no constant, so the weight cannot be decoded; "
            "give the float model with --reference"
        ),
    ),
    "sums of codes that nothing scales": (
        lambda path: write(
            path,
            [node("MatMulInteger", ["x", "w"], "y")],
            ([port("x", [None, 4], TensorProto.INT8)], [port("y", [None, 3], TensorProto.INT32)]),
            {"w": np.ones((4, 3), np.int8)},
        ),
        (
            "the op MatMulInteger (node 'y') of 'model.onnx' is not followed by its scales as onnxruntime writes them, "
            "which no float op replaces; give the float model with --reference"
        ),
    ),
}


def test_a_file_in_another_form_is_run_as_it_is(tmp_path):
    make, _ = REFUSED["an op on codes without a float op"]
    assert identify(make(tmp_path / "model.onnx"), ModelOptions()).narrow == ()


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_files_that_cannot_be_the_reference(make, message, tmp_path):
    make(tmp_path / "model.onnx")
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 4), np.float32))
    with pytest.raises(ArtifactError) as refused:
        FORMATS["onnx"].write_float(tmp_path / "model.onnx", tmp_path / "float")
    assert str(refused.value) == message


def test_weights_per_channel_with_zero_points_and_codes_at_the_ends(tmp_path):
    """The input is codes, which a DequantizeLinear decodes: it stays, and so do the codes of the output."""
    random = np.random.default_rng(0)
    codes, scales = random.integers(0, 255, (4, 3)).astype(np.uint8), np.float32([0.1, 0.02, 3])
    zeros = np.uint8([3, 128, 255])
    constants = {
        "w": codes, "scales": scales, "zeros": zeros, "half": np.float32(0.5), "zero": np.int8(-1),
    }  # fmt: skip
    path = write(
        tmp_path / "model.onnx",
        [
            node("DequantizeLinear", ["x", "half", "zero"], "decoded"),
            node("DequantizeLinear", ["w", "scales", "zeros"], "kernel", axis=1),
            node("MatMul", ["decoded", "kernel"], "product"),
            node("QuantizeLinear", ["product", "half", "zero"], "q"),
            node("DequantizeLinear", ["q", "half", "zero"], "d"),
            node("Relu", ["d"], "relu"),
            node("QuantizeLinear", ["relu", "half", "zero"], "y"),
        ],
        ([port("x", [None, 4], TensorProto.INT8)], [port("y", [None, 3], TensorProto.INT8)]),
        constants,
    )
    FORMATS["onnx"].write_float(path, tmp_path / "float")
    copy = tmp_path / "float" / "model.onnx"
    assert [one.op_type for one in onnx.load(copy).graph.node] == [
        "DequantizeLinear", "MatMul", "Relu", "QuantizeLinear",
    ]  # fmt: skip
    held = next(one.values for one in FORMATS["onnx"].weights(copy) if one.shape == (4, 3))
    np.testing.assert_array_equal(held, (codes.astype(np.float32) - zeros) * scales)
    x = random.integers(-128, 127, (5, 4)).astype(np.int8)
    expected = np.clip(np.rint(np.maximum(((x + 1) * np.float32(0.5)) @ held, 0) / 0.5) - 1, -128, 127)
    np.testing.assert_array_equal(open_onnx_session(copy, ArtifactError).run(None, {"x": x})[0], expected)


def test_quantized_ops_in_a_branch_are_refused(tmp_path):
    branch = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["w", "s"], ["out"])], "branch", [], [port("out", [3])]
    )
    path = write(
        tmp_path / "model.onnx",
        [helper.make_node("If", ["b"], ["y"], then_branch=branch, else_branch=branch)],
        ([port("b", [], TensorProto.BOOL)], [port("y", [3])]),
        {"w": np.ones(3, np.int8), "s": np.float32(1)},
    )
    with pytest.raises(ArtifactError, match="has quantized ops inside a loop or a branch"):
        FORMATS["onnx"].write_float(path, tmp_path / "float")


@pytest.mark.parametrize(
    ("scale", "zero", "expected"),
    [
        pytest.param(0.1, -128, [0, 0, 5, 40], id="codes from zero on stand for a Relu"),
        pytest.param(6 / 255, -128, [0, 0, 5, 6], id="and up to six for a Relu6"),
        pytest.param(0.1, 0, [-3, 0, 5, 40], id="other codes do not"),
    ],
)
@pytest.mark.parametrize("read_twice", [False, True])
def test_an_activation_that_the_codes_stand_for(read_twice, scale, zero, expected, tmp_path):
    nodes = [
        node("Neg", ["x"], "n"),
        node("QuantizeLinear", ["n", "scale", "zero"], "q"),
        node("DequantizeLinear", ["q", "scale", "zero"], "d"),
        node("Add", ["d", "d"], "y"),
    ]
    outputs = [port("y", [None, 4])]
    if read_twice:
        nodes.append(node("Abs", ["n"], "z"))
        outputs.append(port("z", [None, 4]))
    constants = {"scale": np.float32(scale), "zero": np.int8(zero)}
    path = write(tmp_path / "model.onnx", nodes, ([port("x", [None, 4])], outputs), constants)
    FORMATS["onnx"].write_float(path, tmp_path / "float")
    session = open_onnx_session(tmp_path / "float" / "model.onnx", ArtifactError)
    given = np.float32([[-3, 0, 5, 40]])
    found = session.run(None, {"x": -given})
    np.testing.assert_array_equal(found[0], 2 * np.float32([expected]))
    assert not read_twice or np.array_equal(found[1], np.abs(given))
