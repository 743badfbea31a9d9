"""What the float32 check says: of a conversion, of a file of the user, and of a model that is never finite."""

from pathlib import Path

import pytest
from study_fixtures import a_trial, a_variant, scores

from quantlab.settings import SETTINGS
from quantlab.study.warnings import failed_float32_checks, float32_checks

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
    ],
)
def test_failed_float32_checks(row, warnings):
    assert failed_float32_checks(float32_checks([row], SETTINGS), [row], "y", None) == warnings


def test_nothing_is_known_of_a_conversion_if_the_model_is_never_finite():
    nothing = dict.fromkeys(("agreement", "sqnr_db", "max_abs_error", "top1", "non_finite"))
    row = a_trial(Path(), "tflite-float32", scores=scores(**nothing, n=0, left_out=1000, left_out_equal=1000))
    checks = float32_checks([row], SETTINGS)
    assert checks == {"tflite": "unknown: the model itself is NaN or infinite on every sample"}
    assert failed_float32_checks(checks, [row], "y", None) == {}
