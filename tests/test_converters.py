"""Converters: the contract for all of them, and their messages about models that a format cannot store."""

from dataclasses import replace

import pytest
from contracts import check_converter, convert

from quantlab.formats import FORMATS, describe_variant
from quantlab_converters import CONVERTERS


@pytest.mark.parametrize("format_name", CONVERTERS)
def test_contract(format_name, workbench, tmp_path):
    check_converter(format_name, workbench, tmp_path)


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
    results = convert(format_name, request)
    assert [result.scheme for result in results] == [*made, *failed]
    assert {result.scheme: result.reason for result in results if result.reason is not None} == failed


def test_an_op_that_tf2onnx_lacks(workbench, tmp_path):
    """Its program runs in the converting process, whose log has what it printed."""
    (conversion,) = convert("onnx", workbench.request("unsupported", ["float32"], tmp_path))
    assert conversion.reason == (
        "tf2onnx does not support the op MatrixInverse (node 'PartitionedCall/MatrixInverse'); "
        "replace what uses it, or leave the onnx settings out"
    )


def test_samples_close_the_sizes_that_a_model_leaves_open(workbench, tmp_path):
    request = replace(workbench.request("open_length", ["float32"], tmp_path), sample_shapes={"values": (4, 3)})
    (conversion,) = convert("tflite", request)
    assert conversion.reason is None
    path = request.schemes["float32"] / "model.tflite"
    variant = describe_variant("closed", FORMATS["tflite"], path, workbench.opened("open_length").description)
    assert [port.shape for port in variant.inputs] == [(1, 4, 3)]
