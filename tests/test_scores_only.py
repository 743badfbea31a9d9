"""Studies that keep scores only (`--store scores`): the same figures, verdicts and views as with the outputs."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command_line import quantlab_in_process
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from prepared_study import SETTINGS, again, not_kept
from study_fixtures import snapshot
from verdict_fixtures import answers, flipped, write_study

from quantlab.errors import StudyError, UsageError
from quantlab.formats import FORMATS
from quantlab.gate import gather, row_folder
from quantlab.npy import Vectors, write_vectors
from quantlab.registries import REAL
from quantlab.statistics import (
    PAIRED_METRICS,
    CandidateSamples,
    ReferenceSamples,
    arrays_of_samples,
    candidate_of_arrays,
    reference_of_arrays,
)
from quantlab.store import Store
from quantlab.study import verify
from quantlab.study.compare import Comparison
from quantlab.study.conversions import ConversionResult
from quantlab.study.early_keeping import EarlyKeeping
from quantlab.study.keeping import KeptFacts, keep_scores, remove_outputs
from quantlab.study.scores_only import ScoresOnly, hash_of
from quantlab.study.task import Scoring
from quantlab.types import Budget, KeptOutputs, KeptScores, Study
from quantlab_reports import RENDERINGS, VIEWS, Selection

N = 200
LABELS = np.arange(N) % 10
RANDOM = np.random.default_rng(7)


def scores_of(folder: Path, study: Study) -> Path:
    """A copy of a study that keeps scores only, whose outputs are gone."""
    other = folder.parent / "scores" / folder.name
    shutil.copytree(folder, other)
    moved = Store(other)
    there = replace(moved.read_study(), samples=study.samples)
    keep_scores(there, KeptFacts("r", None, None), PAIRED_METRICS)
    remove_outputs(there)
    moved.write_study(replace(there, store="scores"))
    assert not [*other.glob("outputs/**/*.npy")]
    return other


def logits(noise: float) -> np.ndarray:
    """(N, 10) of a classifier that is mostly right."""
    sharp = np.where(answers(LABELS) > 0.5, 3.0, 0.0)
    return (sharp + RANDOM.normal(0, noise, (N, 10))).astype(np.float32)


TARGETS = np.linspace(0, 5, N)[:, None]
PRICES = (TARGETS + RANDOM.normal(0, 0.3, (N, 3))).astype(np.float32)
LOGITS = logits(1.0)
NOT_FINITE = np.where(flipped(N, [5])[:, None], np.float32(np.nan), answers(LABELS, flipped(N, [1, 2])))

KINDS: dict[str, tuple[Any, np.ndarray, np.ndarray, dict[str, Any]]] = {
    "probabilities": (LABELS, answers(LABELS, flipped(N, [1])), answers(LABELS, flipped(N, [2, 3])), {}),
    "logits": (LABELS, LOGITS, LOGITS + logits(0.5), {"probabilities": False}),
    "a variant with NaN": (LABELS, answers(LABELS, flipped(N, [1])), NOT_FINITE, {}),
    "a model with NaN": (LABELS, NOT_FINITE, answers(LABELS, flipped(N, [2, 3])), {}),
    "regression": (
        np.repeat(TARGETS, 3, axis=1),
        PRICES,
        PRICES + RANDOM.normal(0, 0.1, (N, 3)).astype(np.float32),
        {"task": "regression", "classes": False, "probabilities": False},
    ),
    "similarity of classes": (None, LOGITS, LOGITS + logits(0.5), {"task": "similarity", "probabilities": False}),
    "similarity of numbers": (
        None,
        PRICES,
        PRICES + RANDOM.normal(0, 0.1, (N, 3)).astype(np.float32),
        {"task": "similarity", "classes": False, "probabilities": False},
    ),
}


Both = Callable[[str], tuple[Path, Path]]


@pytest.fixture
def both_of(tmp_path: Path) -> Both:
    """Makes a study with outputs, and one that keeps the scores of the same outputs only."""

    def make(kind: str) -> tuple[Path, Path]:
        labels, reference, candidate, changed = KINDS[kind]
        folder = tmp_path / "outputs" / "digits.study"
        rows = {
            ("tfjs-uint8", "python"): candidate,
            ("tfjs-float16", "python"): reference,
            ("onnx-int8", "python"): "no",
        }
        return folder, scores_of(folder, write_study(folder, labels, reference, rows, **changed))

    return make


def answered(folder: Path, *command: str) -> tuple[int, str, str]:
    done = quantlab_in_process(command[0], *command[1:], cwd=folder.parent)
    return done.status, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        pytest.param("probabilities", ["--max-class-loss=5pt", "--max-accuracy-loss=1pt"], id="classes"),
        pytest.param("logits", ["--max-accuracy-loss=1pt", "--metric=macro-f1"], id="macro-f1"),
        pytest.param("a model with NaN", ["--max-accuracy-loss=1pt", "--leave-out-non-finite"], id="other samples"),
        pytest.param("regression", ["--max-accuracy-loss=0.01rmse", "--metric=rmse", "--min-sqnr=20dB"], id="rmse"),
        pytest.param("similarity of classes", ["--min-agreement=90%", "--max-rmse=0.1"], id="agreement"),
    ],
)
def test_the_verdict_is_that_of_the_outputs(both_of: Both, kind: str, limits: list[str]) -> None:
    one, other = (answered(folder, "gate", folder.name, *limits, "--format", "json") for folder in both_of(kind))
    assert json.loads(one[1]), one[2]
    assert other == one


@pytest.mark.parametrize("kind", KINDS)
def test_all_evidence_is_that_of_the_outputs(both_of: Both, kind: str) -> None:
    budget = Budget(min_sqnr=("20dB",), max_abs_error=("0.5",), leave_out_non_finite=True)
    one, other = (gather(Store(folder).read_study(), budget) for folder in both_of(kind))
    assert [repr(row.evidence) for row in other.trials] == [repr(row.evidence) for row in one.trials]
    assert other.verdict == one.verdict


@pytest.mark.parametrize("kind", KINDS)
def test_views_have_the_same_bytes(both_of: Both, kind: str) -> None:
    stores = [Store(folder) for folder in both_of(kind)]
    for view in ("table", "changes", "samples"):
        one, other = (RENDERINGS["json"](VIEWS[view].table(store, Selection(wide=True), FORMATS)) for store in stores)
        assert len(one) > 100
        assert other == one


def test_a_report_has_the_same_bytes(both_of: Both) -> None:
    pages = []
    for folder in both_of("probabilities"):
        assert answered(folder, "report", folder.name, "--out", "page.html")[0] == 0
        pages.append((folder.parent / "page.html").read_bytes())
    assert pages[1] == pages[0]


def test_studies_with_labels_are_compared_by_scores(both_of: Both) -> None:
    told = []
    for folder in both_of("probabilities"):
        after = shutil.copytree(folder, folder.with_name("after.study"))
        told.append(answered(folder, "compare", folder.name, after.name, "--json"))
    assert told[0][0] == 0, told[0]
    assert told[1] == told[0]


def test_without_labels_studies_are_compared_by_outputs(both_of: Both) -> None:
    _, folder = both_of("similarity of classes")
    shutil.copytree(folder, folder.with_name("after.study"))
    status, _, told = answered(folder, "compare", folder.name, "after.study")
    assert status == 2
    assert "a comparison without labels with 'digits' reads the outputs of the study" in " ".join(told.split())


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        pytest.param("--metric=auc", "computed from whole outputs, and the study keeps scores only", id="a metric"),
        pytest.param("--min-sqnr=output_0[3]=20dB", "a limit of the channel 'output_0[3]' reads", id="a channel"),
    ],
)
def test_a_limit_of_whole_outputs_is_refused(both_of: Both, limit: str, words: str) -> None:
    _, folder = both_of("probabilities")
    status, _, told = answered(folder, "gate", folder.name, "--max-accuracy-loss=1pt", limit)
    assert status == 2
    assert words in " ".join(told.split())
    assert "run 'quantlab analyze' again with --store outputs" in " ".join(told.split())


@pytest.mark.parametrize(
    "command",
    [["export", "test", "--runtime=node", "--setting=tfjs-uint8"], ["sensitivity"], ["reduce", "--setting=tfjs-uint8"]],
    ids=lambda command: command[0],
)
def test_a_command_that_reads_outputs_says_how_to_get_them(both_of: Both, command: list[str]) -> None:
    _, folder = both_of("probabilities")
    place = 2 if command[0] == "export" else 1
    status, _, told = answered(folder, *command[:place], folder.name, *command[place:])
    assert status == 2
    assert f"'quantlab {' '.join(command[:place])}' reads the outputs of the study, which keeps scores only" in told


def values_of(folder: Path, setting: str = "tfjs-uint8") -> Path:
    return next(folder.glob(f"outputs/{setting}/*/*/scores.npz"))


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def of_another_row(file: Path) -> None:
    shutil.copy(values_of(file.parents[4], "tfjs-float16"), file)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(truncated, "the scores of tfjs-uint8 in python are not those that were written", id="truncated"),
        pytest.param(Path.unlink, "the scores of tfjs-uint8 in python are not those that were written", id="missing"),
        pytest.param(of_another_row, "the scores of tfjs-uint8 in python are not those", id="of another row"),
        pytest.param(
            lambda file: file.with_name("scores.json").write_text("{}"),
            "the record of the scores of tfjs-uint8 in python is missing or damaged",
            id="a record of nothing",
        ),
    ],
)
def test_damaged_scores_pass_no_gate(both_of: Both, damage: Callable[[Path], object], words: str) -> None:
    _, folder = both_of("probabilities")
    damage(values_of(folder))
    with pytest.raises(StudyError, match=words):
        gather(Store(folder).read_study(), Budget(max_accuracy_loss="1pt"))
    states = {row.name: row.state for row in verify(folder) if row.kind == "outputs"}
    assert states == {
        "reference in python": "intact",
        "tfjs-float16 in python": "intact",
        "tfjs-uint8 in python": "damaged",
    }


def test_scores_against_other_outputs_of_the_model_pass_no_gate(both_of: Both) -> None:
    _, folder = both_of("probabilities")
    record, store = values_of(folder).with_name("scores.json"), Store(folder)
    kept = store.read(record, KeptScores)
    assert kept is not None
    store.write(record, replace(kept, reading="another"))
    with pytest.raises(StudyError, match="were computed against other outputs of the model, or other labels"):
        gather(store.read_study(), Budget(max_accuracy_loss="1pt"))


# Files of vectors


VECTORS = st.one_of(
    arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=5))
    for dtype in (np.bool_, np.int32, np.int64, np.float32, np.float64)
)


@example({"a": np.array([-1, 2**53 + 1])})
@given(st.dictionaries(st.sampled_from(["a", "b/c", "layout", "d"]), VECTORS))
def test_vectors_are_read_as_they_were_written(vectors: dict[str, np.ndarray]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "v.npz"
        write_vectors(file, vectors)
        first = file.read_bytes()
        read = Vectors(file)
        assert [*read] == [*vectors]
        for name, values in vectors.items():
            assert read[name].dtype == values.dtype
            assert read[name].shape == values.shape
            assert read[name].tobytes() == values.tobytes()
        write_vectors(file, vectors)
        assert file.read_bytes() == first


@pytest.mark.parametrize("kind", ["probabilities", "logits", "regression", "similarity of numbers"])
def test_a_reference_compared_with_itself_needs_no_outputs(kind: str) -> None:
    labels, outputs, _, changed = KINDS[kind]
    asked = {"task": "classification", "classes": True, "probabilities": True, **changed}
    whole = ReferenceSamples.of(outputs, labels, **asked)
    kept = reference_of_arrays(
        arrays_of_samples(whole), labels, shape=outputs.shape, task=asked["task"], probabilities=asked["probabilities"]
    )
    expected, actual = arrays_of_samples(whole.itself()), arrays_of_samples(kept.itself())
    assert {name: values.tolist() for name, values in actual.items()} == {
        name: values.tolist() for name, values in expected.items()
    }
    with pytest.raises(UsageError, match="computed from whole outputs"):
        _ = kept.outputs
    candidate = candidate_of_arrays(arrays_of_samples(CandidateSamples.of(whole, outputs[::-1])))
    assert candidate.max_abs.tolist() == CandidateSamples.of(whole, outputs[::-1]).max_abs.tolist()


# Rows that are kept while others run


def test_outputs_are_removed_as_soon_as_nothing_is_compared_with_them(tmp_path: Path) -> None:
    places = [("tfjs-float32", "python"), ("tfjs-uint8", "node-wasm"), ("tfjs-uint8", "python")]
    study = write_study(
        tmp_path,
        LABELS,
        answers(LABELS),
        {place: answers(LABELS, flipped(N, [number])) for number, place in enumerate(places)},
    )
    rows = {(row.setting, row.runtime): row for row in study.trials}
    kept = Store(tmp_path).read(row_folder(study.reference) / "outputs.json", KeptOutputs)
    assert kept is not None
    scoring = Scoring(study.model.outputs[0], "classification", LABELS)
    context: Any = SimpleNamespace(scores=ScoresOnly(scoring, "", reading="r"), registries=REAL)
    early = EarlyKeeping(context, Comparison.open(scoring, kept), replace(study, trials=()))
    for setting in ("tfjs-float32", "tfjs-uint8"):
        variant = rows[setting, "python"].variant
        early.expect(ConversionResult(setting, variant), [runtime for name, runtime in places if name == setting])

    def there() -> list[tuple[str, str]]:
        return [place for place in places if (row_folder(rows[place]) / "output_0.npy").exists()]

    early.add(rows["tfjs-uint8", "node-wasm"])
    assert there() == places
    early.add(rows["tfjs-float32", "python"])
    assert there() == places
    early.add(rows["tfjs-uint8", "python"])
    assert there() == []
    assert (row_folder(study.reference) / "output_0.npy").exists()
    record = Store(tmp_path).read(row_folder(rows["tfjs-uint8", "node-wasm"]) / "scores.json", KeptScores)
    assert record is not None
    assert record.split_of == tuple(hash_of(rows[place], "output_0") for place in (places[0], places[2]))
    assert record.from_python is not None


# Studies that are analyzed


@pytest.mark.starts_children
def test_an_analysis_that_keeps_scores_runs_nothing_again(place: Path) -> None:
    """Rows are taken from their scores; a new one runs with what it is compared with, and no other."""
    expected = table_of(place)
    study, heard = again(place, store="scores")
    assert (study.store, not_kept(heard)) == ("scores", {})
    assert not [*place.glob("digits.study/outputs/**/*.npy")]
    assert table_of(place) == expected
    files = snapshot(place / "digits.study" / "outputs")

    study, heard = again(place, store="scores")
    assert (study.store, not_kept(heard)) == ("scores", {})
    assert table_of(place) == expected
    assert snapshot(place / "digits.study" / "outputs") == files

    study, heard = again(place, store="scores", metric="top1")
    assert (study.store, not_kept(heard)) == ("scores", {})

    study, heard = again(place, store="scores", settings=(*SETTINGS, "tfjs-float16"), runtimes=("python",))
    ran = {step: outcome for step, outcome in heard.ended.items() if step.startswith("run ") and outcome == "done"}
    assert ran.keys() == {"run tfjs-float16 in python", "run reference in python", "run tfjs-float32 in python"}
    assert not [*place.glob("digits.study/outputs/**/*.npy")]
    of_python = [row for row in expected if row["runtime"] == "python"]
    assert [row for row in table_of(place) if row["setting"] != "tfjs-float16"] == of_python
    assert all(row.state == "intact" for row in verify(place / "digits.study"))

    study, heard = again(place)
    assert study.store == "outputs"
    assert table_of(place) == expected


@pytest.mark.starts_children
def test_outputs_that_are_removed_early_leave_the_same_scores(place: Path) -> None:
    expected = table_of(place)
    again(place, store="scores")
    values = snapshot(place / "digits.study" / "outputs")
    shutil.rmtree(place / "digits.study" / "outputs")
    shutil.rmtree(place / "digits.study" / "work")
    study, heard = again(place, store="scores")
    assert study.store == "scores"
    assert sum(step.startswith("run ") for step in not_kept(heard)) == 7
    assert table_of(place) == expected
    after = snapshot(place / "digits.study" / "outputs")
    assert {name: sha for name, sha in after.items() if name.endswith(".npz")} == {
        name: sha for name, sha in values.items() if name.endswith(".npz")
    }
    assert all(row.state == "intact" for row in verify(place / "digits.study"))


def table_of(place: Path) -> list[dict[str, object]]:
    """What `show --json` prints, without times."""
    rows = json.loads(quantlab_in_process("show", "digits.study", "--json", cwd=place).stdout)
    return [
        {name: value for name, value in row.items() if name not in {"ms_per_sample", "convert_seconds"}} for row in rows
    ]


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param({"metric": "auc"}, "the metric 'auc' reads whole outputs", id="a metric"),
        pytest.param({"layers": True, "layer_samples": None}, "layers are compared on all samples", id="all layers"),
    ],
)
def test_what_needs_outputs_is_refused_before_anything_runs(place: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=f"--store scores removes the outputs, and {why}"):
        again(place, store="scores", **options)
    assert [*place.glob("digits.study/outputs/**/*.npy")]
