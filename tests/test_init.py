"""The quantlab.toml that `quantlab init` writes, and the commands that read it."""

import json
import re
import shutil
import tomllib

import pytest
from command_line import quantlab_in_process
from onnx_models import pictures

from quantlab.cli.analyze_table import ANALYZE_KEYS, Analyzed, read_analyze
from quantlab.cli.config import read_float_layers, read_preprocessing
from quantlab.cli.init import config_text
from quantlab.cli.policy import read_policy
from quantlab.demo import MODEL
from quantlab.types import Preprocessing


@pytest.fixture
def model(tmp_path):
    return shutil.copy(MODEL, tmp_path / "digits.keras")


def test_what_is_written_is_read(model, tmp_path):
    (tmp_path / "test.npz").touch()
    done = quantlab_in_process("init", "digits.keras", "--data", "test.npz", cwd=tmp_path)
    assert (done.status, done.stdout, done.stderr) == (
        0,
        "",
        "Configuration written to 'quantlab.toml'; next: run 'quantlab analyze' and 'quantlab gate'\n",
    )
    file = tmp_path / "quantlab.toml"
    document = tomllib.loads(file.read_text())
    assert document == {
        "analyze": {"model": "digits.keras", "data": "test.npz"},
        "convert": {},
        "budget": {"max_accuracy_loss": "0.5pt", "target": "any"},
    }
    assert read_analyze(file, {}) == Analyzed(model.relative_to(tmp_path), "test.npz", None, {})
    assert read_policy(file, {}).texts == document["budget"]
    assert 'model = "digits.keras"  # Keras 3\n' in file.read_text()


def with_examples(text):
    """The text with every example as a key of its own."""
    return re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)


@pytest.mark.parametrize("data", [None, "images", "test.npz"])
def test_every_example_is_a_valid_key(data, tmp_path):
    (tmp_path / "images").mkdir()
    named = None if data is None else str(tmp_path / data)
    file = tmp_path / "quantlab.toml"
    file.write_text(with_examples(config_text(tmp_path / "m.keras", "Keras 3", named)))
    document = tomllib.loads(file.read_text())
    assert {*document["analyze"]} == {*ANALYZE_KEYS} - {
        "study", "reference", "class_names", "ignore_label", "slices", "group", "pipeline", "serving", "batch_size",
        "time_limit", "shards", "shard_size", "engine", "address", "workers", "store", "keep_samples",
    }  # fmt: skip
    assert read_analyze(file, {}).options["limit"] == 2000
    assert read_float_layers(file, None) == ("stem", "head*")
    assert read_policy(file, {}).budget.max_size == 500_000
    known = Preprocessing((224, 224), "bilinear", "rgb", 1 / 255, 0.0, ("cat", "dog"), mode="tf")
    arrays = data == "test.npz"
    assert read_preprocessing(file, {}, data="images") == (Preprocessing() if arrays else known)


def test_settings_are_those_of_the_kind_of_model(tmp_path):
    pictures(tmp_path / "net.onnx")
    done = quantlab_in_process("init", "net.onnx", "--json", "-o", "other.toml", cwd=tmp_path)
    assert (done.status, json.loads(done.stdout)) == (0, {"written": "other.toml"})
    assert done.stderr == (
        "Configuration written to 'other.toml'; name the samples in it as 'data', and run 'quantlab analyze --config "
        "other.toml' and 'quantlab gate --policy other.toml'\n"
    )
    (line,) = [line for line in (tmp_path / "other.toml").read_text().splitlines() if line.startswith("# settings = ")]
    settings = tomllib.loads(line.removeprefix("# "))["settings"]
    assert "onnx-dynamic" in settings
    assert all(name.startswith("onnx-") for name in settings)


@pytest.mark.parametrize("name", ['a "quoted" model.keras', "back\\slash\n.keras", "größe ✓.keras"])
def test_a_name_of_any_text_is_read_as_it_is(name, tmp_path):
    file = tmp_path / "quantlab.toml"
    file.write_text(config_text(tmp_path / name, "Keras 3", "module:function"), "utf-8")
    assert read_analyze(file, {}).model == tmp_path / name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["digits.keras", "--out", "here.toml"],
            "'here.toml' exists and is not written over; edit it, or name another file with --out",
            id="a file that is there",
        ),
        pytest.param(
            ["digits.keras", "--data", "nowhere.npz"],
            "there are no samples at 'nowhere.npz'; give a file, a folder of images, or module:function",
            id="no samples",
        ),
        pytest.param(
            ["digits.keras", "--out", "nowhere/a.toml"],
            "'nowhere/a.toml' cannot be written (No such file or directory); name another file with --out",
            id="no folder",
        ),
        pytest.param(
            ["digit.keras"],
            "there is no model at 'digit.keras' (did you mean 'digits.keras'?); give a .keras file, an .h5 or .hdf5 "
            "file of a whole Keras model, a SavedModel folder, an .onnx or .tflite file, or the folder or model.json "
            "of a TensorFlow.js model",
            id="no model",
        ),
    ],
)
@pytest.mark.usefixtures("model")
def test_what_is_refused(arguments, message, tmp_path):
    (tmp_path / "here.toml").write_text("mine")
    done = quantlab_in_process("init", *arguments, cwd=tmp_path)
    assert done.status == 2
    assert done.stderr == f"quantlab: {message}\n"
    assert (tmp_path / "here.toml").read_text() == "mine"
    assert not (tmp_path / "quantlab.toml").exists()


def test_an_option_goes_before_the_file(tmp_path):
    file = tmp_path / "quantlab.toml"
    file.write_text('[analyze]\nmodel = "a.keras"\ndata = "a.npz"\nseed = 3\nlimit = 5\n')
    assert read_analyze(file, {"seed": 0, "limit": None}).options == {"seed": 0, "limit": 5}


@pytest.mark.starts_children
def test_analyze_and_gate_read_the_file(place):
    """The study of the prepared folder is that of the file, so that nothing is run again."""
    assert quantlab_in_process("init", "digits.keras", "--data", "digits.npz", cwd=place).status == 0
    file = place / "quantlab.toml"
    text = file.read_text().replace("[convert]", 'settings = ["tfjs-uint8", "tflite-dynamic"]\n\n[convert]')
    file.write_text(text.replace('max_accuracy_loss = "0.5pt"', 'max_accuracy_loss = "50pt"'))
    analyzed = quantlab_in_process("analyze", "--no-layers", "--no-costs", cwd=place)
    assert analyzed.status == 0, analyzed.stderr
    assert "tfjs-uint8" in analyzed.stdout
    assert "tfjs-float16" not in analyzed.stdout
    gated = quantlab_in_process("gate", cwd=place)
    assert (gated.status, "FITS" in gated.stdout) == (0, True)
    one = quantlab_in_process(
        "analyze", "--settings", "tfjs-uint8", "--no-layers", "--no-costs", "--out", "one.study", cwd=place
    )
    assert (one.status, "tflite-dynamic" in one.stdout) == (0, False)


@pytest.mark.starts_children
def test_without_the_file_the_commands_say_what_to_name(place):
    analyzed = quantlab_in_process("analyze", cwd=place)
    assert (analyzed.status, analyzed.stderr) == (
        2,
        "quantlab: no model is named; give it as the first argument, or as 'model' in [analyze] of a quantlab.toml\n",
    )
