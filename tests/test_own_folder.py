"""Folders for temporary files: they go with their owner, however it ends, and nobody else's is touched."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantlab.processes import OwnFolder, hold

SECONDS = 90
"""Within which whatever is waited for happens, however busy the machine."""

UNTIL_KILLED = """
import sys
from pathlib import Path
from quantlab.processes import OwnFolder
own = OwnFolder("toy", Path(sys.argv[1]))
(own.path / "file").write_text("left")
print(own.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def left(tmp_path):
    """What a program left that was killed."""
    command = [sys.executable, "-c", UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        path = Path(program.stdout.readline().decode().strip())
        program.kill()
    assert (path / "file").read_text() == "left"
    return path


def test_it_is_removed_at_the_end(tmp_path):
    with OwnFolder("toy", tmp_path) as own:
        (own.path / "deep").mkdir()
        assert own.path.parent == tmp_path
        assert own.path.stat().st_mode & 0o777 == 0o700
    own.close()
    assert list(tmp_path.iterdir()) == []


MANY_FILES = """
import os, resource, sys
from pathlib import Path
from quantlab.processes import OwnFolder
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
class Unlisted(type(Path())):
    def glob(self, pattern):  # listing needs a descriptor, too
        return []
try:
    while True:
        os.open(os.devnull, os.O_RDONLY)
except OSError:
    pass
try:
    OwnFolder("toy", Unlisted(sys.argv[1]))
except OSError as error:
    print(error)
"""


@pytest.mark.starts_children
def test_without_a_descriptor_left_it_is_an_error_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", MANY_FILES, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True).stdout.decode()
    assert told.endswith("cannot be opened\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.starts_children
def test_what_nobody_holds_is_removed_by_the_next(left, tmp_path):
    with OwnFolder("toy", tmp_path) as own:
        assert list(tmp_path.iterdir()) == [own.path]
    assert not left.exists()


@pytest.mark.starts_children
def test_what_somebody_holds_stays(left, tmp_path):
    held = hold(left)
    with OwnFolder("toy", tmp_path), OwnFolder("toy", tmp_path):
        assert left.exists()
        assert len(list(tmp_path.iterdir())) == 3
    os.close(held)


@pytest.mark.starts_children
def test_folders_of_another_kind_and_links_stay(left, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "quantlab-toy-link").symlink_to(tmp_path / "mine")
    (tmp_path / "quantlab-toy-file").touch()
    with OwnFolder("other", tmp_path):
        assert left.exists()
    with OwnFolder("toy", tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir() if path.name[-4:] in {"mine", "link", "file"}) == [
            "mine",
            "quantlab-toy-file",
            "quantlab-toy-link",
        ]


@pytest.mark.starts_children
def test_what_is_left_is_ended_as_its_kind_asks(left, tmp_path):
    ended = []
    OwnFolder("toy", tmp_path, ended.append).close()
    assert ended[0] == left
    assert len(ended) == 2


def test_a_folder_that_is_gone_cannot_be_held(tmp_path):
    assert hold(tmp_path / "gone") is None


LOADER = """
import numpy, pathlib, tempfile, time

def endless():
    tempfile.mkdtemp()
    pathlib.Path("started").touch()
    yield numpy.zeros((64,), numpy.float32)
    time.sleep(1000)
"""


@pytest.mark.starts_children
@pytest.mark.parametrize("fork", ["1", "0"])
def test_a_program_that_is_killed_leaves_the_folder_for_temporary_files_as_it_was(fork, tmp_path, place):
    """While a loader works, which writes there."""
    (place / "own_data.py").write_text(LOADER)
    (own := tmp_path / "private").mkdir()
    command = [sys.executable, "-m", "quantlab", "analyze", "digits.keras", "--data", "own_data:endless"]
    environment = {**os.environ, "TMPDIR": str(own), "QUANTLAB_FORK": fork}
    with subprocess.Popen([*command, "--out", "new.study"], cwd=place, env=environment, stderr=subprocess.PIPE) as run:
        wait_for(lambda: (place / "started").exists() or run.poll() is not None)
        assert run.poll() is None, run.stderr.read()
        os.kill(run.pid, signal.SIGKILL)
    wait_for(lambda: not list(own.iterdir()))
    assert list(own.iterdir()) == []


def wait_for(condition):
    until = time.monotonic() + SECONDS
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
