"""Studies that are killed or stopped continue from where they were."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import PATIENCE, processes_marked, quantlab_in_process, write_program
from prepared_study import SETTINGS, again, not_kept
from study_fixtures import DIGITS, Heard, outputs_of, read_study, snapshot

from quantlab import AnalyzeOptions, analyze
from quantlab.processes import ChildDied, living_children
from quantlab.study.unfinished import PROGRESS, WrittenRows, hash_rows, read_progress

pytestmark = pytest.mark.starts_children


BATCH = AnalyzeOptions().batch_size

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
    progress = read_progress(partial / PROGRESS)
    done = progress.done
    assert 0 < done < whole.samples.n
    written = np.load(partial / "output_0.npy", mmap_mode="r+")
    np.testing.assert_array_equal(written[:done], expected[:done])
    rows = [WrittenRows.of(partial / "output_0.npy")]
    assert progress.sha256 == hash_rows(rows, 0, done, batch_size=BATCH)
    written[0] = 0.125  # what was run is not run again: this stays, if it is said to be what was written
    written.flush()
    changed = replace(progress, sha256=hash_rows(rows, 0, done, batch_size=BATCH))
    (partial / PROGRESS).write_bytes(changed.line())

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
        rf"could not {what} \(run the same command again to retry\): the process was ended by SIGKILL, perhaps because "
        "the system ran out of memory(; its log ends with: .+)?",
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
    try:
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out, err


STOPPED = "quantlab: stopped; run the same command again to continue"


def test_stopped_while_a_trial_runs(place):
    kept = snapshot(place / "digits.study")
    node = write_program(
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
            "quantlab: the last analysis of 'digits.study' was stopped before its end, so the record "
            "is outdated; run the same 'quantlab analyze' command again to continue it\n"
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
