"""`quantlab show runtimes` for rows that no runtime on this machine produces."""

from dataclasses import replace

import pytest
from study_fixtures import a_failure, a_study, a_trial

from quantlab.types import Equivalence
from quantlab_reports import RENDERINGS, Selection
from quantlab_reports.views.runtimes import RUNTIMES, RuntimeRow, runtime_rows, runtime_table, sentences

ROW = RuntimeRow("tfjs-uint8", "chromium-webgl16", 10_000, 2e-3, 1e-5, 0.9, 99.88, 12, "stem (Conv2D)", None, 30, None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param(
            {"first_beyond_half": "conv (_FusedConv2D)"},
            "changes the top-1 of 12 of 10,000 samples against python; first tensor beyond half precision: "
            "conv (_FusedConv2D)",
            id="beyond half precision",
        ),
        pytest.param(
            {},
            "changes the top-1 of 12 of 10,000 samples against python; no tensor is beyond half precision; first "
            "different tensor: stem (Conv2D)",
            id="within it",
        ),
        pytest.param(
            {"first_different": None, "flips": 0},
            "changes the top-1 of 0 of 10,000 samples against python; all 30 inner tensors are equal",
            id="equal",
        ),
        pytest.param(
            {"compared": 0}, "changes the top-1 of 12 of 10,000 samples against python", id="not looked inside"
        ),
        pytest.param(
            {"compared": 0, "flips": 0, "flips_upper": 0.02995},
            "changes the top-1 of 0 of 10,000 samples against python, which allows 0.03 %",
            id="with its bound",
        ),
        pytest.param({"flips": None, "compared": 0}, "differs from python by at most 0.002", id="no classes"),
        pytest.param(
            {"flips": None, "compared": 0, "max_abs": 0.0}, "gives the same values as python", id="the same values"
        ),
    ],
)
def test_sentences(changed, said):
    assert sentences([replace(ROW, **changed)]) == [f"tfjs-uint8: chromium-webgl16 {said}"]


def test_runtimes_of_which_the_same_is_said_share_a_sentence():
    alike = replace(ROW, flips=0, compared=0)
    places = ("node-wasm", "chromium-wasm", "chromium-webgl16", "chromium-webgpu")
    rows = [replace(alike, runtime=place, flips=12 if place.endswith("16") else 0) for place in places]
    assert sentences([*rows, replace(alike, setting="tfjs-uint16")]) == [
        (
            "tfjs-uint8: node-wasm, chromium-wasm and chromium-webgpu change the top-1 of 0 of 10,000 samples against "
            "python"
        ),
        "tfjs-uint8: chromium-webgl16 changes the top-1 of 12 of 10,000 samples against python",
        "tfjs-uint16: chromium-webgl16 changes the top-1 of 0 of 10,000 samples against python",
    ]
    within = [replace(alike, runtime=place, flips=None) for place in places[:2]]
    assert sentences(within) == ["tfjs-uint8: node-wasm and chromium-wasm differ from python by at most 0.002"]


def test_a_trial_that_failed_has_its_reason_and_no_sentence(tmp_path):
    trials = (a_trial(tmp_path), a_failure(tmp_path, "no WebGPU adapter", runtime="chromium-webgpu"))
    text = RENDERINGS["markdown"](runtime_table(a_study(tmp_path, trials=trials), None, Selection()))
    assert "no WebGPU adapter" in text
    assert "against python" not in text
    assert "\n- Inner tensors were not compared; run 'quantlab analyze' again without --no-layers\n" in text


@pytest.mark.parametrize(
    ("compared", "cells"),
    [
        pytest.param(None, ("–", "–", "–"), id="an older study"),
        pytest.param(
            Equivalence(1000, 1, 0.4735, -0.1, 0.4321, became_wrong=1, became_right=0),
            ("0.48 %", "0.10 [−0.10, 0.43]", "within 0.5 pt"),
            id="equivalent",
        ),
        pytest.param(
            Equivalence(200, 0, 1.487, -1.487, 1.487),
            ("1.49 %", "[−1.49, 1.49]", "not shown within 0.5 pt"),
            id="few samples without labels",
        ),
        pytest.param(
            Equivalence(1000, 30, 4.07, 2.22, 4.06, became_wrong=30, became_right=0),
            ("4.07 %", "3.00 [2.22, 4.06]", "no, by 0.5 pt or more"),
            id="different",
        ),
    ],
)
def test_equivalence_in_the_table(tmp_path, compared, cells):
    there = a_trial(tmp_path, runtime="node-wasm", flips_from_python=1, equivalence=compared)
    study = a_study(tmp_path, trials=(a_trial(tmp_path), there))
    (row,) = runtime_rows(study, None)
    headings = ("different top-1, at most", "loss from python, points [90 %]", "equivalent")
    columns = {column.heading: column for column in RUNTIMES.columns}
    assert tuple(columns[heading].cell(row) for heading in headings) == cells
    assert (row.margin, row.equivalence) == ((0.5, compared.outcome()) if compared else (None, None))


def test_without_python_there_is_nothing_to_compare_with(tmp_path):
    (row,) = runtime_rows(a_study(tmp_path, trials=(a_trial(tmp_path, runtime="node-wasm"),)), None)
    assert row.reason == "no python baseline: the setting was not measured in python"
