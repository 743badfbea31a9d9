"""`quantlab inspect`: what each call of a small model and its artifacts comes to, in real libraries."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="module")
def conv_sheet(small_models, tmp_path_factory):
    """The sheet of a small network in Python and Node.js, as JSON."""
    folder = tmp_path_factory.mktemp("inspect")
    model = small_models["conv"]
    np.savez(folder / "samples.npz", **model.inputs)
    done = quantlab_in_process(
        "inspect", model.path, "--data", "samples.npz", "--runtimes", "python,node-wasm", "--json", cwd=folder
    )
    assert (done.status, done.last) == (0, done.last)
    return json.loads(done.stdout)


def outcomes(sheet, artifact, runtime):
    rows = [row for row in sheet["calls"] if (row["artifact"], row["runtime"]) == (artifact, runtime)]
    return {row["call"]: row for row in rows}


def test_ports_have_the_names_of_each_artifact_and_the_ranges_that_were_seen(conv_sheet, small_models):
    (values,) = small_models["conv"].inputs.values()
    inputs = [port for port in conv_sheet["ports"] if port["direction"] == "input"]
    assert {port["artifact"] for port in inputs} == {"model", "signature", "tfjs-float32", "tflite-float32"}
    for port in inputs:
        assert (port["lowest"], port["highest"], port["samples"]) == (
            float(values.min()),
            float(values.max()),
            len(values),
        )


@pytest.mark.parametrize(
    ("artifact", "runtime", "call", "outcome", "detail"),
    [
        pytest.param(
            "tflite-float32",
            "python, set_tensor",
            "in order, without names",
            "same answer",
            "",
            id="set_tensor takes inputs in order",
        ),
        pytest.param(
            "tflite-float32",
            "python, set_tensor",
            "the same numbers as float64",
            "refused",
            "Cannot set tensor: Got value of type FLOAT64 but expected type FLOAT32 for input 0, "
            "name: serving_default_image:0",
            id="set_tensor takes no float64",
        ),
        pytest.param(
            "model", "model(x)", "the same numbers as float64", "same answer", "", id="Keras casts float64 to float32"
        ),
        pytest.param(
            "model",
            "model(x)",
            "cut to uint8: fractions are lost",
            "another answer",
            "",
            id="Keras takes integers without an error",
        ),
        pytest.param(
            "tfjs-float32", "node-wasm", "a dictionary: 'image'", "same answer", "", id="tfjs takes inputs by name"
        ),
        pytest.param(
            "tfjs-float32",
            "node-wasm",
            "whole numbers 0 to 9 as uint8",
            "refused",
            "The dtype of dict['image'] provided in model.execute(dict) must be float32, but was int32",
            id="tfjs makes int32 of bytes and refuses it",
        ),
        pytest.param(
            "tflite-float32",
            "node-wasm",
            "the same numbers as float64",
            "refused",
            "Typed array Float64Array is not supported.",
            id="LiteRT.js takes no float64",
        ),
        pytest.param(
            "signature",
            "python",
            "a dictionary with 'image_0'",
            "refused",
            "Binding inputs to tf.function failed due to `missing a required argument: 'image'`.",
            id="a signature knows its inputs by name",
        ),
    ],
)
def test_what_libraries_make_of_a_call(artifact, runtime, call, outcome, detail, conv_sheet):
    row = outcomes(conv_sheet, artifact, runtime)[call]
    assert (row["outcome"], row["detail"]) == (outcome, detail)


def test_the_right_call_of_every_artifact_answers_as_the_model(conv_sheet):
    rows = [row for row in conv_sheet["calls"] if row["family"] == "right call"]
    assert {row["outcome"] for row in rows} == {"same answer"}
    assert {row["artifact"] for row in rows} == {"model", "signature", "tfjs-float32", "tflite-float32"}


def test_a_call_that_ends_the_process_costs_one_row(conv_sheet):
    """The first convolution of the signature aborts the process on a wrong rank; later calls are answered."""
    rows = outcomes(conv_sheet, "signature", "python")
    ended = [call for call, row in rows.items() if row["detail"].startswith("the process was ended by SIGABRT")]
    assert ended != []
    assert rows["a dictionary: 'image'"]["outcome"] == "same answer"


def test_a_file_of_codes_alone_is_told_by_its_formula(tmp_path):
    file = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "fixtures" / "int8_ports.tflite"
    done = quantlab_in_process("inspect", file, "--runtimes", "python", cwd=tmp_path)
    assert done.status == 0
    assert "code = clip(round(value / " in done.stdout
    assert "value = (code " in done.stdout
    assert "random values: a wrong layout or order may give the same answer by chance" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["missing.keras"],
            "quantlab: there is no model at 'missing.keras'; give a .keras file, an .h5 or .hdf5 file of a whole Keras "
            "model, a SavedModel folder, an .onnx or .tflite file, or the folder or model.json of a TensorFlow.js "
            "model",
            id="no such model",
        ),
        pytest.param(
            ["{conv}", "{two}"],
            "quantlab: '{conv}' and '{two}' are both models; inspect them one after another",
            id="two models",
        ),
        pytest.param(
            ["{conv}", "missing.tflite"],
            "quantlab: there is no artifact at 'missing.tflite'; give a file or folder that exists",
            id="no such artifact",
        ),
        pytest.param(
            ["{conv}", "--settings", "tflite-int8"],
            "quantlab: 'tflite-int8' needs more than the model; make it with 'quantlab convert', and give its file "
            "with --variant NAME=FILE",
            id="a setting that needs calibration samples",
        ),
    ],
)
def test_what_cannot_be_inspected(arguments, message, small_models, tmp_path):
    names = {"conv": str(small_models["conv"].path), "two": str(small_models["two_ports"].path)}
    done = quantlab_in_process("inspect", *(text.format(**names) for text in arguments), cwd=tmp_path)
    assert (done.status, done.last, done.stdout) == (2, message.format(**names), "")
