"""Nothing of the current folder runs: neither modules with the names of libraries, nor a clone of quantlab itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from command_line import PATIENCE
from contracts import refuse_absent
from study_fixtures import read_study

import quantlab
from quantlab.processes import import_path
from quantlab.runtimes import RUNTIMES

pytestmark = pytest.mark.starts_children

CANARY = "import os\nos.close(os.open({canary!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND))\n"
"""Imports nothing that may be one of the modules."""

LIBRARIES = ("keras", "h5py", "json", "numpy", "tensorflow", "onnx", "playwright", "tempfile", "asyncio", "typer")
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
    return file


SOURCE = Path(quantlab.__file__).parent


@pytest.fixture
def clone(canary, place) -> Path:
    """A clone of quantlab in the current folder, every module of which would be seen."""
    shutil.copytree(SOURCE, place / "quantlab", ignore=shutil.ignore_patterns("js", "__pycache__"))
    for module in (place / "quantlab").rglob("*.py"):
        module.write_text(CANARY.format(canary=str(canary)))
    return place / "quantlab"


def run_in(folder: Path, *command: str, libraries: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder; what is installed is found as in this process, or in the given folders."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(libraries or import_path())}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def run_installed(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """As the installed command runs, whose own folder comes first on the path."""
    return run_in(folder, "-P", "-m", "quantlab", *arguments)


@pytest.mark.usefixtures("clone")
def test_modules_of_the_current_folder_do_not_run(canary, place):
    """In any of the processes that a study starts; those of a runtime that did run would have failed."""
    refuse_absent(RUNTIMES["chromium-wasm"])
    done = run_installed(*COMMAND, folder=place)
    assert done.returncode == 0, done.stderr
    assert not canary.exists()
    study = read_study(place / "new.study")
    assert study.failed == ()
    assert {trial.runtime for trial in study.trials} == {"python", "node-wasm", "chromium-wasm"}


@pytest.mark.parametrize(
    "options", [pytest.param(["-P"], id="as the installed command"), pytest.param([], id="by python -m alone")]
)
def test_the_process_that_reads_hdf5_does_not_run_them(options, canary, place):
    (place / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    command = ("-m", "quantlab", "convert", "model.h5", "--settings", "tfjs-uint8", "--out", "web")
    done = run_in(place, *options, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("quantlab: 'model.h5' could not be read as HDF5; ")
    assert not canary.exists()


def test_inside_a_clone_the_installed_package_runs(canary, clone, place):
    """Of the clone only what `python -m` imports before the program begins, which is like the installed."""
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(SOURCE / name, clone / name)
    done = run_in(place, "-m", "quantlab", "show", "digits.study", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert {row["setting"] for row in json.loads(done.stdout)} > {"tfjs-uint8"}
    assert not canary.exists()


def test_only_modules_that_python_itself_needs_run_there(tmp_path):
    """`python -m` looks into the current folder first, so quantlab imports nothing before it starts again."""
    for source in Path(os.__file__).parent.glob("*.py"):
        seen = f"\nimport os as _os\n_os.write(2, b'{source.stem}\\n')\n"
        (tmp_path / source.name).write_text(source.read_text() + seen)
    (tmp_path / "nothing.py").write_text("")
    python_itself, ours = (run_in(tmp_path, "-m", *command) for command in (["nothing"], ["quantlab", "--version"]))
    assert (python_itself.returncode, ours.returncode) == (0, 0)
    assert set(ours.stderr.split()) == set(python_itself.stderr.split()) > {"contextlib"}


def test_a_clone_that_is_not_installed_runs_itself(tmp_path):
    """Then the folder is the only one that has quantlab, and can only be what is meant."""
    shutil.copytree(SOURCE, tmp_path / "quantlab", ignore=shutil.ignore_patterns("js", "__pycache__"))
    libraries = [folder for folder in import_path() if not (Path(folder) / "quantlab").is_dir()]
    done = run_in(tmp_path, "-S", "-m", "quantlab", "glossary", "tap", libraries=libraries)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tap")


def test_a_module_there_would_be_seen(canary, place):
    """That the canary sings: a program that does look into the current folder runs them."""
    subprocess.run([sys.executable, "-c", "import h5py, quantlab"], cwd=place, timeout=PATIENCE, check=True)
    assert canary.exists()
