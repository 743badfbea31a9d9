"""Converters: the contract over all of them, and what each says about models that its format cannot hold."""

from dataclasses import replace
from pkgutil import resolve_name

import pytest
from contracts import check_converter, convert

from quantlab.errors import ConversionError
from quantlab.formats import FORMATS, describe_variant
from quantlab_converters import CONVERTERS


@pytest.mark.parametrize("format_name", CONVERTERS)
def test_contract(format_name, workbench, tmp_path):
    check_converter(format_name, workbench, tmp_path)


@pytest.fixture(autouse=True)
def _no_greetings(monkeypatch):
    # Else tensorflowjs, by way of TensorFlow Decision Forests, greets in a notebook if pytest holds standard output.
    monkeypatch.setenv("TFDF_DISABLE_WELCOME_MESSAGE", "1")


def converted(format_name, request):
    """The schemes that a converter made, and why it failed at the next, in this process."""
    for folder in (*request.schemes.values(), request.work):
        folder.mkdir(parents=True)
    begun: dict[str, None] = {}  # as a set that keeps the order
    try:
        for scheme in resolve_name(CONVERTERS[format_name].convert)(request):
            begun[scheme] = None
    except ConversionError as error:
        *made, failed = begun
        return made, {failed: str(error)}
    return list(begun), {}


@pytest.mark.parametrize(
    ("model", "format_name", "made", "failed"),
    [
        pytest.param(
            "unsupported",
            "tfjs",
            [],
            {
                "uint8": "tfjs does not support the op MatrixInverse; replace the layer that uses it, or leave "
                "the tfjs settings out"
            },
            id="an op that tfjs lacks",
        ),
        pytest.param(
            "gelu",
            "tfjs",
            [],
            {
                "float16": "tfjs does not support the op Erfc; replace the layer that uses it (the exact GELU: gelu "
                "with approximate=True), or leave the tfjs settings out"
            },
            id="the exact GELU",
        ),
        pytest.param(
            "unsupported",
            "tflite",
            [],
            {
                "float16": "TFLite does not support the op MatrixInverse; replace the layer that uses it, or leave "
                "the tflite settings out"
            },
            id="an op that TFLite lacks",
        ),
        pytest.param(
            "spoiled",
            "tfjs",
            ["float32", "float16"],
            {
                "uint8": "the weight 'StatefulPartitionedCall/matmul/ReadVariableOp' holds 4 values that are NaN "
                "or infinite, and uint8 needs a finite range; train again or repair the model"
            },
            id="NaN and infinity have no range",
            marks=pytest.mark.filterwarnings("ignore:overflow encountered in cast"),
        ),
        pytest.param(
            "empty_weight",
            "tfjs",
            ["float16"],
            {
                "uint16": "the weight 'StatefulPartitionedCall/matmul/ReadVariableOp' has no elements, "
                "which uint16 cannot store; remove its layer"
            },
            id="no elements have no range",
        ),
        pytest.param(
            "open_length",
            "tflite",
            [],
            {
                "float32": "the input 'values' has the open shape (None, None, 3), and a TFLite file needs fixed "
                "sizes; give samples, which determine them: --data for analyze, --calibration for convert"
            },
            id="a size that the model leaves open",
        ),
    ],
)
def test_models_that_a_format_cannot_hold(model, format_name, made, failed, workbench, tmp_path):
    request = workbench.request(model, [*made, *failed], tmp_path)
    assert converted(format_name, request) == (made, failed)


def test_an_op_that_tf2onnx_lacks(workbench, tmp_path):
    """Its program runs in the converting process, whose log has what it printed."""
    (conversion,) = convert("onnx", workbench.request("unsupported", ["float32"], tmp_path))
    assert conversion.reason == (
        "tf2onnx does not support the op MatrixInverse (node 'PartitionedCall/MatrixInverse'); "
        "replace what uses it, or leave the onnx settings out"
    )


def test_samples_close_the_sizes_that_a_model_leaves_open(workbench, tmp_path):
    request = replace(workbench.request("open_length", ["float32"], tmp_path), sample_shapes={"values": (4, 3)})
    assert converted("tflite", request) == (["float32"], {})
    path = request.schemes["float32"] / "model.tflite"
    variant = describe_variant("closed", FORMATS["tflite"], path, workbench.opened("open_length").description)
    assert [port.shape for port in variant.inputs] == [(1, 4, 3)]
