"""Whole studies: what is kept and what is run again, what is said above the table, and every task and kind of input."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import PATIENCE, processes_marked, quantlab_in_process
from kept import QUANTLAB, kept, shared_once
from PIL import Image
from study_fixtures import (
    DIGITS,
    Heard,
    outputs_of,
    read_study,
    snapshot,
)

from quantlab import AnalyzeOptions, ModelOptions, analyze
from quantlab.errors import UsageError
from quantlab.processes import ChildDied, living_children
from quantlab.runtimes.node import find_node
from quantlab.types import Study, Trial
from quantlab_reports.views.trials import heading

pytestmark = pytest.mark.starts_children

SETTINGS = ("tfjs-uint8", "tflite-dynamic")
"""Of the prepared study, in both default runtimes."""


def again(place: Path, **options: Any) -> tuple[Study, Heard]:
    """Analyze the prepared model once more, from its folder, and tell what was heard."""
    heard, before = Heard(), Path.cwd()
    os.chdir(place)  # the model's path is part of what is kept
    try:
        study = analyze(
            "digits.keras",
            data=options.pop("data", "digits.npz"),
            options=AnalyzeOptions(**{"settings": SETTINGS, "layers": False, "costs": False, **options}),
            progress=heard,
        )
    finally:
        os.chdir(before)
    return study, heard


def row(study: Study, setting: str, runtime: str = "python") -> Trial:
    return next(trial for trial in study.trials if (trial.setting, trial.runtime) == (setting, runtime))


def not_kept(heard: Heard) -> dict[str, str]:
    """Steps that were not found done."""
    return {
        step: outcome for step, outcome in heard.ended.items() if outcome != "kept" and not step.startswith("read ")
    }


def program(file: Path, body: str) -> Path:
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


# What is kept


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
    newer = program(place / "node", f'[ "$1" = --version ] && echo v99.1.2 || exec {node} "$@"')
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
    assert [trial.notes == ("not asked for: parity needs it",) for trial in study.trials] == [
        not asked for *_, asked in rows
    ]
    assert list(study.parity) == [rows[0][0].partition("-")[0]]
    assert all(text.startswith("ok: ") for text in study.parity.values())


# What is killed, and what is stopped

KILLED = """
import os, signal, sys
import quantlab
from quantlab.progress import Silent

class Killing(Silent):
    heard = 0

    def advance(self, step, samples):
        self.heard += samples * (step == sys.argv[1])
        if self.heard >= 400:
            os.kill(os.getpid(), signal.SIGKILL)

options = quantlab.AnalyzeOptions(settings=("tfjs-uint8", "tflite-dynamic"), layers=False, costs=False)
quantlab.analyze("digits.keras", data="digits.npz", options=options, progress=Killing())
"""


def none_left(mark: str) -> bool:
    """Whether every process with the mark ends, which those whose parent was killed must notice first."""
    until = time.monotonic() + PATIENCE
    while processes_marked(mark):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(
    ("setting", "runtime"),
    [
        ("reference", "python"),
        ("tfjs-uint8", "python"),
        ("tfjs-uint8", "node-wasm"),
        ("tflite-dynamic", "node-wasm"),
    ],
)
def test_a_killed_study_goes_on_where_it_was(setting, runtime, place):
    whole = read_study(place / "digits.study")
    expected = outputs_of(whole, setting, runtime)
    shutil.rmtree(place / "digits.study" / "outputs" / setting / runtime)
    step = f"run {setting} in {runtime}"
    mark = {"QUANTLAB_TEST": str(place)}
    killed = subprocess.run([sys.executable, "-c", KILLED, step], cwd=place, env={**os.environ, **mark}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert none_left(f"QUANTLAB_TEST={place}")

    (partial,) = (place / "digits.study" / "outputs" / setting / runtime).iterdir()
    done = json.loads((partial / "progress.json").read_text())["done"]
    assert 0 < done < whole.samples.n
    written = np.load(partial / "output_0.npy", mmap_mode="r+")
    np.testing.assert_array_equal(written[:done], expected[:done])
    written[0] = 0.125  # what was run is not run again: this stays
    written.flush()

    study, heard = again(place)
    assert not_kept(heard) == {step: "done"}
    assert heard.samples[step] == whole.samples.n
    result = outputs_of(study, setting, runtime)
    assert (result[0] == 0.125).all()
    np.testing.assert_array_equal(result[1:], expected[1:])
    assert list((place / "digits.study" / "outputs").rglob("*.partial")) == []


class Losing(Heard):
    """Kills every child of the study once a step has begun, as a system does that ran out of memory."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self.step, self.before = step, living_children()

    def begin(self, step: str, samples: int = 0) -> None:
        del samples
        if step == self.step:
            threading.Thread(target=self._kill).start()

    def _kill(self) -> None:
        until = time.monotonic() + PATIENCE
        while not (begun := living_children() - self.before) and time.monotonic() < until:
            time.sleep(0.001)
        for child in begun:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    ("lost", "step", "what"),
    [
        pytest.param("model/*/opened.json", "open digits.keras", "open digits.keras", id="opening the model"),
        pytest.param("outputs/reference/*/*/*", "run reference in python", "run the reference", id="the reference"),
    ],
)
def test_a_study_that_loses_what_it_needs_says_so_and_goes_on(lost, step, what, place, monkeypatch):
    for file in [*(place / "digits.study").glob(lost)]:
        file.unlink()
    monkeypatch.chdir(place)
    options = AnalyzeOptions(settings=SETTINGS, layers=False, costs=False)
    with pytest.raises(ChildDied) as died:
        analyze("digits.keras", data="digits.npz", options=options, progress=Losing(step))
    assert re.fullmatch(
        f"could not {what}, which the same command tries again: the process was ended by SIGKILL, which may be the "
        "system that ran out of memory(; its log ends with: .+)?",
        str(died.value),
    )
    study, heard = again(place)
    assert heard.ended[step] == "done"
    assert not study.failed


def interrupted(place: Path, ready: Path, **env: str) -> tuple[int, str, str]:
    """Start the prepared study's command, and interrupt it once a file is there."""
    mark = {"QUANTLAB_TEST": str(place)}
    process = subprocess.Popen(
        [sys.executable, "-m", "quantlab", *DIGITS],
        cwd=place,
        env={**os.environ, **mark, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None:
        if ready.exists():
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.05)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


STOPPED = "quantlab: stopped; the same command goes on where it was"


def test_stopped_while_a_trial_runs(place):
    kept = snapshot(place / "digits.study")
    node = program(
        place / "node", f'[ "$1" = --version ] && {{ echo v22.0.0; exit; }}\ntouch {place}/started; sleep 1000'
    )
    status, out, err = interrupted(place, place / "started", QUANTLAB_NODE=str(node))
    assert (status, out, err.splitlines()[-1]) == (130, "", STOPPED)
    assert "Traceback" not in err
    assert processes_marked(f"QUANTLAB_TEST={place}") == []
    after = snapshot(place / "digits.study")
    assert {path: after.get(path) for path in kept} == kept
    gate = ("gate", "digits.study", "--max-accuracy-loss", "50pt")
    judged = quantlab_in_process(*gate, cwd=place)
    assert (judged.status, judged.stderr) == (
        2,
        (
            "quantlab: the last analysis of 'digits.study' was stopped before it was done, and the record is of one "
            "before; run the same 'quantlab analyze' again, which goes on where it was\n"
        ),
    )
    assert quantlab_in_process(*DIGITS, cwd=place).status == 0
    assert quantlab_in_process(*gate, cwd=place).status == 0


def artifacts(study: Path) -> dict[str, Any]:
    """What is served, by its path; JSON as its values, whose order the converter leaves to chance."""
    files = [file for file in (study / "variants").rglob("*") if file.is_file() and file.parent.name == "artifact"]
    read = {".json": lambda file: json.loads(file.read_text())}
    return {str(file.relative_to(study)): read.get(file.suffix, Path.read_bytes)(file) for file in files}


def test_stopped_while_it_converts(place):
    expected = artifacts(place / "digits.study")
    assert len(expected) == 6
    for name in ("variants", "work"):
        shutil.rmtree(place / "digits.study" / name)
    status, out, err = interrupted(place, place / "digits.study" / "work" / "convert-tfjs.log")
    assert (status, out, err.splitlines()[-1]) == (130, "", STOPPED)
    assert processes_marked(f"QUANTLAB_TEST={place}") == []
    study, _ = again(place)
    assert study.failed == ()
    assert artifacts(place / "digits.study") == expected


# What is said above the table


def with_labels(place: Path, change: Any) -> str:
    with np.load(place / "digits.npz") as held:
        np.savez(place / "other.npz", x=held["x"], y=change(held["y"]))
    return "other.npz"


def test_a_reference_near_chance_is_said_to_be(place):
    data = with_labels(place, lambda labels: np.random.default_rng(0).permutation(labels))
    study, _ = again(place, data=data, settings=("tfjs-uint8",), runtimes=("python",))
    assert len(study.warnings) == 1
    top1 = study.reference.scores.top1
    assert top1 < 15
    chance = 100 * np.bincount(np.load(study.samples.labels_file)).max() / study.samples.n
    assert study.warnings[0] == (
        f"the model itself is right on {top1:.1f} % of the samples, and guessing reaches {chance:.1f} %; most likely "
        f"the samples are not preprocessed as in training (scale 0–255 or 0–1, mean, colour order), or the labels are "
        f"in another order"
    )


def test_a_good_reference_is_not_warned_of(place):
    assert read_study(place / "digits.study").warnings == ()


def own(own_models: Path, tmp_path: Path, name: str, arrays: Mapping[str, Any], **options: Any) -> Study:
    """A study of one of the models made on the spot, its float32 TFLite file in Python unless told otherwise."""
    np.savez(tmp_path / "data.npz", **arrays)
    asked = {"settings": ("tflite-float32",), "runtimes": ("python",), "layers": False, "costs": False, **options}
    return analyze(
        own_models / name,
        data=str(tmp_path / "data.npz"),
        options=AnalyzeOptions(**asked, out=tmp_path / f"{name}.study"),
    )


def test_a_model_that_throws_dice_is_reported_before_anything_else(own_models, tmp_path):
    values = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    study = own(own_models, tmp_path, "noisy", {"values": values})
    assert study.warnings[0].startswith(
        "the model answers the same samples differently when it is called again (by up to "
    )
    assert study.warnings[0].endswith("; turn off random ops such as dropout, or every figure below holds chance")
    assert heading(study)[0] == f"! {study.warnings[0]}"


def test_a_model_that_looks_at_its_neighbours_is_reported(own_models, tmp_path):
    values = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    study = own(own_models, tmp_path, "crowd", {"values": values})
    assert study.warnings[0].startswith("the model answers a sample differently alone and in a batch (by up to ")
    assert study.warnings[1].startswith("float parity broken: tflite, in float32 and before any quantization, strays")


@pytest.mark.parametrize(("signature", "factor"), [("doubled", 2), ("tripled", 3)])
def test_each_signature_has_outputs_of_its_own(signature, factor, own_models, tmp_path_factory):
    with shared_once(tmp_path_factory, "twice-study") as (folder, _):  # the same study for both
        values = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
        study = own(own_models, folder, "twice", {"values": values}, model=ModelOptions(signature))
    assert study.failed == ()
    scored = np.load(study.samples.input_file("values"))
    for setting in ("reference", "tflite-float32"):
        np.testing.assert_array_equal(outputs_of(study, setting, "python"), factor * scored)


# Tasks, inputs and outputs


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Where the studies of the model with two inputs and two outputs are made, and its samples."""
    random = np.random.default_rng(0)
    high = random.integers(2**28, 2**29, (200, 1), dtype=np.int32)
    arrays = {
        "counts": np.concatenate([high, high - random.integers(0, 50, (200, 1), dtype=np.int32)], axis=1),
        "values": random.normal(size=(200, 4)).astype(np.float32),
    }
    return tmp_path_factory.mktemp("ports"), arrays


def answers(own_models: Path, arrays: Mapping[str, Any]) -> Any:
    """What the model with two outputs is to answer, each before its last function, in float64."""
    with np.load(own_models / "ports-weights.npz") as held:
        apart = arrays["counts"][:, :1] - arrays["counts"][:, 1:]
        return np.concatenate([arrays["values"], apart], axis=1).astype(np.float64) @ held["weights"]


def test_of_several_outputs_one_is_chosen(ports, own_models):
    folder, arrays = ports
    with pytest.raises(UsageError) as refused:
        own(own_models, folder, "ports", arrays)
    assert str(refused.value) == (
        f"'{own_models / 'ports'}' has the outputs 'price', 'spam'; choose the one that is scored with --score-output"
    )


def test_a_regression(ports, own_models):
    folder, arrays = ports
    price = answers(own_models, arrays)[:, :1]
    labels = price + np.where(np.arange(200)[:, None] % 2, 3.0, -1.0)
    asked = {"score_output": "price", "settings": ("tfjs-uint8", "tfjs-float16"), "runtimes": ("python", "node-wasm")}
    study = own(own_models, folder, "ports", {**arrays, "y": labels}, **asked)
    assert (study.task, study.classes, study.failed) == ("regression", False, ())
    chosen = np.load(study.samples.folder / "indices.npy")
    reference, labels = outputs_of(study, "reference", "python"), labels[chosen]
    np.testing.assert_allclose(reference, price[chosen], rtol=1e-5, atol=1e-5)
    assert study.reference.scores.mae == pytest.approx(np.abs(reference - labels).mean(), rel=1e-12)
    assert study.reference.scores.rmse == pytest.approx(np.sqrt(((reference - labels) ** 2).mean()), rel=1e-12)
    for trial in study.trials:
        candidate = outputs_of(study, trial.setting, trial.runtime).astype(np.float64)
        mae = np.abs(candidate - labels).mean()
        assert trial.scores.mae == pytest.approx(mae, rel=1e-12)
        assert trial.scores.mae_loss == pytest.approx(mae - study.reference.scores.mae, abs=1e-9)
        assert trial.scores.top1 is None
    assert row(study, "tfjs-uint8").scores.max_abs_error > row(study, "tfjs-float16").scores.max_abs_error


def test_integers_reach_every_runtime_as_they_are(ports, own_models):
    folder, arrays = ports
    study = own(
        own_models,
        folder,
        "ports",
        arrays,
        score_output="price",
        settings=("tfjs-float32", "tflite-float32"),
        runtimes=None,
    )
    price = answers(own_models, arrays)[np.load(study.samples.folder / "indices.npy"), :1]
    assert [(trial.setting, trial.runtime) for trial in study.trials if trial.failure is None] == [
        ("tfjs-float32", "python"),
        ("tfjs-float32", "node-wasm"),
        ("tflite-float32", "python"),
        ("tflite-float32", "node-wasm"),
    ]
    for trial in study.trials:
        np.testing.assert_allclose(outputs_of(study, trial.setting, trial.runtime), price, rtol=1e-5, atol=1e-5)


def test_a_yes_or_no_of_one_number(ports, own_models):
    folder, arrays = ports
    labels = (answers(own_models, arrays)[:, 1] > 0).astype(np.int64)
    labels[:20] = 1 - labels[:20]  # a tenth is wrong
    study = own(own_models, folder, "ports", {**arrays, "y": labels}, score_output="spam", settings=("tfjs-uint8",))
    chosen = np.load(study.samples.folder / "indices.npy")
    wrong = int((chosen < 20).sum())
    assert (study.task, study.classes, study.failed) == ("classification", True, ())
    assert study.reference.scores.top1 == pytest.approx(100 * (study.samples.n - wrong) / study.samples.n)
    assert study.reference.scores.top5 is None
    assert row(study, "tfjs-float32").scores.agreement == 100


# Where WebAssembly lacks an op


def test_an_op_that_webassembly_lacks_costs_its_row_and_falls_back_when_told(own_models, tmp_path):
    words = np.random.default_rng(0).normal(size=(40, 6, 4)).astype(np.float32)
    asked = {"settings": ("tfjs-float32",), "runtimes": ("python", "node-wasm")}
    study = own(own_models, tmp_path, "attention.keras", {"words": words}, **asked)
    failed = row(study, "tfjs-float32", "node-wasm")
    assert row(study, "tfjs-float32").status == "measured"
    assert failed.status == "failed"
    assert "Einsum" in failed.failure.reason
    assert "attention" in failed.failure.reason
    assert "--fallback" in failed.failure.reason

    heard = Heard()
    options = AnalyzeOptions(**asked, out=tmp_path / "attention.keras.study", fallback=True, layers=False, costs=False)
    study = analyze(own_models / "attention.keras", data=str(tmp_path / "data.npz"), options=options, progress=heard)
    fallen = row(study, "tfjs-float32", "node-wasm")
    assert (fallen.status, fallen.ran_on, fallen.notes) == ("measured", "node-cpu", ("ran on node-cpu",))
    assert fallen.max_abs_from_python < 1e-5
    assert heard.ended["run tfjs-float32 in python"] == "kept"


# Real models


@pytest.fixture(scope="session")
def fashion(request: pytest.FixtureRequest, data_folder: Path) -> Path:
    """A study of the fashion model on a thousand of its samples."""
    model, data = (data_folder / "fashion-mnist" / name for name in ("fashion_dscnn.keras", "test.npz"))
    settings = ("--settings", "tfjs-float32,tfjs-uint8", "--no-layers", "--no-costs")
    options = ("--data", data, "--limit", "1000", "--out", "fashion.study", *settings)

    def make(folder: Path) -> None:
        done = quantlab_in_process("analyze", model, *options, cwd=folder)
        assert done.status == 0, done.stderr

    return kept(request, "fashion", (__file__, model, data, *QUANTLAB), make) / "fashion.study"


def test_a_subset_of_a_sorted_file_holds_as_many_of_each_class(fashion, data_folder):
    with np.load(data_folder / "fashion-mnist" / "test.npz") as held:
        assert (np.diff(held["y"]) >= 0).all()  # sorted: its first thousand are all of one class
    study = read_study(fashion)
    assert np.bincount(np.load(study.samples.labels_file)).tolist() == [100] * 10
    assert study.samples.drawn == "stratified, seed 0"


def test_what_calibrates_is_not_scored(fashion, data_folder):
    study = read_study(fashion)
    scored, calibration = (np.load(subset.folder / "indices.npy") for subset in (study.samples, study.calibration))
    assert (len(scored), len(calibration)) == (1000, 256)
    assert set(scored.tolist()) & set(calibration.tolist()) == set()
    with np.load(data_folder / "fashion-mnist" / "test.npz") as held:
        np.testing.assert_array_equal(np.load(study.samples.labels_file), held["y"][scored])
        assert set(np.bincount(held["y"][calibration]).tolist()) == {25, 26}


def test_node_gives_what_python_gives_on_the_same_artifact(fashion):
    study = read_study(fashion)
    for setting in ("tfjs-float32", "tfjs-uint8"):
        in_python, in_node = (
            outputs_of(study, setting, runtime).astype(np.float64) for runtime in ("python", "node-wasm")
        )
        assert np.abs(in_python - in_node).max() <= 1e-4
        assert row(study, setting, "node-wasm").max_abs_from_python == np.abs(in_python - in_node).max()


def test_images_in_a_folder_are_the_arrays_they_hold(fashion, data_folder, tmp_path):
    images, model = data_folder / "fashion-mnist" / "images", data_folder / "fashion-mnist" / "fashion_dscnn.keras"
    shutil.copytree(fashion, tmp_path / "fashion.study")
    asked = AnalyzeOptions(settings=("tfjs-uint8",), out=tmp_path / "fashion.study", layers=False, costs=False)
    study = analyze(model, data=str(images), options=asked)
    assert (study.failed, study.samples.available) == ((), 600)

    files = [file for number in range(10) for file in sorted((images / str(number)).glob("*.png"))]
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])[..., None]
    labels = np.repeat(np.arange(10), 60)
    with np.load(data_folder / "fashion-mnist" / "test.npz") as held:
        first = np.concatenate([np.flatnonzero(held["y"] == number)[:60] for number in range(10)])
        np.testing.assert_array_equal(pixels, held["x"][first])
    np.savez(tmp_path / "arrays.npz", x=pixels, y=labels)
    heard = Heard()
    arrays = analyze(model, data=str(tmp_path / "arrays.npz"), options=asked, progress=heard)
    assert arrays.samples.sha256 == study.samples.sha256
    assert not_kept(heard) == {}
    chosen = np.load(study.samples.folder / "indices.npy")
    np.testing.assert_array_equal(np.load(study.samples.input_file(study.samples.inputs[0].name)), pixels[chosen])
    assert (arrays.reference.scores, arrays.trials) == (study.reference.scores, study.trials)


def test_a_given_file_that_is_not_the_model_breaks_parity(data_folder, tmp_path):
    folder = data_folder / "mlperf-tiny"
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(200, 640)).astype(np.float32))
    options = AnalyzeOptions(
        settings=("tflite-float32",),
        runtimes=("python",),
        variants={"published": folder / "ad01_fp32.tflite"},
        out=tmp_path / "ad01.study",
        layer_samples=16,
        costs=False,
    )
    study = analyze(folder / "ad01.h5", data=str(tmp_path / "data.npz"), options=options)
    assert study.failed == ()
    sqnr = row(study, "published").scores.sqnr_db
    assert sqnr < 60 < row(study, "tflite-float32").scores.sqnr_db
    (warning,) = study.warnings
    tensors = warning.partition("losses are not quantization's; ")[2]
    assert warning == (
        f"float parity broken: published, in float32 and before any quantization, strays from the model: its output "
        f"has an SQNR of {sqnr:.1f} dB, under 60 (output '{study.scored_output}'); its conversion is broken, so its "
        f"losses are not quantization's; {tensors}"
    )
    assert re.fullmatch(
        r"the first tensor that strays is '.+' of activation_2 \(5\d\.\d dB\); of its weights 8 stray, most of all "
        r"'functional_1/dense_5/BiasAdd/ReadVariableOp/resource' \(31\.7 dB\), .+",
        tensors,
    )
    assert heading(study)[0] == f"! {warning}"
    assert study.parity["tflite"].startswith("ok: ")


def test_a_given_file_that_holds_other_than_its_name_says(data_folder, tmp_path):
    folder = data_folder / "mlperf-tiny"
    options = AnalyzeOptions(
        settings=("tflite-float32",),
        variants={"mine": folder / "kws_ref_model_float32.tflite", "int8": folder / "kws_ref_model.tflite"},
        limit=100,
        fallback=True,
        out=tmp_path / "kws.study",
        layers=False,
        costs=False,
    )
    study = analyze(folder / "kws_ref_model", data=str(data_folder / "kws01" / "kws01.npz"), options=options)
    for runtime in ("python", "node-wasm"):
        assert "named float32, holds int8 weights" in row(study, "mine", runtime).notes
    assert row(study, "int8").notes == ()
    assert {(trial.setting, trial.runtime) for trial in study.failed} <= {("int8", "node-wasm")}
    for trial in study.failed:
        assert "node-cpu" not in trial.failure.reason  # which runs no TFLite: there is nothing to fall back to
