"""Studies of real models: random samples, agreement of runtimes, and files given as variants."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from kept import QUANTLAB, kept
from PIL import Image
from prepared_study import not_kept, row
from study_fixtures import Heard, outputs_of, read_study

from quantlab import AnalyzeOptions, analyze
from quantlab_reports.views.trials import heading

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="session")
def fashion(request: pytest.FixtureRequest, data_folder: Path, begun: Callable[[str, Path], Path]) -> Path:
    """A study of the fashion model on a thousand of its samples."""
    model, data = (data_folder / "fashion-mnist" / name for name in ("fashion_dscnn.keras", "test.npz"))
    settings = ("--settings", "tfjs-float32,tfjs-uint8", "--no-layers", "--no-costs")
    options = ("--data", data, "--limit", "1000", "--out", "fashion.study", *settings)

    def make(folder: Path) -> None:
        begun("fashion", folder / "fashion.study")
        done = quantlab_in_process("analyze", model, *options, cwd=folder)
        assert done.status == 0, done.stderr

    return kept(request, "fashion", (__file__, "real_models.py", model, data, *QUANTLAB), make) / "fashion.study"


def test_a_subset_of_a_sorted_file_holds_as_many_of_each_class(fashion, data_folder):
    with np.load(data_folder / "fashion-mnist" / "test.npz") as held:
        assert (np.diff(held["y"]) >= 0).all()  # sorted: its first thousand are all of one class
    study = read_study(fashion)
    assert np.bincount(np.load(study.samples.labels_file)).tolist() == [100] * 10
    assert study.samples.drawn == "stratified, seed 0"


def test_what_calibrates_is_not_scored(fashion, data_folder):
    study = read_study(fashion)
    scored, calibration = (np.load(subset.folder / "indices.npy") for subset in (study.samples, study.calibration))
    assert (len(scored), len(calibration)) == (1000, 256)
    assert set(scored.tolist()) & set(calibration.tolist()) == set()
    with np.load(data_folder / "fashion-mnist" / "test.npz") as held:
        np.testing.assert_array_equal(np.load(study.samples.labels_file), held["y"][scored])
        assert set(np.bincount(held["y"][calibration]).tolist()) == {25, 26}


def test_node_gives_what_python_gives_on_the_same_artifact(fashion):
    study = read_study(fashion)
    for setting in ("tfjs-float32", "tfjs-uint8"):
        in_python, in_node = (
            outputs_of(study, setting, runtime).astype(np.float64) for runtime in ("python", "node-wasm")
        )
        assert np.abs(in_python - in_node).max() <= 1e-4
        assert row(study, setting, "node-wasm").max_abs_from_python == np.abs(in_python - in_node).max()


def test_images_in_a_folder_are_the_arrays_they_hold(fashion, data_folder, tmp_path):
    images, model = data_folder / "fashion-mnist" / "images", data_folder / "fashion-mnist" / "fashion_dscnn.keras"
    shutil.copytree(fashion, tmp_path / "fashion.study")
    asked = AnalyzeOptions(settings=("tfjs-uint8",), out=tmp_path / "fashion.study", layers=False, costs=False)
    study = analyze(model, data=str(images), options=asked)
    assert (study.failed, study.samples.available) == ((), 600)

    files = [file for number in range(10) for file in sorted((images / str(number)).glob("*.png"))]
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])[..., None]
    labels = np.repeat(np.arange(10), 60)
    with np.load(data_folder / "fashion-mnist" / "test.npz") as held:
        first = np.concatenate([np.flatnonzero(held["y"] == number)[:60] for number in range(10)])
        np.testing.assert_array_equal(pixels, held["x"][first])
    np.savez(tmp_path / "arrays.npz", x=pixels, y=labels)
    heard = Heard()
    arrays = analyze(model, data=str(tmp_path / "arrays.npz"), options=asked, progress=heard)
    assert arrays.samples.sha256 == study.samples.sha256
    assert not_kept(heard) == {}
    chosen = np.load(study.samples.folder / "indices.npy")
    np.testing.assert_array_equal(np.load(study.samples.input_file(study.samples.inputs[0].name)), pixels[chosen])
    assert (arrays.reference.scores, arrays.trials) == (study.reference.scores, study.trials)


def test_a_given_file_that_is_not_the_model_breaks_parity(data_folder, tmp_path):
    folder = data_folder / "mlperf-tiny"
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(200, 640)).astype(np.float32))
    options = AnalyzeOptions(
        settings=("tflite-float32",),
        runtimes=("python",),
        variants={"published": folder / "ad01_fp32.tflite"},
        out=tmp_path / "ad01.study",
        layer_samples=16,
        costs=False,
    )
    study = analyze(folder / "ad01.h5", data=str(tmp_path / "data.npz"), options=options)
    assert study.failed == ()
    sqnr = row(study, "published").scores.sqnr_db
    assert sqnr < 60 < row(study, "tflite-float32").scores.sqnr_db
    (warning,) = study.warnings
    tensors = warning.partition("are not caused by quantization; ")[2]
    assert warning == (
        f"float32 check failed: the file 'published' differs from this model (another training run, or another "
        f"conversion): the SQNR of the output is {sqnr:.1f} dB, below 60 (output '{study.scored_output}'); so losses "
        f"of published are not caused by quantization; {tensors}"
    )
    assert re.fullmatch(
        r"first tensor that differs: '.+' of activation_2 \(5\d\.\d dB\); weights that differ most: "
        r"'functional_1/dense_5/BiasAdd/ReadVariableOp/resource' \(31\.7 dB\), .+ and 5 more",
        tensors,
    )
    assert heading(study)[0] == f"! {warning}"
    assert study.parity["tflite"].startswith("ok: ")


def test_a_given_file_that_holds_other_than_its_name_says(data_folder, begun, tmp_path):
    folder = data_folder / "mlperf-tiny"
    options = AnalyzeOptions(
        settings=("tflite-float32",),
        variants={"mine": folder / "kws_ref_model_float32.tflite", "int8": folder / "kws_ref_model.tflite"},
        limit=100,
        fallback=True,
        out=begun("kws", tmp_path / "kws.study"),
        layers=False,
        costs=False,
    )
    study = analyze(folder / "kws_ref_model", data=str(data_folder / "kws01" / "kws01.npz"), options=options)
    for runtime in ("python", "node-wasm"):
        assert "named float32, holds int8 weights" in row(study, "mine", runtime).notes
    assert row(study, "int8").notes == ()
    assert {(trial.setting, trial.runtime) for trial in study.failed} <= {("int8", "node-wasm")}
    for trial in study.failed:
        assert "node-cpu" not in trial.failure.reason  # which runs no TFLite: there is nothing to fall back to
