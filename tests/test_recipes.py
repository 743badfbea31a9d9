"""The commands and programs that `quantlab recommend` prints, followed to the letter: the same bytes come out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import quantlab_in_process
from contracts import onnx_contents
from official import run_as_program

from quantlab.gate.judging import recipe
from quantlab.store import Store

pytestmark = pytest.mark.starts_children

SETTINGS = (
    *("tfjs-float32", "tfjs-uint8", "tflite-float16", "tflite-dynamic", "tflite-int8", "tflite-int16x8"),
    *("onnx-float16", "onnx-dynamic", "onnx-int8"),
)

AS_USERS_DO = {"tflite-int8", "onnx-int8"}


@pytest.fixture(scope="module")
def made(digits_study, tmp_path_factory):
    folder = shutil.copytree(digits_study, tmp_path_factory.mktemp("recipes") / "place")
    options = ("--settings", ",".join(SETTINGS), "--runtimes", "python", "--no-layers", "--no-costs", "--limit", "20")
    done = quantlab_in_process("analyze", "digits.keras", "--data", "digits.npz", *options, cwd=folder)
    assert done.status == 0, done.stderr
    return folder


def follow(setting, text):
    """Run a command as users do, and one Python program of each kind; the others as forks, which import nothing."""
    if not setting.startswith("tfjs") and setting not in AS_USERS_DO:
        run_as_program(text, Path("program.log"))
        return
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-c", text] if setting.startswith("tfjs") else [sys.executable, "-c", text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_recipe_makes_the_same_bytes(setting, made, monkeypatch):
    monkeypatch.chdir(made)
    store = Store(Path("digits.study"))
    study = store.read_study()
    follow(setting, recipe(store, study, setting))
    shipped = next(trial.variant.path for trial in study.trials if trial.setting == setting)
    if setting.startswith("onnx"):  # tf2onnx writes no file twice; of a model that is ONNX the bytes are the same
        assert onnx_contents(Path("model.onnx")) == onnx_contents(shipped)
        return
    if setting.startswith("tflite"):
        assert Path("model.tflite").read_bytes() == shipped.read_bytes()
        return
    shards = sorted(path.name for path in shipped.glob("*.bin"))
    assert shards
    assert shards == sorted(path.name for path in Path("out").glob("*.bin"))
    for name in shards:
        assert (Path("out") / name).read_bytes() == (shipped / name).read_bytes()
    assert _manifest(Path("out")) == _manifest(shipped)


def _manifest(folder):
    return json.loads((folder / "model.json").read_text())["weightsManifest"]
