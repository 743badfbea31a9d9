"""Sensitivity of small ONNX models: nodes without names, shared weights, no classes, and what cannot be measured."""

from dataclasses import replace

import numpy as np
import pytest
from command_line import quantlab_in_process
from onnx import TensorProto, checker, helper, numpy_helper, save

from quantlab.errors import StudyError, UsageError
from quantlab.study import AnalyzeOptions, SensitivityOptions, analyze, measure_sensitivity, verify
from quantlab_converters.onnx_float import kept_nodes

pytestmark = pytest.mark.starts_children

OPTIONS = AnalyzeOptions(runtimes=("python",), layers=False, costs=False)


def write_model(path, *, opset=13, names=True, outputs=4, more=0):
    """Three MatMul nodes, of which two share a weight, and more between; a softmax for several classes."""
    random = np.random.default_rng(0)
    shared, last = (
        numpy_helper.from_array(random.normal(0, 1, shape).astype(np.float32), name)
        for name, shape in (("shared", (16, 16)), ("last", (16, outputs)))
    )
    between = [
        numpy_helper.from_array(random.normal(0, 0.25, (16, 16)).astype(np.float32), f"w {place}")
        for place in range(more)
    ]
    steps = [
        ("MatMul", ["x", "shared"], "first"),
        ("Relu", ["first"], "relu"),
        ("MatMul", ["relu", "shared"], "second"),
        *[
            ("MatMul", ["second" if not place else f"more {place - 1}", f"w {place}"], f"more {place}")
            for place in range(more)
        ],
        ("MatMul", [f"more {more - 1}" if more else "second", "last"], "third"),
        *([("Softmax", ["third"], "y")] if outputs > 1 else [("Identity", ["third"], "y")]),
    ]
    nodes = [helper.make_node(op, given, [made], name=f"node of {made}" if names else "") for op, given, made in steps]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (("x", 16), ("y", outputs))
    )
    graph = helper.make_graph(nodes, "graph", [x], [y], [shared, last, *between])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    checker.check_model(model)
    save(model, path)
    labels = random.integers(0, outputs, 60) if outputs > 1 else random.normal(0, 1, (60, 1)).astype(np.float32)
    np.savez(path.with_suffix(".npz"), x=random.normal(0, 1, (60, 16)).astype(np.float32), y=labels)
    return path


def study_of(model, *settings):
    out = model.with_suffix(".study")
    analyze(model, data=str(model.with_suffix(".npz")), options=replace(OPTIONS, settings=settings, out=out))
    return out


def test_a_regression_has_no_classes(tmp_path):
    study = study_of(write_model(tmp_path / "regression.onnx", outputs=1), "onnx-dynamic")
    measured = measure_sensitivity(study)
    assert measured.whole.mse > 0
    assert (measured.whole.kl, measured.whole.flips, measured.verified_whole) == (None, None, None)
    assert not measured.by_divergence


def test_nodes_without_names_get_some_before_they_are_left_out(tmp_path):
    measured = measure_sensitivity(study_of(write_model(tmp_path / "nameless.onnx", names=False), "onnx-dynamic"))
    assert measured.words is not None
    naming, call = measured.words.splitlines()
    assert naming == 'for place, node in enumerate(model.graph.node): node.name = node.name or f"node_{place}"'
    assert "''" not in call
    assert call.startswith("onnxruntime: quantize_dynamic(…, nodes_to_exclude=['node_")


def test_each_reader_of_a_shared_weight_is_an_op(tmp_path):
    measured = measure_sensitivity(study_of(write_model(tmp_path / "shared.onnx"), "onnx-dynamic"))
    parts = {part.part: part for part in measured.parts}
    assert {name: part.weights for name, part in parts.items()} == {"first": 256, "second": 256, "third": 64}
    errors = [part.only.mse for part in parts.values()]
    assert len(set(errors)) == 3, "each alone is another artifact"
    assert measured.words == (
        "onnxruntime: quantize_dynamic(…, nodes_to_exclude=['node of first', 'node of second', 'node of third'])"
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        pytest.param(
            "onnx-int8", "'onnx-int8' could not be measured in Python: the model has opset 11, and", id="failed"
        ),
        pytest.param(
            "onnx-float32",
            "'onnx-float32' is not quantized, so none of its ops causes an error; name a quantized setting",
            id="the baseline",
        ),
        pytest.param(
            "onnx-dynamic+float",
            "'onnx-dynamic+float' keeps layers in float already; name the setting without '+float'",
            id="keeps layers in float",
        ),
        pytest.param(
            "", "the study has no setting '' that was measured in Python; choose from onnx-dynamic", id="no name"
        ),
        pytest.param(
            "onnx-*",
            "the study has no setting 'onnx-*' that was measured in Python; choose from onnx-dynamic",
            id="a glob",
        ),
    ],
)
def test_a_study_says_why_it_cannot_measure_a_setting(setting, said, several):
    with pytest.raises(UsageError) as raised:
        measure_sensitivity(several, options=SensitivityOptions(setting))
    assert str(raised.value).startswith(said)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A study of opset 11 with one setting that fails and one that keeps a layer in float."""
    model = write_model(tmp_path_factory.mktemp("several") / "several.onnx", opset=11)
    options = replace(
        OPTIONS,
        settings=("onnx-int8", "onnx-dynamic", "onnx-dynamic+float"),
        float_layers=("first",),
        out=model.with_suffix(".study"),
    )
    analyze(model, data=str(model.with_suffix(".npz")), options=options)
    return model.with_suffix(".study")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ("nosuch.keras",), "there is no model at 'nosuch.keras'; give a .keras file", id="neither study nor model"
        ),
        pytest.param(
            ("several.onnx",),
            "'several.onnx' is no study, and for a model --setting and --data are needed: quantlab sensitivity MODEL "
            "--data DATA --setting tflite-int8",
            id="a model without more",
        ),
        pytest.param(
            ("several.onnx", "--data", "several.npz", "--setting", "onnx-*"),
            "there is no setting 'onnx-*'; did you mean 'onnx-int8'",
            id="a glob",
        ),
        pytest.param(
            ("several.onnx", "--data", "several.npz", "--setting", "onnx-dynamic+float"),
            "'onnx-dynamic+float' keeps layers in float already; name the setting without '+float'",
            id="keeps layers in float",
        ),
        pytest.param(
            ("several.study", "--data", "other.npz"),
            "--data is only for a model, and a study has its own; leave it out, or name the model instead of the study",
            id="samples of a study",
        ),
        pytest.param(
            ("several.study", "--calibration", "c.npz", "--score-output", "y", "--custom", "own", "--scale", "0"),
            "--calibration, --score-output, --custom and --scale are only for a model, and a study has its own; leave "
            "them out, or name the model instead of the study",
            id="options of a study",
        ),
    ],
)
def test_what_the_command_refuses_before_it_runs_anything(arguments, said, several):
    before = sorted(several.parent.iterdir())
    done = quantlab_in_process("sensitivity", *arguments, cwd=several.parent)
    assert (done.status, done.stdout) == (2, "")
    assert done.stderr.startswith(f"quantlab: {said}")
    assert sorted(several.parent.iterdir()) == before


def test_a_damaged_artifact_is_not_measured(tmp_path):
    study = study_of(write_model(tmp_path / "damaged.onnx"), "onnx-dynamic")
    (artifact,) = study.glob("variants/onnx-dynamic/*/artifact/model.onnx")
    artifact.write_bytes(artifact.read_bytes() + b"\0")
    with pytest.raises(StudyError) as raised:
        measure_sensitivity(study)
    assert str(raised.value) == (
        "the artifact of onnx-dynamic is damaged; run the same 'quantlab analyze' again, which makes it again"
    )
    artifact.unlink()
    with pytest.raises(StudyError, match="the artifact of onnx-dynamic is missing"):
        measure_sensitivity(study)


def test_a_model_that_is_gone(tmp_path):
    model = write_model(tmp_path / "gone.onnx")
    study = study_of(model, "onnx-dynamic")
    model.unlink()
    with pytest.raises(StudyError) as raised:
        measure_sensitivity(study)
    assert str(raised.value) == (
        f"the study's model '{model}' is not there; put it back, or run this command in the folder in which "
        f"'quantlab analyze' was run"
    )


def test_verify_checks_the_results(tmp_path):
    study = study_of(write_model(tmp_path / "verified.onnx"), "onnx-dynamic")
    measure_sensitivity(study)
    records = sorted(study.glob("sensitivity/*/*/*.json"))
    assert len(records) == 6
    states = {checked.name: checked.state for checked in verify(study) if checked.name.startswith("sensitivity/")}
    assert states == {record.relative_to(study).as_posix(): "intact" for record in records}
    records[0].write_text(records[0].read_text().replace('"mse": ', '"mse": 9'))
    assert [checked.state for checked in verify(study) if checked.path == records[0]] == ["damaged"]


def test_the_first_ten_are_the_same_if_it_was_stopped(tmp_path):
    study = study_of(write_model(tmp_path / "long.onnx", more=10), "onnx-dynamic")
    whole = measure_sensitivity(study)
    assert [part.verified is not None for part in whole.parts] == [place < 10 for place in range(13)]
    for record in sorted(study.glob("sensitivity/*/*/*.json"))[::2]:
        record.unlink()
    assert measure_sensitivity(study).parts == whole.parts


@pytest.mark.parametrize(
    ("entry", "nodes"),
    [
        pytest.param("node of second", ["node of second"], id="the name of a node"),
        pytest.param("second", ["node of second"], id="the tensor that it writes"),
        pytest.param("shared", ["node of first", "node of second"], id="a weight that two nodes read"),
        pytest.param("*third", ["node of third"], id="a glob"),
    ],
)
def test_what_names_a_node(entry, nodes, tmp_path):
    assert kept_nodes(write_model(tmp_path / "names.onnx"), [entry]).all == nodes


def test_a_tensor_with_the_name_of_a_layer(tmp_path):
    """The entry that keeps the softmax in float named the MatMul of its layer, too, so that this had no error."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.normal(0, 1, (16, size)).astype(np.float32), f"net/{name}/kernel")
        for name, size in (("first", 16), ("head", 4))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "net/first/kernel"], ["net/first/MatMul:0"], name="net/first/MatMul"),
        helper.make_node("MatMul", ["net/first/MatMul:0", "net/head/kernel"], ["net/head/MatMul:0"], "net/head/MatMul"),
        helper.make_node("Softmax", ["net/head/MatMul:0"], ["head"], name="net/head/Softmax"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in (("x", 16), ("head", 4))
    ]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    save(model, tmp_path / "model.onnx")
    x = random.normal(0, 1, (60, 16)).astype(np.float32)
    np.savez(tmp_path / "model.npz", x=x, y=random.integers(0, 4, 60))
    measured = measure_sensitivity(study_of(tmp_path / "model.onnx", "onnx-dynamic"))
    errors = {part.part: part.only.mse for part in measured.parts}
    assert errors.keys() == {"net/first/MatMul:0", "net/head/MatMul:0"}
    assert min(errors.values()) > 0
