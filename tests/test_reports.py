"""Reports of a study: merged rows, columns and formatted numbers, in every rendering."""

import ast
import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from study_fixtures import a_failure, a_study, a_trial, a_variant, check_rendering, scores

import quantlab_reports
from quantlab.types import Equivalence, Interval, ReferenceCheck, Scores, Study, Timing, TrainingLayer
from quantlab_reports import RENDERINGS, trial_table
from quantlab_reports.views import trial_records
from quantlab_reports.views.trial_records import KEYS, kl_reason, rows
from quantlab_reports.views.trials import footer, heading

HERE = Path("/study")
STUDY = a_study(HERE)


def of(*trials: Any, **changed: Any) -> Study:
    """The study by hand with other rows."""
    return replace(STUDY, trials=tuple(trials), **changed)


def measured(setting: str = "tfjs-uint8", runtime: str = "python", **changed: Any) -> Any:
    return a_trial(HERE, setting, runtime, **changed)


def failed(reason: str, **changed: Any) -> Any:
    return a_failure(HERE, reason, **changed)


def cells(study: Study, *, wide: bool = False) -> list[dict[str, str]]:
    """Rows of the table by their headings."""
    table = trial_table(study, wide=wide)
    assert len(set(table.headings)) == len(table.headings) or wide
    return [dict(zip(table.headings, row, strict=True)) for row in table.cells]


# Every renderer

REGRESSION = of(
    measured(scores=Scores(n=3, mae=0.5, rmse=0.6, mae_loss=-0.01, rmse_loss=0.0, max_abs_error=0.1)),
    task="regression",
    classes=False,
    probabilities=False,
    reference=replace(STUDY.reference, scores=Scores(n=3, mae=0.51, rmse=0.6)),
)
SIMILARITY = of(
    measured(scores=Scores(n=3, max_abs_error=0.1, rms_error=0.02, sqnr_db=30.0, cosine=0.99, non_finite=0)),
    task="similarity",
    classes=False,
    probabilities=False,
    reference=replace(STUDY.reference, scores=Scores(n=3)),
)
SPOILED = of(
    measured(
        scores=scores(sqnr_db=-math.inf, max_abs_error=math.inf, rms_error=math.nan, cosine=math.nan, non_finite=9)
    ),
    failed("the process exited with status 1; its log ends with: a|b & 50 % of $x_1 {y} \\z # ~ ^ <b> *c*"),
)
STUDIES = [
    pytest.param(STUDY, id="classes"),
    pytest.param(REGRESSION, id="regression"),
    pytest.param(SIMILARITY, id="similarity"),
    pytest.param(SPOILED, id="numbers that are none"),
    pytest.param(of(failed("it hangs"), failed("it hangs", runtime="node-wasm")), id="nothing was measured"),
    pytest.param(of(), id="the reference alone"),
]


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("name", RENDERINGS)
def test_contract(name, study):
    check_rendering(RENDERINGS[name], study)


# Rows


def settings_and_runtimes(study: Study) -> list[tuple[str, str]]:
    return [(row["setting"], row.get("runtime", "")) for row in cells(study)]


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        pytest.param(
            [measured(), measured(runtime="node-wasm", timing=Timing(10, 5.0))],
            [("reference", ""), ("tfjs-uint8", "")],
            id="runtimes that agree share a row, whatever their times",
        ),
        pytest.param(
            [measured(), measured(runtime="node-wasm", scores=scores(right_to_wrong=3))],
            [("reference", "python"), ("tfjs-uint8", "python"), ("tfjs-uint8", "node-wasm")],
            id="runtimes that differ in one flip do not",
        ),
        pytest.param(
            [measured(), measured(runtime="node-wasm", scores=scores(max_abs_error=0.0124))],
            [("reference", ""), ("tfjs-uint8", "")],
            id="what the narrow table does not show parts nothing",
        ),
        pytest.param(
            [measured(), failed("it hangs", runtime="node-wasm")],
            [("reference", "python"), ("tfjs-uint8", "python"), ("tfjs-uint8", "node-wasm")],
            id="a failure has a row of its own",
        ),
        pytest.param(
            [failed("it hangs"), failed("it hangs", runtime="node-wasm")],
            [("reference", "python"), ("tfjs-uint8", "python, node-wasm")],
            id="failures for one reason share theirs",
        ),
        pytest.param(
            [measured(), measured(runtime="node-wasm", ran_on="node-cpu", notes=("ran on node-cpu",))],
            [("reference", "python"), ("tfjs-uint8", "python"), ("tfjs-uint8", "node-wasm")],
            id="a row that ran elsewhere stands for itself",
        ),
        pytest.param(
            [measured(), measured("tfjs-uint16")],
            [("reference", ""), ("tfjs-uint8", ""), ("tfjs-uint16", "")],
            id="settings never share a row",
        ),
    ],
)
def test_rows(trials, expected):
    assert settings_and_runtimes(of(*trials)) == expected


def test_wide_has_a_row_for_each_trial():
    assert [(row["setting"], row["runtime"]) for row in cells(STUDY, wide=True)] == [
        ("reference", "python"),
        ("tfjs-float32", "python"),
        ("tfjs-uint8", "python"),
        ("tfjs-uint8", "node-wasm"),
        ("tflite-dynamic", "python"),
        ("tflite-dynamic", "node-wasm"),
        ("mine", "python"),
    ]


def test_a_narrow_row_in_full():
    row = cells(of(measured(), measured(runtime="node-wasm", timing=Timing(10, 0.1234))))[1]
    assert row == {
        "setting": "tfjs-uint8",
        "gzip KB": "7.4",
        "top-1 %": "97.30",
        "loss, points [95 %]": "0.10 [−0.30, 0.60]",
        "became wrong / right": "2/1",
        "ms/sample python · node-wasm": "0.100 · 12.3",
    }


def test_times_of_many_runtimes_stand_in_the_order_in_which_a_row_names_them():
    drawn = measured(runtime="chromium-webgl", timing=None, notes=("no times: a software renderer was used",))
    rows = cells(of(measured(), measured(runtime="node-wasm", timing=Timing(10, 0.1234)), drawn))
    assert [(row["runtime"], row["ms/sample"]) for row in rows] == [
        ("python", "0.100"),
        ("python, node-wasm", "0.100 · 12.3"),
        ("chromium-webgl", "–"),
    ]


def test_a_wide_row_in_full():
    float32 = measured("tfjs-float32", variant=a_variant(HERE, "tfjs-float32", size_bytes=80_000))
    row = cells(of(float32, measured(runtime="node-wasm", max_abs_from_python=2.4e-7, notes=("a note",))), wide=True)[2]
    assert row == {
        "setting": "tfjs-uint8",
        "runtime": "node-wasm",
        "KB": "20.0",
        "gzip KB": "7.4",
        "brotli KB": "6.9",
        "size / float32": "0.25",
        "top-1 % [95 %]": "97.30 [96.10, 98.10]",
        "loss, points [95 %]": "0.10 [−0.30, 0.60]",
        "became wrong / right": "2/1",
        "top-5 %": "99.90",
        "top-5 loss": "0.00",
        "same top-1 % [95 %]": "99.80 [99.30, 99.90]",
        "KL mean": "0.00012",
        "KL std. error": "1e−5",
        "KL infinite": "0",
        "TV mean": "0.0051",
        "JS mean": "3.1e−5",
        "max error": "0.012",
        "RMS error": "0.00045",
        "SQNR dB": "48.3",
        "cosine": "0.999991",
        "non-finite": "0",
        "difference from python": "2.4e−7",
        "ms/sample": "0.100",
        "notes": "a note",
    }


def test_a_failure_in_full():
    assert cells(of(failed("it hangs; raise --time-limit", notes=("named float32, holds int8 weights",))))[1] == {
        "setting": "tfjs-uint8",
        "runtime": "python",
        "gzip KB": "7.4",
        "top-1 %": "–",
        "ms/sample python": "–",
        "notes": "failed: it hangs; raise --time-limit; named float32, holds int8 weights",
    }


def test_a_conversion_that_failed_has_no_size():
    row = cells(of(failed("tfjs has no op for Erfc", variant=None), measured("tflite-dynamic")))[1]
    assert (row["gzip KB"], row["notes"]) == ("–", "failed: tfjs has no op for Erfc")


# Columns


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        pytest.param(
            of(measured()),
            ["setting", "gzip KB", "top-1 %", "loss, points [95 %]", "became wrong / right", "ms/sample python"],
            id="labelled classes",
        ),
        pytest.param(
            REGRESSION,
            ["setting", "gzip KB", "MAE", "MAE loss [95 %]", "RMSE", "RMSE loss", "ms/sample python"],
            id="labelled numbers",
        ),
        pytest.param(
            SIMILARITY,
            ["setting", "gzip KB", "SQNR dB", "max error", "cosine", "ms/sample python"],
            id="no labels",
        ),
        pytest.param(
            replace(SIMILARITY, classes=True, trials=(measured(),)),
            ["setting", "gzip KB", "same top-1 % [95 %]", "SQNR dB", "max error", "ms/sample python"],
            id="no labels, but classes",
        ),
        pytest.param(of(), ["setting", "top-1 %", "ms/sample python"], id="columns that are empty are left out"),
        pytest.param(
            of(measured(notes=("a note",))),
            [
                "setting",
                "gzip KB",
                "top-1 %",
                "loss, points [95 %]",
                "became wrong / right",
                "ms/sample python",
                "notes",
            ],
            id="notes where there are some",
        ),
    ],
)
def test_columns(study, expected):
    assert list(trial_table(study, wide=False).headings) == expected


# Digits


@pytest.mark.parametrize(
    ("reference", "errors", "printed"),
    [
        pytest.param(
            0.103342, [0.103401, 0.25], ["0.1033", "0.1034", "0.25"], id="as many digits as tell settings apart"
        ),
        pytest.param(0.103342, [0.2, 0.3], ["0.103", "0.2", "0.3"], id="three where they suffice"),
        pytest.param(0.103342, [0.10334201, 0.11], ["0.103", "0.103", "0.11"], id="equal in all that float32 holds"),
        pytest.param(103_342.0, [103_400.0], ["103300", "103400"], id="large errors"),
    ],
)
def test_rows_are_told_apart_by_their_error(reference, errors, printed):
    trials = [
        measured(name, scores=Scores(n=1000, rmse=error, mae=1.0))
        for name, error in zip(("tfjs-uint8", "tfjs-uint16"), errors, strict=False)
    ]
    study = of(
        *trials,
        task="regression",
        classes=False,
        reference=measured("reference", variant=None, scores=Scores(n=1000, rmse=reference, mae=1.0)),
    )
    for wide in (False, True):
        assert [row["RMSE"] for row in cells(study, wide=wide)] == printed
        assert {row["MAE"] for row in cells(study, wide=wide)} == {"1"}


def test_runtimes_of_one_setting_share_a_row_where_only_more_digits_differ():
    rmse = {"python": 0.103342, "node-wasm": 0.103349}
    trials = [measured(runtime=runtime, scores=Scores(n=1000, rmse=value)) for runtime, value in rmse.items()]
    study = of(*trials, task="regression", classes=False)
    assert [row["RMSE"] for row in cells(study)][1:] == ["0.103"]


def test_a_cosine_below_one_never_looks_like_one():
    study = of(measured(scores=Scores(n=1000, sqnr_db=70.0, cosine=0.99999994)), task="similarity", classes=False)
    assert cells(study)[1]["cosine"] == "0.99999994"


def test_numbers_are_formatted_in_one_place():
    """So that no report has digits of its own."""
    folder = Path(quantlab_reports.__file__).parent
    own = [
        f"{path.name}: {ast.unparse(spec)}"
        for path in sorted(folder.rglob("*.py"))
        if path.name != "figures.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FormattedValue)
        and (spec := node.format_spec) is not None
        and re.search("[efg%]'?$", ast.unparse(spec).strip("'\""))
    ]
    assert own == []


def test_top5_is_left_out_where_there_are_few_classes():
    few = scores(top5=None, top5_loss_points=None)
    reference = replace(STUDY.reference, scores=replace(STUDY.reference.scores, top5=None))
    headings = trial_table(of(measured(scores=few), reference=reference), wide=True).headings
    assert "top-5 %" not in headings
    assert "top-1 % [95 %]" in headings


# Numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (0.004, "0.00"),
        (-0.004, "0.00"),
        (-0.05, "−0.05"),
        (0.125, "0.12"),
        (12.345, "12.35"),
        (-1234.5, "−1,234.50"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_points(value, text):
    row = cells(of(measured(scores=scores(top1_loss_points=value, top1_loss_interval=None))))[1]
    assert row["loss, points [95 %]"] == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2.4e-7, "2.4e−7"),
        (-2.4e-12, "−2.4e−12"),
        (0.000123, "0.00012"),
        (0.5, "0.5"),
        (123456.0, "120000"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_small_numbers(value, text):
    assert cells(of(measured(scores=scores(rms_error=value))), wide=True)[1]["RMS error"] == text


@pytest.mark.parametrize(
    ("timing", "text"),
    [
        (Timing(1000, 0.0741), "0.074"),
        (Timing(1000, 9.9994), "9.999"),
        (Timing(1000, 10.04), "10.0"),
        (Timing(10, 12.3456), "1,234.6"),
        (Timing(0, 0.0), "–"),
        (None, "–"),
    ],
)
def test_milliseconds(timing, text):
    assert cells(of(measured(timing=timing), measured("tfjs-uint16")))[1]["ms/sample python"] == text


# Above and below


def test_warnings_come_first():
    study = of(measured(), warnings=("the model answers differently", "float32 check failed"))
    assert heading(study) == [
        "! the model answers differently",
        "! float32 check failed",
        "Model  my_model.keras (Keras 3)",
        "Data   1,000 of 1,256 samples, stratified, seed 0; 256 other samples for calibration",
        "✓ float32 check tfjs: largest difference 1.2e−6",
    ]


@pytest.mark.parametrize(
    ("parity", "mark"),
    [
        ("ok: 1.2e-06", "✓ float32 check tfjs: largest difference 1.2e−6"),
        (
            "broken: 3 of 1,000 predictions change and the SQNR of the output is 4.0 dB, below 60",
            "✗ float32 check tfjs failed: 3 of 1,000 predictions change and the SQNR of the output is 4.0 dB, below 60",
        ),
        (
            "unknown: the float32 variant could not be measured in Python",
            "✗ float32 check tfjs unknown: the float32 variant could not be measured in Python",
        ),
    ],
)
def test_parity_marks(parity, mark):
    assert heading(of(measured(), parity={"tfjs": parity}))[-1] == mark


def in_node(setting: str, largest: float | None, flips: int | None, **equivalence: Any) -> Any:
    there = {"max_abs_from_python": largest, "flips_from_python": flips}
    return measured(setting, "node-wasm", **there, equivalence=Equivalence(**equivalence) if equivalence else None)


def alike(n: int, changed: int = 0, allowed: float = 0.3, *, lower: float = -0.3, upper: float = 0.3) -> dict[str, Any]:
    """Answers in Node.js and in Python, with bounds."""
    answers = {"became_wrong": changed, "became_right": 0}
    return {"n": n, "changed": changed, "changed_upper": allowed, "lower": lower, "upper": upper, **answers}


@pytest.mark.parametrize(
    ("trials", "mark"),
    [
        pytest.param(
            [in_node("tfjs-uint8", 2.4e-7, 0, **alike(1000)), in_node("tfjs-uint16", 3.5e-5, 0, **alike(1000))],
            "✓ node-wasm = python within 0.30 pt (90 % interval; margin 0.5); same top-1 on all 1,000 samples, which "
            "allows 0.30 %; largest difference 3.5e−5",
            id="alike",
        ),
        pytest.param(
            [
                in_node("tfjs-uint8", 0.0, 0, **alike(1000)),
                in_node("tflite-int8", 0.25, 2, **alike(1000, 2, 0.6285, lower=-0.02, upper=0.4983)),
            ],
            "✓ node-wasm = python within 0.499 pt (90 % interval; margin 0.5); different top-1 on 2 (tflite-int8) of "
            "1,000 samples, which allows 0.63 %; largest difference 0.25",
            id="the widest interval of all settings is within the margin",
        ),
        pytest.param(
            [
                in_node("tfjs-uint8", 0.0, 0, **alike(1000)),
                in_node("tflite-int8", 0.25, 37, **alike(1000, 37, 4.85, lower=2.789, upper=4.8)),
                in_node("tflite-int16x8", 0.25, 11, **alike(1000, 11, 1.82, lower=-1.9, upper=-0.6142)),
            ],
            "✗ node-wasm ≠ python: tflite-int8 loses at least 2.78 pt; tflite-int16x8 gains at least 0.61 pt (90 % "
            "interval; margin 0.5); different top-1 on 37 (tflite-int8), 11 (tflite-int16x8) of 1,000 samples, which "
            "allows 4.85 %; largest difference 0.25",
            id="settings differ",
        ),
        pytest.param(
            [
                in_node("tfjs-uint8", 0.0, 0, **alike(1000)),
                in_node("tflite-int8", 0.25, 7, **alike(1000, 7, 1.3104, lower=0.1, upper=1.2345)),
            ],
            "· node-wasm against python: not shown to be equivalent within 0.5 pt: 1,000 samples allow 1.24 pt "
            "(tflite-int8) (90 % interval); different top-1 on 7 (tflite-int8) of 1,000 samples, which allows 1.32 %; "
            "largest difference 0.25",
            id="one setting needs more samples",
        ),
        pytest.param(
            [in_node("tfjs-uint8", 0.0, 0, **alike(200, allowed=1.487, lower=-1.487, upper=1.487))],
            "· node-wasm against python: not shown to be equivalent within 0.5 pt: 200 samples allow 1.49 pt (90 % "
            "interval); same top-1 on all 200 samples, which allows 1.49 %; largest difference 0",
            id="few samples",
        ),
        pytest.param(
            [in_node("tfjs-uint8", 2.4e-7, 0), in_node("tfjs-uint16", 3.5e-5, 0)],
            "· node-wasm against python: same top-1 on every sample; largest difference 3.5e−5; 'quantlab analyze' "
            "again tests equivalence",
            id="a study of an older quantlab",
        ),
        pytest.param(
            [in_node("tfjs-uint8", 0.0, 0), in_node("tflite-int8", 0.25, 7)],
            "· node-wasm against python: different top-1 on 7 outputs of all settings; largest difference 0.25; "
            "'quantlab analyze' again tests equivalence",
            id="a study of an older quantlab whose runtimes differ",
        ),
    ],
)
def test_runtime_marks(trials, mark):
    assert heading(of(*trials, parity={}))[-1] == mark


def test_a_runtime_without_figures_of_its_own_gets_no_mark():
    assert heading(of(measured(), failed("it hangs", runtime="node-wasm"), parity={}))[-1].startswith("Data ")


def test_without_classes_differences_are_told_and_not_judged():
    study = replace(SIMILARITY, trials=(in_node("tfjs-uint8", 0.5, None),), parity={})
    assert heading(study)[-1] == "· node-wasm against python: largest difference 0.5"


def test_the_footer_of_labelled_classes():
    loss = "loss = reference − variant, in percentage points of top-1; positive is worse; 95 % interval by Tango"
    assert "\n".join(footer(STUDY)) == (
        "n = 1,000 samples of x.npz, stratified, seed 0; SHA-256 dddddddddddd; batch size 32 (TFLite files: 1)\n"
        f"{loss}; 95 % interval of the reference's top-1: [96.20, 98.20] (Wilson)\n"
        "became wrong / right: samples whose top-1 went right → wrong / wrong → right; KL divergence of the "
        "renormalized probabilities\n"
        "ms/sample: time in the model's calls on this machine, two processes at a time with one thread each; "
        "do not use these times to compare phones\n"
        "Versions: quantlab 0.1.0, tensorflow 2.19.0"
    )


@pytest.mark.parametrize(
    ("study", "line"),
    [
        (replace(STUDY, samples=replace(STUDY.samples, preprocessing="grey 8×8")), "Preprocessing: grey 8×8"),
        (replace(STUDY, probabilities=False), "KL divergence of the softmax of the output"),
        (REGRESSION, "loss = variant − reference, in the unit of the output; positive is worse"),
        (SIMILARITY, "No labels: variants are compared with the reference only"),
    ],
    ids=["of images", "of logits", "of a regression", "without labels"],
)
def test_the_footer(study, line):
    assert any(told.endswith(line) for told in footer(study))


# Formats


def test_json_rows_have_the_documented_keys_in_order():
    for study in (STUDY, REGRESSION, SIMILARITY, SPOILED):
        assert [tuple(row) for row in json.loads(RENDERINGS["json"](trial_table(study, wide=False)))] == [KEYS] * (
            len(study.trials) + 1
        )


def documented() -> Iterator[str]:
    """The keys of the table in the module's docstring; `…_lower` stands for the key before it with that ending."""
    for names in re.findall(r"^\| (`.*?) \|", trial_records.__doc__ or "", re.MULTILINE):
        stem = ""
        for name in re.findall(r"`(.+?)`", names):
            stem = stem if name.startswith("…") else name
            yield name.replace("…", stem)


def test_every_key_is_documented_and_no_other():
    assert list(documented()) == list(KEYS)


def test_a_json_row_in_full():
    row = rows(STUDY)[3]
    assert row == {
        "setting": "tfjs-uint8",
        "runtime": "node-wasm",
        "ran_on": "node-wasm",
        "status": "measured",
        "reason": None,
        "requested": True,
        "size_bytes": 20_000,
        "gzip_bytes": 7_400,
        "brotli_bytes": 6_900,
        "ratio_to_float32": 1.0,
        "n": 1000,
        "top1": 97.3,
        "top1_lower": 96.1,
        "top1_upper": 98.1,
        "top1_loss_points": 0.1,
        "top1_loss_points_lower": -0.3,
        "top1_loss_points_upper": 0.6,
        "top5": 99.9,
        "top5_loss_points": 0.0,
        "agreement": 99.8,
        "agreement_lower": 99.3,
        "agreement_upper": 99.9,
        "mean_iou": None,
        "mean_iou_loss_points": None,
        "mean_iou_loss_points_lower": None,
        "mean_iou_loss_points_upper": None,
        "position_accuracy": None,
        "position_loss_points": None,
        "position_loss_points_lower": None,
        "position_loss_points_upper": None,
        "right_to_wrong": 2,
        "wrong_to_right": 1,
        "mae": None,
        "mae_lower": None,
        "mae_upper": None,
        "rmse": None,
        "mae_loss": None,
        "mae_loss_lower": None,
        "mae_loss_upper": None,
        "rmse_loss": None,
        "max_abs_error": 0.0123,
        "rms_error": 0.00045,
        "sqnr_db": 48.26,
        "cosine": 0.999991,
        "kl_mean": 0.000123,
        "kl_standard_error": 0.00001,
        "kl_infinite": 0,
        "kl_undefined": 0,
        "kl_reason": None,
        "total_variation": 0.0051,
        "jensen_shannon": 0.000031,
        "non_finite": 0,
        "left_out": 0,
        "left_out_equal": None,
        "left_out_indices": None,
        "left_out_files": None,
        "left_out_weights": None,
        "left_out_tensor": None,
        "left_out_layer": None,
        "max_abs_from_python": 2.4e-7,
        "flips_from_python": 0,
        "flips_from_python_upper": 0.2991,
        "loss_from_python": 0.0,
        "loss_from_python_lower": -0.2991,
        "loss_from_python_upper": 0.2991,
        "equivalence_margin": 0.5,
        "equivalence": "equivalent",
        "ms_per_sample": 0.1,
        "convert_seconds": 1.25,
        "minimum_runtime": None,
        "weights": {"uint8": 6000, "int32": 16},
        "sha256": "c" * 64,
        "constant_outputs": [],
        "repeated": [],
        "environment": {"threads": "1"},
        "device": None,
        "notes": [],
        "reference_check": None,
    }


def told(row: dict[str, Any]) -> dict[str, Any]:
    """What a row says at all."""
    return {key: value for key, value in row.items() if value not in (None, [], {})}


def test_the_json_rows_of_the_reference_and_of_a_failure():
    reference, failure = rows(STUDY)[0], rows(STUDY)[5]
    assert told(reference) == {
        "setting": "reference",
        "runtime": "python",
        "ran_on": "python",
        "status": "reference",
        "requested": True,
        "n": 1000,
        "top1": 97.4,
        "top1_lower": 96.2,
        "top1_upper": 98.2,
        "top5": 99.9,
        "non_finite": 0,
        "left_out": 0,
        "ms_per_sample": 0.1,
        "sha256": "a" * 64,
        "environment": {"threads": "1", "tensorflow": "2.19.0"},
    }
    assert told(failure) == {
        "setting": "tflite-dynamic",
        "runtime": "node-wasm",
        "status": "failed",
        "reason": "wasm has no Einsum; use --fallback",
        "requested": True,
        "size_bytes": 20_000,
        "gzip_bytes": 7_400,
        "brotli_bytes": 6_900,
        "convert_seconds": 1.25,
        "weights": {"uint8": 6000, "int32": 16},
        "sha256": "c" * 64,
    }


def test_numbers_that_json_lacks_are_strings():
    row = json.loads(RENDERINGS["json"](trial_table(SPOILED, wide=False)))[1]
    assert [row[key] for key in ("sqnr_db", "max_abs_error", "rms_error", "cosine")] == [
        "-Infinity",
        "Infinity",
        "NaN",
        "NaN",
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({}, None, id="there is one"),
        pytest.param(
            {"kl_mean": None, "kl_infinite": 12},
            "the variant gives probability 0 to a class to which the reference does not (12 samples)",
            id="infinite",
        ),
        pytest.param(
            {"kl_mean": None, "kl_undefined": 1500},
            "the output is not a probability distribution (1,500 samples)",
            id="undefined",
        ),
        pytest.param(
            {"kl_mean": None, "kl_infinite": 1, "kl_undefined": 2},
            "the variant gives probability 0 to a class to which the reference does not (1 sample); the output is not "
            "a probability distribution (2 samples)",
            id="both",
        ),
    ],
)
def test_why_there_is_no_mean_divergence(changed, reason):
    assert kl_reason(scores(**changed)) == reason


def from_csv(text: str, like: Any) -> Any:
    """A cell as the value that JSON has in its place."""
    if text == "":
        return None
    if isinstance(like, bool):
        return {"True": True, "False": False}[text]
    if isinstance(like, str):
        return text
    return json.loads(text)


@pytest.mark.parametrize("study", STUDIES)
def test_csv_parses_back_to_the_json_rows(study):
    expected = json.loads(RENDERINGS["json"](trial_table(study, wide=False)))
    parsed = list(csv.DictReader(io.StringIO(RENDERINGS["csv"](trial_table(study, wide=False))), strict=True))
    assert [
        {key: from_csv(text, row[key]) for key, text in line.items()}
        for line, row in zip(parsed, expected, strict=True)
    ] == expected


SPECIAL = of(failed("a|b & 50 % of $x_1 {y} \\z # ~ ^ <b> *c* −1 ∞ ± · → ≠ ×"), warnings=("see *this* | that",))


def test_markdown_is_text_and_not_markup():
    lines = RENDERINGS["markdown"](trial_table(SPECIAL, wide=False)).split("\n")
    assert lines[0] == "- ! see \\*this\\* \\| that"
    assert lines[1] == "- Model  my\\_model.keras (Keras 3)"
    table = [line for line in lines if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
    assert len(columns) == 1
    assert "a\\|b & 50 % of $x\\_1 {y} \\\\z # ~ ^ \\<b\\> \\*c\\*" in table[-1]


def test_latex_is_text_and_not_commands():
    lines = RENDERINGS["latex"](trial_table(SPECIAL, wide=False)).split("\n")
    assert lines[0] == "% ! see *this* | that"
    body = "\n".join(line for line in lines if not line.startswith("%"))
    assert body.startswith("\\begin{tabular}{")
    assert body.endswith("\\end{tabular}")
    assert "a|b \\& 50 \\% of \\$x\\_1 \\{y\\} \\textbackslash{}z \\# \\textasciitilde{} \\^{}" in body
    assert "$-$1 $\\infty$ $\\pm$ $\\cdot$ $\\to$ $\\neq$ $\\times$" in body
    assert not re.search(r"(?<!\\)[%_#]", body)
    assert all(sign in "–…" for sign in body if ord(sign) > 126)
    columns = {len(re.findall(r"(?<!\\)&", line)) for line in body.split("\n") if line.endswith(r"\\")}
    assert len(columns) == 1


def test_the_terminal_wraps_notes_and_nothing_else():
    text = RENDERINGS["terminal"](trial_table(of(failed("word " * 60)), wide=True))
    table = text.split("\n\n")[1].split("\n")
    assert max(map(len, table)) < 60 + 300
    assert sum("word" in line for line in table) >= 5


def test_an_interval_is_left_out_where_there_is_none():
    study = of(measured(scores=scores(agreement_interval=Interval(99.25, 99.999))))
    assert cells(study, wide=True)[1]["same top-1 % [95 %]"] == "99.80 [99.25, 100.00]"
    study = of(measured(scores=scores(agreement_interval=None)))
    assert cells(study, wide=True)[1]["same top-1 % [95 %]"] == "99.80"


def test_the_row_of_the_reference_has_its_check():
    check = ReferenceCheck(
        again=0.25,
        single=0.0,
        predict=0.5,
        layers=(TrainingLayer("dropped", "Dropout", "called with training=True", ("random", "state")),),
    )
    reference, *others = json.loads(RENDERINGS["json"](trial_table(replace(STUDY, reference_check=check), wide=False)))
    assert reference["reference_check"] == {
        "again": 0.25,
        "single": 0.0,
        "call": None,
        "predict": 0.5,
        "layers": [
            {
                "name": "dropped",
                "kind": "Dropout",
                "cause": "called with training=True",
                "effects": ["random", "state"],
            }
        ],
        "chance": None,
        "class_order": None,
        "targets": [],
    }
    assert {row["reference_check"] for row in others} == {None}
