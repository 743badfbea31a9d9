"""Studies of models that are themselves NaN or infinite: the model is blamed first, and no conversion is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import node, port, write
from prepared_study import again, row

from quantlab import AnalyzeOptions, analyze, convert
from quantlab.store import Store
from quantlab.types import Study

pytestmark = pytest.mark.starts_children

NOT_FINITE = "the model itself is not finite: its output 'output_0' is NaN or infinite on "


def study_of(model: Path, tmp_path: Path, arrays: dict[str, Any], *settings: str) -> Study:
    np.savez(tmp_path / "data.npz", **arrays)
    asked = {"settings": settings, "runtimes": ("python",), "layers": False, "costs": False}
    return analyze(model, data=str(tmp_path / "data.npz"), options=AnalyzeOptions(**asked, out=tmp_path / "made.study"))


def indices_of(samples, rows):
    return np.load(samples.folder / "indices.npy")[rows].tolist()


# A weight


@pytest.mark.parametrize(
    ("name", "output", "weight"),
    [
        pytest.param("spoiled_norm.keras", "output_0", "norm/moving_variance", id="Keras 3"),
        pytest.param("spoiled_norm.h5", "last", "norm/moving_variance", id="Keras 2"),
    ],
)
def test_a_weight_that_is_nan_is_named_first(name, output, weight, own_models, tmp_path):
    random = np.random.default_rng(0)
    arrays = {"x": random.normal(size=(100, 16)).astype(np.float32), "y": random.integers(0, 4, 100)}
    study = study_of(own_models / name, tmp_path, arrays, "tflite-float32", "tflite-int8")
    everywhere = (
        f"the model itself is not finite: its output '{output}' is NaN or infinite on all 75 samples of "
        f"'{tmp_path / 'data.npz'}', because of its weight '{weight}' (1 of 8 values is NaN); nothing can "
        f"be compared with that, so correct the model"
    )
    assert study.warnings == (everywhere,)
    assert study.parity == {"tflite": "unknown: the model itself is NaN or infinite on every sample"}
    float32, int8 = row(study, "tflite-float32"), row(study, "tflite-int8")
    assert (float32.scores.n, float32.scores.left_out, float32.scores.left_out_equal) == (0, 75, 75)
    # What it answers is no gain, though it is right by chance on some samples.
    assert (int8.scores.n, int8.scores.top1, int8.scores.wrong_to_right, int8.scores.sqnr_db) == (0, None, None, None)
    assert (
        int8.notes[-1]
        == "NaN or infinite in other places than the model's output on 75 of 75 samples that are left out"
    )
    assert study.reference.scores.non_finite == 75 * 4


def test_a_weight_of_bfloat16_that_is_nan_is_named(own_models, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    study = study_of(own_models / "spoiled_bfloat16.keras", tmp_path, {"x": x}, "tflite-float32")
    assert study.warnings[0] == (
        f"{NOT_FINITE}all 30 samples of '{tmp_path / 'data.npz'}', because of its weight 'first/kernel' (1 of 128 "
        f"values is NaN); nothing can be compared with that, so correct the model"
    )


def test_a_weight_that_is_nan_behind_a_finite_output_is_named_first(own_models, tmp_path):
    """ONNX's ReLU keeps NaN, and no conversion is wrong."""
    x = np.random.default_rng(0).normal(size=(100, 16)).astype(np.float32)
    study = study_of(own_models / "spoiled_hidden.keras", tmp_path, {"x": x}, "onnx-float32")
    warning = (
        f"the model itself is NaN inside on all 75 samples of '{tmp_path / 'data.npz'}', though its output is not, "
        f"because of its weight 'first/kernel' (1 of 128 values is NaN); nothing can be compared with that, so correct "
        f"the model"
    )
    assert study.warnings == (warning,)
    assert study.parity == {"onnx": "unknown: the model itself is NaN or infinite on every sample"}
    scores = row(study, "onnx-float32").scores
    assert (scores.n, scores.left_out, scores.sqnr_db) == (0, 75, None)


# Samples


def silent_samples(n: int = 200) -> dict[str, Any]:
    loudness = np.random.default_rng(0).uniform(0.1, 1, (n, 16)).astype(np.float32)
    loudness[::20, :3] = 0
    return {"x": loudness, "y": np.arange(n) % 3}


@pytest.fixture(scope="module")
def silent(own_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("silent")
    return study_of(own_models / "silent.keras", folder, silent_samples(), "tflite-int8", "onnx-int8")


def silent_ones(samples):
    return [index for index in indices_of(samples, slice(None)) if index % 20 == 0]


def test_nan_behind_a_relu_is_the_models_own(silent):
    """TensorFlow's ReLU answers NaN with 0, and those of TFLite and ONNX with NaN: no conversion is wrong."""
    scored, calibrated = silent_ones(silent.samples), silent_ones(silent.calibration)
    source = silent.samples.source
    hidden = (
        f"the model itself is NaN inside on {len(scored)} of 150 samples ({told_of(scored, source)}), though its "
        f"output is not, first in the tensor 'listener_1/Log'; no score includes these samples, so correct the "
        f"model, or remove the samples"
    )
    calibration = (
        f"the model itself is NaN or infinite inside on {len(calibrated)} of 50 calibration samples "
        f"({told_of(calibrated, source)}), first in the tensor 'listener_1/Log', so static quantization finds no "
        f"finite range; remove these samples, or correct the model"
    )
    assert silent.warnings[:2] == (hidden, calibration)
    assert not any("float32 check failed" in warning for warning in silent.warnings)
    assert {name: text.partition(":")[0] for name, text in silent.parity.items()} == {"tflite": "ok", "onnx": "ok"}
    scores = row(silent, "onnx-float32").scores
    assert (scores.n, scores.left_out, scores.non_finite) == (150 - len(scored), len(scored), 0)
    assert (scores.right_to_wrong, scores.wrong_to_right) == (0, 0)


def told_of(indices, source):
    shown = [str(index) for index in indices[:5]]
    if len(indices) > 5:
        shown.append(f"{len(indices) - 5} more")
    return f"samples {', '.join(shown[:-1])} and {shown[-1]} of '{source}', counted from 0"


def test_a_converter_that_dies_of_calibration_samples_says_so(silent):
    calibrated = silent_ones(silent.calibration)
    reason = row(silent, "tflite-int8").failure.reason
    assert reason.startswith(
        f"the model itself is NaN or infinite inside on {len(calibrated)} of 50 calibration samples "
        f"({told_of(calibrated, silent.samples.source)}), first in the tensor 'listener_1/Log', so static "
        f"quantization finds no finite range, and the converter died of it: while it converted, the process was ended "
        f"by SIGSEGV"
    )
    assert reason.endswith("; remove these samples, or correct the model")


def test_convert_says_so_too(own_models, tmp_path):
    np.savez(tmp_path / "some.npz", x=silent_samples(40)["x"])
    options = AnalyzeOptions(settings=("tflite-int8",), calibration=str(tmp_path / "some.npz"))
    failure = convert(own_models / "silent.keras", out=tmp_path / "made", options=options)["tflite-int8"]
    assert failure.reason.startswith(
        f"the model itself is NaN or infinite inside on 2 of 40 calibration samples (samples 0 and 20 of "
        f"'{tmp_path / 'some.npz'}', counted from 0), first in the tensor 'listener_1/Log', so static quantization "
        f"finds no finite range, and the converter died of it: "
    )


def masked_log(path: Path) -> Path:
    """y = log(x) − mean(log(x)), beside a softmax with a mask of −∞ that is meant, in ONNX."""
    mask = np.array([-np.inf, 0, 0, 0], np.float32)
    return write(
        path,
        [
            node("Add", ["x", "mask"], "masked"),
            node("Softmax", ["masked"], "attention", axis=1),
            node("Log", ["x"], "log"),
            node("Add", ["attention", "log"], "both"),
            node("ReduceMean", ["both"], "mean", axes=[1]),
            node("Sub", ["both", "mean"], "y"),
        ],
        ([port("x", ["n", 4])], [port("y", ["n", 4])]),
        {"mask": mask},
    )


def overflowing(path: Path) -> Path:
    """y = x · w + 1 / exp(90 x), in ONNX: from x = 1 on, exp is infinite in float32, and its inverse 0."""
    weights = {"w": np.eye(4, dtype=np.float32), "ninety": np.array(90, np.float32)}
    return write(
        path,
        [
            node("Mul", ["x", "ninety"], "large"),
            node("Exp", ["large"], "grown"),
            node("Reciprocal", ["grown"], "shrunk"),
            node("MatMul", ["x", "w"], "product"),
            node("Add", ["product", "shrunk"], "y"),
        ],
        ([port("x", ["n", 4])], [port("y", ["n", 4])]),
        weights,
    )


@pytest.mark.parametrize("every", [20, 1])
def test_calibration_samples_that_make_an_activation_infinite_are_named_though_no_row_suffers(every, tmp_path):
    x = np.random.default_rng(0).uniform(0, 0.9, (200, 4)).astype(np.float32)
    x[::every, 0] = 1
    study = study_of(overflowing(tmp_path / "overflowing.onnx"), tmp_path, {"x": x}, "onnx-int8")
    assert row(study, "onnx-int8").scores.sqnr_db > 20
    named = [index for index in indices_of(study.calibration, slice(None)) if index % 20 == 0]
    warning = (
        f"the model itself is NaN or infinite inside on {len(named)} of 50 calibration samples "
        f"({told_of(named, tmp_path / 'data.npz')}), first in the tensor 'grown', so static quantization finds no "
        f"finite range; remove these samples, or correct the model"
    )
    # Infinity on all samples may be a mask that is meant.
    assert study.warnings == ((warning,) if every == 20 else ())


def test_a_variant_that_is_nan_where_the_model_is_counts_as_equal(tmp_path):
    x = np.random.default_rng(0).uniform(0.1, 1, (100, 4)).astype(np.float32)
    x[::10, 0] = 0
    study = study_of(masked_log(tmp_path / "masked_log.onnx"), tmp_path, {"x": x}, "onnx-float32")
    zero = [index for index in indices_of(study.samples, slice(None)) if index % 10 == 0]
    warning = (
        f"the model itself is not finite: its output 'y' is NaN or infinite on {len(zero)} of 75 samples "
        f"({told_of(zero, tmp_path / 'data.npz')}), first in the tensor 'log'; no score includes these samples, so "
        f"correct the model, or remove the samples"
    )
    assert study.warnings == (warning,)
    float32 = row(study, "onnx-float32")
    assert study.parity == {"onnx": "ok: 0"}
    assert (float32.scores.n, float32.scores.left_out, float32.scores.left_out_equal) == (
        75 - len(zero),
        len(zero),
        len(zero),
    )
    # The mask of the model is meant: its note is the only one.
    note = "weight 'mask' holds 1 value that is not finite in float32"
    assert (float32.notes, float32.scores.non_finite) == ((note,), 0)
    (known,) = study.non_finite
    assert (known.output, known.samples, known.of, list(known.names.indices)) == ("y", len(zero), 75, zero)


def test_layers_are_compared_where_the_model_is_finite(tmp_path):
    x = np.random.default_rng(0).uniform(0.1, 1, (100, 4)).astype(np.float32)
    x[::10, 0] = 0
    np.savez(tmp_path / "data.npz", x=x)
    options = AnalyzeOptions(settings=("onnx-float32",), runtimes=("python",), costs=False, out=tmp_path / "y.study")
    study = analyze(masked_log(tmp_path / "masked_log.onnx"), data=str(tmp_path / "data.npz"), options=options)
    inside = Store(tmp_path / "y.study").read_inside()
    assert inside.samples == 75 - study.reference.scores.left_out
    assert inside.drawn == "all on which the model is finite"
    by_tensor = {layer.tensor: layer for layer in inside.layers if layer.baseline == "reference"}
    assert (by_tensor["log"].non_finite, by_tensor["log"].sqnr_db) == (0, np.inf)
    (split,) = (part for part in inside.split if part.measure == "rms")
    assert split.total == 0


# Models that are finite


def test_a_finite_model_has_no_new_warning(place):
    study, _ = again(place, settings=("tflite-int8",), runtimes=("python",))
    assert (study.warnings, study.non_finite) == ((), ())
    assert row(study, "tflite-int8").scores.left_out is None
