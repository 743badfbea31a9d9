"""A new format, runtime, metric or loader needs one file or folder and one entry, and no change of quantlab's code."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy_format
from toy_format.study import WITH_TOY, kernel_and_bias, write_model, write_samples

from quantlab.errors import UsageError
from quantlab.gate import (
    accepted_figures,
    compare_with_lock,
    gather,
    judge,
    read_lock,
    recommend,
    settings_of_artifact,
    write_lock,
)
from quantlab.processes import Child
from quantlab.runtimes import RUNTIMES
from quantlab.samples.opening import FILE_LOADERS
from quantlab.samples.source import HeldTensor, Source
from quantlab.statistics import PAIRED_METRICS, ChangedAnswers, PairedMetric
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze
from quantlab.types import Budget, Candidate, TunedFormat, Tuning
from quantlab_reports import RENDERINGS, VIEWS, Reports, Selection
from quantlab_reports.model import Column, table_of
from quantlab_reports.views.recommendation import recommendation_table
from quantlab_reports.views.registry import View
from quantlab_reports.views.verdict import verdict_table

pytestmark = pytest.mark.starts_children

BUDGET = Budget(max_accuracy_loss="5pt", min_agreement="90%")


@pytest.fixture(scope="module")
def one_dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that a toy file can hold, and labelled samples for it."""
    folder = tmp_path_factory.mktemp("one-dense")
    write_model(folder / "one_dense.onnx")
    write_samples(folder / "samples.npz")
    return folder


@pytest.fixture(scope="module")
def toy_study(one_dense: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("toy") / "toy.study"
    options = AnalyzeOptions(settings=("toy-int8",), runtimes=("python",), out=folder)
    model, data = one_dense / "one_dense.onnx", one_dense / "samples.npz"
    analyze(model, data=f"{data}", options=options, registries=WITH_TOY)
    candidate = Candidate("toy-int8", 120, 20, 1e-5, 0, 0.0, 0.1, keeps=True, fits=True, official=True)
    Store(folder).write_tuning(Tuning(str(data), 0, {"toy": TunedFormat((candidate,), "toy-int8", setting="toy-int8")}))
    return Store(folder)


def test_a_format_is_converted_run_and_scored(toy_study):
    study = toy_study.read_study()
    assert [(trial.setting, trial.requested, trial.failure) for trial in study.trials] == [
        ("toy-float32", False, None),
        ("toy-int8", True, None),
    ]
    assert study.parity["toy"].startswith("ok: ")
    float32, int8 = study.trials
    assert float32.scores.top1 == study.reference.scores.top1 == 100
    assert float32.variant.weights == {"float32": 4 * (12 * 3 + 3)}
    assert int8.variant.weights == {"int8": 12 * 3, "float32": 4 * 3}
    assert 20 < int8.scores.sqnr_db < 80


def test_a_format_is_read_inside(toy_study):
    inside = toy_study.read_inside()
    rows = {(row.setting, row.tensor): row for row in inside.layers if row.baseline == "reference"}
    assert {name for _, name in rows} == {"dense", "y"}
    assert all(row.aligned for row in rows.values())
    assert rows["toy-int8", "dense"].sqnr_db < rows["toy-float32", "dense"].sqnr_db
    kernel = next(row for row in inside.weights if (row.setting, row.tensor) == ("toy-int8", "kernel"))
    assert (kernel.dtype, kernel.shape) == ("int8", (12, 3))
    assert 30 < kernel.sqnr_db < 60


@pytest.mark.parametrize("rendering", RENDERINGS)
# Three views have no rows of settings: `runtimes` compares two of them, see `test_a_runtime`, and `duplicates` and
# `calibration` are about samples.
@pytest.mark.parametrize("view", [view for view in VIEWS if view not in {"runtimes", "duplicates", "calibration"}])
def test_every_view_shows_it_in_every_rendering(view, rendering, toy_study):
    shown = RENDERINGS[rendering](VIEWS[view].table(toy_study, Selection(wide=True), WITH_TOY.formats))
    assert "toy-int8" in shown.replace("\\", "")


def test_a_format_that_takes_one_sample_a_call_is_told_below_the_table(toy_study):
    alone = replace(toy_format.FORMAT, alone="toy")
    reports = Reports(formats={**WITH_TOY.formats, "toy": alone})
    below = reports.show(toy_study, "table", "terminal", Selection())
    assert "; batch size 32 (toy files: 1)\n" in below
    assert "; batch size 32\n" in Reports(formats=WITH_TOY.formats).show(toy_study, "table", "terminal", Selection())


@pytest.mark.parametrize("rendering", [*RENDERINGS, "words"])
def test_a_view_and_a_rendering(rendering, toy_study):
    """A view is printed by every rendering there is, and a rendering prints every view."""

    def table(store, selection, formats):
        rows = store.read_study().trials[: selection.top]
        columns = (
            Column("name", lambda trial: trial.setting, numeric=False),
            Column("of", lambda _: str(len(formats))),
        )
        return table_of(columns, rows, keys=["name"], records=[{"name": trial.setting} for trial in rows])

    reports = Reports(
        views={**VIEWS, "names": View(table)},
        renderings={**RENDERINGS, "words": lambda table: " ".join(cell for row in table.cells for cell in row)},
    )
    shown = reports.show(toy_study, "names", rendering, Selection(top=1))
    assert "toy-float32" in shown
    assert "toy-int8" not in shown
    assert "toy-int8" in reports.show(toy_study, "table", rendering, Selection()).replace("\\", "")
    with pytest.raises(UsageError, match=r"there is no view 'name'; did you mean 'names'\?"):
        reports.show(toy_study, "name", rendering, Selection())


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_what_is_decided_shows_it_in_every_rendering(rendering, toy_study):
    judged = gather(toy_study.read_study(), BUDGET, name="toy", registries=WITH_TOY)
    choice = recommend(toy_study.root, BUDGET, registries=WITH_TOY)
    for table in (verdict_table([judged.verdict], evidence=[judged.trials]), recommendation_table(choice)):
        assert "toy-int8" in RENDERINGS[rendering](table).replace("\\", "")


def test_a_format_is_judged_and_accepted(toy_study, tmp_path):
    verdict = judge(toy_study.root, BUDGET)
    assert {setting.setting: (setting.quantized, setting.outcome) for setting in verdict.settings} == {
        "toy-int8": (True, "fits")
    }
    choice = recommend(toy_study.root, BUDGET, registries=WITH_TOY)
    assert choice.setting == "toy-int8"
    assert choice.reproduce.startswith("toy-convert ")
    judged = gather(toy_study.read_study(), BUDGET, name="toy")
    lock = tmp_path / "quantlab.lock"
    write_lock(lock, accepted_figures([judged], [["toy-int8"]], {"max_accuracy_loss": "5pt"}))
    assert compare_with_lock(judged, read_lock(lock)).fits


def test_a_format_counts_for_the_targets_that_it_names(toy_study):
    shipped = replace(toy_format.FORMAT, targets=("android",))
    registries = replace(WITH_TOY, formats={**WITH_TOY.formats, "toy": shipped})
    budget = replace(BUDGET, target="android")
    assert judge(toy_study.root, budget, registries=registries).fits
    with pytest.raises(
        UsageError, match="the target 'android' needs the format tflite, onnx, and the study has toy-int8"
    ):
        judge(toy_study.root, budget, registries=WITH_TOY)


def test_an_artifact_is_known_by_its_own_reader(toy_study, tmp_path):
    """Of what a converter leaves, only what is served is hashed."""
    study = toy_study.read_study()
    served = next(trial.variant.path for trial in study.trials if trial.setting == "toy-int8")
    (tmp_path / "out").mkdir()
    shutil.copy(served, tmp_path / "out" / "model.toy")
    (tmp_path / "out" / "log.txt").write_text("not served")
    assert settings_of_artifact(tmp_path / "out", study, None, registries=WITH_TOY) == ("toy-int8",)


def test_a_format_has_a_float32_baseline():
    with pytest.raises(ValueError, match="'toy' has no float32 baseline; add the setting 'toy-float32'"):
        replace(toy_format.FORMAT, settings=toy_format.FORMAT.settings[1:])


def test_a_runtime(one_dense, tmp_path):
    """It starts what Python starts, and names itself."""
    python = RUNTIMES["python"]

    class NamedChild(Child):
        def messages(self, stall_seconds):
            for message in super().messages(stall_seconds):
                yield {**message, "ran_on": "toy-host"} if message["type"] == "ready" else message

    def start(job, pool):
        child = python.host.start(job, pool)
        child.__class__ = NamedChild
        return child

    host = replace(python.host, kind=lambda _job, _pool: "toy", start=start)
    runtime = replace(python, name="toy-host", host=host, default=False, notes=lambda _: ("seen by a toy",))
    registries = replace(WITH_TOY, runtimes={**RUNTIMES, "toy-host": runtime})
    options = AnalyzeOptions(
        settings=("toy-float32",), runtimes=("toy-host",), out=tmp_path / "toy.study", layers=False, costs=False
    )
    model, data = one_dense / "one_dense.onnx", one_dense / "samples.npz"
    study = analyze(model, data=f"{data}", options=options, registries=registries)
    there = next(trial for trial in study.trials if trial.runtime == "toy-host")
    assert (there.ran_on, there.max_abs_from_python, there.notes) == ("toy-host", 0, ("seen by a toy",))
    assert there.scores == next(trial.scores for trial in study.trials if trial.runtime == "python")
    for render in RENDERINGS.values():
        assert "toy-host" in render(
            VIEWS["runtimes"].table(Store(options.out), Selection(wide=True), WITH_TOY.formats)
        ).replace("\\", "")


def test_a_metric(one_dense, tmp_path):
    """Right, and sure of it: an entry in the table, and `analyze` and the gate take it by name."""

    def compare(reference, candidate):
        return ChangedAnswers.of(
            *(side.classes.right & (np.asarray(side.outputs).max(axis=1) > 0.9) for side in (reference, candidate))
        )

    metric = PairedMetric("sure-top1", "higher", "pt", "classes", compare)
    registries = replace(WITH_TOY, metrics={**PAIRED_METRICS, "sure-top1": metric})
    options = AnalyzeOptions(
        settings=("toy-int8",), runtimes=("python",), metric="sure-top1", out=tmp_path / "toy.study", layers=False
    )
    samples = f"{one_dense / 'samples.npz'}"
    study = analyze(one_dense / "one_dense.onnx", data=samples, options=options, registries=registries)
    (judged,) = judge(tmp_path / "toy.study", Budget(max_accuracy_loss="100pt"), registries=registries).settings
    loss = judged.deciding.loss
    kernel, bias = kernel_and_bias()
    logits = np.load(study.samples.input_file("x")) @ kernel + bias
    sure = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1) > 0.9
    assert (loss.metric, loss.n, loss.reference) == ("sure-top1", len(sure), pytest.approx(100 * sure.mean()))
    assert 0 < loss.reference < 100


def test_a_loader(one_dense, tmp_path):
    """Samples a line, in a text file: an entry by its suffix, and the same figures as from the arrays."""

    def open_text(path, *, text, inputs):
        rows = np.loadtxt(path, dtype=np.float32)
        (spec,) = inputs
        held = (HeldTensor(spec.name, rows[:, :-1].shape, rows.dtype),)
        labels = rows[:, -1].astype(np.int64)
        return Source(text, len(rows), held, labels, lambda indices: iter([{spec.name: rows[indices, :-1]}]))

    with np.load(one_dense / "samples.npz") as arrays:
        np.savetxt(tmp_path / "samples.rows", np.column_stack([arrays["x"], arrays["y"]]), fmt="%.9g")
    registries = replace(WITH_TOY, loaders={**FILE_LOADERS, ".rows": open_text})
    studies = [
        analyze(
            one_dense / "one_dense.onnx",
            data=f"{data}",
            options=AnalyzeOptions(
                settings=("toy-int8",), runtimes=("python",), out=tmp_path / data.suffix[1:], layers=False, costs=False
            ),
            registries=registries,
        )
        for data in (tmp_path / "samples.rows", one_dense / "samples.npz")
    ]
    ours, theirs = ([trial.scores for trial in study.trials] for study in studies)
    assert ours == theirs
    assert all(scores.top1 is not None for scores in ours)
