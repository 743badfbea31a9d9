"""ONNX files as models: what is read from them, and what is refused in one sentence."""

import re
import shutil

import numpy as np
import onnx
import pytest
from command_line import quantlab_in_process
from onnx import TensorProto, helper
from onnx_models import node, pictures, port, write

from quantlab.errors import ModelError
from quantlab.models import ModelOptions, identify, open_reference

INPUT, OUTPUT = [port("x", ["batch", 4])], [port("y", ["batch", 4])]
RELU = [node("Relu", ["x"], "y", name="bent")]
NOPE = [node("Nope", ["x"], "y", name="odd")]
PRODUCT = [node("MatMul", ["x", "w"], "y")]
MATRIX = {"w": np.eye(4, dtype=np.float32)}


def opened(path):
    options = ModelOptions()
    return open_reference(identify(path, options), options, path.parent / "nothing")


def of_bytes(content):
    return lambda path: path.write_bytes(content)


def written(nodes, inputs=INPUT, outputs=OUTPUT, constants=None, **saved):
    return lambda path: write(path, nodes, (inputs, outputs), constants, **saved)


def cut(path):
    pictures(path)
    path.write_bytes(path.read_bytes()[:1000])


def product_beside(path, **said):
    """A product whose weight lies in `weights.bin`, and what is said of that otherwise."""
    saved = {"save_as_external_data": True, "size_threshold": 0, "location": "weights.bin"}
    write(path, PRODUCT, (INPUT, OUTPUT), MATRIX, **saved)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = said.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())


def without_file(path):
    product_beside(path)
    path.with_name("weights.bin").unlink()


def with_cut_file(path):
    product_beside(path)
    path.with_name("weights.bin").write_bytes(bytes(63))


def linked(path):
    without_file(path)
    path.with_name("weights.bin").symlink_to("/etc/passwd")


def in_a_body(path):
    """The branch of an If keeps its weight elsewhere."""
    product_beside(path)
    tensor = onnx.load(path, load_external_data=False).graph.initializer[0]
    tensor.name = "inner"
    next(entry for entry in tensor.external_data if entry.key == "location").value = "../weights.bin"
    body = helper.make_graph([node("MatMul", ["x", "inner"], "z")], "body", [], [port("z", None)], [tensor])
    flag = {"yes": np.array(True)}
    write(path, [node("If", ["yes"], "y", then_branch=body, else_branch=body)], (INPUT, OUTPUT), flag)


OUTSIDE = (
    "'{path}' refers to weights in '%s', which is outside its folder; save it again with "
    "onnx.save(model, 'model.onnx', save_as_external_data=True)"
)
BROKEN = (
    "'{path}' is not a complete ONNX file (Error parsing message with type 'onnx.ModelProto'); export or copy it again"
)
EMPTY = "'{path}' contains no graph, so it is not an ONNX model; export or copy it again"
NO_SUCH_OP = (
    "onnxruntime does not support the op Nope of the node 'odd' in 'model.onnx'; export the "
    "model with standard ONNX ops or ops of com.microsoft"
)
NUMBERS = (
    ", and only numbers that NumPy has are supported; export the part of the model with numeric inputs and outputs"
)
NO_SHAPE = (
    "the input 'x' of '{path}' has no known dimensions, and the first must be the batch; "
    "export the model with the shapes of its inputs"
)
TEXTS = port("x", ["batch", 4], TensorProto.STRING), port("y", ["batch", 4], TensorProto.STRING)
SEQUENCE = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, ["batch", 4])
INTEGERS = port("x", ["batch", 4], TensorProto.INT16), port("y", ["batch", 4], TensorProto.INT16)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(of_bytes(b"\x08\x07\x12\x04onnx\xff"), BROKEN, id="no protobuf"),
        pytest.param(of_bytes(b"hello, this is no model\n"), BROKEN, id="a text"),
        pytest.param(cut, BROKEN, id="cut short"),
        pytest.param(of_bytes(b""), EMPTY, id="empty"),
        pytest.param(of_bytes(b"\x08\x07\x12\x04onnx"), EMPTY, id="a head alone"),
        pytest.param(
            written(RELU, opsets={"": 99}),
            "'model.onnx' has opset 99, and this onnxruntime supports up to {newest}; export it with "
            "that opset or an older one",
            id="an opset of the future",
        ),
        pytest.param(
            written(RELU, ir_version=99),
            "'model.onnx' has IR version 99, and this onnxruntime supports up to {newest}; export it "
            "with that IR version or an older one",
            id="an IR version of the future",
        ),
        pytest.param(written(NOPE), NO_SUCH_OP, id="an unknown op"),
        pytest.param(
            written([node("Fancy", ["x"], "y", domain="my.ops", name="")], opsets={"": 17, "my.ops": 1}),
            "onnxruntime does not support the op Fancy of the domain 'my.ops' of the node 'y' in "
            "'model.onnx'; export the model with standard ONNX ops or ops of com.microsoft",
            id="a custom op in a node without a name",
        ),
        pytest.param(
            written([node("Fancy", ["x"], "y", domain="my.ops", name="odd")]),
            "onnxruntime does not support the op Fancy of the domain 'my.ops' of the node 'odd' in "
            "'model.onnx'; export the model with standard ONNX ops or ops of com.microsoft",
            id="a custom op of a domain that is not imported",
        ),
        pytest.param(
            written(RELU, INTEGERS[:1], INTEGERS[1:]),
            "onnxruntime has no kernel for the op Relu (version 14) of the node 'bent' in "
            "'model.onnx'; export the model with another opset, or replace the layer that uses it",
            id="a type that the op has no kernel for",
        ),
        pytest.param(
            written(PRODUCT, constants={"w": np.eye(5, dtype=np.float32)}),
            "onnxruntime could not open 'model.onnx': [ONNXRuntimeError] : 1 : FAIL : Load model from {path} failed:"
            "Node (y) Op (MatMul) [ShapeInferenceError] Incompatible dimensions for matrix multiplication; "
            "export it again or see --debug",
            id="shapes that do not fit",
        ),
        pytest.param(
            without_file,
            "'{path}' stores weights in 'weights.bin', which is missing in its folder; copy that file there too",
            id="external data missing",
        ),
        pytest.param(
            with_cut_file,
            "'weights.bin', which holds weights of '{path}', has 63 bytes, but 'w' ends at byte 64; copy it again",
            id="external data cut short",
        ),
        pytest.param(
            lambda path: product_beside(path, location="../weights.bin"),
            OUTSIDE % "../weights.bin",
            id="external data that climb",
        ),
        pytest.param(
            lambda path: product_beside(path, location="/etc/passwd"),
            OUTSIDE % "/etc/passwd",
            id="external data from the root",
        ),
        pytest.param(linked, OUTSIDE % "weights.bin", id="external data that are a link to elsewhere"),
        pytest.param(in_a_body, OUTSIDE % "../weights.bin", id="external data of a branch"),
        pytest.param(
            written([node("Identity", ["x"], "y")], TEXTS[:1], TEXTS[1:]),
            f"'x' of '{{path}}' holds strings{NUMBERS}",
            id="strings",
        ),
        pytest.param(
            written([node("SequenceConstruct", ["x"], "y")], outputs=[SEQUENCE]),
            f"'y' of '{{path}}' holds seq(tensor(float)){NUMBERS}",
            id="a sequence",
        ),
        pytest.param(
            written(
                [node("Cast", ["x"], "y", to=TensorProto.BFLOAT16)],
                outputs=[port("y", ["batch", 4], TensorProto.BFLOAT16)],
            ),
            f"'y' of '{{path}}' holds tensor(bfloat16){NUMBERS}",
            id="a type that NumPy lacks",
        ),
        pytest.param(written(RELU, [port("x", [])], [port("y", [])]), NO_SHAPE, id="a scalar"),
        pytest.param(written(RELU, [port("x", None)], [port("y", None)]), NO_SHAPE, id="an input without a shape"),
        pytest.param(
            written(PRODUCT, outputs=[], constants=MATRIX),
            "'{path}' has no output, so there is nothing to compare; export the whole model",
            id="no output",
        ),
        pytest.param(
            written([node("Identity", ["w"], "y")], [], [port("y", [4, 4])], MATRIX),
            "'{path}' has no input, so there is nothing to compare; export the whole model",
            id="no input",
        ),
    ],
)
def test_what_cannot_be_opened(make, message, tmp_path):
    (tmp_path / "deep").mkdir()
    path = tmp_path / "deep" / "model.onnx"
    make(path)
    (tmp_path / "weights.bin").write_bytes(bytes(64))
    with pytest.raises(ModelError) as refused:
        opened(path)
    newest = re.search(r"supports up to (\d+);", str(refused.value))  # which each onnxruntime has of its own
    assert str(refused.value) == message.format(path=path, newest=newest and newest[1])


@pytest.mark.parametrize(
    ("make", "inputs", "outputs", "parameters"),
    [
        pytest.param(written(RELU), [("x", (None, 4), "float32")], [("y", (None, 4), "float32")], 0, id="no weights"),
        pytest.param(
            written(PRODUCT, [*INPUT, port("w", [4, 4])], constants=MATRIX, ir_version=3, opsets={"": 8}),
            [("x", (None, 4), "float32")],
            [("y", (None, 4), "float32")],
            16,
            id="weights among the inputs",
        ),
        pytest.param(
            written([node("Cast", ["x"], "y", to=TensorProto.FLOAT)], [port("x", [None, 4], TensorProto.INT64)]),
            [("x", (None, 4), "int64")],
            [("y", (None, 4), "float32")],
            0,
            id="integers",
        ),
        pytest.param(
            written(
                [node("Relu", ["zebra"], "yak"), node("Neg", ["apple"], "ant")],
                [port("zebra", [1, 4]), port("apple", ["batch", "length", 4])],
                [port("yak", [1, 4]), port("ant", ["batch", "length", 4])],
            ),
            [("zebra", (1, 4), "float32"), ("apple", (None, None, 4), "float32")],
            [("yak", (1, 4), "float32"), ("ant", (None, None, 4), "float32")],
            0,
            id="two of each, in the file's order, with sizes that are open",
        ),
        pytest.param(
            product_beside,
            [("x", (None, 4), "float32")],
            [("y", (None, 4), "float32")],
            16,
            id="external data",
        ),
    ],
)
def test_what_a_file_tells(make, inputs, outputs, parameters, tmp_path):
    make(tmp_path / "model.onnx")
    reference = opened(tmp_path / "model.onnx")
    description = reference.description
    assert [(spec.name, spec.shape, spec.dtype) for spec in description.inputs] == inputs
    assert [(spec.name, spec.shape, spec.dtype) for spec in description.outputs] == outputs
    assert (description.kind, description.parameters, reference.format) == ("ONNX", parameters, "onnx")


def test_the_hash_is_of_the_external_data_too(tmp_path):
    product_beside(tmp_path / "model.onnx")
    before = identify(tmp_path / "model.onnx", ModelOptions()).sha256
    (tmp_path / "weights.bin").write_bytes(bytes(64))
    assert identify(tmp_path / "model.onnx", ModelOptions()).sha256 != before
    (tmp_path / "elsewhere").mkdir()
    for name in ("model.onnx", "weights.bin"):
        shutil.copy(tmp_path / name, tmp_path / "elsewhere")
    same = [identify(folder / "model.onnx", ModelOptions()).sha256 for folder in (tmp_path, tmp_path / "elsewhere")]
    assert same[0] == same[1]


# By the command line


def data(path, *shape):
    np.savez(path.with_name("data.npz"), x=np.random.default_rng(0).normal(size=shape).astype(np.float32))


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(of_bytes(b""), EMPTY, id="empty"),
        pytest.param(
            without_file,
            "'{path}' stores weights in 'weights.bin', which is missing in its folder; copy that file there too",
            id="external data missing",
        ),
        pytest.param(written(NOPE), NO_SUCH_OP, id="an unknown op"),
        pytest.param(
            written(RELU, [port("x", [4, 4])], [port("y", [4, 4])]),
            "'model.onnx' takes batches of 4 only, and samples are compared one by one; export it with an open batch "
            "(None) or with 1",
            id="a batch of four",
        ),
    ],
)
def test_the_command_line_says_it_in_a_sentence(make, message, tmp_path):
    make(tmp_path / "model.onnx")
    data(tmp_path / "model.onnx", 8, 4)
    done = quantlab_in_process("analyze", "model.onnx", "--data", "data.npz", cwd=tmp_path)
    assert (done.last, done.status, done.stdout) == (f"quantlab: {message.format(path='model.onnx')}", 2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.starts_children
def test_sizes_that_are_open_are_those_of_the_data(tmp_path):
    """Beyond the batch, where all samples are of one size."""
    nodes = [node("ReduceMean", ["x"], "mean", axes=[1], keepdims=0), node("MatMul", ["mean", "w"], "y")]
    write(tmp_path / "model.onnx", nodes, ([port("x", ["batch", "length", 4])], OUTPUT), MATRIX)
    data(tmp_path / "model.onnx", 30, 6, 4)
    options = ("--runtimes", "python", "--no-layers", "--no-costs")
    done = quantlab_in_process("analyze", "model.onnx", "--data", "data.npz", *options, cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert "✓ float32 check onnx" in done.stdout
