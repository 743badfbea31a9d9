"""Tensors inside a variant that another program wrote, compared like those of a runtime."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from command_line import quantlab_in_process
from kept import QUANTLAB, kept
from study_fixtures import ALONE, read_study

from quantlab.demo import MODEL
from quantlab.demo.digits import samples
from quantlab.errors import QuantlabError
from quantlab.runtimes.node import find_node
from quantlab.store import Store
from quantlab.study.importing import ImportOptions, import_outputs, remove_import

pytestmark = pytest.mark.starts_children

ROOT = Path(__file__).parents[1]
MODULES = ROOT / "quantlab" / "runtimes" / "js" / "node_modules"
ANALYZE = ("analyze", "digits.keras", "--data", "digits.npz", "--limit", "300", "--layer-samples", "20")
ANALYZE += ("--settings", "tfjs-uint8,tflite-int8,onnx-int8")
ANALYZE += tuple(option for option in ALONE if option != "--no-layers")


@pytest.fixture(scope="session")
def layered(request):
    """A study of three formats with layers of 20 of its 300 samples."""
    return kept(request, "layered", ("test_importing_layers.py", "command_line.py", *QUANTLAB), _make)


@pytest.fixture(scope="session")
def dumped(request, layered):
    """The same, with what `dump.py` wrote of tflite-int8 beside it."""

    def make(folder):
        shutil.copytree(layered, folder, dirs_exist_ok=True)
        dumped_by_python(folder / "digits.study", "tflite-int8", ".tflite")

    sources = ("test_importing_layers.py", "command_line.py", *QUANTLAB, ROOT / "reports" / "quantlab_reports")
    return kept(request, "dumped", sources, make)


def _make(folder):
    shutil.copy(MODEL, folder / "digits.keras")
    x, y = samples()
    np.savez(folder / "digits.npz", x=x, y=y)
    done = quantlab_in_process(*ANALYZE, cwd=folder)
    assert done.status == 0, done.stderr


@pytest.fixture
def study(layered, tmp_path):
    return shutil.copytree(layered, tmp_path / "place") / "digits.study"


@pytest.fixture
def tflite(dumped, tmp_path):
    """A study, and the outputs and the tensors of tflite-int8."""
    place = shutil.copytree(dumped, tmp_path / "place")
    return place / "digits.study", place / "inputs-of-tflite-int8/app.npz", place / "layers-of-tflite-int8/layers.npz"


def artifact(study, setting):
    return next(trial.variant.path for trial in read_study(study).trials if trial.setting == setting)


def export(study, setting, *, layers=False):
    folder = f"{'layers' if layers else 'inputs'}-of-{setting}"
    options = ("--setting", setting, "--out", folder, *(["--layers"] if layers else []))
    done = quantlab_in_process("export", "inputs", study, *options, cwd=study.parent)
    assert done.status == 0, done.stderr
    return study.parent / folder


def run_dumper(folder, model, out, program=(sys.executable, "dump.py")):
    done = subprocess.run([*program, model, ".", out], cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / out


def dumped_by_python(study, setting, ending):
    """The outputs and the tensors of a setting, as `dump.py` writes them."""
    inputs, layers = export(study, setting), export(study, setting, layers=True)
    outputs = run_dumper(inputs, artifact(study, setting), "app.npz")
    return outputs, run_dumper(layers, f"layers{ending}", "layers.npz")


def rows_of(study, setting, runtime):
    """The rows that compare whole tensors, by tensor and baseline."""
    inside = Store(study).read_inside()
    return {
        (row.tensor, row.baseline): row
        for row in inside.layers
        if (row.setting, row.runtime) == (setting, runtime) and row.aligned and row.channel is None
    }


def without_isolated(row):
    """A row without what only Python measures: ops that run alone; the worst channel is then another one."""
    return replace(row, runtime="", isolated_sqnr_db=None, worst_channel=None, worst_channel_sqnr_db=None)


@pytest.mark.parametrize(("setting", "ending"), [("tflite-int8", ".tflite"), ("onnx-int8", ".onnx")])
def test_layers_of_the_python_dumper_have_the_figures_of_python(setting, ending, study):
    outputs, layers = dumped_by_python(study, setting, ending)
    import_outputs(study, outputs, ImportOptions(setting, "my-app", layers=layers))
    own, mine = rows_of(study, setting, "python"), rows_of(study, setting, "my-app")
    assert len(own) > 10
    against_python = {key: mine.pop(key) for key in list(mine) if key[1] == "python"}
    assert {key: without_isolated(row) for key, row in mine.items()} == {
        key: without_isolated(row) for key, row in own.items()
    }
    assert against_python
    assert all(row.max_abs == 0 and row.different == 0 for row in against_python.values())
    shown = quantlab_in_process("show", "layers", study, "--setting", setting, "--runtime", "my-app", cwd=study.parent)
    assert "in my-app" in shown.stdout
    assert quantlab_in_process("verify", study, cwd=study.parent).status == 0
    kept = next((study / "outputs" / setting / "my-app").glob("*/layers/0.npy"))
    kept.write_bytes(kept.read_bytes()[:-1] + b"\x7f")
    damaged = quantlab_in_process("verify", study, cwd=study.parent)
    assert damaged.status == 2
    assert f"layers of {setting} in my-app" in damaged.stdout


def test_an_analysis_keeps_the_layers_of_an_app(tflite):
    study, outputs, layers = tflite
    import_outputs(study, outputs, ImportOptions("tflite-int8", "my-app", layers=layers))
    before = rows_of(study, "tflite-int8", "my-app")
    again = quantlab_in_process(*ANALYZE, cwd=study.parent)
    assert again.status == 0, again.stderr
    assert rows_of(study, "tflite-int8", "my-app") == before
    fewer = quantlab_in_process(*ANALYZE, "--layer-samples", "10", cwd=study.parent)
    assert fewer.status == 0, fewer.stderr
    assert rows_of(study, "tflite-int8", "my-app") == {}


def test_a_changed_tensor_is_where_the_app_departs(tflite):
    study, outputs, layers = tflite
    arrays = dict(np.load(layers))
    tensors = [name for name, baseline in rows_of(study, "tflite-int8", "python") if baseline == "reference"]
    arrays[tensors[3]] = arrays[tensors[3]] + 1
    np.savez(layers, **arrays)
    import_outputs(study, outputs, ImportOptions("tflite-int8", "my-app", layers=layers))
    departing = [
        row.tensor
        for (_, baseline), row in rows_of(study, "tflite-int8", "my-app").items()
        if baseline == "python" and row.different
    ]
    assert departing == [tensors[3]]


def test_layers_go_with_their_row(tflite):
    study, outputs, layers = tflite
    before = Store(study).read_inside()
    import_outputs(study, outputs, ImportOptions("tflite-int8", "my-app", layers=layers))
    import_outputs(study, outputs, ImportOptions("tflite-int8", "my-app"))
    assert rows_of(study, "tflite-int8", "my-app") == {}, "imported again without layers"
    remove_import(study, "tflite-int8", "my-app")
    assert Store(study).read_inside() == before
    assert not list((study / "inside" / "tflite-int8").glob("my-app"))


def test_a_folder_of_arrays_is_a_dump(tflite):
    study, outputs, layers = tflite
    folder = study.parent / "folder"
    folder.mkdir()
    names = {}
    for place, (name, array) in enumerate(np.load(layers).items()):
        file = f"{quote(name, safe='')}.npy" if len(name) < 60 else f"{place}.npy"
        names |= {} if len(name) < 60 else {file: name}
        np.save(folder / file, array)
    assert names
    (folder / "names.json").write_text(json.dumps(names))
    import_outputs(study, outputs, ImportOptions("tflite-int8", "my-app", layers=folder))
    assert all(
        not row.different for (_, base), row in rows_of(study, "tflite-int8", "my-app").items() if base == "python"
    )


def test_tensors_of_all_scored_samples_are_taken_for_the_layer_samples(tflite):
    """As of an app that writes outputs and tensors into one file."""
    study, outputs, layers = tflite
    indices = list(Store(study).read_inside().indices)
    about, arrays = dict(np.load(outputs)), dict(np.load(layers))
    tensors = [name for name in arrays if not name.startswith("__")]
    whole = {name: np.zeros((300, *arrays[name].shape[1:]), np.float32) for name in tensors}
    for name in tensors:
        whole[name][indices] = arrays[name]
    np.savez(outputs, **about, **{name: rows for name, rows in whole.items() if name not in about})
    import_outputs(study, outputs, ImportOptions("tflite-int8", "my-app", layers=outputs))
    rows = rows_of(study, "tflite-int8", "my-app")
    assert rows
    assert all(not row.different for (_, base), row in rows.items() if base == "python")


# JavaScript

_NODE = """
import fs from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { loadGraphModel } from '@tensorflow/tfjs-converter';
import { setWasmPaths, setThreadsCount } from '@tensorflow/tfjs-backend-wasm';
import { readInputs, runTfjs } from './dump.mjs';
setThreadsCount(1);
setWasmPaths('MODULES/@tensorflow/tfjs-backend-wasm/dist/');
await tf.setBackend('wasm');
const document = JSON.parse(fs.readFileSync('FOLDER/model.json'));
const bytes = Buffer.concat(document.weightsManifest.flatMap((group) => group.paths)
  .map((path) => fs.readFileSync(`FOLDER/${path}`)));
const weights = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const specs = document.weightsManifest.flatMap((group) => group.weights);
const model = await loadGraphModel(tf.io.fromMemory({ modelTopology: document.modelTopology, weightSpecs: specs,
  weightData: weights, signature: document.signature }));
fs.writeFileSync('app.npz', (await runTfjs(tf, model, await readInputs('.'))).npz());
"""

needs_modules = pytest.mark.skipif(not MODULES.is_dir(), reason="needs node_modules, which a development install has")


@needs_modules
def test_layers_of_the_javascript_dumper_have_the_figures_of_node(study):
    files = []
    for layers in (False, True):
        folder = export(study, "tfjs-uint8", layers=layers)
        (folder / "node_modules").symlink_to(MODULES)
        script = _NODE.replace("MODULES", str(MODULES)).replace("FOLDER", str(artifact(study, "tfjs-uint8")))
        (folder / "try.mjs").write_text(script)
        done = subprocess.run([find_node()[0], "try.mjs"], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        files.append(folder / "app.npz")
    import_outputs(study, files[0], ImportOptions("tfjs-uint8", "my-app", layers=files[1]))
    own, mine = rows_of(study, "tfjs-uint8", "node-wasm"), rows_of(study, "tfjs-uint8", "my-app")
    assert len(own) > 10
    assert {key: replace(row, runtime="") for key, row in mine.items()} == {
        key: replace(row, runtime="") for key, row in own.items()
    }


@needs_modules
def test_layers_of_onnx_runtime_web(study):
    inputs, layers = export(study, "onnx-int8"), export(study, "onnx-int8", layers=True)
    files = []
    for folder, model in ((inputs, artifact(study, "onnx-int8")), (layers, "layers.onnx")):
        (folder / "node_modules").symlink_to(MODULES)
        files.append(run_dumper(folder, model, "app.npz", (find_node()[0], "dump.mjs")))
    import_outputs(study, files[0], ImportOptions("onnx-int8", "my-app", layers=files[1]))
    own, mine = rows_of(study, "onnx-int8", "node-wasm"), rows_of(study, "onnx-int8", "my-app")
    assert len(own) > 10
    assert {key: replace(row, runtime="") for key, row in mine.items()} == {
        key: replace(row, runtime="") for key, row in own.items()
    }


_LAYERS_MODEL = """
import fs from 'node:fs';
import * as core from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';
import { setWasmPaths, setThreadsCount } from '@tensorflow/tfjs-backend-wasm';
import { readInputs, runTfjs } from './dump.mjs';
setThreadsCount(1);
setWasmPaths('MODULES/@tensorflow/tfjs-backend-wasm/dist/');
await core.setBackend('wasm');
const document = JSON.parse(fs.readFileSync('FOLDER/model.json'));
const bytes = Buffer.concat(document.weightsManifest.flatMap((group) => group.paths)
  .map((path) => fs.readFileSync(`FOLDER/${path}`)));
const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const weightSpecs = document.weightsManifest.flatMap((group) => group.weights);
const { modelTopology } = document;
const model = await layers.loadLayersModel(core.io.fromMemory({ modelTopology, weightSpecs, weightData }));
fs.writeFileSync('app.npz', (await runTfjs({ ...core, ...layers }, model, await readInputs('.'))).npz());
"""


@needs_modules
def test_layers_of_a_layers_model_with_two_inputs(workbench, tmp_path):
    shutil.copytree(workbench.float32("keras2_h5", "tfjs-layers").path, tmp_path / "web")
    np.savez(tmp_path / "data.npz", **workbench.models["keras2_h5"].inputs)
    settings = ("--settings", "tfjs-layers-uint8", "--runtimes", "python,node-wasm", "--no-costs")
    words = ("analyze", "web", "--data", "data.npz", "--score-output", "scores", *settings)
    assert quantlab_in_process(*words, cwd=tmp_path).status == 0
    study, setting = tmp_path / "web.study", "tfjs-layers-uint8"
    files = []
    for inside in (False, True):
        folder = export(study, setting, layers=inside)
        (folder / "node_modules").symlink_to(MODULES)
        script = _LAYERS_MODEL.replace("MODULES", str(MODULES)).replace("FOLDER", str(artifact(study, setting)))
        (folder / "try.mjs").write_text(script)
        done = subprocess.run([find_node()[0], "try.mjs"], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        files.append(folder / "app.npz")
    import_outputs(study, files[0], ImportOptions(setting, "my-app", layers=files[1]))
    own, mine = rows_of(study, setting, "node-wasm"), rows_of(study, setting, "my-app")
    assert len(own) > 3
    assert {key: replace(row, runtime="") for key, row in mine.items()} == {
        key: replace(row, runtime="") for key, row in own.items()
    }


# What is refused


def _changed(layers, change):
    arrays = dict(np.load(layers))
    change(arrays)
    np.savez(layers, **arrays)


def _shuffle(arrays):
    arrays["__crc32__"] = arrays["__crc32__"][::-1].copy()


def _shorten(arrays):
    for name in arrays:
        if arrays[name].ndim:
            arrays[name] = arrays[name][:-1]


def _rename(arrays):
    for name in [name for name in arrays if not name.startswith("__")]:
        arrays[f"my {name}"] = arrays.pop(name)


def _turn(arrays):
    name = next(name for name in arrays if arrays[name].ndim == 4)
    arrays[name] = np.moveaxis(arrays[name], -1, 1)


def _forget(arrays):
    del arrays["__crc32__"], arrays["__samples_sha256__"]


def _other_model(arrays):
    facts = json.loads(str(arrays["__environment__"]))
    arrays["__environment__"] = np.array(json.dumps(facts | {"model_sha256": "ab" * 32}))


REFUSED = {
    "in another order": (_shuffle, "are not those of the samples: row 0 was made from sample 19"),
    "one sample too few": (_shorten, "has 19 rows for the tensor"),
    "names that the artifact lacks": (_rename, "has no tensor of tflite-int8, which are"),
    "channels first": (_turn, "write tensors with channels last"),
    "no word about samples": (_forget, "does not say from which samples its outputs are"),
    "of another model": (_other_model, "was made with a model file of the SHA-256 abababababab, which is none of"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_layers_that_do_not_belong_to_the_study_are_refused(change, message, tflite):
    study, outputs, layers = tflite
    before = Store(study).read_study()
    _changed(layers, change)
    with pytest.raises(QuantlabError) as refused:
        import_outputs(study, outputs, ImportOptions("tflite-int8", "my-app", layers=layers))
    assert message in str(refused.value)
    assert Store(study).read_study() == before


def test_exports_of_layers_that_cannot_be(study):
    def last(*options):
        return quantlab_in_process("export", "inputs", study, "--layers", *options, cwd=study.parent).last

    assert last() == (
        "quantlab: --layers needs --setting: it names the artifact whose tensors your program is to write"
    )
    (study / "inside.json").unlink()
    assert last("--setting", "tflite-int8") == (
        f"quantlab: the study '{study}' has no layer comparison; run 'quantlab analyze' again without --no-layers"
    )


def test_show_layers_says_how_the_tensors_of_an_app_are_brought(study):
    outputs = run_dumper(export(study, "tflite-int8"), artifact(study, "tflite-int8"), "app.npz")
    import_outputs(study, outputs, ImportOptions("tflite-int8", "my-app"))
    for options in ((), ("--setting", "tflite-int8")):
        done = quantlab_in_process("show", "layers", study, "--runtime", "my-app", *options, cwd=study.parent)
        assert (done.status, done.last) == (
            2,
            (
                "quantlab: the outputs of tflite-int8 in 'my-app' were imported without tensors inside the model; "
                "'quantlab export inputs --setting tflite-int8 --layers' writes what your program runs, and 'quantlab "
                "import --layers' takes its tensors"
            ),
        )
    other = quantlab_in_process(
        "show", "layers", study, "--runtime", "my-app", "--setting", "onnx-int8", cwd=study.parent
    )
    assert "my-app" in other.last
    assert "imported without" not in other.last
