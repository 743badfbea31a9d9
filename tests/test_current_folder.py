"""Nothing of the current folder runs: neither modules with the names of libraries, nor a clone of quantlab itself."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import PATIENCE
from contracts import refuse_absent
from study_fixtures import read_study

import quantlab
from quantlab.runtimes import RUNTIMES

pytestmark = pytest.mark.starts_children

CANARY = "import os\nos.close(os.open({canary!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND))\n"
"""Imports nothing that may be one of the modules."""

LIBRARIES = ("keras", "h5py", "json", "numpy", "tensorflow", "onnx", "playwright", "tempfile", "asyncio")
COMMAND = (
    *("analyze", "digits.keras", "--data", "digits.npz", "--settings", "tfjs-uint8", "--out", "new.study"),
    *("--runtimes", "python,node-wasm,chromium-wasm", "--limit", "60", "--no-costs"),
)


@pytest.fixture
def canary(place, tmp_path) -> Path:
    """Is written by every module in the current folder that is imported."""
    file = tmp_path / "canary"
    for name in LIBRARIES:
        (place / f"{name}.py").write_text(CANARY.format(canary=str(file)))
    source = Path(quantlab.__file__).parent
    shutil.copytree(source, place / "quantlab", ignore=shutil.ignore_patterns("js", "__pycache__"))
    for module in (place / "quantlab").rglob("*.py"):
        module.write_text(CANARY.format(canary=str(file)))
    return file


def run_installed(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """As the installed command runs, whose own folder comes first on the path."""
    command = [sys.executable, "-P", "-m", "quantlab", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_modules_of_the_current_folder_do_not_run(canary, place):
    """In any of the processes that a study starts; those of a runtime that did run would have failed."""
    refuse_absent(RUNTIMES["chromium-wasm"])
    done = run_installed(*COMMAND, folder=place)
    assert done.returncode == 0, done.stderr
    assert not canary.exists()
    study = read_study(place / "new.study")
    assert study.failed == ()
    assert {trial.runtime for trial in study.trials} == {"python", "node-wasm", "chromium-wasm"}


def test_the_process_that_reads_hdf5_does_not_run_them(canary, place):
    (place / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    done = run_installed("convert", "model.h5", "--settings", "tfjs-uint8", "--out", "web", folder=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("quantlab: 'model.h5' could not be read as HDF5; ")
    assert not canary.exists()


def test_a_module_there_would_be_seen(canary, place):
    """That the canary sings: a program that does look into the current folder runs them."""
    subprocess.run([sys.executable, "-c", "import h5py, quantlab"], cwd=place, timeout=PATIENCE, check=True)
    assert canary.exists()
