"""The known settings, and how names and globs select them."""

import pytest

from quantlab.errors import UsageError
from quantlab.formats import FORMATS
from quantlab.names import choose, nearest
from quantlab.settings import SETTINGS, select_settings
from quantlab_converters import CONVERTERS

DEFAULT = [
    "tfjs-float32",
    "tfjs-float16",
    "tfjs-uint8",
    "tfjs-uint16",
    "tfjs-uint8-per-channel",
    "tflite-float32",
    "tflite-float16",
    "tflite-dynamic",
    "tflite-int8",
]
LAYERS = [f"tfjs-layers-{scheme}" for scheme in ("float32", "float16", "uint8", "uint16")]
ONNX = ["onnx-float32", "onnx-float16", "onnx-dynamic", "onnx-int8"]
LITERT_QUANTIZER = [
    "tflite-dynamic-wi8",
    "tflite-weight-only-wi8",
    "tflite-dynamic-wi4",
    "tflite-weight-only-wi4",
    "tflite-static-wi8-ai8",
    "tflite-static-wi8-ai16",
]
ALL = [*DEFAULT[:5], *LAYERS, *DEFAULT[5:], "tflite-int16x8", *LITERT_QUANTIZER, *ONNX]


def chosen(*asked: str) -> list[str]:
    return [setting.name for setting in select_settings(asked)]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_named_for_its_format_and_scheme(name):
    setting = SETTINGS[name]
    assert setting.name == name == f"{setting.format}-{setting.scheme}"
    assert setting.format in CONVERTERS
    assert setting.format in FORMATS
    assert setting.quantized is (setting.scheme != "float32")
    assert SETTINGS[setting.float32].format == setting.format
    assert not SETTINGS[setting.float32].quantized


def test_what_needs_samples():
    assert [name for name, setting in SETTINGS.items() if setting.calibrated] == [
        "tflite-int8",
        "tflite-int16x8",
        "tflite-static-wi8-ai8",
        "tflite-static-wi8-ai16",
        "tflite-tuned",
        "onnx-int8",
        "onnx-tuned",
    ]


def test_without_names_those_that_are_fast_enough():
    assert [setting.name for setting in select_settings(None)] == DEFAULT


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(["all"], ALL, id="all"),
        pytest.param(["tflite-int16x8"], ["tflite-int16x8"], id="one that is off"),
        pytest.param(["tflite-*-wi*"], LITERT_QUANTIZER, id="a glob of several dashes"),
        pytest.param(["tfjs-*"], DEFAULT[:5], id="a glob, and no format whose name begins alike"),
        pytest.param(["onnx-*"], ONNX, id="a glob of a format that is off"),
        pytest.param(["tfjs-layers-*"], LAYERS, id="a glob of a format with a dash"),
        pytest.param(["tfjs*-uint8"], ["tfjs-uint8", "tfjs-layers-uint8"], id="a glob of two formats"),
        pytest.param(["*uint8"], ["tfjs-uint8", "tfjs-layers-uint8"], id="a glob without a dash"),
        pytest.param(
            ["*-float16", "tfjs-uint?"],
            ["tfjs-float16", "tfjs-uint8", "tfjs-layers-float16", "tflite-float16", "onnx-float16"],
            id="several globs",
        ),
        pytest.param(["tflite-int8,tfjs-uint8"], ["tfjs-uint8", "tflite-int8"], id="commas, in the table's order"),
        pytest.param([" tfjs-uint8 , ,tfjs-uint8,"], ["tfjs-uint8"], id="spaces, nothing and the same again"),
    ],
)
def test_choosing(asked, expected):
    assert chosen(*asked) == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param(
            ["tfjs-unit8"], "there is no setting 'tfjs-unit8'; did you mean 'tfjs-uint8' or 'tfjs-uint16'?", id="a typo"
        ),
        pytest.param(
            ["tfjs-uint8", "xyz*"], f"there is no setting 'xyz*'; choose from {', '.join(ALL)}", id="far from any"
        ),
        pytest.param([], f"no setting is named; choose from {', '.join(ALL)}", id="none"),
        pytest.param([" ,"], f"no setting is named; choose from {', '.join(ALL)}", id="commas alone"),
        pytest.param(["TFJS-uint8"], "there is no setting 'TFJS-uint8'; did you mean 'tfjs-uint8'?", id="case"),
    ],
)
def test_what_is_not_there_is_refused(asked, message):
    with pytest.raises(UsageError) as refused:
        select_settings(asked)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("node-wsam", ["python", "node-wasm", "node-cpu"], "did you mean 'node-wasm'?"),
        ("zzz", ["python", "node-wasm"], "choose from python, node-wasm"),
        ("", [], "there are none"),
    ],
)
def test_nearest(name, known, end):
    assert nearest(name, known) == end


def test_choosing_anything():
    assert choose("fruit", ["b*", "apple"], ["banana", "apple", "berry", "cherry"]) == ("banana", "apple", "berry")
