"""The commands and programs that `quantlab recommend` prints, followed to the letter.

The same bytes come out, in a new folder, and nothing that lies beside it is touched.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process, write_program
from contracts import onnx_contents
from kept import make_in_fork
from official import converted_officially, run_as_program

from quantlab.demo.digits import samples
from quantlab.formats import FORMATS
from quantlab.gate.judging import recipe
from quantlab.store import Store

pytestmark = pytest.mark.starts_children

OF_LAYERS = tuple(setting.name for setting in FORMATS["tfjs-layers"].settings)
SETTINGS = tuple(
    setting.name
    for format_ in FORMATS.values()
    for setting in format_.settings
    if setting.name not in OF_LAYERS and not setting.tuned
)

FLOAT_OF_LAYERS = "tfjs-layers-uint8+float"
FLOAT_LAYERS = "stem:float16,pointwise_2*"
WITH_FLOATS = (
    *("tfjs-uint8+float", "tflite-dynamic+float", "tflite-int8+float"),
    *("tflite-weight-only-wi4+float", "tflite-static-wi8-ai8+float", "onnx-float16+float", "onnx-int8+float"),
)
"""One for each function that keeps layers in float."""

AS_USERS_DO = {"tfjs-uint8", "tfjs-layers-uint8", "tflite-int8", "tflite-static-wi8-ai8", "onnx-int8"}
"""Run as programs of their own, one of each official tool; of the others only the import of TensorFlow is spared."""

OWN = "tfjs-uint8-per-channel"
"""Quantlab's own setting, whose program turns oneDNN off before it imports TensorFlow; run as users do, too."""


def studied(folder, model, data, settings, *more):
    """A folder of a user: with a model, a study of it, and files of all the names that a recipe writes."""
    options = (
        *more,
        "--settings",
        ",".join(settings),
        "--runtimes",
        "python",
        "--no-layers",
        "--no-costs",
        "--limit",
        "20",
    )
    done = quantlab_in_process("analyze", model, "--data", data, *options, cwd=folder)
    assert done.status == 0, done.stderr
    names = {
        "model.json",
        "model.onnx",
        "model.tflite",
        "source.onnx",
        "float32.onnx",
        "float32.tflite",
        "batch-1",
        "saved_model",
        "out",
    }
    trials = Store(folder / f"{Path(model).stem}.study").read_study().trials
    names |= {file.name for trial in trials for file in trial.variant.path.parent.rglob("*.bin")}
    for name in (*names, *(f"{setting}{end}" for setting in settings for end in ("", "-XXXXXX"))):
        (folder / name).write_text(f"the user's {name}")
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with a small model and its samples."""
    folder = tmp_path_factory.mktemp("recipes")
    make_in_fork("small_digits", {"file": str(folder / "digits.keras")}, folder / "made.log")
    x, y = samples()
    np.savez(folder / "digits.npz", x=x, y=y)
    return folder


@pytest.fixture(scope="module")
def made(digits, tmp_path_factory):
    folder = shutil.copytree(digits, tmp_path_factory.mktemp("recipes") / "place")
    return studied(folder, "digits.keras", "digits.npz", SETTINGS)


@pytest.fixture(scope="module")
def made_with_floats(digits, tmp_path_factory):
    folder = shutil.copytree(digits, tmp_path_factory.mktemp("recipes_with_floats") / "place")
    return studied(folder, "digits.keras", "digits.npz", WITH_FLOATS, "--float-layers", FLOAT_LAYERS)


@pytest.fixture(scope="module", params=["keras2_conv", "keras2_keras"])
def made_of_layers(request, small_models, tmp_path_factory):
    """Of Keras 2: an .h5 file, which the official converter reads, and a .keras file, whose SavedModel it reads."""
    folder, small = tmp_path_factory.mktemp("recipes_of_layers"), small_models[request.param]
    shutil.copy(small.path, folder / f"digits{small.path.suffix}")
    rows = {name: np.concatenate([array] * 10) for name, array in small.inputs.items()}
    np.savez(folder / "own.npz", **rows)
    settings = (*OF_LAYERS, FLOAT_OF_LAYERS)
    return studied(folder, f"digits{small.path.suffix}", "own.npz", settings, "--float-layers", "*[1f]*")


def contents(folder):
    """The hash of each file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def follow_as_users_do(text, _):
    """Follow a recipe in the current folder, with programs of its own."""
    command = ["bash", "-c", text] if "tensorflowjs_converter" in text else [sys.executable, "-c", text]
    artifact = Path(said_by(command, Path(sys.executable).parent).splitlines()[-1])
    assert artifact.exists()
    assert artifact.resolve().parts[: len(Path.cwd().parts)] == Path.cwd().resolve().parts


def follow_in_fork(text, folder):
    """Follow a recipe in the current folder; its log, and the program that stands in for another, lie in `folder`."""
    if "tensorflowjs_converter" in text:
        converted_officially([asked_of_the_converter(text, folder)], folder / "official.log")
    else:
        run_as_program(text, folder / "program.log")


def way_of(setting):
    return follow_as_users_do if setting in AS_USERS_DO else follow_in_fork


def asked_of_the_converter(text, folder):
    """The words that a shell calls `tensorflowjs_converter` with, which only writes them down here."""
    (folder / "programs").mkdir()
    words = folder / "words"
    write_program(folder / "programs" / "tensorflowjs_converter", f"printf '%s\\0' \"$@\" > '{words}'")
    said_by(["bash", "-c", text], folder / "programs")
    return words.read_text().removesuffix("\0").split("\0")


def said_by(command, programs):
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def followed(setting, place, folder, follow):
    """Follow the recipe of a setting in one way; returns the new folder and the artifact of the study."""
    store = Store(place / "digits.study")
    study = store.read_study()
    before, there = contents(place), set(place.iterdir())
    follow(recipe(store, study, setting), folder)
    (new,) = set(place.iterdir()) - there
    assert new.name.startswith(f"{setting}-")
    after = contents(place)
    assert {name: after.get(name) for name in before} == before
    # The names that it writes are those that lie beside the new folder already.
    assert {path.name for path in new.iterdir()} <= {path.name for path in there}
    return new, next(trial.variant.path for trial in study.trials if trial.setting == setting)


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS if setting != OWN])
def test_a_recipe_makes_the_same_bytes(setting, made, tmp_path, monkeypatch):
    monkeypatch.chdir(made)
    assert_same(setting, *followed(setting, made, tmp_path, way_of(setting)))


@pytest.mark.parametrize("setting", WITH_FLOATS)
def test_a_recipe_that_keeps_layers_in_float(setting, made_with_floats, tmp_path, monkeypatch):
    monkeypatch.chdir(made_with_floats)
    assert_same(setting, *followed(setting, made_with_floats, tmp_path, way_of(setting)))


def assert_same(setting, new, shipped):
    if setting.startswith("onnx"):  # tf2onnx writes no file twice; of a model that is ONNX the bytes are the same
        assert onnx_contents(new / "model.onnx") == onnx_contents(shipped)
    elif setting.startswith("tflite"):
        assert (new / "model.tflite").read_bytes() == shipped.read_bytes()
    elif setting.startswith("savedmodel"):
        assert contents(new / "saved_model") == contents(shipped) != {}
    else:
        assert_same_weights(new, shipped)


def test_a_program_of_quantlabs_own_setting_gives_every_byte_that_convert_gives(made, tmp_path, monkeypatch):
    monkeypatch.chdir(made)
    out = tmp_path / "converted"
    new, shipped = followed(OWN, made, tmp_path, follow_as_users_do)
    done = quantlab_in_process("convert", "digits.keras", "--settings", OWN, "--out", str(out), cwd=made)
    assert done.status == 0, done.stderr
    assert contents(new) == contents(shipped) == contents(out / OWN)


@pytest.mark.parametrize("setting", [*OF_LAYERS, FLOAT_OF_LAYERS])
def test_a_recipe_of_a_layers_model_makes_the_same_bytes(setting, made_of_layers, tmp_path, monkeypatch):
    monkeypatch.chdir(made_of_layers)
    follow = way_of(setting) if (made_of_layers / "digits.h5").exists() else follow_in_fork
    assert_same_weights(*followed(setting, made_of_layers, tmp_path, follow))


def assert_same_weights(new, shipped):
    """The shards of a tfjs artifact, and the manifest that says what is in them."""
    shards = sorted(path.name for path in shipped.glob("*.bin"))
    assert shards
    assert shards == sorted(path.name for path in new.glob("*.bin"))
    for name in shards:
        assert (new / name).read_bytes() == (shipped / name).read_bytes()
    assert _manifest(new) == _manifest(shipped)


def _manifest(folder):
    return json.loads((folder / "model.json").read_text())["weightsManifest"]
