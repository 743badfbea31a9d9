"""Models with side effects are refused before they are opened, and change nothing; other models are opened."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from contracts import job_of, opening_job
from kept import kept, make_in_fork

from quantlab.errors import ModelError
from quantlab.models import ModelOptions, identify
from quantlab.models.allowed import acts_unmarked, is_pure_function
from quantlab.models.keras_layers import foreign_modules, refuse_acting_layers
from quantlab.processes import ChildPool
from quantlab.runtimes import RUNTIMES, create_output, protocol, python
from quantlab.runtimes.protocol import ask
from quantlab.runtimes.requests import Open
from quantlab.types.messages import Failed, Opened


@pytest.fixture(scope="module")
def hostile(request):
    def make(folder: Path) -> None:
        make_in_fork("hostile_models", {"folder": str(folder)}, folder / "made.log")

    return kept(request, "hostile-models", ("hostile_models.py",), make)


def what_is_said(path, folder, **options):
    with ChildPool(folder / "shop", stall_seconds=120) as pool:
        said, *_ = ask(python.HOST, Open(opening_job(path, ModelOptions(**options), folder / "exported")), pool)
    return said


ACTS = "which does more than compute: it may read or write files, call Python or use the network"


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("name", "op"),
    [
        pytest.param("writes", "WriteFile", id="its signature writes a file"),
        pytest.param("reads", "ReadFile", id="its signature reads a file"),
        pytest.param("hides", "WriteFile", id="nodes that are named as its functions"),
        pytest.param("calls", "PyFunc", id="its signature calls Python"),
        pytest.param("initializes", "InitializeTableFromTextFileV2", id="it reads a file when it is loaded"),
    ],
)
def test_a_saved_model_that_acts(name, op, hostile, tmp_path):
    assert what_is_said(hostile / name, tmp_path) == Failed(
        f"the SavedModel '{hostile / name}' runs the op '{op}', {ACTS}; if you trust the model, allow it with --unsafe",
        expected=True,
    )
    assert not (hostile / "victim").exists()


@pytest.mark.starts_children
def test_a_saved_model_that_is_trusted(hostile, tmp_path):
    assert isinstance(what_is_said(hostile / "writes", tmp_path, unsafe=True), Opened)


@pytest.mark.starts_children
@pytest.mark.parametrize("name", ["fine", "fine.h5"])
def test_a_model_that_computes(name, hostile, tmp_path):
    assert isinstance(what_is_said(hostile / name, tmp_path), Opened)


@pytest.mark.starts_children
def test_a_keras_file_that_names_a_function_that_writes(hostile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = hostile / "writes.h5"
    reason = (
        f"the TFOpLambda layer 'tf.math.add' of '{path}' calls 'tf.io.write_file', which is not on the list of "
        f"mathematics; if you trust the file, allow it with --unsafe"
    )
    with pytest.raises(ModelError) as refused:
        identify(path, ModelOptions())
    assert str(refused.value) == reason
    assert what_is_said(path, tmp_path) == Failed(reason, expected=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["shop"]


def layer(kind, **fields):
    return {
        "class_name": "Functional",
        "config": {"layers": [{"class_name": kind, "config": {"name": "odd", **fields}}]},
    }


@pytest.mark.parametrize(
    ("config", "action"),
    [
        pytest.param(layer("Lambda"), "contains Python code that runs when the model is opened", id="Python code"),
        pytest.param(
            layer("__lambda__", value="…"),
            "contains Python code that runs when the model is opened",
            id="Python code as an activation",
        ),
        pytest.param(
            layer("TorchModuleWrapper", module="…"),
            "contains Python code that runs when the model is opened",
            id="a pickle",
        ),
        pytest.param(
            layer("TFSMLayer", filepath="beside/saved_model"),
            "loads the SavedModel 'beside/saved_model'",
            id="another model",
        ),
        pytest.param(
            layer("TFOpLambda", function="raw_ops.WriteFile"),
            "calls 'tf.raw_ops.WriteFile', which is not on the list of mathematics",
            id="a raw op",
        ),
        pytest.param(
            layer("TFOpLambda", function="compat.v1.py_func"),
            "calls 'tf.compat.v1.py_func', which is not on the list of mathematics",
            id="Python by its older name",
        ),
        pytest.param(
            layer("ClassMethod", cls_symbol="io.gfile.GFile", method_name="write"),
            "calls the method 'write' of 'io.gfile.GFile'",
            id="a method of a class",
        ),
        pytest.param(
            layer("TensorFlowOpLayer", node_def=json.dumps({"op": "WriteFile"})),
            "runs the op 'WriteFile', which is not on the list of mathematics",
            id="an op of Keras 2.3",
        ),
        pytest.param(
            layer("StringLookup", vocabulary="/etc/passwd"),
            "reads the file '/etc/passwd' for its vocabulary",
            id="a file of words",
        ),
        pytest.param(
            layer("TFOpLambda", function="random.fixed_unigram_candidate_sampler"),
            "calls 'tf.random.fixed_unigram_candidate_sampler', which is not on the list of mathematics",
            id="a function that reads a file",
        ),
        pytest.param(
            layer("TensorFlowOpLayer", node_def="{"),
            "runs the op '?', which is not on the list of mathematics",
            id="an op that cannot be read",
        ),
    ],
)
def test_a_layer_that_acts(config, action):
    kind = config["config"]["layers"][0]["class_name"]
    with pytest.raises(ModelError) as refused:
        refuse_acting_layers(Path("model.keras"), config)
    assert str(refused.value) == (
        f"the {kind} layer 'odd' of 'model.keras' {action}; if you trust the file, allow it with --unsafe"
    )


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(layer("Dense", units=3), id="a layer of Keras"),
        pytest.param(layer("TFOpLambda", function="math.add"), id="mathematics"),
        pytest.param(layer("TFOpLambda", function="__operators__.add"), id="an operator"),
        pytest.param(layer("SlicingOpLambda", function="__operators__.getitem"), id="a slice"),
        pytest.param(layer("TFOpLambda", function="compat.v1.nn.softmax"), id="an older name"),
        pytest.param(layer("TensorFlowOpLayer", node_def=json.dumps({"op": "AddV2"})), id="an op of Keras 2.3"),
        pytest.param({"class_name": "InputLayer"}, id="without a configuration"),
    ],
)
def test_a_layer_that_computes(config):
    refuse_acting_layers(Path("model.keras"), config)


def test_a_configuration_may_be_deep():
    config = layer("Lambda")
    for _ in range(100_000):
        config = [config]
    with pytest.raises(ModelError, match="Lambda layer 'odd'"):
        refuse_acting_layers(Path("model.keras"), config)


def test_modules_that_a_file_names():
    own = [{"class_name": "Dense", "module": module} for module in ("keras.layers", "tf_keras.src.layers", "builtins")]
    strange = {"class_name": "system", "module": "os", "registered_name": None}
    custom = {"class_name": "Doubled", "module": "shop_layers", "registered_name": "Shop>Doubled"}
    assert sorted(foreign_modules([own, strange, custom])) == [("os", "system"), ("shop_layers", "Shop>Doubled")]


@pytest.mark.parametrize(
    ("name", "pure"),
    [
        ("nn.relu6", True),
        ("reshape", True),
        ("image.resize", True),
        ("keras.backend.relu", True),
        ("io.read_file", False),
        ("py_function", False),
        ("numpy_function", False),
        ("keras.backend.clear_session", False),
        ("keras.models.load_model", False),
        ("saved_model.load", False),
        ("data.Dataset.from_generator", False),
        ("print", False),
        ("math", False),
    ],
)
def test_functions_of_tensorflow(name, pure):
    assert is_pure_function(name) == pure


@pytest.mark.parametrize(
    ("op", "acts"),
    [
        ("ReadFile", True),
        ("ImmutableConst", True),
        ("CacheDataset", True),
        ("DebugIdentity", True),
        ("Abort", True),
        ("Relu6", False),
    ],
)
def test_ops_that_are_not_marked_as_stateful(op, acts):
    assert acts_unmarked(op) == acts


@pytest.mark.starts_children
def test_a_graph_model_that_acts(workbench, tmp_path):
    """It costs its own row, and the disk stays as it was."""
    variant, samples = workbench.float32("activations", "tfjs"), workbench.samples("activations")
    (output,) = workbench.opened("activations").description.outputs
    create_output(tmp_path / "out.npy", n=samples.n, shape=output.shape[1:], dtype=output.dtype)
    folder = tmp_path / "model"
    shutil.copytree(variant.path, folder)
    document = json.loads((folder / "model.json").read_text())
    text = {"tensor": {"dtype": "DT_STRING", "tensorShape": {}, "stringVal": ["dmljdGlt"]}}
    nodes = document["modelTopology"]["node"]
    nodes += [
        {"name": "where", "op": "Const", "attr": {"dtype": {"type": "DT_STRING"}, "value": text}},
        {"name": "write", "op": "WriteFile", "input": ["where", "where"]},
    ]
    (folder / "model.json").write_text(json.dumps(document))
    job = job_of(
        RUNTIMES["python"], replace(variant, path=folder), samples, {variant.outputs[0].name: tmp_path / "out.npy"}
    )
    *_, last = protocol.run(RUNTIMES["python"], job, workbench.pool)
    assert last == Failed(
        f"'model' runs the op 'WriteFile', {ACTS}; if you trust the model, allow it with --unsafe",
        expected=True,
    )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model", "out.npy"]
