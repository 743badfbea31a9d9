"""A gate's exit status and files, whatever happens to whoever reads what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from verdict_fixtures import answers, flipped, write_study

LABELS = np.arange(2_000) % 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Studies of which one fits, one breaks, and one has too few samples."""
    place = tmp_path_factory.mktemp("studies")
    for name, n, lost in (("fits", 2_000, 0), ("breaks", 2_000, 400), ("inconclusive", 60, 0)):
        labels = LABELS[:n]
        outputs = {("tfjs-uint8", "python"): answers(labels, flipped(n, range(lost)))}
        write_study(place / name, labels, answers(labels), outputs)
    return place


def gate(folder, study, sink, *more):
    """Run the gate with standard output as a shell would connect it."""
    words = [sys.executable, "-m", "quantlab", "gate", study, "--max-accuracy-loss", "1pt", *more]
    command = {
        "a pipe that is closed": 'exec 3>&1; { "$@"; echo $? >&3; } | true',
        "a full disk": '"$@" >/dev/full; echo $?',
        "no standard output": '{ "$@" >&-; echo $?; }',
        "a reader": '"$@" >/dev/null; echo $?',
    }[sink]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shell = ["/bin/bash", "-c", command, "bash", *words]
    done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return int(done.stdout.split()[-1]), done.stderr


@pytest.mark.parametrize("sink", ["a pipe that is closed", "a full disk", "no standard output", "a reader"])
@pytest.mark.parametrize(
    ("study", "status"),
    [
        pytest.param("fits", 0, id="fits"),
        pytest.param("breaks", 1, id="breaks"),
        pytest.param("missing", 2, id="could not run"),
        pytest.param("inconclusive", 3, id="too few samples"),
    ],
)
def test_the_status_is_the_gates_own(study, status, sink, folder, tmp_path):
    files = [tmp_path / name for name in ("junit.xml", "verdict.json", "comment.md")]
    options = [f"--{name}={file}" for name, file in zip(("junit", "json", "markdown"), files, strict=True)]
    said = gate(folder, study, sink, *options)
    assert said[0] == status
    assert [file.is_file() for file in files] == [study != "missing"] * 3
    assert "Traceback" not in said[1]
    if sink == "a full disk" and study != "missing":
        assert said[1].startswith("quantlab: the result could not be printed (No space left on device); see the exit")


def test_figures_on_standard_output(folder):
    command = [sys.executable, "-m", "quantlab", "gate", "breaks", "--max-accuracy-loss", "1pt", "--json", "-"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "breaks")
    assert not Path(folder, "-").exists()
