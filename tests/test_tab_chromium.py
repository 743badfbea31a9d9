"""What the page measures in Chromium is what quantlab measures there: the same bytes, in a worker of its own."""

import base64
import io
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from contracts import job_of, refuse_absent
from playwright.sync_api import Page
from tfjs_graphs import WEIGHTS, node, write

from quantlab.formats import FORMATS, describe_given
from quantlab.processes import ChildPool
from quantlab.runtimes import RUNTIMES, create_output, protocol
from quantlab.types import ModelDescription, SampleSet, TensorSpec
from quantlab.types.messages import Done
from tests.tab_pages import bundle_tab, open_tab
from tests.tab_scores import Outputs, compared_by_python, differences
from tests.tfjs_pages import open_browser

pytestmark = pytest.mark.starts_children

Array = npt.NDArray[Any]

DEMO = Path(__file__).parents[1] / "quantlab" / "demo" / "tab"
FIXTURES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "fixtures"
BATCH = 32

_CALL = """async ({ files, inputs, setting, options, layers }) => {
  const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const textOf = (bytes) => {
    let text = '';
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return btoa(text);
  };
  const dropped = Object.entries(files).map(([path, text]) => (
    { path, size: bytesOf(text).length, bytes: async () => bytesOf(text) }));
  const { artifact, refused } = await tab.readDrop(dropped);
  if (!artifact) return { error: refused.map(({ reason }) => reason).join(' ') };
  const variant = setting ? await tab.makeVariant(artifact, setting) : artifact;
  const tensors = artifact.inputs.map(({ name }, place) => [name, tab.readNpy(bytesOf(inputs[name] ?? inputs[place]))]);
  const n = tensors[0][1].shape[0];
  const samples = { inputs: new Map(tensors), n, labels: null, names: [], classNames: null, sha256: '', notes: [] };
  const controller = new AbortController();
  const told = [];
  const onProgress = (done, of) => {
    told.push([done, of]);
    if (told.length === options.abortAfter) controller.abort();
  };
  const given = { ...options, onProgress, signal: controller.signal };
  try {
    if (layers) return { rows: await tab.compareLayers(artifact, variant, samples, given), told };
    const { outputs, ...measured } = await tab.measure(variant, samples, given);
    return {
      ...measured, told,
      outputs: Object.fromEntries([...outputs].map(([name, tensor]) => [name, textOf(tab.writeNpy(tensor))])),
      files: Object.fromEntries([...variant.files].map(([path, bytes]) => [path, textOf(bytes)])),
    };
  } catch (error) {
    return { error: `${error.name}: ${error.message}`, told };
  }
}"""


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def npy(array: Array) -> str:
    file = io.BytesIO()
    np.save(file, array)
    return text_of(file.getvalue())


def array_of(text: str) -> Array:
    return np.load(io.BytesIO(base64.b64decode(text)))


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Any:
    refuse_absent(RUNTIMES["chromium-wasm"])
    folder = tmp_path_factory.mktemp("tab")
    bundle_tab(folder, "measure", "layers", "drop", "settings", "arrays", "statistics")
    with open_browser() as browser, open_tab(browser, folder) as opened:
        yield opened


def files_of(artifact: Path) -> dict[str, str]:
    """The files of a drop: of a folder, or one file."""
    if artifact.is_file():
        return {artifact.name: text_of(artifact.read_bytes())}
    named = (path for path in sorted(artifact.iterdir()) if path.suffix in {".json", ".bin"})
    return {f"{artifact.name}/{path.name}": text_of(path.read_bytes()) for path in named}


def told_by(page: Page, artifact: Path, inputs: Mapping[str, Array], **asked: Any) -> dict[str, Any]:
    """What the page gives for an artifact that was dropped, on samples by the names of its inputs."""
    told: dict[str, Any] = page.evaluate(
        _CALL,
        {
            "files": files_of(artifact),
            "inputs": {name: npy(values) for name, values in inputs.items()},
            "setting": asked.pop("setting", None),
            "layers": asked.pop("layers", False),
            "options": {"backend": "wasm", "batchSize": BATCH, **asked},
        },
    )
    return told


def by_runtime(name: str, artifact: Path, inputs: Mapping[str, Array], folder: Path) -> dict[str, Array]:
    """The outputs of the same artifact and samples in a runtime of quantlab."""
    format_ = next(one for one in FORMATS.values() if one.recognizes(artifact))
    held = format_.inspect(artifact)
    specs = [
        tuple(TensorSpec(port.name, port.shape, port.dtype) for port in ports) for ports in (held.inputs, held.outputs)
    ]
    variant = describe_given("given", artifact, ModelDescription("m", "graph-model", "", *specs, None))
    n = len(next(iter(inputs.values())))
    fed = tuple(
        TensorSpec(port.name, (None, *inputs[port.name].shape[1:]), str(inputs[port.name].dtype))
        for port in held.inputs
    )
    samples = SampleSet(folder / "samples", fed, n, False, "", "", n, "all")
    samples.folder.mkdir(parents=True)
    for spec in fed:
        np.save(samples.input_file(spec.name), inputs[spec.name])
    outputs = {port.name: folder / f"{place}.npy" for place, port in enumerate(held.outputs)}
    for port in held.outputs:
        create_output(outputs[port.name], n=n, shape=port.shape[1:], dtype=port.dtype)
    runtime = RUNTIMES[name]
    with ChildPool(folder / "shop", stall_seconds=300.0) as pool:
        *_, last = protocol.run(runtime, job_of(runtime, variant, samples, outputs, batch_size=BATCH), pool)
    assert isinstance(last, Done), last
    return {port: np.load(path) for port, path in outputs.items()}


def written(files: Mapping[str, str], folder: Path) -> Path:
    """The artifact that the page made, on disk."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_bytes(base64.b64decode(text))
    return folder


@pytest.fixture(scope="module")
def digits() -> Mapping[str, Array]:
    with np.load(DEMO / "digits.npz") as held:
        return {"image": held["x"][:200]}


@pytest.mark.parametrize("backend", ["wasm", "webgl"])
@pytest.mark.parametrize("setting", ["tfjs-float32", "tfjs-uint8", "tfjs-uint8-per-channel"])
def test_outputs_are_bit_equal_to_those_of_the_runtime(page, digits, setting, backend, tmp_path):
    told = told_by(page, DEMO, digits, setting=setting, backend=backend)
    assert "error" not in told
    artifact = written(told["files"], tmp_path / "made")
    expected = by_runtime(f"chromium-{backend}", artifact, digits, tmp_path)
    for name, values in expected.items():
        assert array_of(told["outputs"][name]).tobytes() == values.tobytes()
    assert told["ranOn"] == f"chromium-{backend}"
    assert told["told"] == [[done, 200] for done in (*range(BATCH, 200, BATCH), 200)]
    assert told["timedSamples"] == 200 - BATCH
    assert [one["differing"] for one in told["repeated"]] == [0]


_SCORE = """({ reference, candidate, labels }) => {
  const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const { scores, notes } = tab.scoreRow(
    tab.readNpy(bytesOf(reference)), tab.readNpy(bytesOf(candidate)), Int32Array.from(labels), 'classification');
  return { scores, notes };
}"""


@pytest.mark.parametrize("setting", ["tfjs-float16", "tfjs-uint8", "tfjs-uint8-per-channel"])
def test_scores_of_the_demo_are_those_of_python(page, setting, tmp_path):
    with np.load(DEMO / "digits.npz") as held:
        samples, labels = {"image": held["x"][::3]}, held["y"][::3].astype(np.int32)
    told = [told_by(page, DEMO, samples, setting=name) for name in ("tfjs-float32", setting)]
    (reference,), (candidate,) = (one["outputs"].values() for one in told)
    scored = page.evaluate(_SCORE, {"reference": reference, "candidate": candidate, "labels": labels.tolist()})
    outputs = Outputs("classification", array_of(reference), array_of(candidate), labels)
    scores, _, notes = compared_by_python(outputs, tmp_path)
    assert (scores.top1 or 0) > 90
    assert differences(scored["scores"], scores) == {}
    assert scored["notes"] == notes


def test_graphics_are_told(page, digits):
    told = told_by(page, DEMO, {"image": digits["image"][:4]}, backend="webgl")
    environment = told["environment"]
    assert {"renderer", "webgl_version", "webgl_render_float32", "max_texture_size", "tfjs", "chromium"} <= set(
        environment
    )
    software = "SwiftShader" in environment["renderer"]
    assert told["timed"] is not software
    assert told["notes"] == (["no times: a software renderer was used (SwiftShader)"] if software else [])


@pytest.mark.parametrize(
    ("file", "inputs"),
    [
        pytest.param("two_ports.tflite", 2, id="LiteRT.js"),
        pytest.param("onnx/only_one.onnx", 1, id="ONNX Runtime"),
    ],
)
def test_other_formats_run_in_a_worker(page, file, inputs, tmp_path):
    artifact = FIXTURES / file
    format_ = next(one for one in FORMATS.values() if one.recognizes(artifact))
    random = np.random.default_rng(2)
    fed = {
        port.name: random.normal(size=(5, *(size or 3 for size in port.shape[1:]))).astype(port.dtype)
        for port in format_.inspect(artifact).inputs
    }
    assert len(fed) == inputs
    told = told_by(page, artifact, fed)
    assert "error" not in told, told
    expected = by_runtime("chromium-wasm", artifact, fed, tmp_path)
    assert {name: array_of(text).tobytes() for name, text in told["outputs"].items()} == {
        name: values.tobytes() for name, values in expected.items()
    }


def graph(folder: Path, *nodes: dict[str, Any]) -> Path:
    """A graph-model without a signature, which tells no shapes."""
    return write(folder / "web", list(nodes), inputs=("rows",))


ROWS = {"rows": np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)}
MATMUL = node("result", "MatMul", "rows", "matrix", T={"type": "DT_FLOAT"})


def test_shapes_that_the_artifact_does_not_tell_are_found(page, tmp_path):
    told = told_by(page, graph(tmp_path, MATMUL), ROWS)
    assert "error" not in told, told
    assert array_of(told["outputs"]["result"]).shape == (40, 4)
    np.testing.assert_allclose(
        array_of(told["outputs"]["result"]), ROWS["rows"] @ WEIGHTS["matrix"], rtol=1e-5, atol=1e-5
    )


def einsum(folder: Path) -> Path:
    attributes = {"equation": {"s": text_of(b"ij,jk->ik")}, "T": {"type": "DT_FLOAT"}, "N": {"i": "2"}}
    return graph(folder, node("result", "Einsum", "rows", "matrix", **attributes))


def cut(folder: Path) -> Path:
    made = graph(folder, MATMUL)
    shard = made / "weights.bin"
    shard.write_bytes(shard.read_bytes()[:-8])
    return made


def unknown_op(folder: Path) -> Path:
    return graph(folder, node("result", "Unheard", "rows"))


FAILURES: Mapping[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "an op that the backend lacks": (
        einsum,
        {},
        "MeasureError: the wasm backend of tfjs lacks the op 'Einsum', which node 'result' needs",
    ),
    "an op that nobody has": (unknown_op, {}, "Unheard"),
    "no batch in time": (
        lambda folder: graph(folder, MATMUL),
        {"stallSeconds": 0.001},
        "MeasureError: no batch was done for 0.001 seconds, so the run was ended; choose another backend",
    ),
    "ended by the user": (
        lambda folder: graph(folder, MATMUL),
        {"abortAfter": 1, "batchSize": 1},
        "AbortError: the run was ended",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_one_sentence(page, name, tmp_path):
    make, options, message = FAILURES[name]
    told = told_by(page, make(tmp_path), ROWS, **options)
    assert message in told["error"]
    assert "\n" not in told["error"]
    # The page goes on.
    assert "error" not in told_by(page, graph(tmp_path / "next", MATMUL), ROWS)


def test_layers_in_the_order_of_execution(page, digits):
    told = told_by(page, DEMO, digits, setting="tfjs-uint8", layers=True, count=40)
    rows = told["rows"]
    assert [row["place"] for row in rows] == list(range(len(rows)))
    assert [row["layer"] for row in rows if row["op"] == "_FusedConv2D"] == [
        "stem_relu6",
        "pointwise_1_relu6",
        "pointwise_2_relu6",
    ]
    assert (rows[0]["layer"], rows[0]["sqnr_db"]) == ("rescale", np.inf)
    assert all(row["reason"] is None and 20 < row["sqnr_db"] < 60 for row in rows[2:])
    assert rows[-1]["count"] == 40 * 10
    assert told["told"][-1] == [40, 40]


def test_layers_of_an_artifact_that_tells_no_shapes(page, tmp_path):
    told = told_by(page, graph(tmp_path, MATMUL), ROWS, setting="tfjs-uint8", layers=True, count=40)
    assert "error" not in told, told
    (row,) = told["rows"]
    assert (row["tensor"], row["op"], row["count"], row["reason"]) == ("result", "MatMul", 40 * 4, None)
    assert 30 < row["sqnr_db"] < 60


FIXED = {
    "1": "its batch size is fixed at 1, so it runs sample by sample",
    "4": (
        "MeasureError: it takes batches of 4 only, and samples are compared one by one; convert it with an open batch "
        "size, or with 1"
    ),
}


@pytest.mark.parametrize("size", FIXED)
def test_a_batch_size_that_is_fixed(page, digits, size, tmp_path):
    document = json.loads((DEMO / "model.json").read_text(encoding="utf-8"))
    document["signature"]["inputs"]["image"]["tensorShape"]["dim"][0]["size"] = size
    (tmp_path / "model.json").write_text(json.dumps(document), encoding="utf-8")
    shutil.copy(DEMO / "group1-shard1of1.bin", tmp_path)
    told = told_by(page, tmp_path, {"image": digits["image"][:3]})
    assert (told.get("error"), told.get("notes")) in [(FIXED[size], None), (None, [FIXED[size]])]


def test_layers_of_the_float_artifact_itself_do_not_differ(page, digits):
    rows = told_by(page, DEMO, digits, setting="tfjs-float32", layers=True, count=8)["rows"]
    assert {row["sqnr_db"] for row in rows} == {np.inf}


@pytest.mark.parametrize("backend", ["wasm", "webgl"])
@pytest.mark.parametrize("setting", ["tfjs-float32", "tfjs-uint8"])
def test_fashion_is_bit_equal(page, converted, setting, backend, tmp_path):
    study = converted("fashion")
    record = json.loads((study / "study.json").read_text(encoding="utf-8"))
    (artifact,) = (study / "variants" / setting).glob("*/artifact")
    (spec,) = record["samples"]["inputs"]
    samples = {spec["name"]: np.load(study / record["samples"]["folder"] / f"input-{spec['name']}.npy")}
    told = told_by(page, artifact, samples, backend=backend)
    assert "error" not in told, told
    for name, values in by_runtime(f"chromium-{backend}", artifact, samples, tmp_path).items():
        assert array_of(told["outputs"][name]).tobytes() == values.tobytes()
