"""A gate's exit status and files do not depend on the process that reads its output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from verdict_fixtures import answers, flipped, write_study

pytestmark = pytest.mark.starts_children  # fifty programs, of a second each

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


SINKS = {
    "a pipe that is closed": 'exec 3>&1; { "$@"; echo $? >&3; } | true',
    "a full disk": '"$@" >/dev/full; echo $?',
    "no standard output": '{ "$@" >&-; echo $?; }',
    "a reader": '"$@" >/dev/null; echo $?',
}
"""Where standard output goes, as a shell connects it."""

SINKS_OF_BOTH = {
    "a pipe that is closed": 'exec 3>&1; { "$@" 2>&1; echo $? >&3; } | true',
    "a full disk": '"$@" >/dev/full 2>&1; echo $?',
    "no streams": '{ "$@" >&- 2>&-; echo $?; }',
}
"""Where standard output and standard error go."""

STATUSES = [
    pytest.param("fits", 0, id="fits"),
    pytest.param("breaks", 1, id="breaks"),
    pytest.param("missing", 2, id="could not run"),
    pytest.param("inconclusive", 3, id="too few samples"),
]


def gate(folder, study, command, *more):
    """Run the gate by a shell's command."""
    words = [sys.executable, "-m", "quantlab", "gate", study, "--max-accuracy-loss", "1pt", *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shell = ["/bin/bash", "-c", command, "bash", *words]
    done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return int(done.stdout.split()[-1]), done.stderr


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(("study", "status"), STATUSES)
def test_the_status_is_the_gates_own(study, status, sink, folder, tmp_path):
    files = [tmp_path / name for name in ("junit.xml", "verdict.json", "comment.md")]
    options = [f"--{name}={file}" for name, file in zip(("junit", "json", "markdown"), files, strict=True)]
    said = gate(folder, study, SINKS[sink], *options)
    assert said[0] == status
    assert [file.is_file() for file in files] == [study != "missing"] * 3
    assert "Traceback" not in said[1]
    if sink == "a full disk" and study != "missing":
        assert said[1].startswith("quantlab: the result could not be printed (No space left on device); see the exit")


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(("study", "status"), STATUSES)
def test_the_status_where_figures_are_printed(study, status, sink, folder, tmp_path):
    files = [tmp_path / name for name in ("junit.xml", "comment.md")]
    said = gate(folder, study, SINKS[sink], "--json", "-", f"--junit={files[0]}", f"--markdown={files[1]}")
    assert said[0] == status
    assert [file.is_file() for file in files] == [study != "missing"] * 2
    assert "Traceback" not in said[1]


@pytest.mark.parametrize("sink", SINKS_OF_BOTH)
@pytest.mark.parametrize(("study", "status"), STATUSES)
def test_the_status_where_nothing_can_be_said(study, status, sink, folder):
    assert gate(folder, study, SINKS_OF_BOTH[sink])[0] == status


@pytest.mark.parametrize("option", ["--junit", "--json", "--markdown"])
@pytest.mark.parametrize(
    ("study", "status"),
    [
        pytest.param("fits", 2, id="fits"),
        pytest.param("breaks", 1, id="breaks"),
        pytest.param("inconclusive", 3, id="too few samples"),
    ],
)
def test_a_file_that_has_no_room(study, status, option, folder, tmp_path):
    """A build that asked for it must not go on without it; a verdict against it stays what it is."""
    others = {"--junit", "--json", "--markdown"} - {option}
    more = [f"{other}={tmp_path / other.strip('-')}" for other in others]
    done = quantlab_in_process("gate", study, "--max-accuracy-loss", "1pt", option, "/dev/full", *more, cwd=folder)
    assert done.status == status
    assert done.stderr == "quantlab: '/dev/full' cannot be written (No space left on device); name another file\n"
    assert done.stdout.startswith(f"{study}  tfjs-uint8  ")
    assert all((tmp_path / other.strip("-")).is_file() for other in others)


def test_a_file_whose_reader_is_gone(folder):
    """It is a pipe, so nothing is missing afterwards."""
    assert gate(folder, "breaks", SINKS["a pipe that is closed"], "--junit", "/dev/stdout")[0] == 1


def test_figures_on_standard_output(folder):
    command = [sys.executable, "-m", "quantlab", "gate", "breaks", "--max-accuracy-loss", "1pt", "--json", "-"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "breaks")
    assert not Path(folder, "-").exists()
