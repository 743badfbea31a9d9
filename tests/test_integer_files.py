"""TFLite files with integer inputs and outputs: encoded alike in every runtime, or fed the pixels themselves."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from integer_files import INT8, with_computed_sizes, with_open_batch, with_uint8_ends
from onnx_models import node, port, write

from quantlab.errors import ArtifactError
from quantlab.formats import FORMATS, describe_given
from quantlab.study import AnalyzeOptions, analyze
from quantlab.study.codes import note_half_way, with_raw_pixels
from quantlab.types import Codes, ModelDescription, Preprocessing, SampleSet, TensorSpec

SPECS = [(TensorSpec(name, (None, 3), "float32"),) for name in ("zebra", "yak")]
MODEL = ModelDescription("model", "ONNX", "", SPECS[0], SPECS[1], None)
PIXELS = np.random.default_rng(0).permutation(256)[:255].reshape(85, 3)
SCALE = float(np.float32(2 / 255))


def samples_of(folder: Path, values) -> SampleSet:
    samples = SampleSet(folder, SPECS[0], len(values), False, "", "", len(values), "all")
    np.save(samples.input_file("zebra"), values)
    return samples


@pytest.fixture
def uint8(tmp_path):
    """A file whose input has the scale of pixels between −1 and 1."""
    return with_uint8_ends(tmp_path / "u8.tflite", SCALE, 127)


# Ports


def test_ports_tell_their_codes(uint8):
    (taken,), (given,) = (contents := FORMATS["tflite"].inspect(uint8)).inputs, contents.outputs
    assert (taken.dtype, taken.codes) == ("uint8", Codes(SCALE, 127, 0, 255))
    assert (given.dtype, given.codes.lowest, given.codes.highest) == ("uint8", 0, 255)


def test_a_name_may_mean_the_inputs_and_outputs(uint8, tmp_path):
    """TensorFlow 2 stores weights in int8 where the ends are uint8."""
    assert FORMATS["tflite"].inspect(uint8).weights == {"int8": 1}
    assert describe_given("uint8", uint8, MODEL).notes == ()
    assert describe_given("uint16", uint8, MODEL).notes == ("named uint16, holds int8 weights",)
    shutil.copy(INT8, path := tmp_path / "model_uint8.tflite")
    assert describe_given("mine", path, MODEL).notes == ("named uint8, holds int8 weights",)


# The copy for LiteRT.js


def run_file(path, values):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for row in values:
        interpreter.set_tensor(taken["index"], row[np.newaxis])
        interpreter.invoke()
        results.append(interpreter.get_tensor(given["index"])[0])
    return np.array(results), given["quantization"]


def test_the_copy_computes_what_the_file_computes(tmp_path):
    copy = tmp_path / "copy.tflite"
    note = FORMATS["tflite"].write_for_javascript(INT8, copy)
    assert note == "LiteRT.js takes no int8 inputs and outputs, so a copy of the file ran"
    codes = np.arange(-128, 127, dtype=np.int8).reshape(85, 3)
    expected, (scale, zero_point) = run_file(INT8, codes)
    contents = FORMATS["tflite"].inspect(copy)
    assert [made.dtype for made in (*contents.inputs, *contents.outputs)] == ["float32", "float32"]
    (taken,) = FORMATS["tflite"].inspect(INT8).inputs
    values = (codes.astype(np.float64) - taken.codes.zero_point) * taken.codes.scale
    given, _ = run_file(copy, values.astype(np.float32))
    np.testing.assert_array_equal(given, ((expected.astype(np.float64) - zero_point) * scale).astype(np.float32))


@pytest.mark.parametrize(
    ("prepare", "note"),
    [
        pytest.param(with_uint8_ends, None, id="uint8"),
        pytest.param(
            lambda path: with_open_batch(path, with_uint8_ends(path)),
            "LiteRT.js runs no open batch, so a copy of the file ran",
            id="uint8 with an open batch",
        ),
        pytest.param(
            lambda path: with_open_batch(path, INT8),
            "LiteRT.js takes no int8 inputs and outputs and runs no open batch, so a copy of the file ran",
            id="int8 with an open batch",
        ),
    ],
)
def test_only_what_litert_refuses_is_copied(prepare, note, tmp_path):
    copy = tmp_path / "copy.tflite"
    assert FORMATS["tflite"].write_for_javascript(prepare(tmp_path / "file.tflite"), copy) == note
    assert copy.exists() == (note is not None)
    if copy.exists():
        assert [made.shape for made in FORMATS["tflite"].inspect(copy).inputs] == [(1, 3)]


@pytest.mark.parametrize(("open_batch", "sizes"), [(True, [-1, 3]), (False, [1, 3])])
def test_computed_sizes_become_constants(open_batch, sizes, tmp_path):
    source = with_open_batch(tmp_path / "open.tflite", INT8) if open_batch else INT8
    file, copy = with_computed_sizes(tmp_path / "file.tflite", source), tmp_path / "copy.tflite"
    assert FORMATS["tflite"].write_for_javascript(file, copy)
    constants = {weight.name: weight.stored.tolist() for weight in FORMATS["tflite"].weights(copy)}
    assert constants["quantlab/sizes"] == sizes


# Codes and pixels


@pytest.mark.parametrize(
    ("values", "note"),
    [
        pytest.param(np.float32(PIXELS / 127.5 - 1), True, id="every pixel"),
        pytest.param(np.float32(PIXELS / 255), False, id="other values"),
        pytest.param(np.uint8(PIXELS), False, id="pixels"),
    ],
)
def test_values_between_two_codes_are_noted(values, note, uint8, tmp_path):
    variant = describe_given("mine", uint8, MODEL)
    expected = (
        "most values of 'zebra' lie half-way between two codes, so the outputs depend on how an application rounds; "
        "--variant-input mine=raw feeds the pixels themselves"
    )
    assert note_half_way(variant, samples_of(tmp_path, values)) == ((expected,) if note else ())


def test_an_int8_file_has_no_pixels_to_be_fed(tmp_path):
    shutil.copy(INT8, path := tmp_path / "i8.tflite")
    variant = describe_given("mine", path, MODEL)
    codes = variant.inputs[0].codes
    half = np.float32((np.arange(30).reshape(10, 3) + 0.5) * codes.scale)
    (note,) = note_half_way(variant, samples_of(tmp_path, half))
    assert note.endswith("so the outputs depend on how an application rounds")
    with pytest.raises(ArtifactError) as refused:
        with_raw_pixels(variant, samples_of(tmp_path, half), Preprocessing())
    assert str(refused.value) == (
        f"--variant-input mine=raw is for uint8 inputs, and 'zebra' of '{path}' takes int8; leave the option out"
    )


@pytest.mark.parametrize(
    ("values", "preprocessing", "scale", "offset"),
    [
        pytest.param(np.float32(PIXELS), Preprocessing(), 1, 0, id="p"),
        pytest.param(np.float32(PIXELS / 255), Preprocessing(), 1 / 255, 0, id="p / 255"),
        pytest.param(np.float32(PIXELS / 127.5 - 1), Preprocessing(), 1 / 127.5, -1, id="p / 127.5 − 1"),
        pytest.param(np.float32(PIXELS * 0.017 - 2), Preprocessing(scale=0.017, offset=-2), 0.017, -2, id="declared"),
    ],
)
def test_pixels_are_found_in_the_samples(values, preprocessing, scale, offset, uint8, tmp_path):
    variant = describe_given("mine", uint8, MODEL)
    fed = with_raw_pixels(variant, samples_of(tmp_path, values), preprocessing)
    assert fed.inputs[0].codes == Codes(scale, 0, 0, 255, offset)
    assert fed.notes == (*variant.notes, "fed raw pixels")
    assert note_half_way(fed, samples_of(tmp_path, values)) == ()


def test_samples_that_are_no_pixels(uint8, tmp_path):
    variant = describe_given("mine", uint8, MODEL)
    with pytest.raises(ArtifactError) as refused:
        with_raw_pixels(variant, samples_of(tmp_path, np.float32(PIXELS * 0.017 - 2)), Preprocessing())
    assert str(refused.value) == (
        "--variant-input mine=raw needs samples computed from pixels, and those of 'zebra' are neither p, p / 255 nor "
        "p / 127.5 − 1 for whole p from 0 to 255; give a folder of images with --scale and --offset"
    )


# Every runtime


@pytest.mark.starts_children
def test_every_runtime_encodes_alike(uint8, tmp_path):
    """Most values lie half-way between two codes, where kernels round otherwise."""
    ports = [port("zebra", ["n", 3])], [port("yak", ["n", 3])]
    model = write(tmp_path / "double.onnx", [node("Add", ["zebra", "zebra"], "yak")], ports)
    np.save(tmp_path / "x.npy", np.float32(PIXELS / 127.5 - 1))
    open_batch = with_open_batch(tmp_path / "open.tflite", uint8)
    computed = with_computed_sizes(tmp_path / "computed.tflite", open_batch)
    study = analyze(
        model,
        data=str(tmp_path / "x.npy"),
        options=AnalyzeOptions(
            settings=("onnx-float32",),
            runtimes=("python", "node-wasm", "chromium-wasm"),
            variants={"u8": uint8, "raw": uint8, "i8": INT8, "open": open_batch, "computed": computed},
            variant_inputs={"raw": "raw"},
            layers=False,
            costs=False,
            out=tmp_path / "study",
        ),
    )
    mine = [trial for trial in study.trials if trial.variant.given]
    names = ("u8", "raw", "i8", "open", "computed")
    assert {(trial.setting, trial.failure) for trial in mine} == {(name, None) for name in names}
    assert {trial.max_abs_from_python for trial in mine if trial.runtime != "python"} == {0.0}
    outputs = {trial.setting: np.load(trial.outputs["yak"]) for trial in mine}
    np.testing.assert_array_equal(outputs["u8"], outputs["open"])
    np.testing.assert_array_equal(outputs["u8"], outputs["computed"])
    assert np.any(outputs["u8"] != outputs["raw"])
    copied = {(trial.setting, trial.runtime) for trial in mine if any("copy" in note for note in trial.notes)}
    hosts = ("node-wasm", "chromium-wasm")
    assert copied == {(name, host) for name in ("i8", "open", "computed") for host in hosts}
    assert {(trial.setting, trial.runtime) for trial in mine if "copy" in trial.environment} == copied
