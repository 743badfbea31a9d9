"""Complete studies of ONNX models, written with onnx.helper or exported by PyTorch."""

import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx_models import SCHEMES, exported_by_torch, node, pictures, port, predicted, samples, write

from quantlab import AnalyzeOptions, Budget, analyze, judge, recommend
from quantlab.gate.judging import recipe
from quantlab.settings import SETTINGS
from quantlab.store import Store

pytestmark = pytest.mark.starts_children

NAMES = [f"onnx-{scheme}" for scheme in SCHEMES]
RUNTIMES = ("python", "node-wasm")
PLAIN = AnalyzeOptions(runtimes=("python",), layers=False, costs=False)


def with_data(model: Path) -> Path:
    """Samples beside a model, labelled as it says."""
    fed = samples(200)
    np.savez(model.with_name("data.npz"), **fed, y=predicted(model, fed)[0].argmax(axis=1))
    return model


def data_of(model: Path) -> str:
    return str(model.with_name("data.npz"))


MAKERS = {
    "onnx.helper": pictures,
    "PyTorch by TorchScript": lambda path: exported_by_torch(path, "script"),
    "PyTorch by torch.export": lambda path: exported_by_torch(path, "dynamo"),
}


@pytest.fixture(scope="module", params=list(MAKERS))
def studied(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("studied")
    model = with_data(MAKERS[request.param](folder / "model.onnx"))
    options = AnalyzeOptions(costs=False, layer_samples=24, out=folder / "model.study")
    return model, analyze(model, data=data_of(model), options=options), Store(folder / "model.study")


def test_the_table(studied):
    """Without a word on settings, those that can be made; the float32 file is the model, everywhere."""
    _, study, _ = studied
    assert study.failed == ()
    assert [(row.setting, row.runtime) for row in study.trials] == [(name, at) for name in NAMES for at in RUNTIMES]
    assert study.model.kind == "ONNX"
    assert {name: text.partition(":")[0] for name, text in study.parity.items()} == {"onnx": "ok"}
    float32 = [row for row in study.trials if row.setting == "onnx-float32"]
    assert all(row.scores.max_abs_error < 1e-5 for row in float32)
    assert all(row.max_abs_from_python is None or row.max_abs_from_python < 1e-4 for row in study.trials)
    assert all(row.variant.notes == () for row in study.trials)


def test_layers_are_aligned_or_have_their_reason(studied):
    """A layer that has a tensor in one setting is listed in all of them."""
    _, _, store = studied
    inside = store.read_inside()
    layers = {row.layer for row in inside.layers if row.aligned}
    assert len(layers) >= 7
    for name in NAMES:
        for runtime in RUNTIMES:
            rows = [
                row for row in inside.layers if (row.setting, row.runtime, row.baseline) == (name, runtime, "reference")
            ]
            assert [row for row in rows if row.aligned is not (row.reason is None)] == []
            assert layers <= {row.layer for row in rows}
            aligned = [row for row in rows if row.aligned]
            assert len(aligned) >= 5
            assert all(math.isfinite(row.mean_abs) and row.count for row in aligned)


def test_reading_inside_leaves_the_answers(studied):
    """Where it does not, the reader is told: half floats are rounded where they are read, and elsewhere not always."""
    _, _, store = studied
    notes = store.read_inside().notes
    assert [note for note in notes if not note.startswith("onnx-float16 in ")] == []
    said = (" answers differently while its tensors are read, by up to ", " computes half floats in float32, so ")
    assert all(any(words in note for words in said) for note in notes)


def test_weights_are_compared(studied):
    _, _, store = studied
    rows = {name: [row for row in store.read_inside().weights if row.setting == name] for name in NAMES}
    assert {row.dtype for row in rows["onnx-dynamic"] if row.scale is not None} == {"int8"}
    assert {row.dtype for row in rows["onnx-int8"] if row.scale is not None} == {"int8", "int32"}
    assert {row.tensor for row in rows["onnx-float32"] if row.dtype == "float32"}
    assert {row.reason for row in rows["onnx-float32"]} == {"it is the float32 variant"}
    assert all(row.sqnr_db > 30 for name in NAMES for row in rows[name] if row.sqnr_db is not None)


def test_the_split_adds_up(studied):
    _, _, store = studied
    rows = store.read_inside().split
    assert {(row.setting, row.runtime) for row in rows} == {(name, at) for name in NAMES for at in RUNTIMES}
    for row in rows:
        assert row.reason is None
        parts = (row.conversion, row.quantization, row.runtime_part)
        assert math.fsum(parts) == pytest.approx(row.total, abs=1e-12)
        assert row.conversion == pytest.approx(0, abs=1e-6)


def test_the_verdict(studied):
    _, study, store = studied
    assert judge(study, Budget(max_accuracy_loss="50pt")).outcome == "fits"
    assert recommend(store.root, Budget(max_accuracy_loss="50pt")).setting in NAMES
    strict = judge(study, Budget(max_size="1KB"), settings=["onnx-int8"])
    assert (strict.outcome, strict.recommended) == ("breaks", None)


@pytest.mark.parametrize("setting", NAMES)
def test_a_recipe_makes_the_same_bytes(setting, studied, tmp_path):
    _, study, store = studied
    text = recipe(store, study, setting)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    names = ("model.onnx", "source.onnx", "float32.onnx", setting)
    for name in names:
        (tmp_path / name).write_text("the user's")
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shipped = next(row.variant.path for row in study.trials if row.setting == setting)
    made = tmp_path / done.stdout.splitlines()[-1]
    assert made.read_bytes() == shipped.read_bytes()
    assert [(tmp_path / name).read_text() for name in names] == ["the user's"] * len(names)


def by_hand(path: Path) -> Path:
    """With the inputs and outputs of that model, and nothing of what it does."""
    nodes = [
        node("ReduceMean", ["image"], "mean", axes=[1, 2], keepdims=0),
        node("MatMul", ["mean", "matrix"], "output_0"),
    ]
    ports = [port("image", ["batch", 8, 8, 2])], [port("output_0", ["batch", 5])]
    return write(path, nodes, ports, {"matrix": np.ones((2, 5), np.float32)})


def test_a_model_from_tensorflow(workbench, tmp_path):
    """ONNX beside the format that it is compared with, of a model with convolutions and batch norms."""
    small = workbench.models["conv"]
    np.savez(tmp_path / "data.npz", **{name: np.tile(array, (8, 1, 1, 1)) for name, array in small.inputs.items()})
    settings = (*NAMES, "tflite-float32")
    own = {"mine": by_hand(tmp_path / "mine.onnx")}
    options = AnalyzeOptions(settings=settings, variants=own, costs=False, layer_samples=8, out=tmp_path / "conv.study")
    study = analyze(small.path, data=str(tmp_path / "data.npz"), options=options)
    assert study.failed == ()
    assert {name: text.partition(":")[0] for name, text in study.parity.items()} == {
        "onnx": "ok",
        "tflite": "ok",
        "mine": "broken",  # it does something else, in floats
    }
    float32 = [row for row in study.trials if row.setting == "onnx-float32"]
    assert {row.runtime for row in float32} == set(RUNTIMES)
    assert all(row.scores.max_abs_error < 1e-5 for row in float32)
    mine = [row for row in study.trials if row.setting == "mine"]
    assert [(row.runtime, row.variant.format, row.variant.given) for row in mine] == [
        (runtime, "onnx", True) for runtime in RUNTIMES
    ]
    inside = Store(tmp_path / "conv.study").read_inside()
    assert (
        "no isolated errors of mine in python: the file is not from this study, so its ops need not be those of the "
        "float32 file"
    ) in inside.notes
    layers = inside.layers
    aligned = {name: {row.layer for row in layers if row.setting == name and row.aligned} for name in settings}
    listed = {name: {row.layer for row in layers if row.setting == name} for name in settings}
    assert len(aligned["onnx-float32"]) >= len(aligned["tflite-float32"]) >= 6
    assert all(aligned["onnx-float32"] <= listed[name] for name in NAMES)


# Of one small model, in Python alone


@pytest.fixture
def model(tmp_path):
    return with_data(pictures(tmp_path / "model.onnx"))


def run(model: Path, **changed):
    options = replace(PLAIN, **{"out": model.with_name("model.study"), "settings": ("onnx-float32",), **changed})
    return analyze(model, data=data_of(model), options=options)


def test_all_settings_say_why_they_cannot_be_made(model):
    study = run(model, settings=tuple(name for name, setting in SETTINGS.items() if not setting.tuned))
    reasons = {row.setting: row.failure.reason for row in study.failed}
    assert reasons == {
        name: f"{setting.format} is made from TensorFlow models, and no maintained converter makes it from ONNX; give "
        "the model that 'model.onnx' was exported from, or leave this setting out"
        for name, setting in SETTINGS.items()
        if setting.format != "onnx" and not setting.tuned
    }
    assert [row.setting for row in study.trials if row.failure is None] == NAMES


def test_answers_do_not_depend_on_the_batch(model):
    """Dynamic quantization takes its range from all that is run at once."""
    asked = {"settings": tuple(NAMES), "runtimes": ("python", "node-wasm")}
    one, many = (run(model, **asked, batch_size=size) for size in (1, 64))
    assert (one.batch_size, many.batch_size) == (1, 64)
    assert len(one.trials) == 8
    for row, other in zip(one.trials, many.trials, strict=True):
        assert row.outputs != other.outputs  # neither was taken for the other
        assert np.array_equal(*(np.load(trial.outputs["scores"]) for trial in (row, other)))


def test_int8_is_calibrated_on_the_samples_given(model):
    """Others give other scales of activations, and the same of weights."""
    np.savez(model.with_name("other.npz"), picture=10 * samples(20, seed=9)["picture"])

    def scales(**changed):
        study = run(model, settings=("onnx-int8",), **changed)
        path = next(row.variant.path for row in study.trials if row.setting == "onnx-int8")
        tensors = {
            initializer.name: numpy_helper.to_array(initializer) for initializer in onnx.load(path).graph.initializer
        }
        return tensors["picture_scale"], tensors["filter_scale"]

    activation, weight = scales()
    wider, same = scales(calibration=str(model.with_name("other.npz")))
    assert wider > 2 * activation
    assert np.array_equal(weight, same)


def test_a_model_that_was_moved_is_read_where_it_is(model):
    """Another lies where it was."""
    run(model, out=model.with_name("kept.study"))
    moved = Path(shutil.move(model, model.with_name("moved.onnx")))
    nodes = [node("GlobalAveragePool", ["picture"], "mean"), node("Flatten", ["mean"], "scores")]
    write(model, nodes, ([port("picture", ["batch", 2, 8, 8])], [port("scores", ["batch", 2])]))
    study = run(moved, settings=("onnx-float32", "onnx-dynamic"), out=model.with_name("kept.study"))
    assert study.failed == ()
    assert study.parity["onnx"].startswith("ok")


# Variants that are brought


def external(path: Path) -> Path:
    return pictures(path, save_as_external_data=True, location="mine.bin", size_threshold=0)


def of_integers(path: Path) -> Path:
    nodes = [
        node("Cast", ["picture"], "floats", to=TensorProto.FLOAT),
        node("GlobalAveragePool", ["floats"], "mean"),
        node("Flatten", ["mean"], "flat"),
        node("MatMul", ["flat", "matrix"], "scores"),
    ]
    ports = [port("picture", ["batch", 2, 8, 8], TensorProto.INT32)], [port("scores", ["batch", 5])]
    return write(path, nodes, ports, {"matrix": np.ones((2, 5), np.float32)})


def of_two_inputs(path: Path) -> Path:
    shape = ["batch", 2, 8, 8]
    nodes = [node("Add", ["left", "right"], "sum"), node("GlobalAveragePool", ["sum"], "scores")]
    return write(path, nodes, ([port("left", shape), port("right", shape)], [port("scores", ["batch", 2, 1, 1])]))


def of_another_size(path: Path) -> Path:
    nodes = [node("GlobalAveragePool", ["picture"], "mean"), node("Flatten", ["mean"], "scores")]
    return write(path, nodes, ([port("picture", ["batch", 2, 8, 8])], [port("scores", ["batch", 2])]))


def without_its_data(path: Path) -> Path:
    external(path)
    path.with_name("mine.bin").unlink()
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(pictures, None, id="the model itself"),
        pytest.param(external, None, id="external data"),
        pytest.param(
            of_integers,
            "the input 'picture' of the file takes int32, and the samples are float32; give a file with the "
            "dtypes of the model's inputs",
            id="integers where the samples are floats",
        ),
        pytest.param(
            of_two_inputs,
            "'{path}' has the inputs 'left' (None, 2, 8, 8), 'right' (None, 2, 8, 8), but the model "
            "has 'picture' (None, 2, 8, 8); give an artifact that was made from this model",
            id="two inputs",
        ),
        pytest.param(
            of_another_size,
            "the output 'scores' of '{path}' has the shape (None, 2), but the model's has (None, 5); "
            "give an artifact that was made from this model",
            id="an output of another size",
        ),
        pytest.param(
            without_its_data,
            "'{path}' stores weights in 'mine.bin', which is missing in its folder; copy that file there too",
            id="external data missing",
        ),
    ],
)
def test_a_variant_of_the_users_own(make, reason, model):
    path = make(model.parent / "brought" / "mine.onnx")
    study = run(model, variants={"mine": path})
    (row,) = [row for row in study.trials if row.setting == "mine"]
    assert (row.failure and row.failure.reason) == (reason and reason.format(path=path))
    if reason is None:
        assert row.scores.max_abs_error == 0
        assert row.variant.size_bytes == sum(file.stat().st_size for file in path.parent.iterdir())
