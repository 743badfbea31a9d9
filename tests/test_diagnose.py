"""`quantlab diagnose`: mistakes that are planted in right samples are named first, and right samples are left alone."""

import json
import zipfile

import numpy as np
import pytest
from command_line import quantlab_in_process
from diagnosed_models import CLEAN, made
from onnx_models import predicted

from quantlab import DiagnoseOptions, diagnose
from quantlab.study.diagnosis.words import note_on_labels

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="module")
def fashion_samples(data_folder):
    with np.load(data_folder / "fashion-mnist/test.npz") as file:
        rows = np.arange(0, 10_000, 40)
        return file["x"][rows], file["y"][rows]


@pytest.fixture(scope="module")
def fashion(data_folder, converted):
    """The real model by the kind of its file: to open and export the Keras file takes seconds, that of ONNX nothing."""
    (onnx,) = (converted("fashion") / "variants/onnx-float32").glob("*/artifact/model.onnx")
    return {"Keras": data_folder / "fashion-mnist/fashion_dscnn.keras", "ONNX": onnx}


ORDER = np.array([9, 6, 0, 2, 1, 4, 7, 5, 3, 8])


@pytest.mark.parametrize(
    ("kind", "plant", "named"),
    [
        pytest.param(
            "Keras", lambda x, y: (x / 255.0, y), ("double-rescaling", "without the scaling of 'rescale'"), id="x / 255"
        ),
        pytest.param(
            "Keras", lambda x, y: (x / 127.5 - 1, y), ("double-rescaling", "−1…1 → 0…255"), id="x / 127.5 − 1"
        ),
        pytest.param(
            "ONNX", lambda x, y: (x.transpose(0, 2, 1, 3), y), ("transposed", "rows ↔ columns"), id="transposed"
        ),
        pytest.param("ONNX", lambda x, y: (255 - x, y), ("inverted", "light ↔ dark"), id="inverted grey"),
        pytest.param(
            "ONNX", lambda x, y: (x, ORDER[y]), ("class-order", "classes in another order"), id="order of classes"
        ),
        pytest.param("ONNX", lambda x, y: (x, y + 1), ("off-by-one", "labels − 1"), id="labels from 1"),
        pytest.param("ONNX", lambda x, y: (x, y - 1), ("off-by-one", "labels + 1"), id="labels from −1"),
    ],
)
def test_a_planted_mistake_is_named_first(kind, plant, named, fashion_samples, fashion, tmp_path):
    x, y = plant(*fashion_samples)
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    diagnosis = diagnose(fashion[kind], data=str(tmp_path / "samples.npz"))
    best = diagnosis.tried[0]
    assert (best.family, best.name, best.named) == (*named, True)
    assert diagnosis.headline.startswith(f"{best.cause[0].upper()}{best.cause[1:]}: ")
    assert best.score > 85
    assert diagnosis.score < 40


def test_right_samples_are_left_alone(fashion_samples, fashion, tmp_path):
    x, y = fashion_samples
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    done = quantlab_in_process("diagnose", fashion["Keras"], "--data", "samples.npz", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.status == 0
    assert found["headline"].startswith("No other convention makes more of the samples right beyond chance: ")
    assert [one["name"] for one in found["tried"] if one["named"]] == []
    assert {one["family"] for one in found["tried"]} == {
        "off-by-one",
        "double-rescaling",
        "scale",
        "mean-std",
        "transposed",
        "inverted",
    }


def test_without_labels_nothing_is_said(fashion_samples, fashion, tmp_path):
    np.savez(tmp_path / "samples.npz", x=fashion_samples[0])
    data = str(tmp_path / "samples.npz")
    diagnosis = diagnose(fashion["ONNX"], data=data, options=DiagnoseOptions(limit=20))
    assert diagnosis.headline == (
        f"'{data}' has no labels that the output 'output_0' can be compared with, so nothing tells whether the samples "
        f"are preprocessed as in training; give labels (y in a .npz, or --labels FILE), or the outputs of an app with "
        f"--app"
    )
    assert diagnosis.tried == ()


@pytest.mark.parametrize("kind", CLEAN)
def test_nothing_is_named_on_a_clean_model(kind, tmp_path):
    model, x, y = made(tmp_path, CLEAN[kind])
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    diagnosis = diagnose(model, data=str(tmp_path / "samples.npz"))
    assert diagnosis.score > (0.8 if CLEAN[kind].targets else 70)
    assert len(diagnosis.tried) >= (2 if CLEAN[kind].targets else 4)
    assert [one.name for one in diagnosis.tried if one.named] == []


@pytest.mark.parametrize(
    ("kind", "plant", "name"),
    [
        pytest.param("pixels of −1…1", lambda x: (x + 1) / 2, "0…1 → −1…1", id="0…1 instead of −1…1"),
        pytest.param("pixels of −1…1", lambda x: (x + 1) * 127.5, "0…255 → −1…1", id="0…255 instead of −1…1"),
        pytest.param("pixels of 0…255", lambda x: x / 65025, "0…1/255 → 0…255", id="divided by 255 twice"),
        pytest.param("pixels of −1…1", lambda x: x[..., ::-1], "BGR ↔ RGB", id="BGR"),
        pytest.param("channels first", lambda x: x[:, ::-1], "BGR ↔ RGB", id="BGR with the channels first"),
        pytest.param("grey pixels", lambda x: 1 - x, "light ↔ dark", id="inverted"),
        pytest.param(
            "pixels of 0…1",
            lambda x: np.moveaxis(x, -1, 1).reshape(x.shape),
            "NCHW reshaped to NHWC",
            id="channels first, reshaped",
        ),
        pytest.param(
            "channels first",
            lambda x: np.moveaxis(x, 1, -1).reshape(x.shape),
            "NHWC reshaped to NCHW",
            id="channels last, reshaped",
        ),
        pytest.param("a sequence", lambda x: x / 255, "x · 255", id="divided by 255"),
        pytest.param("a regression", lambda x: x * 32768, "x / 32768", id="integers of audio, in a regression"),
        pytest.param(
            "rows and columns of another length",
            lambda x: x.transpose(0, 2, 1, 3).reshape(x.shape),
            "rows ↔ columns",
            id="columns fed as rows",
        ),
    ],
)
def test_a_planted_convention_is_named_first(kind, plant, name, tmp_path):
    model, x, y = made(tmp_path, CLEAN[kind])
    np.savez(tmp_path / "samples.npz", x=plant(x).astype(np.float32), y=y)
    diagnosis = diagnose(model, data=str(tmp_path / "samples.npz"))
    assert (diagnosis.tried[0].name, diagnosis.tried[0].named) == (name, True)


def test_a_regression_is_judged_by_its_errors(tmp_path):
    model, x, y = made(tmp_path, CLEAN["a regression"])
    np.savez(tmp_path / "samples.npz", x=x * 255, y=y)
    done = quantlab_in_process("diagnose", model, "--data", "samples.npz", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("The samples, from -765 to 765, have another scale than the model wants: R² −")
    assert lines[0].endswith("with the change. To correct it, feed x / 255")
    assert lines[2].split()[:2] == ["convention", "R²"]


@pytest.mark.parametrize(
    ("feed", "give", "cause"),
    [
        pytest.param(lambda x: x, lambda y: y, None, id="nothing"),
        pytest.param(
            lambda x: x[..., ::-1],
            lambda y: y,
            "The app feeds what 'BGR ↔ RGB' makes of the samples: then its outputs are those of the model",
            id="BGR",
        ),
        pytest.param(
            lambda x: (x + 1) / 2,
            lambda y: y.round(2),
            "The app feeds what '−1…1 → 0…1' makes of the samples: then its outputs are nearest to the model's",
            id="another scale, and rounded outputs",
        ),
        pytest.param(
            lambda x: x,
            lambda y: np.exp(y) / np.exp(y).sum(axis=1, keepdims=True),
            "The app applies softmax to probabilities: then its outputs are those of the model",
            id="softmax twice",
        ),
        pytest.param(
            lambda x: x,
            lambda y: np.log(y) + 3,
            "The app gives what is before the softmax: then its outputs are those of the model",
            id="no softmax",
        ),
        pytest.param(
            lambda x: x,
            lambda y: y[:, ::-1],
            "The app gives the elements of the output in another order: then its outputs are those of the model",
            id="outputs in another order",
        ),
    ],
)
def test_what_an_app_does_is_told_by_its_outputs(feed, give, cause, tmp_path):
    model, x, _ = made(tmp_path, CLEAN["pixels of −1…1"])
    np.savez(tmp_path / "samples.npz", x=x)
    fed = np.ascontiguousarray(feed(x), np.float32)
    np.savez(tmp_path / "app.npz", y=give(predicted(model, {"x": fed})[0]))
    options = DiagnoseOptions(app=tmp_path / "app.npz", limit=200)
    diagnosis = diagnose(model, data=str(tmp_path / "samples.npz"), options=options)
    if cause is None:
        assert diagnosis.headline == (
            f"The app computes what the model does in Python on these samples (largest difference "
            f"{diagnosis.app[0].max_abs:.3g}), so its preprocessing is theirs"
        )
        assert (diagnosis.app[0].family, diagnosis.app[0].equal) == ("", True)
    else:
        assert diagnosis.headline.startswith(f"{cause}, with a largest difference of ")


def test_an_app_that_does_something_else_is_not_explained(tmp_path):
    model, x, _ = made(tmp_path, CLEAN["pixels of −1…1"])
    np.savez(tmp_path / "samples.npz", x=x)
    np.savez(tmp_path / "app.npz", y=np.random.default_rng(0).dirichlet(np.ones(6), len(x)))
    options = DiagnoseOptions(app=tmp_path / "app.npz")
    diagnosis = diagnose(model, data=str(tmp_path / "samples.npz"), options=options)
    assert diagnosis.headline.startswith(f"None of {len(diagnosis.app) - 1} conventions reproduces the outputs of the ")
    assert not any(one.named or one.equal for one in diagnosis.app)


@pytest.mark.starts_children
def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path):
    model, x, y = made(tmp_path, CLEAN["pixels of 0…1"])
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    with zipfile.ZipFile(tmp_path / "app.npz", "w") as archive, archive.open("y.npy", "w") as member:
        header = {"descr": "<f8", "fortran_order": True, "shape": (400, 400_000)}
        np.lib.format.write_array_header_1_0(member, header)  # what it says of its size is what counts
    done = quantlab_in_process("diagnose", model, "--data", "samples.npz", "--app", "app.npz", cwd=tmp_path)
    assert done.status == 2
    assert "the array 'y' would take 1,280 MB of memory, many times its part of the file" in done.last


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        pytest.param(
            {"a": np.zeros((400, 6)), "b": np.zeros(3)},
            "'app.npz' has no array 'y', but 'a', 'b'; name the arrays after the outputs of the model",
            id="other names",
        ),
        pytest.param(
            {"y": np.zeros((399, 6))},
            "'app.npz' holds float64 of shape (399, 6) for the output 'y', and 'samples.npz' has 400 samples; give one "
            "output for each sample, in their order",
            id="another number of samples",
        ),
        pytest.param(
            {"y": np.zeros((400, 7))},
            "'app.npz' holds outputs of shape (7,), and the output 'y' of the model has (6,); give the same output of "
            "the app",
            id="another number of classes",
        ),
    ],
)
def test_outputs_of_another_model_are_refused(arrays, sentence, tmp_path):
    model, x, y = made(tmp_path, CLEAN["pixels of 0…1"])
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    np.savez(tmp_path / "app.npz", **arrays)
    done = quantlab_in_process("diagnose", model, "--data", "samples.npz", "--app", "app.npz", cwd=tmp_path)
    assert (done.status, done.last) == (2, f"quantlab: {sentence}")


def test_a_softmax_of_a_softmax_is_told_and_named_as_no_cause(tmp_path):
    clean = CLEAN["pixels of 0…1"]
    model, x, y = made(tmp_path, clean, twice=True)
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    done = quantlab_in_process("diagnose", model, "--data", "samples.npz", cwd=tmp_path)
    assert done.stdout.startswith("No other convention makes more of the samples right beyond chance: ")
    assert "! every row of the output 'y' is the softmax of probabilities, so softmax was applied twice" in done.stdout


def test_whole_numbers_that_one_column_predicts_are_targets(tmp_path):
    model, x, y = made(tmp_path, CLEAN["a regression"])
    np.savez(tmp_path / "samples.npz", x=x / 255, y=(10 * y).round().astype(int))
    diagnosis = diagnose(model, data=str(tmp_path / "samples.npz"))
    assert (diagnosis.metric, diagnosis.tried[0].name) == ("r2", "x · 255")


@pytest.mark.parametrize(
    ("labels", "notes"),
    [
        pytest.param([0, 1, 9], [], id="classes"),
        pytest.param(
            [3, 4, 10],
            ["1 label of 3 is no class of the output: the labels go from 3 to 10, and the output has 10 classes"],
            id="one beyond the last",
        ),
        pytest.param(
            [-5, 1000],
            ["2 labels of 2 are no class of the output: the labels go from -5 to 1000, and the output has 10 classes"],
            id="labels of something else",
        ),
        pytest.param(
            [7, 7],
            [
                (
                    "all 2 labels are 7: a convention with which the model always answers this class would be right, "
                    "so none can be named; give samples of several classes"
                )
            ],
            id="labels of one class",
        ),
    ],
)
def test_labels_that_are_no_classes_are_told(labels, notes):
    assert note_on_labels(np.array(labels), 10) == notes
