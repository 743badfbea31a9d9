"""What the float32 check says: of a conversion, of a file of the user, and of a model that is never finite."""

import math
from pathlib import Path

import pytest
from study_fixtures import a_trial, a_variant, scores

from quantlab.settings import SETTINGS
from quantlab.study.warnings import CheckedOutputs, failed_float32_checks, float32_checks
from quantlab.types import OutputRow, TensorSpec

STRAYS = {"agreement": 99.8, "sqnr_db": 31.4, "n": 1000}
FOUND = "2 of 1,000 predictions change and the SQNR of the output is 31.4 dB, below 60 (output 'y')"


def given(**changed):
    """A file of the user."""
    return a_variant(Path(), "mine", **{"format": "tflite", "given": True, "weights": {"float32": 8}, **changed})


CLAIM = "named float32, holds int8"


@pytest.mark.parametrize(
    ("row", "warnings"),
    [
        pytest.param(
            a_trial(Path(), "tflite-float32", scores=scores(**STRAYS)),
            {
                "tflite": f"float32 check failed: tflite differs from the model in float32, before any quantization: "
                f"{FOUND}; the conversion is wrong, so losses of tflite are not caused by quantization"
            },
            id="a conversion",
        ),
        pytest.param(
            a_trial(Path(), "mine", variant=given(), scores=scores(**STRAYS)),
            {
                "mine": f"float32 check failed: the file 'mine' differs from this model (another training run, or "
                f"another conversion): {FOUND}; so losses of mine are not caused by quantization"
            },
            id="a file of the user",
        ),
        pytest.param(
            a_trial(Path(), "mine", variant=given(notes=(CLAIM,)), notes=(CLAIM,), scores=scores(**STRAYS)),
            {
                "mine": f"float32 check failed: mine, named float32, holds int8, differs from the model: {FOUND}; it "
                f"is not a float32 file"
            },
            id="a file with a wrong name",
        ),
        pytest.param(
            a_trial(Path(), "mine", variant=given(weights={"int8": 8}), scores=scores(**STRAYS)),
            {},
            id="a quantized file of the user",
        ),
        pytest.param(a_trial(Path(), "tflite-float32", scores=scores(agreement=100, sqnr_db=99)), {}, id="nothing"),
        pytest.param(
            a_trial(Path(), "tflite-float32", scores=scores(agreement=100 - 100 / 10_000, sqnr_db=99, n=10_000)),
            {
                "tflite": "float32 check failed: tflite differs from the model in float32, before any quantization: "
                "1 of 10,000 predictions changes (output 'y'); the conversion is wrong, so losses of tflite are not "
                "caused by quantization"
            },
            id="one answer of ten thousand",
        ),
        pytest.param(
            a_trial(Path(), "tflite-float32", scores=scores(agreement=100 - 100 * 50 / 10**6, sqnr_db=99, n=10**6)),
            {},
            id="50 answers of a million, which are nearly ties",
        ),
        pytest.param(
            a_trial(Path(), "tflite-float32", scores=scores(agreement=100 - 100 * 51 / 10**6, sqnr_db=99, n=10**6)),
            {
                "tflite": "float32 check failed: tflite differs from the model in float32, before any quantization: "
                "51 of 1,000,000 predictions change (output 'y'); the conversion is wrong, so losses of tflite are not "
                "caused by quantization"
            },
            id="51 answers of a million",
        ),
    ],
)
def test_failed_float32_checks(row, warnings):
    assert failed_float32_checks(float32_checks([row], SETTINGS, CheckedOutputs("y")), [row], None) == warnings


SPECS = (
    TensorSpec("y", (None, 3), "float32"),
    TensorSpec("mask", (None, 8), "float32"),
    TensorSpec("id", (None,), "int64"),
)


def figures(output, **changed):
    """Figures of an output of the float32 variant that is not scored."""
    zeros = ("left_out", "different", "non_finite", "max_abs_error", "mean_abs_error", "rms_error", "bias", "cosine")
    ends = ("minimum", "maximum", "reference_minimum", "reference_maximum")
    place = {"setting": "tflite-float32", "runtime": "python", "output": output, "channel": None, "scored": False}
    rest = {"shape": (8,), "n": 125, "count": 1000, "sqnr_db": 99.0, "constant": False}
    return OutputRow(**{**dict.fromkeys((*zeros, *ends), 0), **place, **rest, **changed})


@pytest.mark.parametrize(
    ("rows", "check"),
    [
        pytest.param([figures("mask", sqnr_db=120.0, max_abs_error=0.5)], "ok: 0.5", id="noise of rounding"),
        pytest.param(
            [figures("mask", sqnr_db=12.5), figures("mask", channel=3, sqnr_db=1.0)],
            "broken: the SQNR of the output is 12.5 dB, below 60 (output 'mask')",
            id="another output",
        ),
        pytest.param(
            [figures("mask", sqnr_db=-math.inf, non_finite=1)],
            "broken: 1 output value is NaN or infinite and the SQNR of the output is −∞ dB, below 60 (output 'mask')",
            id="NaN",
        ),
        pytest.param([figures("mask", sqnr_db=None, count=0, non_finite=0)], "ok: 1e-06", id="nothing to compare"),
        pytest.param([figures("mask", runtime="node-wasm", sqnr_db=1.0)], "ok: 1e-06", id="another runtime"),
        pytest.param([figures("y", scored=True, sqnr_db=1.0)], "ok: 1e-06", id="the scored output has scores"),
        pytest.param([figures("id", sqnr_db=20.0, different=1)], "ok: 1e-06", id="an index that is nearly another"),
        pytest.param(
            [figures("id", sqnr_db=20.0, different=2)],
            "broken: 2 of 1,000 values differ (output 'id')",
            id="other integers",
        ),
    ],
)
def test_every_output_is_checked(rows, check):
    row = a_trial(Path(), "tflite-float32", scores=scores(agreement=100, sqnr_db=99, max_abs_error=1e-6))
    assert float32_checks([row], SETTINGS, CheckedOutputs("y", rows, SPECS)) == {"tflite": check}


def test_nothing_is_known_of_a_conversion_if_the_model_is_never_finite():
    nothing = dict.fromkeys(("agreement", "sqnr_db", "max_abs_error", "top1", "non_finite"))
    row = a_trial(Path(), "tflite-float32", scores=scores(**nothing, n=0, left_out=1000, left_out_equal=1000))
    checks = float32_checks([row], SETTINGS, CheckedOutputs("y"))
    assert checks == {"tflite": "unknown: the model itself is NaN or infinite on every sample"}
    assert failed_float32_checks(checks, [row], None) == {}
