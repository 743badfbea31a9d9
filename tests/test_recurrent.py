"""Recurrent models of Keras 2 and 3 in every format and runtime, or the reason why one cannot run them."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import convert
from official import converted_officially, run_as_program
from prepared_study import row
from study_fixtures import RECURRENT

from quantlab import AnalyzeOptions, analyze
from quantlab.formats import FORMATS
from quantlab.processes import ChildPool
from quantlab.registries import REAL
from quantlab.study.reduction.running import Cutting, run_file
from quantlab.study.reduction.search import subgraph_of
from quantlab.types import Study
from quantlab_converters import CONVERTERS, ConversionRequest, RecipeRequest
from quantlab_converters.tfjs_loops import repair_loops

pytestmark = pytest.mark.starts_children

PYTHON, WASM, CPU = "python", "node-wasm", "node-cpu"
SETTINGS = {
    "keras3_recurrent": RECURRENT,
    "keras2_gru": ("tfjs-uint8", "tflite-float16"),
    "keras2_lstm": ("tfjs-uint8", "tflite-int8"),
}


@pytest.fixture(scope="module")
def studies(workbench, recurrent_begun, tmp_path_factory) -> Mapping[str, Study]:
    """A study of each model with a given variant: what the official converter writes, or one of batch size 1.

    The latter is made of a study without it, which then goes on: to open a recurrent model takes seconds.
    """
    folder = tmp_path_factory.mktemp("recurrent")
    (saved_model,) = recurrent_begun(folder / "keras3_recurrent.study").glob("model/*/saved_model")

    def made(name: str, given: Mapping[str, Path]) -> Study:
        options = AnalyzeOptions(
            settings=SETTINGS[name],
            runtimes=(PYTHON, WASM, CPU) if name == "keras3_recurrent" else (PYTHON, WASM),
            variants=given,
            score_output="output_0" if name == "keras3_recurrent" else None,
            layers=False,
            costs=False,
            out=folder / f"{name}.study",
        )
        model = "keras3_recurrent.keras" if name == "keras3_recurrent" else workbench.models[name].path
        with contextlib.chdir(folder):
            return analyze(model, data="steps.npz", options=options)

    sources = {"keras3_recurrent": saved_model, "keras2_lstm": workbench.opened("keras2_lstm").source}
    official = _officially(sources, folder)
    single = _single(row(made("keras2_gru", {}), "tfjs-float32").variant.path, folder / "single")
    given = {**{name: {"official": path} for name, path in official.items()}, "keras2_gru": {"single": single}}
    return {name: made(name, given[name]) for name in SETTINGS}


def _source(study: Study) -> Path:
    """The SavedModel that is converted."""
    (source,) = study.samples.folder.parents[2].glob("model/*/saved_model")
    return source


def _officially(saved_models: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    made = {name: folder / f"{name}-official" for name in saved_models}
    words = [["--input_format=tf_saved_model", str(saved_models[name]), str(path)] for name, path in made.items()]
    converted_officially(words, folder / "official.log")
    return made


def _single(artifact: Path, folder: Path) -> Path:
    """A copy of a graph-model whose input has a batch size of 1."""
    shutil.copytree(artifact, folder)
    document = json.loads((folder / "model.json").read_text())
    (shape,) = (spec["tensorShape"] for spec in document["signature"]["inputs"].values())
    (placeholder,) = (node for node in document["modelTopology"]["node"] if node["op"] == "Placeholder")
    for dimensions in (shape["dim"], placeholder["attr"]["shape"]["shape"]["dim"]):
        dimensions[0]["size"] = "1"
    (folder / "model.json").write_text(json.dumps(document))
    return folder


LOOP = (
    "the calibration of TFLite's converter crashes on a file with a loop (the op WHILE), and recurrent layers are "
    "loops; use tflite-dynamic, or, for short sequences, build these layers with unroll=True"
)
STATE = (
    "the file keeps a state between calls in variable tensors, as an LSTM of Keras 2 does, and LiteRT.js does not "
    "support them; run it in python only, or build the layer with unroll=True or in Keras 3"
)
MATRIX = (
    "the wasm backend of tfjs adds only vectors in the op '_FusedMatMul', and this graph adds a tensor of higher rank "
    "there; --fallback tries it on node-cpu"
)
SWITCH = (
    "tfjs never enters the loop of this graph, because nodes in it wait for both branches of a Switch (control "
    "dependencies, as in recurrent layers of Keras 3); convert the model with quantlab, which removes them"
)
FAILURES = {
    "keras3_recurrent": {
        **{("tflite-int8", runtime): LOOP for runtime in (PYTHON, WASM)},
        **{("official", runtime): SWITCH for runtime in (WASM, CPU)},
    },
    "keras2_gru": {},
    "keras2_lstm": {("tflite-int8", WASM): STATE, ("official", WASM): MATRIX},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_all_else_runs(name, studies):
    failed = {(trial.setting, trial.runtime): trial.failure.reason for trial in studies[name].trials if trial.failure}
    assert failed == FAILURES[name]


CLOSE = {
    "float32": 1e-6,
    "float16": 1e-3,
    "dynamic": 1e-6,
    "uint8": 1e-2,
    "channel": 1e-2,
    "int8": 0.2,
    "official": 1e-6,
    "single": 1e-6,
}
"""Variant or scheme → the largest difference from the model; weights of a few units stay float in dynamic range."""


@pytest.mark.parametrize("name", SETTINGS)
def test_every_output_is_the_models(name, studies):
    """Also with `return_sequences`, which is the second output of a model here."""
    study = studies[name]
    expected = {output: np.load(file) for output, file in study.reference.outputs.items()}
    for trial in study.trials:
        if trial.failure is None:
            allowed = CLOSE[trial.setting.rpartition("-")[2]]
            apart = {output: np.abs(np.load(file) - expected[output]).max() for output, file in trial.outputs.items()}
            assert all(value <= allowed for value in apart.values()), (trial.setting, trial.runtime, apart)


def test_a_state_that_the_file_keeps_is_said(studies):
    noted = {trial.setting: trial.notes for trial in studies["keras2_lstm"].trials if trial.runtime == PYTHON}
    state = "keeps a state between calls: call reset_all_variables() before each sample, as quantlab does"
    assert {setting for setting, notes in noted.items() if state in notes} == {"tflite-float32", "tflite-int8"}


def test_an_artifact_with_a_batch_size_of_1_runs_sample_by_sample(studies):
    for runtime in (PYTHON, WASM):
        trial = row(studies["keras2_gru"], "single", runtime)
        assert trial.notes == ("its batch size is fixed at 1, so it runs sample by sample",)


def test_the_weight_files_are_the_official_converters(studies):
    """And the graph, but for what `repair_loops` changes; the recipe does the same."""
    study = studies["keras3_recurrent"]
    ours, theirs = (row(study, name).variant.path for name in ("tfjs-float32", "official"))
    names = sorted(file.name for file in theirs.glob("*.bin"))
    assert names == sorted(file.name for file in ours.glob("*.bin"))
    assert all((ours / name).read_bytes() == (theirs / name).read_bytes() for name in names)
    assert _document(ours) != _document(theirs)
    repaired = shutil.copytree(theirs, theirs.with_name("repaired"))
    repair_loops(repaired / "model.json")
    assert _document(ours) == _document(repaired)
    recipe = _recipe("tfjs", "float32", study)
    assert recipe.endswith('"$folder" && python -m quantlab_converters.tfjs_loops "$folder" && echo "$folder"')


def _document(folder: Path) -> Any:
    """The nodes by name, in which order they may be written, and what else is in the file."""
    document = json.loads((folder / "model.json").read_text())
    nodes = document["modelTopology"].pop("node")
    return {node["name"]: node for node in nodes}, document


def _recipe(format_name: str, scheme: str, study: Study) -> str:
    setting = f"{format_name}-{scheme}"
    return CONVERTERS[format_name].recipe(
        RecipeRequest(setting, scheme, _source(study), "serving_default", {"steps": (4, 3)}, {}, None)
    )


def test_the_recipe_of_a_loop_makes_the_same_bytes(studies, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = studies["keras3_recurrent"]
    run_as_program(_recipe("tflite", "dynamic", study), tmp_path / "program.log")
    (made,) = tmp_path.glob("tflite-dynamic-*/model.tflite")
    assert made.read_bytes() == row(study, "tflite-dynamic").variant.path.read_bytes()


def test_a_state_needs_its_batch_size(workbench, tmp_path):
    opened = workbench.opened("keras3_stateful")
    assert opened.description.inputs[0].shape == (1, 4, 3)
    request = ConversionRequest(
        opened.source, "serving_default", {"float32": tmp_path / "float32"}, {}, {}, tmp_path / "work"
    )
    (conversion,) = convert("tfjs", request)
    assert conversion.reason == (
        "tfjs cannot freeze the graph, because 'memory_1' changes a variable whenever the model is called, as layers "
        "do that are stateful or called with training=True; build the model without that, or leave the tfjs settings "
        "out"
    )


def test_loops_are_cut_whole(studies, tmp_path):
    """From any op on, what `quantlab reduce` cuts out of a graph-model gives the tensors of the whole graph."""
    format_, artifact = FORMATS["tfjs"], row(studies["keras3_recurrent"], "tfjs-float32").variant.path
    graph = format_.cut_graph(artifact)
    known = frozenset(name for op in graph.ops for name in op.writes if name in graph.tensors)
    loops = {place for place, op in enumerate(graph.ops) if op.op in {"Enter", "Merge", "Switch", "NextIteration"}}
    steps = np.random.default_rng(3).normal(size=(1, 4, 3)).astype(np.float32)
    with ChildPool(tmp_path, 300.0) as pool:
        cut = Cutting(format_, artifact, (REAL.python, REAL, pool), tmp_path / "cuts")
        values = {"steps": steps, **cut.values({"steps": steps}, sorted(known))}
        for first in (0, min(loops) + 1, len(graph.ops) // 2):
            part = subgraph_of(graph, known, first=first, output="Identity")
            fed = {name: values[name] for name in part.inputs}
            (found,) = run_file(format_, cut.write(fed, ["Identity"]), list(fed.values()), where=cut.where)
            np.testing.assert_array_equal(found, values["Identity"])
            assert loops & set(part.ops)
