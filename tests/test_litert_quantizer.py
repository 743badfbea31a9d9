"""The settings of litert-quantizer on published models: bytes, accuracy, runtimes, and what stays float32."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from official import run_as_program
from real_models import FILES
from weight_models import compared

from quantlab import AnalyzeOptions, analyze
from quantlab.errors import ConversionError
from quantlab.formats import FORMATS
from quantlab.settings import SETTINGS, select_settings
from quantlab_converters import CONVERTERS
from quantlab_converters.tflite_litert_quantizer import SCHEMES, quantize

pytestmark = pytest.mark.starts_children

NAMES = tuple(f"tflite-{scheme}" for scheme in SCHEMES)
FOUR_BITS = ("tflite-dynamic-wi4", "tflite-weight-only-wi4")

OWN_PROGRAM = """
import json, sys
import numpy as np
from litert_quantizer import qtyping, quantizer, recipe
from litert_quantizer.calibrator import CalibrationMode

float32, calibration, port, folder = json.loads(sys.argv[1])
samples = [{port: sample[np.newaxis]} for sample in np.load(calibration)]

def make(setting, used, static=False):
    made = quantizer.Quantizer(float32)
    made.load_quantization_recipe(used)
    ranges = None
    if static:
        for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            made.update_quantization_recipe(".*", end, algorithm_key="no_quantize")
        mode = CalibrationMode.CALIBRATION_PROFILER_BASED
        ranges = made.calibrate({"serving_default": samples}, mode=mode)
    made.quantize(ranges).export_model(f"{folder}/{setting}.tflite")

make("tflite-dynamic-wi8", recipe.dynamic_wi8_afp32())
make("tflite-weight-only-wi8", recipe.weight_only_wi8_afp32())
make("tflite-dynamic-wi4", recipe.dynamic_wi4_afp32())
make("tflite-weight-only-wi4", recipe.weight_only_wi4_afp32(algorithm_key=recipe.AlgorithmName.MSE))
make("tflite-static-wi8-ai8", recipe.static_wi8_ai8(), static=True)
make("tflite-static-wi8-ai16", recipe.static_wi8_ai16(), static=True)
"""
"""As a user of litert-quantizer would write it."""

SIZES = {
    "fashion": (32_512, 33_920, 28_000, 28_888, 39_864, 41_952),
    "kws": (39_928, 41_024, 33_760, 34_448, 47_920, 50_272),
}
LOSSES = {"fashion": (0.0, 0.2, 2.9, 1.5, 0.7, 0.7), "kws": (-0.3, -0.4, 2.7, 0.7, 0.6, 0.6)}
"""In points of top-1, measured on other samples with litert-quantizer and LiteRT alone, in the order of `NAMES`."""

DEPTHWISE = {
    "fashion": "5 of 12 kernels (11 % of their weights) stay float32: b1_dw_relu, b2_dw_relu, b3_dw_relu, b4_dw_relu "
    "and b5_dw_relu",
    "kws": "4 of 10 kernels (10 % of their weights) stay float32: activation_1, activation_3, activation_5 and "
    "activation_7",
}
"""What 4-bit recipes leave out without a message."""


@pytest.fixture(scope="module", params=["fashion", "kws"])
def study(request, data_folder, begun, tmp_path_factory):
    """The model's name, and its study."""
    model, data = FILES[request.param]
    options = AnalyzeOptions(
        settings=NAMES,
        runtimes=("python", "node-wasm"),
        limit=500,
        out=begun(request.param, tmp_path_factory.mktemp("litert") / "study"),
        layers=False,
        costs=False,
    )
    return request.param, analyze(data_folder / model, data=str(data_folder / data), options=options)


def variants(study):
    """Setting → its variant."""
    return {trial.setting: trial.variant for trial in study.trials}


def top1(study, setting, runtime):
    (trial,) = [trial for trial in study.trials if (trial.setting, trial.runtime) == (setting, runtime)]
    return np.load(trial.outputs[study.scored_output]).argmax(axis=1), trial


def test_bytes_are_those_of_the_official_program(study, tmp_path):
    name, record = study
    made = variants(record)
    (port,) = [spec.name for spec in record.calibration.inputs]
    told = [str(made["tflite-float32"].path), str(record.calibration.input_file(port)), port, str(tmp_path)]
    run_as_program(OWN_PROGRAM, tmp_path / "program.log", json.dumps(told))
    for setting, size in zip(NAMES, SIZES[name], strict=True):
        assert made[setting].size_bytes == size
        assert (tmp_path / f"{setting}.tflite").read_bytes() == made[setting].path.read_bytes(), setting


def test_accuracy_is_what_the_program_gives_elsewhere(study):
    name, record = study
    for setting, expected in zip(NAMES, LOSSES[name], strict=True):
        _, trial = top1(record, setting, "python")
        assert record.reference.scores.top1 - trial.scores.top1 == pytest.approx(expected, abs=2), setting


def test_runtimes_agree(study):
    """Kernels of dynamic files round differently, so that a sample with two equal scores may get another top-1."""
    _, record = study
    for setting in NAMES:
        (in_python, _), (in_node, trial) = (top1(record, setting, runtime) for runtime in ("python", "node-wasm"))
        assert trial.ran_on == "node-wasm"
        assert (in_python != in_node).sum() <= (2 if "dynamic" in setting else 0), setting


def test_inputs_and_outputs_are_floats(study):
    _, record = study
    ports = [port for variant in variants(record).values() for port in (*variant.inputs, *variant.outputs)]
    assert {(port.dtype, port.codes) for port in ports} == {("float32", None)}


def test_the_row_says_what_was_left_out(study):
    name, record = study
    for setting, variant in variants(record).items():
        if setting in NAMES:
            assert variant.notes == ((DEPTHWISE[name],) if setting in FOUR_BITS else ()), setting


def test_the_versions_of_the_study_name_the_program(study):
    _, record = study
    assert record.versions["litert-quantizer"].startswith("0.11.")


# Readers


@pytest.fixture
def fashion(converted):
    """Setting → its TFLite file, of the fashion model."""
    folder = converted("fashion") / "variants"
    return {name: next((folder / name).rglob("*.tflite")) for name in ("tflite-float32", *NAMES)}


def test_codes_of_four_bits_decode_to_what_litert_computes(fashion):
    """The DEQUANTIZE ops of a file that decodes its weights while it runs."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    path = fashion["tflite-weight-only-wi4"]
    interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.invoke()
    decoded = {
        detail["name"].removesuffix("_dequant"): interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if detail["name"].endswith("_dequant")
    }
    weights = {weight.name: weight for weight in FORMATS["tflite"].weights(path) if weight.dtype == "int4"}
    assert weights.keys() == decoded.keys()
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight.values, decoded[name], err_msg=name)
        assert weight.size_bytes == (weight.values.size + 1) // 2  # two codes in a byte
        assert len(weight.scales) == weight.shape[weight.channel_axis]
        assert weight.code_range[1] == 7


@pytest.mark.parametrize("setting", NAMES)
def test_every_weight_is_compared_with_its_float32_counterpart(setting, fashion):
    rows = compared(fashion, setting)
    assert {row.reason for row in rows} == {None}
    kernels = [row for row in rows if len(row.shape) > 1]
    assert len(kernels) == 12
    assert {row.dtype for row in kernels} == ({"int4", "float32"} if setting in FOUR_BITS else {"int8"})
    low = min(row.sqnr_db for row in kernels)
    assert 12 < low < 30 if setting in FOUR_BITS else low > 40


@pytest.mark.parametrize(
    ("setting", "convolution", "depthwise"),
    [
        pytest.param("tflite-dynamic-wi8", ("hybrid", "int8"), ("hybrid", "int8"), id="dynamic, 8 bits"),
        pytest.param("tflite-weight-only-wi8", ("float", "int8"), ("float", "int8"), id="weights only, 8 bits"),
        pytest.param("tflite-dynamic-wi4", ("hybrid", "int4"), ("float", "float32"), id="dynamic, 4 bits"),
        pytest.param("tflite-weight-only-wi4", ("float", "int4"), ("float", "float32"), id="weights only, 4 bits"),
        pytest.param("tflite-static-wi8-ai8", ("int8", "int8"), ("int8", "int8"), id="static, int8"),
        pytest.param("tflite-static-wi8-ai16", ("int16", "int8"), ("int16", "int8"), id="static, int16"),
    ],
)
def test_what_ops_compute_in(setting, convolution, depthwise, fashion):
    rows = FORMATS["tflite"].ops(fashion[setting], setting)
    assert {(row.computes_in, row.weights) for row in rows if row.op == "CONV_2D"} == {convolution}
    assert {(row.computes_in, row.weights) for row in rows if row.op == "DEPTHWISE_CONV_2D"} == {depthwise}


def test_layers_are_compared_in_every_setting(data_folder, begun, tmp_path):
    model, data = (data_folder / file for file in FILES["fashion"])
    options = AnalyzeOptions(
        settings=NAMES,
        runtimes=("python", "node-wasm"),
        limit=16,
        layer_samples=16,
        out=begun("fashion", tmp_path / "study"),
        costs=False,
    )
    from quantlab.store import Store

    assert analyze(model, data=str(data), options=options).failed == ()
    inside = Store(tmp_path / "study").read_inside()
    assert inside.notes == ()
    for setting in NAMES:
        for runtime in ("python", "node-wasm"):
            rows = [
                row
                for row in inside.layers
                if (row.setting, row.runtime, row.baseline, row.aligned) == (setting, runtime, "reference", True)
            ]
            assert len(rows) == 14, (setting, runtime)
            assert min(row.sqnr_db for row in rows) > 5
        alone = [row.isolated_sqnr_db for row in inside.layers if row.setting == setting and row.runtime == "python"]
        assert any(value is not None and value < 60 for value in alone), setting


def test_no_version_is_told_from_before_the_quantization(fashion):
    assert FORMATS["tflite"].minimum_runtime(fashion["tflite-float32"]) == "1.6.0"
    assert {FORMATS["tflite"].minimum_runtime(fashion[name]) for name in NAMES} == {None}


# The converter


@pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`:UserWarning")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("scheme", ["dynamic-wi8", "weight-only-wi4", "static-wi8-ai8", "static-wi8-ai16"])
def test_named_ops_stay_in_float(scheme, dtype, fashion, tmp_path):
    stem, *_ = [row.output for row in FORMATS["tflite"].ops(fashion["tflite-float32"], "")]
    np.save(tmp_path / "image.npy", np.random.default_rng(0).random((4, 28, 28, 1), np.float32))
    calibration = {"image": tmp_path / "image.npy"}
    (tmp_path / "model.tflite").write_bytes(
        quantize(fashion["tflite-float32"], scheme, calibration, kept={stem: dtype})
    )
    rows = FORMATS["tflite"].ops(tmp_path / "model.tflite", "")
    convolutions = [row for row in rows if row.op == "CONV_2D"]
    assert [row.weights for row in convolutions] == [dtype, *[f"int{4 if '4' in scheme else 8}"] * 5]
    assert (convolutions[0].output, convolutions[0].computes_in) == (stem, "float")


def test_the_words_of_a_sensitivity_are_entries_of_a_recipe(fashion):
    words = CONVERTERS["tflite"].words(fashion["tflite-float32"], "dynamic-wi4", ["model/dense;b", "c.d"])
    assert words == (
        "[{'regex': '^model/dense;b;?$', 'operation': '*', 'algorithm_key': 'no_quantize'}, "
        "{'regex': '^c\\\\.d;?$', 'operation': '*', 'algorithm_key': 'no_quantize'}]"
    )


def test_static_schemes_need_samples(fashion):
    with pytest.raises(ConversionError) as refused:
        quantize(fashion["tflite-float32"], "static-wi8-ai8", {})
    assert str(refused.value) == (
        "static quantization needs calibration samples, and none were given; give some with --calibration"
    )


ABSENT = """
import sys
sys.modules["litert_quantizer"] = None  # as if it were not installed
from pathlib import Path
from quantlab.errors import ConversionError
from quantlab_converters.contract import ConversionRequest
from quantlab_converters.tflite import convert
folder = Path(sys.argv[1])
for scheme in sys.argv[2:]:
    try:
        list(convert(ConversionRequest(folder / "no model", "serving_default", {scheme: folder}, {}, {}, folder)))
    except ConversionError as error:
        print(scheme, error)
"""


def test_without_the_package_the_way_to_install_it_is_told(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ABSENT, str(tmp_path), *SCHEMES], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        f"{scheme} litert-quantizer, which makes this setting, is not installed; install it with pip install "
        "'litert-quantizer==0.11.*', or leave this setting out"
        for scheme in SCHEMES
    ], done.stderr


def test_its_version_counts_for_its_own_settings_alone():
    converter = CONVERTERS["tflite"]
    assert converter.versions("int8").keys() == {"tensorflow"}
    assert converter.versions("dynamic-wi8").keys() == {"tensorflow", "litert-quantizer"}
    assert converter.versions("int8", "dynamic-wi8", "dynamic-wi4+float") == converter.versions("dynamic-wi8+float")


def test_an_optional_package_that_is_not_installed_has_no_version():
    converter = replace(CONVERTERS["tflite"], more_packages={"other": ("no-such-package-of-quantlab",)})
    assert converter.versions("other") == CONVERTERS["tflite"].versions("float32")


def test_the_settings_are_chosen_by_name_alone():
    assert [setting.name for setting in select_settings(["tflite-*-wi*"])] == list(NAMES)
    assert [SETTINGS[name].weight_bits for name in NAMES] == [8, 8, 4, 4, 8, 8]
    assert [name for name in NAMES if SETTINGS[name].calibrated] == list(NAMES[4:])
    assert not any(SETTINGS[name].default for name in NAMES)
    assert all(SETTINGS[name].official for name in NAMES)
