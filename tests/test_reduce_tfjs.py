"""`quantlab reduce` of graph-models of TensorFlow.js: how they are cut, and that the right op is found."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import PATIENCE, quantlab_in_process
from contracts import refuse_absent
from tfjs_graphs import node, write

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS
from quantlab.formats.programs import Comparison
from quantlab.formats.tfjs.cut import cut_graph, write_cut
from quantlab.processes import ChildPool
from quantlab.registries import REAL
from quantlab.runtimes.node import find_node
from quantlab.study.reduction.running import Cutting, run_file
from quantlab.types.reduction import CutGraph, CutOp

MODULES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules"

FLOAT = {"T": {"type": "DT_FLOAT"}}
WEIGHTS = {
    "axis": np.array(1, np.int32),
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.ones(3, np.float32),
}


def halves(folder):
    """rows → a relu of the first half, and of the second; the product of one of them, and a bias."""
    nodes = [
        node("sum", "AddV2", "product", "bias", "^checked", **FLOAT),
        node("halves", "Split", "axis", "rows", num_split={"i": "2"}, **FLOAT),
        node("is_less", "Less", "halves", "halves:1", **FLOAT),
        node("checked", "NoOp", "^is_less"),
        node("larger", "SelectV2", "is_less", "halves:1", "halves:0", **FLOAT),
        node("product", "MatMul", "larger", "matrix", **FLOAT),
    ]
    return write(folder, nodes, WEIGHTS, ("rows",))


def test_the_nodes_of_a_graph(tmp_path):
    """In an order in which they can run; a comparison gives no floats, and waiting for a check reads nothing."""
    assert cut_graph(halves(tmp_path)) == CutGraph(
        ("rows",),
        ("sum",),
        (
            CutOp("Split", ("rows",), ("halves", "halves:1")),
            CutOp("Less", ("halves", "halves:1"), ("is_less",)),
            CutOp("SelectV2", ("is_less", "halves:1", "halves"), ("larger",)),
            CutOp("MatMul", ("larger",), ("product",)),
            CutOp("AddV2", ("product",), ("sum",)),
        ),
        frozenset({"rows", "halves", "halves:1", "larger", "product", "sum"}),
    )


def written(artifact, target, inputs, outputs):
    """What a cut holds: each node with its op and what it reads, the signature, and the weights with their bytes."""
    write_cut(artifact, target, inputs, outputs)
    document = json.loads((target / "model.json").read_text())
    nodes = {one["name"]: (one["op"], *one.get("input", ())) for one in document["modelTopology"]["node"]}
    signature = {key: [info["name"] for info in ends.values()] for key, ends in document["signature"].items()}
    weights = {one["name"]: one["values"] for one in weights_of(target, document)}
    return nodes, signature, weights


def weights_of(target, document):
    listed = [entry for group in document["weightsManifest"] for entry in group["weights"]]
    stored = list(FORMATS["tfjs"].weights(target))
    assert [one.name for one in stored] == [entry["name"] for entry in listed]
    return [{"name": one.name, "values": one.values.tolist()} for one in stored]


@pytest.mark.parametrize(
    ("inputs", "outputs", "nodes", "signature", "weights"),
    [
        pytest.param(
            {"larger": (1, 2)},
            ["sum"],
            {
                "larger": ("Placeholder",),
                "product": ("MatMul", "larger", "matrix"),
                "sum": ("AddV2", "product", "bias"),
                "matrix": ("Const",),
                "bias": ("Const",),
            },
            {"inputs": ["larger:0"], "outputs": ["sum:0"]},
            {"matrix", "bias"},
            id="the end, which waits for nothing that is left out",
        ),
        pytest.param(
            {"rows": (1, 4)},
            ["halves:1", "larger"],
            {
                "rows": ("Placeholder",),
                "axis": ("Const",),
                "halves": ("Split", "axis", "rows"),
                "is_less": ("Less", "halves", "halves:1"),
                "larger": ("SelectV2", "is_less", "halves:1", "halves:0"),
                "halves_1_output": ("Identity", "halves:1"),
            },
            {"inputs": ["rows:0"], "outputs": ["halves_1_output:0", "larger:0"]},
            {"axis"},
            id="the beginning, with the second tensor of a node",
        ),
        pytest.param(
            {"halves": (1, 2), "halves:1": (1, 2)},
            ["larger"],
            {
                "halves": ("Placeholder",),
                "halves_1_input": ("Placeholder",),
                "is_less": ("Less", "halves", "halves_1_input"),
                "larger": ("SelectV2", "is_less", "halves_1_input", "halves"),
            },
            {"inputs": ["halves:0", "halves_1_input:0"], "outputs": ["larger:0"]},
            set(),
            id="the middle, without weights",
        ),
        pytest.param(
            {"halves:1": (1, 2), "rows": (1, 4)},
            ["larger"],
            {
                "halves_1_input": ("Placeholder",),
                "rows": ("Placeholder",),
                "axis": ("Const",),
                "halves": ("Split", "axis", "rows"),
                "is_less": ("Less", "halves", "halves_1_input"),
                "larger": ("SelectV2", "is_less", "halves_1_input", "halves:0"),
            },
            {"inputs": ["halves_1_input:0", "rows:0"], "outputs": ["larger:0"]},
            {"axis"},
            id="one tensor of a node is fed, and another is computed",
        ),
    ],
)
def test_a_cut(inputs, outputs, nodes, signature, weights, tmp_path):
    made, ends, stored = written(halves(tmp_path / "whole"), tmp_path / "cut", inputs, outputs)
    assert (made, ends) == (nodes, signature)
    assert stored == {name: values.tolist() for name, values in WEIGHTS.items() if name in weights}
    ports = FORMATS["tfjs"].inspect(tmp_path / "cut").inputs
    assert [port.shape for port in ports if port.name != "rows"] == [inputs[one] for one in inputs if one != "rows"]


def test_functions_that_are_called_stay_with_their_weights(tmp_path):
    artifact = write(
        tmp_path / "whole",
        [
            node("first", "Relu", "rows", **FLOAT),
            node(
                "called",
                "StatelessIf",
                "first",
                "first",
                then_branch={"func": {"name": "then"}},
                else_branch={"func": {"name": "unknown"}},
                Tout={"list": {"type": ["DT_FLOAT"]}},
            ),
        ],
        {"matrix": WEIGHTS["matrix"], "bias": WEIGHTS["bias"]},
        ("rows",),
    )
    file = artifact / "model.json"
    document = json.loads(file.read_text())
    inner = {"signature": {"name": "inner"}, "nodeDef": [node("bias", "Const")]}
    then = {"signature": {"name": "then"}, "nodeDef": [node("call", "PartitionedCall", f={"func": {"name": "inner"}})]}
    other = {"signature": {"name": "other"}, "nodeDef": [node("matrix", "Const")]}
    document["modelTopology"]["library"] = {"function": [inner, then, other]}
    file.write_text(json.dumps(document))
    assert cut_graph(artifact).ops[1] == CutOp("StatelessIf", ("first", "first"), ("called",))
    assert "called" in cut_graph(artifact).tensors
    _, _, weights = written(artifact, tmp_path / "cut", {"first": (1, 3)}, ["called"])
    kept = json.loads((tmp_path / "cut" / "model.json").read_text())["modelTopology"]["library"]["function"]
    assert ([function["signature"]["name"] for function in kept], list(weights)) == (["inner", "then"], ["bias"])


def test_a_graph_that_computes_its_weights_is_refused(tmp_path):
    file = halves(tmp_path / "whole") / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "modelInitializer": {"node": []}}))
    with pytest.raises(ArtifactError) as refused:
        cut_graph(tmp_path / "whole")
    assert str(refused.value) == (
        "'whole' computes weights or tables in a modelInitializer before its first call, and such a graph is not cut; "
        "store them in the main graph, as tfjs-uint8-per-channel does"
    )


def spoiled(artifact, target, kernel):
    """A copy of an artifact in which one kernel has the other sign, and the name of the node that reads it."""
    shutil.copytree(artifact, target)
    document = json.loads((target / "model.json").read_text())
    (group,) = document["weightsManifest"]
    (name,) = group["paths"]
    shard, offset = bytearray((target / name).read_bytes()), 0
    for entry in group["weights"]:
        size = 4 * int(np.prod(entry["shape"], dtype=int))
        if entry["name"] == kernel:
            values = -np.frombuffer(shard[offset : offset + size], np.float32)
            shard[offset : offset + size] = values.tobytes()
        offset += size
    (target / name).write_bytes(shard)
    (reader,) = (one["name"] for one in document["modelTopology"]["node"] if kernel in one.get("input", ()))
    return reader


@pytest.fixture(scope="module")
def study(small_models, tmp_path_factory):
    """A study of a small network, and of copies with one spoiled kernel each; kernel → the node that reads it."""
    folder = tmp_path_factory.mktemp("reduce-tfjs")
    model = small_models["conv"]
    shape = (24, *next(iter(model.inputs.values())).shape[1:])
    values = np.random.default_rng(7).normal(size=shape).astype(np.float32)
    np.savez(folder / "samples.npz", **dict.fromkeys(model.inputs, values))
    done = quantlab_in_process("convert", model.path, "--settings", "tfjs-float32", "--out", "made", cwd=folder)
    assert done.status == 0, done.stderr
    kernels = [one.name for one in FORMATS["tfjs"].weights(folder / "made" / "tfjs-float32") if len(one.shape) > 1]
    made = folder / "made" / "tfjs-float32"
    readers = {f"planted{i}": spoiled(made, folder / f"planted{i}", kernel) for i, kernel in enumerate(kernels)}
    given = [word for name in readers for word in ("--variant", f"{name}={name}")]
    words = ("--settings", "tfjs-float32,tfjs-uint8", "--runtimes", "python,node-wasm", "--no-layers", "--no-costs")
    done = quantlab_in_process(
        "analyze", model.path, "--data", "samples.npz", *words, *given, "--out", "s.study", cwd=folder
    )
    assert done.status == 0, done.stderr
    return folder, readers


def compared(folder):
    """What the program in a folder prints, which needs TensorFlow.js and nothing of quantlab."""
    if not MODULES.is_dir():
        pytest.skip("needs node_modules, which a development install has")
    (folder / "node_modules").symlink_to(MODULES)
    command = [find_node()[0], "compare.cjs"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("largest")]
    return {line.split()[3].rstrip(":"): float(line.split()[-1]) for line in lines}


@pytest.mark.starts_children
def test_the_op_whose_kernel_is_spoiled_is_found_alone(study):
    folder, readers = study
    assert len(readers) == 5
    for name, reader in readers.items():
        done = quantlab_in_process("reduce", "s.study", "--setting", name, "--out", f"{name}.cut", "--json", cwd=folder)
        assert done.status == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["output"], len(told["ops"])) == (reader, 1)


@pytest.mark.starts_children
def test_a_difference_between_runtimes(study):
    """The file is compared with itself in Python; the kernels of both round otherwise."""
    folder, _ = study
    words = ("--setting", "tfjs-float32", "--runtime", "node-wasm", "--out", "wasm.cut", "--json")
    done = quantlab_in_process("reduce", "s.study", *words, cwd=folder)
    assert done.status == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["baseline"] == "the same file in Python"
    assert 0 < told["difference"] < 1e-5
    assert "tfjs-backend-wasm@4.22.0 " in (folder / "wasm.cut" / "issue.md").read_text(encoding="utf-8")
    assert compared(folder / "wasm.cut") == {
        "expected.npy": pytest.approx(told["difference"], rel=1e-5),
        "output.npy": 0.0,
    }


@pytest.mark.starts_children
def test_the_folder_shows_the_difference(study):
    """In Node.js, with TensorFlow.js alone, and in Python."""
    folder, _ = study
    out = folder / "uint8.cut"
    done = quantlab_in_process("reduce", "s.study", "--setting", "tfjs-uint8", "--out", out, "--json", cwd=folder)
    assert done.status == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["share"] >= told["threshold"]
    assert told["bytes"] == sum(file.stat().st_size for file in (out / "subgraph").iterdir())
    assert {path.name for path in out.iterdir()} == {
        *("issue.md", "compare.cjs", "reduction.json", "output.npy", "expected.npy", "input-0.npy", "subgraph")
    }
    in_javascript = compared(out)
    assert in_javascript["expected.npy"] == pytest.approx(told["difference"], rel=1e-3)
    assert in_javascript["output.npy"] < 1e-6
    with ChildPool(folder / "pool", 300.0) as pool:
        inputs = [np.load(out / "input-0.npy")]
        (again,) = run_file(FORMATS["tfjs"], out / "subgraph", inputs, where=(REAL.python, REAL, pool))
    np.testing.assert_array_equal(again, np.load(out / "output.npy"))
    issue = (out / "issue.md").read_text(encoding="utf-8")
    assert "- `subgraph/model.json`: " in issue
    assert "`node compare.cjs`" in issue


@pytest.mark.starts_children
@pytest.mark.parametrize("name", ["python", "node-cpu", "node-wasm", "chromium-wasm", "chromium-webgl"])
def test_a_sub_graph_runs_in(name, workbench, tmp_path):
    """Also where a cast leaves the bytes of booleans, as in TensorFlow.js on the cpu."""
    runtime = REAL.runtimes[name]
    refuse_absent(runtime, "tfjs")
    nodes = [
        node("halves", "Split", "axis", "rows", num_split={"i": "2"}, **FLOAT),
        node("is_less", "Less", "halves", "halves:1", T={"type": "DT_FLOAT"}),
        node("counted", "Cast", "is_less", SrcT={"type": "DT_BOOL"}, DstT={"type": "DT_FLOAT"}),
        node("sum", "AddV2", "counted", "halves:1", **FLOAT),
    ]
    artifact = write(tmp_path / "whole", nodes, {"axis": WEIGHTS["axis"]}, ("rows",))
    rows = np.array([[1, 5, 2, 4], [3, 3, 3, 3]], np.float32)
    cut = Cutting(FORMATS["tfjs"], artifact, (runtime, REAL, workbench.pool), tmp_path / "cuts")
    values = cut.values({"rows": rows}, ["halves:1", "counted", "sum"])
    fed = {"halves": rows[:, :2], "halves:1": values["halves:1"]}
    (again,) = run_file(cut.format, cut.write(fed, ["sum"]), list(fed.values()), where=cut.where)
    assert {tensor: one.tolist() for tensor, one in values.items()} == {
        "halves:1": [[2, 4], [3, 3]],
        "counted": [[1, 0], [0, 0]],
        "sum": [[3, 4], [3, 3]],
    }
    assert again.tolist() == values["sum"].tolist()


@pytest.mark.parametrize(
    ("backend", "file", "parts"),
    [
        pytest.param("", "compare.cjs", ["require('@tensorflow/tfjs-backend-cpu');", "setBackend('cpu')"], id="Python"),
        pytest.param(
            "native", "compare.cjs", ["require('@tensorflow/tfjs-node');", "setBackend('tensorflow')"], id="C"
        ),
        pytest.param(
            "webgl16", "compare.html", ["WEBGL_FORCE_F16_TEXTURES', true", "setBackend('webgl')"], id="half floats"
        ),
        pytest.param(
            "webgpu", "compare.html", ["tf-backend-webgpu.min.js", "setBackend('webgpu')"], id="another package"
        ),
    ],
)
def test_the_program_runs_on_the_backend(backend, file, parts):
    comparison = Comparison("subgraph", ("input-0.npy", "input-1.npy"), backend, "a runtime", {"tfjs": "4.22.0"})
    program = FORMATS["tfjs"].reproduce(comparison)
    assert list(program.files) == [file]
    assert [part for part in parts if part not in program.files[file]] == []
    assert "compare(tf, model, " in program.files[file]
    assert "['input-0.npy', 'input-1.npy']" in program.files[file]
    assert program.how.startswith("`npm install @tensorflow/tfjs")
    assert "@4.22.0" in program.how
