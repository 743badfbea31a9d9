"""`quantlab reduce` of layers-models of TensorFlow.js: how they are cut, and that the right layer is found."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import PATIENCE, quantlab_in_process

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS
from quantlab.formats.tfjs_layers.calls import Call, calls_of
from quantlab.registries import REAL
from quantlab.runtimes.node import find_node
from quantlab.study.reduction.running import Cutting, run_file
from quantlab.study.reduction.search import subgraph_of

MODULES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules"


def layer(kind, name, *nodes, **config):
    """A layer of a functional model, called once for each of the nodes."""
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": list(nodes)}


def functional(*layers, inputs, outputs):
    ends = {"input_layers": [[name, 0, 0] for name in inputs], "output_layers": outputs}
    return {"class_name": "Functional", "config": {"name": "model", "layers": list(layers), **ends}}


def read(name, call=0, place=0, **keywords):
    return [name, call, place, keywords]


SHARED = functional(
    layer("InputLayer", "words", batch_input_shape=[None, 4], dtype="int32"),
    layer("Add", "doubled", [read("words"), read("words")]),
    layer("Dense", "last", [read("lstm", 0, 1)], [read("twice", 1)]),
    layer("LSTM", "lstm", [read("table")], return_state=True),
    layer("Dense", "twice", [read("lstm")], [read("twice")]),
    layer("Embedding", "table", [read("doubled")]),
    inputs=["words"],
    outputs=[["last", 0, 0], ["last", 1, 0]],
)


def test_the_calls_of_a_functional_model():
    """In an order in which they can run; a layer may be called twice, and give several tensors."""
    model = calls_of(SHARED)
    assert [(call.name, call.reads, model.written(call)) for call in model.calls] == [
        ("doubled", ("words", "words"), ("doubled",)),
        ("table", ("doubled",), ("table",)),
        ("lstm", ("table",), ("lstm", "lstm#1")),
        ("last", ("lstm#1",), ("last",)),
        ("twice", ("lstm",), ("twice",)),
        ("twice:1", ("twice",), ("twice:1",)),
        ("last:1", ("twice:1",), ("last:1",)),
    ]
    assert (list(model.inputs), model.outputs) == (["words"], ("last", "last:1"))
    assert model.floats() == {"table", "lstm", "last", "last:1", "twice", "twice:1"}


def test_a_nested_model_is_one_layer():
    """Its first call has the number 1 in the configuration: the call that built it has 0."""
    inner = functional(layer("InputLayer", "y", batch_input_shape=[None, 2]), inputs=["y"], outputs=[["y", 0, 0]])
    nested = {**inner, "name": "inner", "config": {**inner["config"], "name": "inner"}, "inbound_nodes": [[read("x")]]}
    x = layer("InputLayer", "x", batch_input_shape=[None, 2])
    model = calls_of(functional(x, nested, layer("ReLU", "r", [read("inner", 1)]), inputs=["x"], outputs=[["r", 0, 0]]))
    assert [(call.name, call.reads) for call in model.calls] == [("inner", ("x",)), ("r", ("inner",))]


@pytest.mark.parametrize(
    ("masking", "recurrent", "floats"),
    [
        pytest.param(layer("Masking", "mask", [read("x")]), {}, {"x", "lstm", "last"}, id="until an LSTM ends it"),
        pytest.param(layer("Masking", "mask", [read("x")]), {"return_sequences": True}, {"x"}, id="through an LSTM"),
        pytest.param(
            layer("Embedding", "mask", [read("x")], mask_zero=True), {}, {"x", "lstm", "last"}, id="of an embedding"
        ),
        pytest.param(layer("ReLU", "mask", [read("x")]), {}, {"x", "mask", "lstm", "last"}, id="none"),
    ],
)
def test_a_tensor_with_a_mask_is_not_cut(masking, recurrent, floats):
    """An input layer has no mask, so that steps that are left out would count."""
    layers = (
        layer("InputLayer", "x", batch_input_shape=[None, 4, 2]),
        masking,
        layer("LSTM", "lstm", [read("mask")], **recurrent),
        layer("Dense", "last", [read("lstm")]),
    )
    assert calls_of(functional(*layers, inputs=["x"], outputs=[["last", 0, 0]])).floats() == floats


def test_the_calls_of_a_sequential_model():
    layers = [
        {"class_name": "Dense", "config": {"name": "first", "batch_input_shape": [None, 3], "dtype": "float32"}},
        {"class_name": "ReLU", "config": {"name": "last"}},
    ]
    model = calls_of({"class_name": "Sequential", "config": {"name": "model", "layers": layers}})
    assert model.calls == (Call("first", layers[0], ("first_input",)), Call("last", layers[1], ("first",)))
    assert model.inputs["first_input"]["config"]["batch_input_shape"] == [None, 3]
    assert model.outputs == ("last",)


def test_tensors_by_keyword_are_refused():
    layers = (
        layer("InputLayer", "x", batch_input_shape=[None, 4, 2]),
        layer("LSTM", "lstm", [read("x", initial_state=[["x", 0, 0]])]),
    )
    with pytest.raises(ArtifactError) as refused:
        calls_of(functional(*layers, inputs=["x"], outputs=[["lstm", 0, 0]]))
    assert str(refused.value) == (
        "the layer 'lstm' (LSTM) is called with tensors by keyword, and such a layers-model is not cut; use a "
        "graph-model instead, that is, the settings tfjs-*"
    )


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("name", "runtime"),
    [("keras2_activations", "python"), ("keras2_recurrent", "python"), ("keras2_recurrent", "node-cpu")],
)
def test_every_part_gives_the_tensors_of_the_whole(name, runtime, workbench, small_models, tmp_path):
    """Also with a layer that is called twice, a model in the model, and a Sequential that takes integers."""
    format_, artifact = FORMATS["tfjs-layers"], workbench.float32(name, "tfjs-layers").path
    graph = format_.cut_graph(artifact)
    known = frozenset(one for op in graph.ops for one in op.writes if one in graph.tensors)
    fed = {one: values[:1] for one, values in small_models[name].inputs.items()}
    assert list(fed) == list(graph.inputs)
    cut = Cutting(format_, artifact, (REAL.runtimes[runtime], REAL, workbench.pool), tmp_path / "cuts")
    values = {**fed, **cut.values(fed, sorted(known))}
    for last in range(0, len(graph.ops), 3):
        part = subgraph_of(graph, known, first=last // 2, output=graph.ops[last].writes[0])
        given = {one: values[one] for one in part.inputs}
        (found,) = run_file(format_, cut.write(given, [part.output]), list(given.values()), where=cut.where)
        np.testing.assert_allclose(found, values[part.output], rtol=0, atol=1e-6)


@pytest.mark.starts_children
def test_the_layer_whose_weights_are_stored_badly_is_found_alone(small_models, tmp_path):
    """The variances of one layer span five powers of ten, and one scale in 8 bits makes most of them zero."""
    model = small_models["keras2_wide_norm"]
    np.savez(tmp_path / "samples.npz", **model.inputs)
    words = ("--settings", "tfjs-layers-uint8", "--runtimes", "python", "--no-layers", "--no-costs", "--out", "s.study")
    done = quantlab_in_process("analyze", model.path, "--data", "samples.npz", *words, cwd=tmp_path)
    assert done.status == 0, done.stderr
    words = ("--setting", "tfjs-layers-uint8", "--out", "cut", "--json")
    done = quantlab_in_process("reduce", "s.study", *words, cwd=tmp_path)
    assert done.status == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["ops"], told["output"], list(told["inputs"])) == (["BatchNormalization"], "wide_norm", ["first"])
    if not MODULES.is_dir():
        pytest.skip("needs node_modules, which a development install has")
    (tmp_path / "cut" / "node_modules").symlink_to(MODULES)
    command = [find_node()[0], "compare.cjs"]
    ran = subprocess.run(
        command, cwd=tmp_path / "cut", capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout
    expected, output = (float(line.split()[-1]) for line in ran.splitlines() if line.startswith("largest"))
    assert expected == pytest.approx(told["difference"], rel=1e-4)
    assert output < 1e-4 * expected
