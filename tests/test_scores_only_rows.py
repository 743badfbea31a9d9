"""Studies that keep scores only, of which some rows ran again, share a folder, or miss what they need."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import quantlab_in_process
from onnx_models import node, port, write
from prepared_study import again, not_kept
from study_fixtures import Heard
from verdict_fixtures import answers, flipped, write_study

from quantlab import AnalyzeOptions, analyze
from quantlab.errors import StudyError
from quantlab.gate import kept_state, row_folder
from quantlab.registries import REAL
from quantlab.statistics import PAIRED_METRICS
from quantlab.store import Store
from quantlab.study import verify
from quantlab.study.compare import Comparison
from quantlab.study.conversions import ConversionResult
from quantlab.study.early_keeping import EarlyKeeping
from quantlab.study.inside.look import split_rows
from quantlab.study.keeping import KeptFacts, keep_scores, remove_outputs, remove_row, with_kept_scores
from quantlab.study.scores_only import ScoresOnly
from quantlab.study.space import refuse_small_disk, refuse_staying_outputs
from quantlab.study.task import Scoring
from quantlab.types import KeptOutputs

N = 60
LABELS = np.arange(N) % 10
STAY = "the outputs of all rows stay until the end, although --store scores was given"


def table_of(place: Path) -> list[dict[str, object]]:
    """What `show --json` prints, without times."""
    rows = json.loads(quantlab_in_process("show", "digits.study", "--json", cwd=place).stdout)
    return [
        {name: value for name, value in row.items() if name not in {"ms_per_sample", "convert_seconds"}} for row in rows
    ]


# A baseline that ran again


@pytest.mark.parametrize("labels", [LABELS, None], ids=["classification", "similarity of classes"])
def test_a_removed_row_is_compared_with_a_baseline_that_ran_again(tmp_path: Path, labels: np.ndarray | None) -> None:
    rows = {
        ("tfjs-uint8", "python"): answers(LABELS, flipped(N, [1, 2])),
        ("tfjs-uint8", "node-wasm"): answers(LABELS, flipped(N, [2, 3, 4])),
    }
    task = "similarity" if labels is None else "classification"
    study = write_study(tmp_path, labels, answers(LABELS), rows, task=task)
    kept = Store(tmp_path).read(row_folder(study.reference) / "outputs.json", KeptOutputs)
    assert kept is not None
    comparison = Comparison.open(Scoring(study.model.outputs[0], task, labels), kept)
    expected = comparison.with_python(study.trials)
    assert expected[1].flips_from_python == 3
    keep_scores(replace(study, trials=expected), KeptFacts("r", None, None), PAIRED_METRICS)
    remove_row(expected[1])
    for file in row_folder(expected[0]).glob("scores.*"):
        file.unlink()
    assert comparison.with_python(study.trials) == expected


@pytest.mark.starts_children
def test_a_runtime_is_added_to_a_study_of_scores(place: Path) -> None:
    expected = table_of(place)
    again(place, store="scores")
    study, heard = again(place, store="scores", runtimes=("python", "node-wasm", "node-cpu"))
    assert study.store == "scores"
    assert "run tfjs-uint8 in node-cpu" in not_kept(heard)
    assert "run tfjs-uint8 in node-wasm" not in not_kept(heard)
    rows = table_of(place)
    assert {row["runtime"] for row in rows} >= {"python", "node-wasm", "node-cpu"}
    assert [row for row in rows if row["runtime"] != "node-cpu"] == expected
    assert all(row.state == "intact" for row in verify(place / "digits.study"))


# Rows that share a folder


def test_rows_with_the_same_outputs_are_removed_when_all_are_kept(tmp_path: Path) -> None:
    """With `--fallback`, node-wasm runs a variant on node-cpu, whose row has the same files."""
    python, cpu, wasm = places = [("tfjs-uint8", name) for name in ("python", "node-cpu", "node-wasm")]
    made = {python: answers(LABELS, flipped(N, [1])), cpu: answers(LABELS, flipped(N, [2]))}
    study = write_study(tmp_path, LABELS, answers(LABELS), made)
    rows = {(row.setting, row.runtime): row for row in study.trials}
    rows[wasm] = replace(rows[cpu], runtime="node-wasm")
    kept = Store(tmp_path).read(row_folder(study.reference) / "outputs.json", KeptOutputs)
    assert kept is not None
    scoring = Scoring(study.model.outputs[0], "classification", LABELS)
    context: Any = SimpleNamespace(scores=ScoresOnly(scoring, "", reading="r"), registries=REAL)
    comparison = Comparison.open(scoring, kept)
    early = EarlyKeeping(context, comparison, replace(study, trials=()), fallback=True)
    early.expect(ConversionResult("tfjs-uint8", rows[python].variant), [runtime for _, runtime in places])
    file = row_folder(rows[cpu]) / "output_0.npy"
    early.add(rows[python])
    early.add(rows[cpu])
    assert kept_state(file.parent) == "intact"
    assert file.exists()
    early.add(rows[wasm])
    assert not file.exists()
    split = split_rows(replace(study, trials=tuple(rows.values()), store="scores"))
    assert [(row.setting, row.runtime) for row in split if row.measure == "rms"] == places


# Commands that need no outputs


def test_inputs_are_exported_from_a_study_of_scores(place: Path) -> None:
    manifests = []
    for store in ("outputs", "scores"):
        if store == "scores":
            kept = Store(place / "digits.study")
            study = kept.read_study()
            keep_scores(study, KeptFacts("r", None, None), PAIRED_METRICS)
            remove_outputs(study)
            kept.write_study(replace(study, store="scores"))
        done = quantlab_in_process("export", "inputs", "digits.study", "--out", store, cwd=place)
        assert done.status == 0, done.stderr
        manifests.append((place / store / "inputs.json").read_bytes())
    assert json.loads(manifests[1])["outputs"][0]["shape"] == [10]
    assert manifests[1] == manifests[0]


@pytest.mark.parametrize(("store", "state"), [("scores", "intact"), ("outputs", "missing")])
def test_scores_stand_for_outputs_where_the_study_keeps_scores_only(tmp_path: Path, store: Any, state: str) -> None:
    """A row of an earlier analysis may have scores only, whatever the study of now keeps."""
    rows = {(name, "python"): answers(LABELS, flipped(N, [1])) for name in ("tfjs-uint8", "tfjs-float16")}
    study = write_study(tmp_path, LABELS, answers(LABELS), rows)
    keep_scores(study, KeptFacts("r", None, None), PAIRED_METRICS)
    remove_outputs(study)
    Store(tmp_path).write_study(replace(study, trials=study.trials[:1], store=store))
    states = {row.name: row.state for row in verify(tmp_path) if row.kind == "outputs"}
    assert states == {"reference in python": state, "tfjs-uint8 in python": state, "tfjs-float16 in python": "intact"}


# Outputs that stay until the end


@pytest.mark.starts_children
def test_outputs_that_must_stay_are_told_before_rows_run(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(0.1, 1, (40, 4)).astype(np.float32)
    x[::10, 0] = 0  # the model is infinite there
    np.savez(tmp_path / "data.npz", x=x)
    ports = [port("x", ["n", 4])], [port("y", ["n", 4])]
    model = write(tmp_path / "log.onnx", [node("Log", ["x"], "y")], ports, {})
    asked = {"settings": ("onnx-float32",), "runtimes": ("python",), "layers": False, "costs": False}
    options, heard = AnalyzeOptions(**asked, store="scores", out=tmp_path / "log.study"), Heard()
    study = analyze(model, data=str(tmp_path / "data.npz"), options=options, progress=heard)
    assert study.store == "scores"
    assert sum(warning.startswith(STAY) for warning in heard.warnings) == 1


@pytest.mark.parametrize(
    ("width", "removed", "told"),
    [
        pytest.param(10, [], True, id="few outputs, of which all are there"),
        pytest.param(10, [0], True, id="few outputs, of which some were removed while others ran"),
        pytest.param(2000, [0], False, id="many outputs"),
    ],
)
def test_scores_that_need_more_space_than_outputs_are_told(
    tmp_path: Path, width: int, removed: list[int], told: bool
) -> None:
    outputs = np.pad(answers(LABELS), ((0, 0), (0, width - 10)))
    rows = {(name, "python"): outputs for name in ("tfjs-uint8", "tfjs-float16")}
    study = write_study(tmp_path, LABELS, outputs, rows)
    kept = Store(tmp_path).read(row_folder(study.reference) / "outputs.json", KeptOutputs)
    assert kept is not None
    scoring, heard = Scoring(study.model.outputs[0], "classification", LABELS), Heard()
    context: Any = SimpleNamespace(scores=ScoresOnly(scoring, "", reading="r"), registries=REAL, progress=heard)
    keep_scores(study, KeptFacts("r", None, None), PAIRED_METRICS)
    for place in removed:
        remove_row(study.trials[place])
    with_kept_scores(context, study, Comparison.open(scoring, kept))
    assert [warning.endswith("--store outputs needs less space") for warning in heard.warnings] == [True] * told
    heard.warnings.clear()
    remove_outputs(study)
    with_kept_scores(context, study, Comparison.open(scoring, kept))
    assert heard.warnings == []


@pytest.mark.parametrize(("asked", "gone"), [(True, False), (False, False), (True, True)])
def test_a_disk_is_checked_again_for_outputs_that_must_stay(tmp_path: Path, asked: bool, gone: bool) -> None:
    study = write_study(tmp_path, LABELS, answers(LABELS), {("tfjs-uint8", "python"): answers(LABELS)})
    kept = Store(tmp_path).read(row_folder(study.reference) / "outputs.json", KeptOutputs)
    assert kept is not None
    scoring, heard = Scoring(study.model.outputs[0], "classification", LABELS), Heard()
    comparison = Comparison.open(scoring, kept)
    if gone:
        keep_scores(study, KeptFacts("r", None, None), PAIRED_METRICS)
        remove_outputs(study)
    scores = ScoresOnly(scoring, "") if asked else None
    context: Any = SimpleNamespace(
        scores=scores, options=AnalyzeOptions(), progress=heard, store=Store(tmp_path), sharding=None
    )
    refuse_small_disk(context, 0, references=1, size=1, at_once=3)
    needed = "the outputs of 9 trials, which cannot be removed early, need 9,000,000,000,000.0 MB"
    with pytest.raises(StudyError, match=needed) if asked and not gone else contextlib.nullcontext():
        refuse_staying_outputs(context, comparison, (), 9, 10**18)
    assert [warning[: len(STAY)] for warning in heard.warnings] == ([STAY] if asked and not gone else [])


@pytest.mark.parametrize(
    ("scores", "sharding", "trials", "needed"),
    [
        pytest.param(False, False, 9, 10, id="outputs: the reference and all trials"),
        pytest.param(False, True, 9, 13, id="outputs in shards: those of three trials twice, until they are joined"),
        pytest.param(True, False, 9, 5, id="scores: the reference, a baseline and three trials"),
        pytest.param(True, True, 9, 8, id="scores in shards: those of three trials twice"),
        pytest.param(True, True, 2, 5, id="scores in shards, with two trials"),
    ],
)
def test_the_disk_is_checked_for_what_lies_there_at_the_same_time(scores, sharding, trials, needed):
    asked = []
    context: Any = SimpleNamespace(
        scores=object() if scores else None,
        options=AnalyzeOptions(),
        store=SimpleNamespace(refuse_too_large=lambda size, _: asked.append(size)),
        sharding=object() if sharding else None,
    )
    refuse_small_disk(context, trials, references=1, size=1000, at_once=3)
    assert asked == [1000 * needed]
