"""`quantlab inspect`: what each call of a small model and its artifacts comes to, in real libraries."""

import doctest
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from tfjs_graphs import node, write

import quantlab

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
    assert "fed with random values, seed 0: values of all codes (give --data for real samples)" in done.stdout
    assert done.stdout.count("Terms: quantlab glossary") == 2, "once below each table"
    assert "int8_ports.tflite in Python\n\nimport numpy as np\n" in done.stdout


def test_names_in_one_text_are_names():
    options = quantlab.InspectOptions(settings="tfjs-*", runtimes="python,node-wasm")
    assert (options.settings, options.runtimes) == (("tfjs-*",), ("python", "node-wasm"))


def test_the_example_of_the_python_api_runs(tmp_path, monkeypatch):
    shutil.copy(
        Path(__file__).parents[1] / "quantlab/runtimes/js/fixtures/int8_ports.tflite", tmp_path / "model.tflite"
    )
    monkeypatch.chdir(tmp_path)
    text = quantlab.inspect.__doc__.replace("# doctest: +SKIP", "")
    example = doctest.DocTestParser().get_doctest(text, {}, "inspect", None, 0)
    assert doctest.DocTestRunner().run(example) == doctest.TestResults(failed=0, attempted=5)


def test_a_saved_model_is_a_model(data_folder, tmp_path):
    """It also is an artifact that a server takes, of which no calls are tried."""
    folder = data_folder / "mlperf-tiny" / "kws_ref_model"
    done = quantlab_in_process("inspect", folder, "--runtimes", "python", cwd=tmp_path)
    assert done.status == 0
    assert (
        "\nsignature in python: of 22 attempts, 6 gave the same answer, 2 another one without an error (" in done.stdout
    )
    assert (
        f"tflite-float32 in Python, with the file in converted/tflite-float32 that this writes: quantlab convert "
        f"{folder} --settings tflite-float32 --out converted\n\nimport numpy as np\n"
    ) in done.stdout


def test_an_artifact_that_no_runtime_calls(tmp_path):
    write(tmp_path, [node("y", "Relu", "image")])
    done = quantlab_in_process("inspect", "model.json", "--runtimes", "python", cwd=tmp_path)
    assert (done.status, done.stdout.splitlines()[:2]) == (
        2,
        [
            "model.json, fed with random values, seed 0: floats from 0 to 1 (give --data for real samples)",
            (
                "! model.json: it is not called in 'python'; choose --runtimes from node-wasm, node-cpu, node-native, "
                "chromium-wasm, chromium-webgl, chromium-webgl16, chromium-webgpu, chromium-cpu"
            ),
        ],
    )


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
            ["{conv}", "--runtimes", "python,serving-rest"],
            "quantlab: no calls are tried in the runtime 'serving-rest'; choose from python, node-wasm, node-cpu, "
            "node-native, chromium-wasm, chromium-webgl, chromium-webgl16, chromium-webgpu, chromium-cpu",
            id="a server",
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
