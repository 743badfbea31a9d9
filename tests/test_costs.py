"""Costs of variants in whole studies: stored, failed, shown, and never zero if a figure is missing."""

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest
from real_models import FILES
from study_fixtures import Heard, a_failure, a_study, a_trial, a_variant, read_study

from quantlab import AnalyzeOptions, analyze
from quantlab.cli import run
from quantlab.seals import unsealed
from quantlab.store import Store
from quantlab.study.costs import this_machine
from quantlab.types import Cost, Costs, Machine, SteadyTimes
from quantlab_reports import RENDERINGS, Selection
from quantlab_reports.views.costs import CostRow, cost_table

SETTINGS = ("tfjs-uint8", "tflite-dynamic")
FLOAT32 = ("tfjs-float32", "tflite-float32")
"""The baselines of these settings, which bring no other variant along."""
TIMES = ("load_ms", "first_run_ms", "steady_median_ms", "steady_q1_ms", "steady_q3_ms", "steady_fastest_ms")
UNKNOWN = (*TIMES, "steady_p95_ms", "peak_memory_bytes", "idle_memory_bytes", "own_memory_bytes")


def measured(place, **options):
    """Analyze the prepared model with its costs; the study's folder, and what was heard of timing."""
    heard, before = Heard(), Path.cwd()
    os.chdir(place)  # the model's path is part of what is kept
    asked = {"settings": SETTINGS, "layers": False, **options}
    try:
        analyze("digits.keras", data="digits.npz", options=AnalyzeOptions(**asked), progress=heard)
    finally:
        os.chdir(before)
    return place / "digits.study", {step: how for step, how in heard.ended.items() if step.startswith("time ")}


def test_every_trial_has_its_costs_and_a_second_call_measures_none(place):
    folder, heard = measured(place, settings=FLOAT32)
    study, costs = read_study(folder), Store(folder).read_costs()
    steps = [f"time {trial.setting} in {trial.runtime}" for trial in study.trials]
    later = [f"{step}, round {number} of 3" for number in (2, 3) for step in steps]
    # Interleaved: every trial once, then every trial again.
    assert list(heard.items()) == [(step, "done") for step in (*steps, *later)]
    assert [(row.setting, row.runtime, row.sha256) for row in costs.rows] == [
        (trial.setting, trial.runtime, trial.variant.sha256) for trial in study.trials
    ]
    for row in costs.rows:
        assert (row.reason, row.memory_reason, row.ran_on, row.batch) == (None, None, row.runtime, 1)
        assert all(0 < getattr(row, name) < 60_000 for name in TIMES)
        assert row.steady_q1_ms <= row.steady_median_ms <= row.steady_q3_ms
        assert len(row.rounds) == 3
        assert row.runs == sum(one.runs for one in row.rounds) >= 15
        medians = sorted(one.median_ms for one in row.rounds)
        interval = (row.steady_median_lower_ms, row.steady_median_ms, row.steady_median_upper_ms)
        assert (*interval, row.steady_median_coverage) == (*medians, 0.75)
        assert (row.steady_p95_ms is None) == any(one.runs < 20 for one in row.rounds)
        assert 10e6 < row.idle_memory_bytes <= row.peak_memory_bytes
        assert row.machine == costs.machine == this_machine()
    _, again = measured(place, settings=FLOAT32)
    assert again == dict.fromkeys(steps, "kept")
    assert Store(folder).read_costs() == costs


def test_more_rounds_keep_those_before(place):
    asked = {"settings": ("tflite-dynamic",), "runtimes": ("python",)}
    folder, _ = measured(place, **asked, timing_rounds=1)
    one = {row.setting: row for row in Store(folder).read_costs().rows}
    assert {(len(row.rounds), row.steady_median_lower_ms, row.steady_median_coverage) for row in one.values()} == {
        (1, None, None)
    }
    assert (
        one["tflite-dynamic"]
        .notes[0]
        .endswith("not shown to be faster than tflite-float32, which takes three rounds of timing")
    )
    _, heard = measured(place, **asked, timing_rounds=2)
    first, again = ([f"time {name} in python{later}" for name in one] for later in ("", ", round 2 of 2"))
    assert heard == {**dict.fromkeys(first, "kept"), **dict.fromkeys(again, "done")}
    for row in Store(folder).read_costs().rows:
        before = one[row.setting]
        assert (row.rounds[0], row.load_ms, row.first_run_ms) == (before.rounds[0], before.load_ms, before.first_run_ms)
        assert (len(row.rounds), row.steady_median_coverage) == (2, 0.5)
    _, fewer = measured(place, **asked, timing_rounds=1)
    assert set(fewer.values()) == {"kept"}
    assert {len(row.rounds) for row in Store(folder).read_costs().rows} == {2}


def test_fewer_rounds_than_one_are_refused():
    with pytest.raises(ValueError, match=r"^timing_rounds is 0 and must be at least 1$"):
        AnalyzeOptions(timing_rounds=0)


def test_an_added_setting_costs_only_its_own_measuring(place):
    asked = {"settings": ("tflite-float32",), "runtimes": ("python",), "timing_rounds": 1}
    measured(place, **asked)
    _, heard = measured(place, **{**asked, "settings": ("tflite-dynamic",)})
    assert heard == {"time tflite-float32 in python": "kept", "time tflite-dynamic in python": "done"}


def test_a_measurement_that_fails_is_a_reason_and_the_next_call_tries_again(place):
    """The trials are kept, so that only timing meets the time limit."""
    folder, heard = measured(place, runtimes=("python",), time_limit=0.01)
    reason = "the process sent nothing for 0.01 seconds and was ended; if it only needs more time, raise --time-limit"
    assert set(heard.values()) == {reason}
    for row in Store(folder).read_costs().rows:
        assert (row.reason, row.runs, row.notes) == (reason, 0, ())
        assert [getattr(row, name) for name in UNKNOWN] == [None] * len(UNKNOWN)
    assert read_study(folder).failed == ()
    assert list((folder / "costs").rglob("*.json")) == []
    _, again = measured(place, runtimes=("python",), timing_rounds=1)
    assert set(again.values()) == {"done"}


def test_a_trial_that_failed_is_a_row_with_its_reason(place, monkeypatch):
    monkeypatch.setenv("QUANTLAB_NODE", "/nowhere/node")
    from quantlab.runtimes.node import find_node

    find_node.cache_clear()
    try:
        folder, heard = measured(place, settings=("tflite-dynamic",), timing_rounds=1)
    finally:
        monkeypatch.undo()
        find_node.cache_clear()
    rows = {(row.setting, row.runtime): row for row in Store(folder).read_costs().rows}
    failed = rows["tflite-dynamic", "node-wasm"]
    assert failed.reason.startswith("the trial failed: Node.js at '/nowhere/node' does not start")
    assert failed.steady_median_ms is None
    assert rows["tflite-dynamic", "python"].reason is None
    assert "time tflite-dynamic in node-wasm" not in heard


def test_without_costs_nothing_is_measured(place, capsys):
    folder, heard = measured(place, costs=False)
    assert heard == {}
    assert run(["show", "costs", str(folder)]) == 2
    assert capsys.readouterr().err == (
        f"quantlab: the study '{folder}' has no measured costs; run 'quantlab analyze' again without --no-costs\n"
    )


def test_kernels_that_are_decoded_in_each_call_are_noted(begun, data_folder, tmp_path):
    model, data = (data_folder / file for file in FILES["kws"])
    few = {"limit": 20, "layers": False, "timing_rounds": 1}
    asked = {"settings": ("tfjs-uint8-per-channel",), "runtimes": ("python",), **few}
    analyze(model, data=str(data), options=AnalyzeOptions(**asked, out=begun("kws", tmp_path / "kws.study")))
    notes = {row.setting: row.notes for row in Store(tmp_path / "kws.study").read_costs().rows}
    # The only kernel that a Mul decodes has 9 × 64 values of four bytes.
    assert "decodes kernels in each call, which takes up to 2.3 KB" in notes["tfjs-uint8-per-channel"]
    assert not any("decodes" in note for note in notes["tfjs-float32"])


# Bytes that are sent


def test_variants_tell_their_brotli_and_their_least_runtime(place):
    study = read_study(place / "digits.study")
    for trial in study.trials:
        assert 0 < trial.variant.brotli_bytes < trial.variant.gzip_bytes
    assert {trial.setting: bool(trial.variant.minimum_runtime) for trial in study.trials} == {
        "tfjs-float32": False,
        "tfjs-uint8": False,
        "tflite-float32": True,
        "tflite-dynamic": True,
    }


def test_a_study_of_before_is_read_and_completed(place, capsys):
    """Records without a hash, brotli and the least runtime are shown as they are, and completed by the next call."""
    folder = place / "digits.study"
    before = read_study(folder)
    for record in (folder / "study.json", *folder.glob("variants/*/*/variant.json")):
        document, _ = unsealed(json.loads(record.read_text()))
        text = re.sub(r'\n *"(brotli_bytes|minimum_runtime)": [^\n]*(?=\n)', "", json.dumps(document, indent=1))
        record.write_text(text)
    assert run(["show", str(folder), "--format", "json"]) == 0
    assert [row["brotli_bytes"] for row in json.loads(capsys.readouterr().out)] == [None] * 7
    measured(place, costs=False)
    assert read_study(folder).trials == before.trials


# Shown

NO_FASTER = ("not shown to be faster than tfjs-float32",)
MACHINE = Machine("a processor", 2, "Linux x86_64")


def a_cost(setting="tfjs-uint8", runtime="python", **changed):
    values = {
        "ran_on": runtime,
        "load_ms": 12.5,
        "first_run_ms": 30.0,
        "runs": 400,
        "steady_median_ms": 1.5,
        "steady_fastest_ms": 1.4,
        "steady_q1_ms": 1.45,
        "steady_q3_ms": 1.6,
        "steady_p95_ms": 2.0,
        "peak_memory_bytes": 95_000_000,
        "idle_memory_bytes": 65_000_000,
    }
    return Cost(setting, runtime, "c" * 64, MACHINE, **{**values, **changed})


@pytest.fixture
def table(tmp_path):
    study = a_study(
        tmp_path,
        trials=(
            a_trial(tmp_path, "tfjs-float32"),
            a_trial(tmp_path, notes=()),
            a_trial(tmp_path, runtime="node-wasm"),
            a_failure(tmp_path, "it died", setting="tflite-int8", runtime="node-wasm"),
            a_trial(tmp_path, "mine", variant=a_variant(tmp_path, "mine", sha256="e" * 64)),
        ),
    )
    rows = (
        a_cost(
            "tfjs-float32",
            steady_median_ms=1.6,
            steady_median_lower_ms=1.55,
            steady_median_upper_ms=1.712,
            steady_median_coverage=0.75,
            rounds=(SteadyTimes(100, 1.6, 1.4, 1.45, 1.6, 2.0),) * 3,
        ),
        a_cost(notes=NO_FASTER),
        a_cost(
            runtime="node-wasm",
            steady_median_ms=0.5,
            peak_memory_bytes=None,
            idle_memory_bytes=None,
            memory_reason="nobody tells",
        ),
        Cost("tflite-int8", "node-wasm", "c" * 64, MACHINE, reason="the trial failed: it died"),
        a_cost("mine"),  # of another artifact than the study's
    )
    return lambda **asked: cost_table(study, Costs(rows, MACHINE), Selection(**asked))


def test_what_people_are_shown(table):
    shown = table()
    sizes, unknown = ["20.0", "7.4", "6.9"], ["–"] * 8
    unmeasured = "not measured: the study has no costs; run 'quantlab analyze' again without --no-costs"
    assert [list(row) for row in shown.cells] == [
        ["tfjs-float32", "python", *sizes, "12.5", "30", "1.6 [1.55, 1.71]", "2", "1", "400", "95.0", "30.0", ""],
        ["tfjs-uint8", "python", *sizes, "12.5", "30", "1.5", "2", "0.94", "400", "95.0", "30.0", *NO_FASTER],
        ["tfjs-uint8", "node-wasm", *sizes, "12.5", "30", "0.5", "2", "–", "400", "–", "–", "nobody tells"],
        ["tflite-int8", "node-wasm", *sizes, *unknown, "not measured: the trial failed: it died"],
        ["mine", "python", *sizes, *unknown, unmeasured],
    ]
    assert shown.below[0] == (
        "Measured on a processor, 2 cores, Linux x86_64; do not use these times to compare phones"
    )
    assert shown.below[2] == (
        "[…] of the median: from 3 rounds, each with a new process for every variant in turn; contains the median with "
        "75 %"
    )


def test_json_and_csv_have_every_row_and_no_zero_for_what_is_unknown(table):
    rows = json.loads(RENDERINGS["json"](table()))
    assert [tuple(row) for row in rows] == [tuple(CostRow.__dataclass_fields__)] * 5
    assert [row["median_to_float32"] for row in rows] == [1.0, 1.5 / 1.6, None, None, None]
    assert {row["machine"] for row in rows} == {MACHINE.text}
    assert [rows[3][name] for name in UNKNOWN] == [None] * len(UNKNOWN)
    as_csv = list(csv.DictReader(io.StringIO(RENDERINGS["csv"](table()))))
    assert [(row["setting"], row["steady_median_ms"]) for row in as_csv] == [
        ("tfjs-float32", "1.6"),
        ("tfjs-uint8", "1.5"),
        ("tfjs-uint8", "0.5"),
        ("tflite-int8", ""),
        ("mine", ""),
    ]


@pytest.mark.parametrize(
    ("selection", "shown"),
    [
        pytest.param({"setting": "tfjs-uint8"}, [1.5, 0.5], id="a setting"),
        pytest.param({"runtime": "node-wasm"}, [0.5, None], id="a runtime"),
        pytest.param({"sort": "median"}, [0.5, 1.5, 1.6, None, None], id="what is unknown comes last"),
        pytest.param({"sort": "median", "top": 1}, [0.5], id="the quickest"),
    ],
)
def test_selections(selection, shown, table):
    rows = json.loads(RENDERINGS["json"](table(**selection)))
    assert [row["steady_median_ms"] for row in rows] == shown


def test_the_command_prints_every_format(place, capsys):
    folder, _ = measured(place, settings=("tflite-dynamic",), runtimes=("python",), timing_rounds=1)
    for form in ("terminal", "markdown", "csv", "latex", "json"):
        assert run(["show", "costs", str(folder), "--sort", "median", "--format", form]) == 0
        assert "tflite-dynamic" in capsys.readouterr().out
    assert run(["show", "costs", str(folder), "--sort", "speed"]) == 2
    assert capsys.readouterr().err == (
        "quantlab: there is no order 'speed'; choose from size, gzip, brotli, load, first, median, p95, memory\n"
    )
