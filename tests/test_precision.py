"""Models in half floats or quantized by Keras, and the sentences about what converters and runtimes refuse."""

import numpy as np
import pytest
from contracts import convert
from study_fixtures import Heard

from quantlab import AnalyzeOptions, analyze
from quantlab.study.conversions import convert as convert_model
from quantlab.study.suspicions import unusual_precision
from quantlab_converters import ConversionRequest

pytestmark = pytest.mark.starts_children

MIXED = (
    "the layers of the model have the dtype policy {}; the model was exported in float32, so the reference and every "
    "variant compute in float32, while Keras rounds to half floats"
)
QUANTIZED = (
    "the model is already quantized (int8, by model.quantize of Keras), so the reference and the settings named "
    "float32 have quantized weights, too; to compare with the float model, give the file that was saved before "
    "model.quantize"
)
STORED = (
    "the model is already quantized (it stores kernels in int8), so the reference and the settings named float32 have "
    "quantized weights, too; to compare with the float model, give the file that was saved before it was quantized"
)


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        pytest.param("keras3_mixed", [MIXED.format("mixed_float16")], id="Keras 3"),
        pytest.param("keras2_mixed", [MIXED.format("mixed_bfloat16")], id="Keras 2"),
        pytest.param("keras3_quantized", [QUANTIZED], id="quantized by Keras 3"),
        pytest.param("quantized_saved_model", [STORED], id="quantized by Keras 3 and exported"),
        pytest.param("conv", [], id="float32"),
        pytest.param("one_signature", [], id="a SavedModel in float32"),
    ],
)
def test_a_precision_other_than_float32_is_said(name, sentences, workbench):
    assert unusual_precision(workbench.opened(name).description) == sentences


@pytest.mark.parametrize("format_name", ["tfjs", "tflite"])
def test_the_export_of_a_mixed_precision_is_float32(format_name, workbench):
    assert set(workbench.float32("keras2_mixed", format_name).weights) <= {"float32", "int32"}


NORM = (
    "(SquaredDifference only supports FLOAT32 and INT32 now, got int16); replace the layer that uses it, or leave this "
    "setting out"
)


def test_an_op_that_fails_is_named_in_every_runtime(small_models, tmp_path):
    """Of a layer norm in int16x8, which LiteRT.js ends without an exception; the model has a mixed precision."""
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32))
    options = AnalyzeOptions(
        settings=("tflite-int16x8",),
        runtimes=("python", "node-wasm"),
        layers=False,
        costs=False,
        out=tmp_path / "norm.study",
    )
    study = analyze(small_models["keras3_mixed"].path, data=str(tmp_path / "data.npz"), options=options)
    assert MIXED.format("mixed_float16") in study.warnings
    failed = {trial.runtime: trial.failure.reason for trial in study.trials if trial.failure}
    assert failed.keys() == {"python", "node-wasm"}
    for runtime, library in (("python", "LiteRT"), ("node-wasm", "LiteRT.js")):
        begin, middle, end = failed[runtime].partition(" as it is in this file ")
        assert begin.startswith(f"{library} cannot run the op SQUARED_DIFFERENCE (node ")
        assert (middle + end).endswith(NORM)


def test_what_was_quantized_before_is_said_in_its_row_too(small_models, tmp_path):
    heard = Heard()
    options = AnalyzeOptions(settings=("tfjs-float32", "onnx-float32"))
    made = convert_model(small_models["keras3_quantized"].path, out=tmp_path, options=options, progress=heard)
    assert QUANTIZED in heard.warnings
    assert made["tfjs-float32"].reason == (
        "tfjs does not support the op BatchMatMulV3; replace the layer that uses it, or leave the tfjs settings out; "
        "the model is already quantized (int8)"
    )


@pytest.mark.parametrize(
    ("name", "format_name", "reason"),
    [
        pytest.param(
            "half_saved_model",
            "tflite",
            "TFLite computes BiasAdd, MatMul, Relu in float32 only, and the model in half floats (bf16); export it in "
            "float32, as quantlab does with a Keras file",
            id="half floats in TFLite",
        ),
        pytest.param(
            "half_saved_model",
            "tfjs",
            "tfjs does not store weights in bfloat16, and '…' is one; export the model in float32, as quantlab does "
            "with a Keras file",
            id="half floats in tfjs",
        ),
        pytest.param(
            "text",
            "onnx",
            "tf2onnx does not support the op …; export the part of the model after the text processing, or leave the "
            "onnx settings out",
            id="text in ONNX",
        ),
        pytest.param(
            "text",
            "tfjs",
            "tfjs does not support the op …; replace the layer that uses it, or leave the tfjs settings out",
            id="text in tfjs",
        ),
        pytest.param(
            "keras2_nested",
            "tfjs-layers",
            "'…' has its inputs or outputs in a dictionary or in nested lists, and tfjs loads a layers-model only with "
            "one flat list of them; build the model with that, or use a graph-model instead, that is, the settings "
            "tfjs-*",
            id="nested outputs in a layers-model",
        ),
    ],
)
def test_reasons(name, format_name, reason, workbench, tmp_path):
    """Whole sentences; `…` stands for names of nodes and paths."""
    source = workbench.opened(name).source
    request = ConversionRequest(
        source,
        "serving_default",
        {"float32": tmp_path / "made"},
        {},
        {},
        tmp_path / "work",
        workbench.models[name].path,
    )
    (conversion,) = convert(format_name, request)
    before, mark, after = reason.partition("…")
    assert conversion.reason.startswith(before)
    assert conversion.reason.endswith(after if mark else before)
