"""The embedded example: its samples, and that its model is the one that its README describes."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from official import run_as_program

from quantlab.demo import LOADER, MODEL
from quantlab.demo.digits import samples, training
from quantlab.demo.train import leave_out_new_options
from quantlab.samples import SampleOptions, open_source
from quantlab.types import TensorSpec

README = MODEL.with_name("README.md").read_text(encoding="utf-8")

# In another process: TensorFlow stays out of this one.
PREDICT = """
import sys
import keras
import numpy as np
from quantlab.demo.digits import samples

model = keras.saving.load_model(sys.argv[1])
probabilities = model.predict(samples()[0], verbose=0)
np.savez(
    sys.argv[2],
    probabilities=probabilities,
    parameters=model.count_params(),
    names=[model.inputs[0].name, model.layers[-1].name],
)
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """What Keras says of the committed model, and its answers for the samples held out."""
    file = tmp_path_factory.mktemp("demo") / "opened.npz"
    run_as_program(PREDICT, file.with_suffix(".log"), str(MODEL), str(file))
    with np.load(file) as arrays:
        yield dict(arrays)


def told(pattern: str) -> str:
    """The one place of the README that a pattern finds."""
    [text] = re.findall(pattern, README)
    return text


@pytest.mark.parametrize(
    ("part", "n", "of_each_digit"),
    [
        pytest.param(training, 600, [60] * 10, id="training"),
        pytest.param(samples, 1197, [118, 122, 117, 123, 121, 122, 121, 119, 114, 120], id="held out"),
    ],
)
def test_parts(part, n, of_each_digit):
    x, y = part()
    assert (x.shape, x.dtype.name) == ((n, 8, 8, 1), "float32")
    assert (y.shape, y.dtype.name) == ((n,), "int64")
    assert (x.min(), x.max()) == (0, 16)
    assert np.bincount(y).tolist() == of_each_digit


def test_parts_are_disjoint_and_cover_everything():
    from sklearn.datasets import load_digits

    digits = load_digits()
    # No picture is in the data set twice, so that pictures can stand for positions.
    everything = label_by_picture(digits.images.astype(np.float32), digits.target)
    assert len(everything) == 1797
    trained, held_out = label_by_picture(*training()), label_by_picture(*samples())
    assert trained.keys().isdisjoint(held_out.keys())
    assert trained | held_out == everything


def label_by_picture(x, y):
    return {picture.tobytes(): label for picture, label in zip(x, y, strict=True)}


@pytest.mark.starts_children
def test_samples_are_what_a_loader_may_return():
    source = open_source(LOADER, inputs=[TensorSpec("image", (None, 8, 8, 1), "float32")], options=SampleOptions())
    assert source.n == 1197
    np.testing.assert_array_equal(source.labels, samples()[1])


def test_importing_the_example_loads_nothing_heavy():
    heavy = "{'keras', 'tensorflow', 'sklearn', 'scipy'}"
    code = f"import sys, quantlab.demo.digits, quantlab.demo.train; print(sorted({heavy} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.starts_children
def test_model_has_names_and_the_size_the_readme_tells(opened):
    assert opened["names"].tolist() == ["image", "probabilities"]
    assert f"{opened['parameters']:,}" == told(r"([\d,]+) parameters")
    assert MODEL.stat().st_size < 100_000


@pytest.mark.starts_children
def test_model_is_as_accurate_as_the_readme_tells(opened):
    _, y = samples()
    right = (opened["probabilities"].argmax(axis=1) == y).mean()
    assert f"{100 * right:.2f}" == told(r"Right on (\d+\.\d\d) % of the 1,197")


@pytest.mark.starts_children
def test_model_knows_all_ten_digits_and_is_not_always_right(opened):
    _, y = samples()
    answers = opened["probabilities"].argmax(axis=1)
    assert sorted(set(answers[answers == y].tolist())) == list(range(10))
    assert (answers != y).any()


def test_a_model_without_options_that_older_keras_does_not_know(tmp_path):
    """An option that says something else than its default stays, and so does every other member of the archive."""
    model = tmp_path / "model.keras"
    layers = [
        {"config": {"name": "a", "renorm": False, "input_axes": None, "axis": -1}},
        {"config": {"name": "b", "renorm": True, "quantization_config": None}},
    ]
    members = {"config.json": json.dumps({"layers": layers}), "metadata.json": "{}", "model.weights.h5": "weights"}
    with zipfile.ZipFile(model, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    leave_out_new_options(model)
    with zipfile.ZipFile(model) as archive:
        kept = {name: archive.read(name).decode() for name in archive.namelist()}
    assert json.loads(kept.pop("config.json")) == {
        "layers": [{"config": {"name": "a", "axis": -1}}, {"config": {"name": "b", "renorm": True}}]
    }
    assert kept == {"metadata.json": "{}", "model.weights.h5": "weights"}
