"""Commands that look deeper, on artifacts that are given as the model: each works, or says why not."""

import shutil

import numpy as np
import pytest
from command_line import quantlab_in_process

from quantlab.runtimes.browser import find_browser
from quantlab.store import Store

pytestmark = pytest.mark.starts_children

GIVEN = {
    "a graph-model": ("tfjs", "web", "tfjs-uint8"),
    "a TFLite file": ("tflite", "model.tflite", "tflite-dynamic-wi8"),
    "an ONNX file": ("onnx", "model.onnx", "onnx-int8"),
}
"""Format, name of the artifact, and a setting that is made of it."""


@pytest.mark.parametrize(("format_name", "name", "setting"), GIVEN.values(), ids=GIVEN)
def test_commands_on_an_artifact(format_name, name, setting, workbench, tmp_path):
    source = workbench.float32("conv", format_name).path
    copy = shutil.copytree if source.is_dir() else shutil.copy
    copy(source, tmp_path / name)
    shape = workbench.models["conv"].inputs["image"].shape[1:]
    image = np.random.default_rng(0).normal(size=(60, *shape)).astype(np.float32)
    np.savez(tmp_path / "data.npz", image=image, y=np.arange(60) % 3)
    browser = ",chromium-wasm" if find_browser() is not None else ""
    analyzed = ("--settings", setting, "--runtimes", f"python,node-wasm{browser}", "--no-costs", "--out", "a.study")
    commands = {
        "analyze": ("analyze", name, "--data", "data.npz", *analyzed),
        "sensitivity": ("sensitivity", "a.study"),
        "diagnose": ("diagnose", name, "--data", "data.npz"),
        "reduce": ("reduce", "a.study", "--setting", setting, "--out", "reduced"),
    }
    done = {word: quantlab_in_process(*words, cwd=tmp_path) for word, words in commands.items()}
    assert {word: (one.status, one.stderr[-400:] if one.status else "") for word, one in done.items()} == dict.fromkeys(
        commands, (0, "")
    )
    study = Store(tmp_path / "a.study").read_study()
    assert {trial.status for trial in study.trials} == {"measured"}
    assert study.parity == {format_name: study.parity[format_name]}
    assert study.parity[format_name].startswith("ok")
    assert setting in done["sensitivity"].stdout
    assert (tmp_path / "reduced" / "issue.md").is_file()
