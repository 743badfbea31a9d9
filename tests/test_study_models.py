"""Studies of models of every task and kind of input, and the warnings above their tables."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept import shared_once
from prepared_study import again, row
from study_fixtures import Heard, outputs_of, read_study

from quantlab import AnalyzeOptions, ModelOptions, analyze
from quantlab.errors import UsageError
from quantlab.gate import gather
from quantlab.types import Budget, Study
from quantlab_reports.views.trials import heading

pytestmark = pytest.mark.starts_children


# What is said above the table


def with_labels(place: Path, change: Any) -> str:
    with np.load(place / "digits.npz") as held:
        np.savez(place / "other.npz", x=held["x"], y=change(held["y"]))
    return "other.npz"


def test_a_reference_near_chance_is_said_to_be(place):
    data = with_labels(place, lambda labels: np.random.default_rng(0).permutation(labels))
    study, _ = again(place, data=data, settings=("tfjs-uint8",), runtimes=("python",))
    assert len(study.warnings) == 1
    top1 = study.reference.scores.top1
    assert top1 < 15
    counts = np.bincount(np.load(study.samples.labels_file))
    chance = 100 * counts.max() / study.samples.n
    assert study.warnings[0] == (
        f"the model itself is right on {top1:.1f} % of the samples, and always answering class "
        f"{counts.argmax()} would be right on {chance:.1f} %; check that the samples are preprocessed as in "
        f"training (scale 0–255 or 0–1, mean, colour order) and that the labels have the order of the outputs; "
        f"'quantlab diagnose' tries which of these it is"
    )


def test_a_good_reference_is_not_warned_of(place):
    assert read_study(place / "digits.study").warnings == ()


def own(own_models: Path, tmp_path: Path, name: str, arrays: Mapping[str, Any], **options: Any) -> Study:
    """A study of one of the models made on the spot, its float32 TFLite file in Python unless told otherwise."""
    np.savez(tmp_path / "data.npz", **arrays)
    asked = {"settings": ("tflite-float32",), "runtimes": ("python",), "layers": False, "costs": False, **options}
    return analyze(
        own_models / name,
        data=str(tmp_path / "data.npz"),
        options=AnalyzeOptions(**asked, out=tmp_path / f"{name}.study"),
    )


def test_the_study_of_a_version_is_named_after_the_model(small_models, tmp_path, monkeypatch):
    """As TensorFlow Serving lays models out: the folder of a SavedModel is its version."""
    small = small_models["one_signature"]
    shutil.copytree(small.path, tmp_path / "serving" / "kws" / "1")
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", **{name: np.concatenate([array] * 20) for name, array in small.inputs.items()})
    options = AnalyzeOptions(settings=("tfjs-float32",), runtimes=("python",), layers=False, costs=False)
    study = analyze("serving/kws/1", data="data.npz", options=options)
    assert Path("kws-1.study", "study.json").is_file()
    assert gather(study, Budget(max_size="1MB"), settings=["tfjs-float32"]).verdict.study == "kws-1"


def test_a_model_that_throws_dice_is_reported_before_anything_else(own_models, tmp_path):
    values = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    study = own(own_models, tmp_path, "noisy", {"values": values})
    assert study.warnings[0].startswith(
        "the model is not repeatable: a second call on the same samples gives other outputs (by up to "
    )
    assert study.warnings[0].endswith(
        ", because of 'random_normal' (RandomStandardNormal, draws random numbers); turn off random ops such as "
        "dropout, because they change every figure below"
    )
    assert heading(study)[0] == f"! {study.warnings[0]}"


def test_a_model_that_looks_at_its_neighbours_is_reported(own_models, tmp_path):
    values = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    study = own(own_models, tmp_path, "crowd", {"values": values})
    assert study.warnings[0].startswith("the model gives other outputs for a sample alone than in a batch (by up to ")
    assert study.warnings[0].endswith(
        ", because of 'Mean' (Mean, computes statistics of the batch); remove statistics over the batch, because "
        "TFLite and ONNX files run one sample at a time"
    )
    assert study.warnings[1].startswith(
        "float32 check failed: tflite differs from the model in float32, before any quantization: "
    )


@pytest.mark.parametrize(("signature", "factor"), [("doubled", 2), ("tripled", 3)])
def test_each_signature_has_outputs_of_its_own(signature, factor, own_models, tmp_path_factory):
    with shared_once(tmp_path_factory, "twice-study") as (folder, _):  # the same study for both
        values = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
        study = own(own_models, folder, "twice", {"values": values}, model=ModelOptions(signature))
    assert study.failed == ()
    scored = np.load(study.samples.input_file("values"))
    for setting in ("reference", "tflite-float32"):
        np.testing.assert_array_equal(outputs_of(study, setting, "python"), factor * scored)


# Tasks, inputs and outputs


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Where the studies of the model with two inputs and two outputs are made, and its samples."""
    random = np.random.default_rng(0)
    high = random.integers(2**28, 2**29, (200, 1), dtype=np.int32)
    arrays = {
        "counts": np.concatenate([high, high - random.integers(0, 50, (200, 1), dtype=np.int32)], axis=1),
        "values": random.normal(size=(200, 4)).astype(np.float32),
    }
    return tmp_path_factory.mktemp("ports"), arrays


def answers(own_models: Path, arrays: Mapping[str, Any]) -> Any:
    """What the model with two outputs is to answer, each before its last function, in float64."""
    with np.load(own_models / "ports-weights.npz") as held:
        apart = arrays["counts"][:, :1] - arrays["counts"][:, 1:]
        return np.concatenate([arrays["values"], apart], axis=1).astype(np.float64) @ held["weights"]


def test_of_several_outputs_one_is_chosen(ports, own_models):
    folder, arrays = ports
    with pytest.raises(UsageError) as refused:
        own(own_models, folder, "ports", arrays)
    assert str(refused.value) == (
        f"'{own_models / 'ports'}' has the outputs 'price', 'spam'; choose the scored output with --score-output"
    )


def test_a_regression(ports, own_models):
    folder, arrays = ports
    price = answers(own_models, arrays)[:, :1]
    labels = price + np.where(np.arange(200)[:, None] % 2, 3.0, -1.0)
    asked = {"score_output": "price", "settings": ("tfjs-uint8", "tfjs-float16"), "runtimes": ("python", "node-wasm")}
    study = own(own_models, folder, "ports", {**arrays, "y": labels}, **asked)
    assert (study.task, study.classes, study.failed) == ("regression", False, ())
    chosen = np.load(study.samples.folder / "indices.npy")
    reference, labels = outputs_of(study, "reference", "python"), labels[chosen]
    np.testing.assert_allclose(reference, price[chosen], rtol=1e-5, atol=1e-5)
    assert study.reference.scores.mae == pytest.approx(np.abs(reference - labels).mean(), rel=1e-12)
    assert study.reference.scores.rmse == pytest.approx(np.sqrt(((reference - labels) ** 2).mean()), rel=1e-12)
    for trial in study.trials:
        candidate = outputs_of(study, trial.setting, trial.runtime).astype(np.float64)
        mae = np.abs(candidate - labels).mean()
        assert trial.scores.mae == pytest.approx(mae, rel=1e-12)
        assert trial.scores.mae_loss == pytest.approx(mae - study.reference.scores.mae, abs=1e-9)
        assert trial.scores.top1 is None
    assert row(study, "tfjs-uint8").scores.max_abs_error > row(study, "tfjs-float16").scores.max_abs_error


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda price: price / 1000, "the targets seem to be in another unit than the model's ", id="unit"),
        pytest.param(
            lambda price: price[::-1], "the model itself predicts the targets no better than ", id="unrelated"
        ),
        pytest.param(lambda price: price, None, id="as trained"),
    ],
)
def test_targets_that_do_not_suit_the_model_are_said_to_be(change, words, ports, own_models):
    folder, arrays = ports
    labels = change(answers(own_models, arrays)[:, :1])
    asked = {"score_output": "price", "settings": ("tfjs-float32",)}
    study = own(own_models, folder, "ports", {**arrays, "y": labels}, **asked)
    check = study.reference_check.targets[0]
    assert [text[: len(words or "")] for text in study.warnings] == ([words] if words else [])
    predicted = outputs_of(study, "reference", "python").astype(np.float64)
    chosen = np.load(study.samples.folder / "indices.npy")
    assert check.error == pytest.approx(np.mean((predicted - labels[chosen]) ** 2), rel=1e-6, abs=1e-9)
    assert check.mean_error == pytest.approx(labels[chosen].var(), rel=1e-6)


def test_integers_reach_every_runtime_as_they_are(ports, own_models):
    folder, arrays = ports
    study = own(
        own_models,
        folder,
        "ports",
        arrays,
        score_output="price",
        settings=("tfjs-float32", "tflite-float32"),
        runtimes=None,
    )
    price = answers(own_models, arrays)[np.load(study.samples.folder / "indices.npy"), :1]
    assert [(trial.setting, trial.runtime) for trial in study.trials if trial.failure is None] == [
        ("tfjs-float32", "python"),
        ("tfjs-float32", "node-wasm"),
        ("tflite-float32", "python"),
        ("tflite-float32", "node-wasm"),
    ]
    for trial in study.trials:
        np.testing.assert_allclose(outputs_of(study, trial.setting, trial.runtime), price, rtol=1e-5, atol=1e-5)


def test_a_yes_or_no_of_one_number(ports, own_models):
    folder, arrays = ports
    labels = (answers(own_models, arrays)[:, 1] > 0).astype(np.int64)
    labels[:20] = 1 - labels[:20]  # a tenth is wrong
    study = own(own_models, folder, "ports", {**arrays, "y": labels}, score_output="spam", settings=("tfjs-uint8",))
    chosen = np.load(study.samples.folder / "indices.npy")
    wrong = int((chosen < 20).sum())
    assert (study.task, study.classes, study.failed) == ("classification", True, ())
    assert study.reference.scores.top1 == pytest.approx(100 * (study.samples.n - wrong) / study.samples.n)
    assert study.reference.scores.top5 is None
    assert row(study, "tfjs-float32").scores.agreement == 100


# Where WebAssembly lacks an op


def test_an_op_that_webassembly_lacks_costs_its_row_and_falls_back_when_told(own_models, tmp_path):
    words = np.random.default_rng(0).normal(size=(40, 6, 4)).astype(np.float32)
    asked = {"settings": ("tfjs-float32",), "runtimes": ("python", "node-wasm")}
    study = own(own_models, tmp_path, "attention.keras", {"words": words}, **asked)
    failed = row(study, "tfjs-float32", "node-wasm")
    assert row(study, "tfjs-float32").status == "measured"
    assert failed.status == "failed"
    assert "Einsum" in failed.failure.reason
    assert "attention" in failed.failure.reason
    assert "--fallback" in failed.failure.reason

    heard = Heard()
    options = AnalyzeOptions(**asked, out=tmp_path / "attention.keras.study", fallback=True, layers=False, costs=False)
    study = analyze(own_models / "attention.keras", data=str(tmp_path / "data.npz"), options=options, progress=heard)
    fallen = row(study, "tfjs-float32", "node-wasm")
    assert (fallen.status, fallen.ran_on, fallen.notes) == ("measured", "node-cpu", ("ran on node-cpu",))
    assert fallen.max_abs_from_python < 1e-5
    assert heard.ended["run tfjs-float32 in python"] == "kept"
