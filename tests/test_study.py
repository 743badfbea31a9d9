"""Which results of a study are reused, and which are computed again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process, write_program
from prepared_study import SETTINGS, again, not_kept, row
from study_fixtures import DIGITS, read_study, snapshot

from quantlab.runtimes.node import find_node

pytestmark = pytest.mark.starts_children


def test_a_second_call_runs_nothing(place):
    shutil.rmtree(place / "digits.study" / "work")
    before = read_study(place / "digits.study")
    outputs = snapshot(place / "digits.study" / "outputs")
    study, heard = again(place)
    assert not_kept(heard) == {}
    assert set(heard.ended) == {
        "read digits.npz",
        "run reference in python",
        *(f"convert {name}" for name in ("tfjs-float32", "tfjs-uint8", "tflite-float32", "tflite-dynamic")),
        *(f"run {trial.setting} in {trial.runtime}" for trial in before.trials),
    }
    assert heard.planned["run"] == sum(heard.samples.values()) == 7 * study.samples.n
    assert list((place / "digits.study" / "work").rglob("*")) == []  # whoever is started writes a log
    assert snapshot(place / "digits.study" / "outputs") == outputs
    assert (study.reference, study.trials) == (before.reference, before.trials)


def test_an_added_setting_costs_itself(place):
    study, heard = again(place, settings=(*SETTINGS, "tfjs-uint16"), runtimes=("python",))
    assert not_kept(heard) == {"convert tfjs-uint16": "done", "run tfjs-uint16 in python": "done"}
    assert [trial.setting for trial in study.trials] == [
        "tfjs-float32",
        "tfjs-uint8",
        "tfjs-uint16",
        "tflite-float32",
        "tflite-dynamic",
    ]


def test_an_added_runtime_costs_itself(place):
    study, heard = again(place, settings=("tfjs-uint8",), runtimes=("python", "node-cpu"))
    assert not_kept(heard) == {"run tfjs-uint8 in node-cpu": "done"}
    assert row(study, "tfjs-uint8", "node-cpu").ran_on == "node-cpu"


def test_an_upgraded_runtime_runs_again_and_the_other_does_not(place):
    node, _ = find_node()
    newer = write_program(place / "node", f'[ "$1" = --version ] && echo v99.1.2 || exec {node} "$@"')
    older = read_study(place / "digits.study")
    done = quantlab_in_process(*DIGITS, cwd=place, env={"QUANTLAB_NODE": str(newer)})
    assert done.status == 0
    ran = {line.split("  ")[-1].partition(": ")[0] for line in done.stderr.splitlines() if ": done (" in line}
    assert ran - {"read digits.npz"} == {f"run {setting} in node-wasm" for setting in SETTINGS}
    study = read_study(place / "digits.study")
    for setting in SETTINGS:
        assert row(study, setting).outputs == row(older, setting).outputs
        files = [row(record, setting, "node-wasm").outputs["output_0"] for record in (older, study)]
        assert files[0] != files[1]
        np.testing.assert_array_equal(*map(np.load, files))
    _, heard = again(place)
    assert not_kept(heard) == {}  # what the older one gave is still there


def test_another_batch_size_runs_again(place):
    study, heard = again(place, settings=("tfjs-uint8",), runtimes=("node-wasm",), batch_size=32)
    assert not_kept(heard) == {}
    study, heard = again(place, settings=("tfjs-uint8",), runtimes=("python",), batch_size=50)
    assert not_kept(heard) == {
        "run reference in python": "done",
        "run tfjs-float32 in python": "done",
        "run tfjs-uint8 in python": "done",
    }
    assert study.batch_size == 50


def test_a_moved_study_is_shown_and_goes_on(place):
    shown = quantlab_in_process("show", "digits.study", "--wide", cwd=place)
    shutil.move(place / "digits.study", place / "elsewhere")
    assert quantlab_in_process("show", "elsewhere", "--wide", cwd=place) == shown
    _, heard = again(place, out=Path("elsewhere"))
    assert not_kept(heard) == {}


@pytest.mark.parametrize(
    ("settings", "runtimes", "rows"),
    [
        pytest.param(
            ("tfjs-uint8",),
            ("node-wasm",),
            [("tfjs-float32", "python", False), ("tfjs-uint8", "node-wasm", True)],
            id="where python was not asked for",
        ),
        pytest.param(
            ("tflite-dynamic",),
            ("python",),
            [("tflite-float32", "python", False), ("tflite-dynamic", "python", True)],
            id="where it was",
        ),
        pytest.param(
            ("tfjs-float32",),
            ("node-wasm",),
            [("tfjs-float32", "python", False), ("tfjs-float32", "node-wasm", True)],
            id="that was asked for elsewhere",
        ),
        pytest.param(
            ("tfjs-*8", "tfjs-float32"),
            ("python",),
            [("tfjs-float32", "python", True), ("tfjs-uint8", "python", True)],
            id="that was asked for",
        ),
    ],
)
def test_a_quantized_setting_brings_its_float32_along(settings, runtimes, rows, place):
    study, _ = again(place, settings=settings, runtimes=runtimes)
    assert [(trial.setting, trial.runtime, trial.requested) for trial in study.trials] == rows
    assert [trial.notes == ("added automatically as the float32 baseline",) for trial in study.trials] == [
        not asked for *_, asked in rows
    ]
    assert list(study.parity) == [rows[0][0].partition("-")[0]]
    assert all(text.startswith("ok: ") for text in study.parity.values())
