"""`quantlab preprocessing` with a model."""

import onnx
import pytest
from command_line import quantlab_in_process
from onnx import TensorProto, helper

pytestmark = pytest.mark.starts_children


@pytest.fixture
def model(tmp_path):
    """A model of pictures with channels first."""
    pictures = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 8, 6])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3, 8, 6])
    graph = helper.make_graph([helper.make_node("Relu", ["picture"], ["scores"])], "model", [pictures], [scores])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    return "m.onnx"


def run(*words, cwd):
    return quantlab_in_process("preprocessing", *words, cwd=cwd)


def test_the_size_is_that_of_the_model(model, tmp_path):
    done = run("export", model, "--to", "python", "--layout", "channels-first", "--out", "code", cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert "'size': (8, 6)" in (tmp_path / "code" / "pipeline.py").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(
            ["--layout", "channels-first", "--size", "8x8"],
            "the preprocessing makes images of 8×8, but the input 'picture' expects (3, 8, 6); leave the size out to "
            "use the model's input size",
            id="another size",
        ),
        pytest.param(
            [],
            "images become samples of shape (height, width, 1 or 3), but the input 'picture' expects (3, 8, 6), with "
            "channels first; give the samples as arrays in a .npz file",
            id="another layout",
        ),
    ],
)
def test_what_contradicts_the_model_is_one_sentence(words, message, model, tmp_path):
    done = run("show", model, *words, cwd=tmp_path)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.endswith(f"quantlab: {message}\n")
