"""ONNX files in JavaScript compared with onnxruntime in Python, and how onnxruntime-node is located."""

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from contracts import child_processes, executors, refuse_absent
from onnx import TensorProto, helper, numpy_helper

from quantlab.errors import RuntimeUnavailable, TrialError
from quantlab.formats import FORMATS
from quantlab.processes import ChildPool, end_lasting_children
from quantlab.runtimes import RUNTIMES, Job, Taps, TimingPlan, create_output, protocol
from quantlab.runtimes.browser_tree import browser_processes
from quantlab.runtimes.exchange import tensor_file
from quantlab.runtimes.onnxruntime_node import find_onnxruntime_node
from quantlab.runtimes.taps import open_session
from quantlab.types import TensorSpec
from quantlab.types.executor_options import ExecutorOptions, ExternalFile
from quantlab.types.messages import Done, Failed, Message, Progress, Ready, Repeated

pytestmark = pytest.mark.starts_children

RUNS_ONNX = ("node-wasm", "chromium-wasm", "node-native")
SAMPLES, BATCH = 7, 3
FLOAT = TensorProto.FLOAT


@pytest.fixture(params=RUNS_ONNX)
def runtime(request):
    """Each runtime that this machine has."""
    descriptor = RUNTIMES[request.param]
    refuse_absent(descriptor, "onnx")
    return descriptor


def port(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def write(path: Path, nodes, ports, constants=(), **saved) -> Path:
    """A model of opset 17, from the names and shapes of its inputs and outputs."""
    inputs, outputs = ports
    tensors = [numpy_helper.from_array(array, name) for name, array in dict(constants).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, tensors)
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("my.ops", 1)]
    onnx.save_model(helper.make_model(graph, opset_imports=domains, ir_version=10), path, **saved)
    return path


def convolutions(path: Path, batch, *, taps: bool = False, **saved) -> Path:
    """Pictures of two channels, and a weight for each, to five classes."""
    random = np.random.default_rng(1)
    weights = {
        "filter": random.normal(size=(6, 2, 3, 3)).astype(np.float32),
        "bias": random.normal(size=6).astype(np.float32),
        "matrix": random.normal(size=(6, 5)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["picture", "weight"], ["weighed"]),
        helper.make_node("Conv", ["weighed", "filter", "bias"], ["slid"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["slid"], ["bent"]),
        helper.make_node("GlobalAveragePool", ["bent"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    inputs = [port("picture", [batch, 2, 8, 8]), port("weight", [batch, 2, 1, 1])]
    appended = [port("bent", [batch, 6, 8, 8]), port("logits", [batch, 5])] if taps else []
    return write(path, nodes, (inputs, [port("scores", [batch, 5]), *appended]), weights, **saved)


def samples(n: int = SAMPLES) -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    shapes = {"weight": (n, 2, 1, 1), "picture": (n, 2, 8, 8)}
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def in_python(model: Path, fed, *, names=None):
    """The same by onnxruntime for Python, a sample at a time."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    n = len(next(iter(fed.values())))
    runs = [session.run(names, {name: array[i : i + 1] for name, array in fed.items()}) for i in range(n)]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def job_for(runtime, model: Path, fed, outputs, folder: Path, options=ExecutorOptions()) -> Job:  # noqa: B008 (frozen)
    """A job from arrays by input, and shapes of one sample by output; all are called as in the file."""
    n = len(next(iter(fed.values())))
    for name, array in fed.items():
        np.save(folder / f"{name}.npy", array)
    for name, shape in outputs.items():
        create_output(folder / f"{name}.npy", n=n, shape=shape, dtype="float32")
    files = [tensor_file(folder / f"{name}.npy", TensorSpec(name, (), ""), None, 0) for name in (*fed, *outputs)]
    inputs, rest = tuple(files[: len(fed)]), tuple(files[len(fed) :])
    return Job("onnx", str(model), runtime.backend, BATCH, 0, n, inputs, rest, options, **executors("onnx"))


def run(runtime, job: Job, folder: Path) -> list[Message]:
    with ChildPool(folder / "shop", stall_seconds=300) as pool:
        return list(protocol.run(runtime, job, pool))


@pytest.mark.parametrize("batch", [pytest.param("batch", id="an open batch"), pytest.param(1, id="a batch of one")])
def test_a_model_gives_what_it_gives_in_python(batch, runtime, tmp_path):
    model = convolutions(tmp_path / "model.onnx", batch)
    job = job_for(runtime, model, samples(), {"scores": (5,)}, tmp_path)
    ready, *progress, repeated, last = run(runtime, job, tmp_path)
    assert isinstance(ready, Ready), ready
    assert (ready.ran_on, last) == (runtime.name, Done())
    assert isinstance(repeated, Repeated)
    assert (repeated.way, repeated.samples, repeated.differing) == ("again", 3, 0)
    assert [(message.done, message.batch) for message in progress] == [(3, 3), (6, 3), (7, 1)]
    (expected,) = in_python(model, samples())
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, rtol=1e-5, atol=1e-5)


def test_a_row_says_what_ran_it(runtime, tmp_path):
    model = convolutions(tmp_path / "model.onnx", 1)
    ready, *_ = run(runtime, job_for(runtime, model, samples(), {"scores": (5,)}, tmp_path), tmp_path)
    said = {**runtime.environment(FORMATS["onnx"]), **ready.environment}
    library = "onnxruntime-node" if runtime.backend == "native" else "onnxruntime-web"
    assert said[library] == ready.environment[library]
    assert {"bundle", "threads", "backend"} <= said.keys()
    assert [name for name in said if name.startswith(("onnxruntime", "@tensorflow"))] == [library]


def test_external_data_are_read_where_the_job_says(runtime, tmp_path):
    saved = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    model = convolutions(tmp_path / "model.onnx", "batch", **saved)
    (expected,) = in_python(model, samples())
    (kept := tmp_path / "elsewhere").mkdir()
    (tmp_path / "weights.bin").rename(kept / "weights.bin")
    options = ExecutorOptions(external_data=(ExternalFile("weights.bin", str(kept / "weights.bin")),))
    job = job_for(runtime, model, samples(), {"scores": (5,)}, tmp_path, options)
    assert run(runtime, job, tmp_path)[-1] == Done()
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, rtol=1e-5, atol=1e-5)


def test_external_data_are_read_nowhere_else(runtime, tmp_path, monkeypatch):
    """Not even where the working folder happens to hold a file of that name."""
    saved = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    model = convolutions(tmp_path / "model.onnx", "batch", **saved)
    job = job_for(runtime, model, samples(), {"scores": (5,)}, tmp_path)
    if runtime.backend == "native":
        folder, _ = find_onnxruntime_node()
        monkeypatch.setenv("NODE_PATH", str(folder.parent))
    monkeypatch.chdir(tmp_path)
    assert run(runtime, job, tmp_path)[-1] == Failed(
        "the model's external data 'weights.bin' are missing; copy the model again, with all files that belong to it"
    )


def test_taps_are_outputs_behind_the_models_own(runtime, tmp_path):
    model = convolutions(tmp_path / "tapped.onnx", "batch", taps=True)
    taps = Taps(str(tmp_path / "taps.bin"), ("dense", "conv", "gone"), (2, 1, 3))
    job = replace(job_for(runtime, model, samples(), {"scores": (5,)}, tmp_path), batch_size=2, taps=taps)
    scores, bent, logits = in_python(model, samples())
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        session = open_session(runtime, job, pool)
        for start, stop in ((0, 3), (3, 7)):
            reading = session.read(start, stop)
            assert reading.failed == {"gone": "it is none of the file's 3 outputs"}
            for got, expected in (
                (reading.outputs["scores"], scores),
                (reading.taps["dense"], logits),
                (reading.taps["conv"], bent),
            ):
                np.testing.assert_allclose(got, expected[start:stop], rtol=1e-5, atol=1e-5)


def test_an_op_that_the_backend_lacks_is_named_with_its_node(runtime, tmp_path):
    nodes = [helper.make_node("Fancy", ["x"], ["y"], name="odd", domain="my.ops")]
    model = write(tmp_path / "model.onnx", nodes, ([port("x", ["batch", 4])], [port("y", ["batch", 4])]))
    fed = {"x": np.ones((2, 4), np.float32)}
    assert run(runtime, job_for(runtime, model, fed, {"y": (4,)}, tmp_path), tmp_path)[-1] == Failed(
        f"ONNX Runtime in {runtime.name} lacks the op 'Fancy' of the domain 'my.ops', which node 'odd' needs; export "
        "the model with ops of ONNX's own",
        missing_op="Fancy",
    )


def test_a_tapped_file_that_is_none_is_a_reason(runtime, tmp_path):
    (tmp_path / "junk.onnx").write_bytes(b"hello")
    taps = Taps(str(tmp_path / "taps.bin"), ("dense",), (1,))
    job = replace(job_for(runtime, tmp_path / "junk.onnx", samples(), {"scores": (5,)}, tmp_path), taps=taps)
    reason = "the file is no ONNX model, or was cut short; convert the model again"
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        session = open_session(runtime, job, pool)
        with pytest.raises(TrialError, match=f"^{re.escape(reason)}$"):
            session.read(0, 1)


def test_what_a_variant_costs(runtime, tmp_path):
    model = convolutions(tmp_path / "model.onnx", "batch")
    job = replace(job_for(runtime, model, samples(), {"scores": (5,)}, tmp_path), batch_size=1)
    plan = TimingPlan(warm_up_seconds=0, seconds=0.01, most_seconds=10, least_runs=3, enough_runs=3, most_runs=3)
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        _, ready, timed, last = protocol.time(runtime, job, plan, pool)
    assert (ready.ran_on, last) == (runtime.name, Done())
    assert len(timed.runs_ms) == 3
    assert 10e6 < timed.idle_memory_bytes <= timed.peak_memory_bytes < 2e9
    # Nothing is written.
    assert not np.load(tmp_path / "scores.npy").any()


def test_memory_stays_flat(runtime, tmp_path, monkeypatch):
    """Over five hundred batches: were their inputs or their outputs kept, they would be more than what is allowed."""
    batch, size = 8, 6144
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    model = write(tmp_path / "model.onnx", nodes, ([port("x", ["batch", size])], [port("y", ["batch", size])]))
    fed = {"x": np.ones((701 * batch, size), np.float32)}
    job = replace(job_for(runtime, model, fed, {"y": (size,)}, tmp_path), batch_size=batch)
    end_lasting_children()  # so that the child that works is the newest, and a browser has its folder here
    with tempfile.TemporaryDirectory(prefix="q-", dir="/tmp") as place:  # short, for the sake of a browser's sockets
        monkeypatch.setattr(tempfile, "tempdir", place)
        with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
            messages = protocol.run(runtime, job, pool)
            at = {batch * batches for batches in (200, 450, 700)}
            held = [
                working_bytes(Path(place))
                for message in messages
                if isinstance(message, Progress) and message.done in at
            ]
        end_lasting_children()
    assert len(held) == 3
    assert max(held) - held[0] < 60e6 < fed["x"].nbytes * 500 / 701


def working_bytes(place: Path) -> int:
    """What the child holds in memory, or, where a browser has its folder in that place, its largest page."""
    pages = [
        pid
        for folder in place.iterdir()
        for pid, command in browser_processes(folder).items()
        if "--type=renderer" in command and "--top-chrome-webui" not in command
    ]
    return max(resident_bytes(pid) for pid in pages or [max(child_processes())])


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working folder with folders above it, and nothing installed in any."""
    (here := tmp_path / "project" / "deep").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.delenv("NODE_PATH", raising=False)
    return here


def install(folder: Path, manifest: str) -> Path:
    place = folder / "onnxruntime-node"
    place.mkdir(parents=True)
    (place / "package.json").write_text(manifest)
    return place


def test_onnxruntime_node_is_found_as_node_would(elsewhere, monkeypatch):
    apart = install(elsewhere.parents[1] / "apart", json.dumps({"version": "1.22.0"}))
    monkeypatch.setenv("NODE_PATH", f":{elsewhere.parents[1] / 'gone'}:{apart.parent}")
    assert find_onnxruntime_node() == (apart, "1.22.0")
    above = install(elsewhere.parent / "node_modules", json.dumps({"version": "1.30.0"}))
    assert find_onnxruntime_node() == (above, "1.30.0")
    here = install(elsewhere / "node_modules", json.dumps({"version": "2.0.0-dev"}))
    assert find_onnxruntime_node() == (here, "2.0.0-dev")


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        pytest.param(
            None,
            "the runtime 'node-native' runs ONNX files in onnxruntime-node, and there is none in '{here}', above it or "
            "in NODE_PATH; {remedy}",
            id="none",
        ),
        pytest.param(
            '{"version": "1.21.9"}',
            "the onnxruntime-node in '{here}/node_modules/onnxruntime-node' has version 1.21.9, and quantlab needs "
            "version 1.22 or newer; {remedy}",
            id="an old one",
        ),
        pytest.param(
            "{",
            "the onnxruntime-node in '{here}/node_modules/onnxruntime-node' has a package.json that cannot be read; "
            "{remedy}",
            id="one that was cut short",
        ),
    ],
)
def test_an_onnxruntime_node_that_is_none(manifest, sentence, elsewhere):
    if manifest is not None:
        install(elsewhere / "node_modules", manifest)
    remedy = f"'npm install onnxruntime-node' in '{elsewhere}' installs it, and --runtimes leaves node-native out"
    with pytest.raises(RuntimeUnavailable) as refused:
        RUNTIMES["node-native"].environment(FORMATS["onnx"])
    assert str(refused.value) == sentence.format(here=elsewhere, remedy=remedy)
