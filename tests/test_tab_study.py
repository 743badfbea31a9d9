"""A study that the page writes is opened by the command line, which shows the same figures and finds it intact."""

import base64
import functools
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tfjs_graphs import WEIGHTS, node, write

from quantlab.npy import mapped
from quantlab.samples import files_of
from quantlab.statistics import LayerError, scored_samples
from quantlab.store import Store
from quantlab.study.compare import Comparison
from quantlab.study.outputs import compare_outputs
from quantlab.study.task import Scoring
from quantlab.types import Failure, KeptOutputs, OutputRow, Scores, Task, TensorSpec, Timing
from tests.command_line import quantlab_in_process
from tests.tab_pages import run_node

Array = npt.NDArray[Any]

pytestmark = pytest.mark.starts_children

_SCRIPT = """
import fs from 'node:fs';
import { readNpy, writeZip } from './tab/arrays.mjs';
import { readDrop } from './tab/drop.mjs';
import { downloadBytes, makeVariant } from './tab/settings.mjs';
import { LayerSums } from './tab/layer-sums.mjs';
import { listTaps } from './tab/layer-taps.mjs';
import { rowsOf } from './tab/layers.mjs';
import { studyFiles } from './tab/study.mjs';
const asked = JSON.parse(fs.readFileSync(0, 'utf8'));
const bytesOf = (text) => Uint8Array.from(Buffer.from(text, 'base64'));
const arrayOf = (text) => readNpy(bytesOf(text));
const dropped = Object.entries(asked.artifact).map(([path, text]) => (
  { path, size: bytesOf(text).length, bytes: async () => bytesOf(text) }));
const { artifact, refused } = await readDrop(dropped);
if (!artifact) throw new Error(JSON.stringify(refused));
const ran = (outputs, ranOn) => ({
  outputs: new Map(Object.entries(outputs).map(([name, text]) => [name, arrayOf(text)])),
  ranOn, environment: { user_agent: 'Mozilla/5.0 ünïcode' }, seconds: 0.25, timedSamples: 32, timed: true,
  repeated: [{ type: 'repeated', way: 'again', samples: 4, differing: 0, largest: 0, scale: 1.5 }], notes: [],
});
const rows = [];
for (const { setting, runtime, outputs, failure, unmade } of asked.rows) {
  if (unmade) {
    rows.push({ setting, artifact: null, download: { gzip: 0, bytes: 0 }, runtime, measured: null, failure: unmade });
    continue;
  }
  const made = setting === artifact.setting ? artifact : await makeVariant(artifact, setting);
  const measured = outputs ? ran(outputs, runtime) : null;
  rows.push({ artifact: made, download: await downloadBytes(made), runtime, measured, failure: failure ?? null });
}
const inputs = new Map(Object.entries(asked.inputs).map(([name, text]) => [name, arrayOf(text)]));
const labels = asked.labels && arrayOf(asked.labels);
const classes = labels?.dtype === 'int64' ? Int32Array.from(labels.data, Number) : null;
const n = [...inputs.values()][0].shape[0];
const samples = {
  inputs, n, available: asked.available ?? n,
  places: Uint32Array.from({ length: n }, (_, i) => i + (asked.available ?? n) - n), labels: classes,
  names: asked.names ?? Array.from({ length: n }, (_, i) => String(i)),
  classNames: asked.classes ?? null, sha256: '', notes: [],
};
const tapped = artifact.format === 'tfjs' && asked.reference.result ? rows : [];
const layers = tapped.filter(({ measured }) => measured).flatMap(({ artifact: variant, runtime, measured }) => {
  const [expected, actual] = [arrayOf(asked.reference.result), measured.outputs.get('result')];
  const sums = new LayerSums(expected.shape[1]);
  sums.add(Float32Array.from(expected.data), Float32Array.from(actual.data));
  const [tap] = listTaps(variant).filter(({ name }) => name === 'result');
  const compared = [{ name: 'result', dtype: 'float32', figures: sums.figures(), reason: null }];
  return rowsOf([tap], compared, { setting: variant.setting, runtime });
});
const files = studyFiles({
  artifact, reference: ran(asked.reference, 'chromium-wasm'), rows, samples, labels: classes ?? labels,
  source: 'dropped.npz', batchSize: 32, versions: { quantlab: '0.1', tfjs: '4.22.0' },
  created: '2026-01-02T03:04:05+00:00', scored: asked.scored, preprocessing: asked.preprocessing,
  warnings: [], layers: { rows: layers, notes: [], samples: n, drawn: 'all' },
});
process.stdout.write(Buffer.from(writeZip(files)).toString('base64'));
"""

FIXTURES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "fixtures"
N = 60
RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(N, 8)).astype(np.float32)
LOGITS = (ROWS @ WEIGHTS["matrix"] + WEIGHTS["bias"]).astype(np.float32)
LABELS = np.where(RANDOM.random(N) < 0.9, LOGITS.argmax(axis=1), RANDOM.integers(4, size=N)).astype(np.int64)


def npy(array: Array) -> str:
    file = io.BytesIO()
    np.save(file, array)
    return base64.b64encode(file.getvalue()).decode()


def artifact(folder: Path) -> dict[str, str]:
    """A graph-model of one layer, file by file."""
    folder.mkdir()
    layer = node("result", "MatMul", "rows", "matrix", T={"type": "DT_FLOAT"})
    write(folder, [layer], inputs=("rows",))
    return {f"web/{file.name}": base64.b64encode(file.read_bytes()).decode() for file in sorted(folder.iterdir())}


def study_of(folder: Path, **asked: Any) -> Store:
    """The study that JavaScript writes of some outputs."""
    given = {"inputs": {"rows": npy(ROWS)}, **asked}
    if "artifact" not in given:
        given["artifact"] = artifact(folder / "web")
    zipped = base64.b64decode(run_node(_SCRIPT, json.dumps(given)))
    with zipfile.ZipFile(io.BytesIO(zipped)) as files:
        files.extractall(folder / "page.study")
    return Store(folder / "page.study")


def noisy(scale: float, seed: int = 0) -> Array:
    noise = np.random.default_rng(seed).normal(size=LOGITS.shape) * scale
    return (LOGITS + noise).astype(np.float32)


CLASSIFICATION = {
    "labels": npy(LABELS),
    "reference": {"result": npy(LOGITS)},
    "rows": [
        {"setting": "tfjs-float32", "runtime": "chromium-webgl", "outputs": {"result": npy(noisy(1e-6))}},
        {"setting": "tfjs-uint8", "runtime": "chromium-wasm", "outputs": {"result": npy(noisy(0.8))}},
        {
            "setting": "tfjs-uint8",
            "runtime": "chromium-webgl",
            "failure": "the op 'X' is missing; choose another backend",
        },
        {"setting": "tfjs-uint16", "runtime": "chromium-wasm", "outputs": {"result": npy(np.full_like(LOGITS, 0.5))}},
    ],
}


REGRESSION = {
    "labels": npy(LOGITS.astype(np.float64) + RANDOM.normal(size=LOGITS.shape)),
    "reference": {"result": npy(LOGITS)},
    "rows": [{"setting": "tfjs-uint8", "runtime": "browser-webgl", "outputs": {"result": npy(noisy(0.1))}}],
}

SIMILARITY = {
    "reference": {"result": npy(LOGITS)},
    "rows": [{"setting": "tfjs-float16", "runtime": "chromium-wasm", "outputs": {"result": npy(noisy(0.01))}}],
}

NOT_FINITE = {
    "labels": npy(LABELS),
    "reference": {"result": npy(np.where(np.arange(N)[:, None] == 7, np.nan, LOGITS))},
    "rows": [
        {
            "setting": "tfjs-uint8",
            "runtime": "chromium-wasm",
            "outputs": {"result": npy(np.where(np.arange(N)[:, None] == 9, np.inf, noisy(0.1)))},
        }
    ],
}

IMAGES = {
    **CLASSIFICATION,
    "names": [f"boots/{place} ü.png" for place in range(N)],
    "classes": ["bag", "boot", "coat", "dress"],
}

STUDIES = {
    "a classification": CLASSIFICATION,
    "a regression": REGRESSION,
    "without labels": SIMILARITY,
    "NaN and infinity": NOT_FINITE,
    "images in folders of classes": IMAGES,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each study, which is made once."""
    return functools.cache(lambda name: study_of(tmp_path_factory.mktemp("page"), **STUDIES[name]))


@pytest.fixture(params=STUDIES)
def name(request):
    return request.param


@pytest.fixture
def store(made, name):
    return made(name)


def shown(store: Store, *options: str) -> list[dict[str, Any]]:
    done = quantlab_in_process("show", *options, str(store.root), "--format", "json", cwd=store.root)
    assert (done.status, done.stderr) == (0, "")
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def array_of(text: str) -> Array:
    return np.load(io.BytesIO(base64.b64decode(text)))


def by_python(asked: dict[str, Any], outputs: str, folder: Path) -> Scores:
    """The scores that Python computes from the same outputs."""
    labels = array_of(asked["labels"]) if "labels" in asked else None
    task: Task = "similarity" if labels is None else "classification" if labels.ndim == 1 else "regression"
    files = {name: folder / f"{name}.npy" for name in ("reference", "candidate")}
    for file, text in zip(files.values(), (asked["reference"]["result"], outputs), strict=True):
        np.save(file, array_of(text))
    scoring = Scoring(TensorSpec("result", (None, 4), "float32"), task, labels)
    kept = KeptOutputs({"result": files["reference"]}, "python", {}, Timing(0, 0.0))
    return Comparison.open(scoring, kept).of(files["candidate"])


def test_show_gives_the_figures_that_python_computes(store, name, tmp_path):
    asked = STUDIES[name]
    _, *rows = shown(store)
    assert len(rows) == len(asked["rows"])
    for row, given in zip(rows, asked["rows"], strict=True):
        assert (row["setting"], row["runtime"]) == (given["setting"], given["runtime"])
        if "outputs" not in given:
            assert (row["status"], row["reason"], row["top1"]) == ("failed", given["failure"], None)
            continue
        expected = by_python(asked, given["outputs"]["result"], tmp_path)
        for figure, value in {**asdict(expected), "left_out": expected.left_out or 0}.items():
            if figure in row:
                assert number(row[figure]) == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), figure


def number(value: Any) -> Any:
    """A figure of JSON, which has no infinity."""
    return float(value) if value in {"NaN", "Infinity", "-Infinity"} else value


def test_a_variant_that_could_not_be_made_is_a_failed_conversion(tmp_path):
    rows = [{"setting": "tfjs-uint8", "runtime": "chromium-wasm", "unmade": "it already stores weights in uint8"}]
    given = {"labels": npy(LABELS), "reference": {"result": npy(LOGITS)}, "preprocessing": "pixel × 0.1 + 0"}
    store = study_of(tmp_path, **given, rows=rows)
    (trial,) = store.read_study().trials
    assert (trial.variant, trial.failure) == (None, Failure("it already stores weights in uint8", "conversion"))
    assert store.read_study().samples.preprocessing == "pixel × 0.1 + 0"
    done = quantlab_in_process("verify", store.root, "--json", cwd=store.root)
    assert (done.status, {row["state"] for row in json.loads(done.stdout)}) == (0, {"intact"})


def test_verify_finds_every_file_intact(store):
    done = quantlab_in_process("verify", store.root, "--json", cwd=store.root)
    assert done.status == 0
    states = {f"{row['kind']} {row['name']}": row["state"] for row in json.loads(done.stdout)}
    assert set(states.values()) == {"intact"}
    assert {"samples scored", "artifact", "record study.json"} <= {
        "artifact" if name.startswith("artifact") else name for name in states
    }


def test_one_byte_of_any_file_is_damage(made):
    store = made("images in folders of classes")
    for file in sorted(path for path in store.root.rglob("*") if path.is_file()):
        kept = file.read_bytes()
        file.write_bytes(kept[:-3] + bytes([kept[-3] ^ 1]) + kept[-2:])
        try:
            done = quantlab_in_process("verify", store.root, "--json", cwd=store.root)
            assert "damaged" in done.stdout or done.status == 2, file
        finally:
            file.write_bytes(kept)


def test_report_gate_and_outputs_open_it(store, tmp_path):
    done = quantlab_in_process("report", store.root, "--out", tmp_path / "report.html", cwd=tmp_path)
    assert done.status == 0
    assert "measured in a browser tab" in (tmp_path / "report.html").read_text(encoding="utf-8")
    judged = quantlab_in_process("gate", store.root, "--min-sqnr", "-10", "--leave-out-non-finite", cwd=tmp_path)
    assert judged.status in {0, 1, 3}, judged.stderr
    assert all(trial.setting in judged.stdout for trial in store.read_study().trials)


def test_the_figures_of_each_output_are_those_of_python(store):
    """The reference and the rows are compared again by Python, from the files in the study."""
    study = store.read_study()
    truth = study.reference.outputs
    finite = scored_samples(mapped(truth["result"]), ())
    measured = [trial for trial in study.trials if trial.failure is None]
    compared = compare_outputs(truth, [replace(one, notes=()) for one in measured], "result", finite)
    told, expected = store.read_outputs().rows, compared.comparison.rows
    assert [replace_figures(row) for row in told] == [replace_figures(row) for row in expected]
    for one, other in zip(told, expected, strict=True):
        for name in FIGURES:
            figure = getattr(other, name)
            assert getattr(one, name) == pytest.approx(figure, rel=1e-9, abs=1e-12, nan_ok=True), name
    assert [one.constant_outputs for one in measured] == [one.constant_outputs for one in compared.trials]


FIGURES = ("max_abs_error", "mean_abs_error", "rms_error", "bias", "sqnr_db", "cosine")


def replace_figures(row: OutputRow) -> OutputRow:
    """The row without the figures that are sums, whose last digits may differ."""
    return replace(row, **dict.fromkeys(FIGURES))


def test_layers_are_shown_with_the_figures_of_python(store, name):
    asked = STUDIES[name]
    measured = [row for row in asked["rows"] if "outputs" in row]
    rows = shown(store, "layers", "--runtime", "*")
    assert [(row["setting"], row["runtime"], row["tensor"], row["op"]) for row in rows] == [
        (row["setting"], row["runtime"], "result", "MatMul") for row in measured
    ]
    expected = array_of(asked["reference"]["result"]).astype(np.float32)
    for row, given in zip(rows, measured, strict=True):
        actual = array_of(given["outputs"]["result"]).astype(np.float32)
        error = LayerError.of(expected, actual, channels=True)
        figures = {
            "sqnr_db": error.error.sqnr_db,
            "max_abs": error.error.max_abs,
            "rms": error.error.rms,
            "cosine": error.error.cosine,
            "different": error.error.different,
            "worst_channel": error.worst_channel,
            "worst_channel_sqnr_db": error.worst_channel_sqnr_db,
        }
        for figure, value in figures.items():
            assert number(row[figure]) == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), figure


def test_names_of_classes_and_files_are_kept(made):
    store = made("images in folders of classes")
    samples = store.read_study().samples
    assert samples.classes == ("bag", "boot", "coat", "dress")
    assert files_of(samples)[:2] == ("boots/0 ü.png", "boots/1 ü.png")
    note = next(note for note in shown(store)[-1]["notes"] if note.startswith("class "))
    assert note.startswith("class 2 (coat) loses 100.0 points (")
    changed = shown(store, "samples")
    assert all(row["file"].startswith("boots/") for row in changed)


def other_json(folder: Path) -> dict[str, str]:
    """A graph-model whose JSON file has another name."""
    return {name.replace("model.json", "web.json"): text for name, text in artifact(folder / "web").items()}


def fixture(*names: str) -> dict[str, str]:
    return {Path(name).name: base64.b64encode((FIXTURES / name).read_bytes()).decode() for name in names}


ARTIFACTS: Mapping[str, tuple[Callable[[Path], dict[str, str]], str, str, str]] = {
    "a JSON file of another name": (other_json, "graph-model", "tfjs-float32", "result"),
    "a TFLite file": (lambda _: fixture("taps.tflite"), "TFLite", "as-given", "out"),
    "an ONNX file": (lambda _: fixture("onnx/only_one.onnx"), "ONNX", "onnx-float32", "out"),
}


@pytest.mark.parametrize("name", ARTIFACTS)
def test_artifacts_of_other_formats_are_intact(name, tmp_path):
    make, kind, setting, output = ARTIFACTS[name]
    row = {"setting": setting, "runtime": "chromium-wasm", "outputs": {output: npy(LOGITS)}}
    store = study_of(tmp_path, artifact=make(tmp_path), reference={output: npy(LOGITS)}, rows=[row], scored=output)
    assert store.read_study().model.kind == kind
    done = quantlab_in_process("verify", store.root, "--json", cwd=store.root)
    assert (done.status, {row["state"] for row in json.loads(done.stdout)}) == (0, {"intact"})


@pytest.mark.parametrize(
    ("labels", "words"),
    [pytest.param(None, "random, seed 0", id="random"), pytest.param(LABELS, "stratified, seed 0", id="stratified")],
)
def test_a_part_of_what_was_dropped_is_recorded_as_one(labels, words, tmp_path):
    asked = {**CLASSIFICATION, "available": N + 5, "labels": None if labels is None else npy(labels)}
    samples = study_of(tmp_path, **asked).read_study().samples
    assert (samples.n, samples.available, samples.drawn) == (N, N + 5, words)
    assert np.load(samples.folder / "indices.npy").tolist() == list(range(5, N + 5))


@pytest.mark.parametrize("labels", [pytest.param(None, id="without labels"), pytest.param(LABELS, id="with classes")])
def test_samples_have_the_hash_that_they_had_when_they_were_dropped(labels):
    script = f"""
    import {{ readNpy }} from './tab/arrays.mjs';
    import {{ samplesOf }} from './tab/samples.mjs';
    import {{ storeSamples }} from './tab/stored.mjs';
    const arrayOf = (text) => readNpy(Uint8Array.from(Buffer.from(text, 'base64')));
    const spec = {{ batch: null, dtype: 'float32', tensor: 'x', position: 0, codes: null }};
    const [inputs, outputs] = [[{{ ...spec, name: 'rows', shape: [8] }}], [{{ ...spec, name: 'out', shape: [4] }}]];
    const arrays = new Map([['x', arrayOf('{npy(ROWS)}')]]);
    const labels = {"null" if labels is None else f"arrayOf('{npy(labels)}')"};
    if (labels) arrays.set('y', labels);
    const artifact = {{ format: 'tfjs', name: 'm', inputs, outputs, files: new Map(), stored: {{}} }};
    const samples = samplesOf(artifact, {{ arrays, classNames: null }});
    const stored = storeSamples(new Map(), samples, samples.labels, 'x.npz');
    process.stdout.write(JSON.stringify([samples.sha256, stored.sha256]));
    """
    dropped, stored = json.loads(run_node(script))
    assert dropped == stored


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(1e-7, "1e-07", id="a small number"),
        pytest.param(0.1 + 0.2, "0.30000000000000004", id="all digits"),
        pytest.param(5e-324, "5e-324", id="the smallest"),
        pytest.param(1.5e300, "1.5e+300", id="a large number"),
        pytest.param(100.0, "100", id="a whole number, which JavaScript writes as an integer"),
        pytest.param('ü\x7f\U0001f600\n"', '"\\u00fc\\u007f\\ud83d\\ude00\\n\\""', id="texts in ASCII"),
        pytest.param({"b": 1, "a": [None, True]}, '{"a":[null,true],"b":1}', id="sorted keys"),
    ],
)
def test_what_is_hashed_is_what_python_hashes(value, text):
    script = f"""
    import {{ canonical }} from './tab/records.mjs';
    process.stdout.write(canonical(JSON.stringify({json.dumps(value)})));
    """
    assert run_node(script) == text
