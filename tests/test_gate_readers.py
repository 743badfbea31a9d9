"""A gate's exit status and files do not depend on the process that reads its output."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from verdict_fixtures import answers, flipped, write_study

pytestmark = pytest.mark.starts_children  # twenty programs, of a second each

IN_FORKS = Path(__file__).with_name("gate_in_forks.py")

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
STUDIES = tuple(str(status.values[0]) for status in STATUSES)


GATE = ("--max-accuracy-loss", "1pt")
FIGURES_ELSEWHERE = {"junit.xml", "markdown.md"}
FILES = FIGURES_ELSEWHERE | {"json.json"}
"""Files that the gate is asked for, each by the option of its name."""


def through(command, folder, words):
    """Run a program by a shell's command; returns what the shell said."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shell = ["/bin/bash", "-c", command, "bash", sys.executable, *words]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def gate(folder, study, command, *more):
    """Run the gate as a program, by a shell's command."""
    done = through(command, folder, ["-m", "quantlab", "gate", study, *GATE, *more])
    return int(done.stdout.split()[-1]), done.stderr


def files_asked_for(place, names):
    """The options that write files to a folder."""
    return [f"--{Path(name).stem}={place / name}" for name in sorted(names)]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one of the gates of `gates` ended."""

    status: int
    stderr: str
    files: set[str]


@pytest.fixture(scope="module")
def gates(folder, tmp_path_factory):
    """The gates of all studies by a shell's command, in forks of one process."""

    @cache
    def run(command, said):
        """How each ended, by its study and whether the figures are printed in place of the table.

        Args:
            said: Whether standard error goes where it is read, and not where the command puts it.
        """
        place, asked = tmp_path_factory.mktemp("gates"), []
        places = {(study, printed): place / f"{study}-{printed}" for study in STUDIES for printed in (False, True)}
        for (study, printed), own in places.items():
            own.mkdir()
            more = ["--json", "-", *files_asked_for(own, FIGURES_ELSEWHERE)] if printed else files_asked_for(own, FILES)
            asked.append((["gate", study, *GATE, *more], f"{own}.errors" if said else None))
        done = through(command, folder, [IN_FORKS, json.dumps(asked), place / "statuses"])
        assert done.stdout.split()[-1] == "0", done.stderr
        statuses = json.loads((place / "statuses").read_text())
        return {
            key: Ended(
                status,
                Path(f"{own}.errors").read_text() if said else "",
                {file.name for file in own.iterdir()},
            )
            for (key, own), status in zip(places.items(), statuses, strict=True)
        }

    return run


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(("study", "status"), STATUSES)
def test_the_status_is_the_gates_own(study, status, sink, gates):
    ended = gates(SINKS[sink], said=True)[study, False]
    assert ended.status == status
    assert ended.files == (set() if study == "missing" else FILES)
    assert "Traceback" not in ended.stderr
    if sink == "a full disk" and study != "missing":
        assert ended.stderr.startswith(
            "quantlab: the result could not be printed (No space left on device); see the exit"
        )


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(("study", "status"), STATUSES)
def test_the_status_where_figures_are_printed(study, status, sink, gates):
    ended = gates(SINKS[sink], said=True)[study, True]
    assert ended.status == status
    assert ended.files == (set() if study == "missing" else FIGURES_ELSEWHERE)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("sink", SINKS_OF_BOTH)
@pytest.mark.parametrize(("study", "status"), STATUSES)
def test_the_status_where_nothing_can_be_said(study, status, sink, gates):
    ended = gates(SINKS_OF_BOTH[sink], said=False)
    assert [ended[study, printed].status for printed in (False, True)] == [status] * 2


@pytest.mark.parametrize(
    "command", [*SINKS.values(), *SINKS_OF_BOTH.values()], ids=[*SINKS, *(f"both: {name}" for name in SINKS_OF_BOTH)]
)
def test_a_program_of_its_own(command, folder, tmp_path):
    """As the forks; 3 is what neither Python nor the shell ends with for a reason of their own."""
    status, stderr = gate(folder, "inconclusive", command, *files_asked_for(tmp_path, FILES))
    assert status == 3
    assert {file.name for file in tmp_path.iterdir()} == FILES
    assert "Traceback" not in stderr


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
    command = [sys.executable, "-m", "quantlab", "gate", "breaks", *GATE, "--json", "-"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "breaks")
    assert not Path(folder, "-").exists()
