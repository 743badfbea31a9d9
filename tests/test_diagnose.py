"""`quantlab diagnose`: mistakes that are planted in right samples are named first, and right samples are left alone."""

import json

import numpy as np
import pytest
from command_line import quantlab_in_process

from quantlab import DiagnoseOptions, diagnose

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="module")
def fashion_samples(data_folder):
    with np.load(data_folder / "fashion-mnist/test.npz") as file:
        rows = np.arange(0, 10_000, 40)
        return file["x"][rows], file["y"][rows]


ORDER = np.array([9, 6, 0, 2, 1, 4, 7, 5, 3, 8])


@pytest.mark.parametrize(
    ("plant", "family", "name"),
    [
        pytest.param(lambda x, y: (x / 255.0, y), "double-rescaling", "without the scaling of 'rescale'", id="x / 255"),
        pytest.param(lambda x, y: (x / 127.5 - 1, y), "double-rescaling", "−1…1 → 0…255", id="x / 127.5 − 1"),
        pytest.param(lambda x, y: (x.transpose(0, 2, 1, 3), y), "transposed", "rows ↔ columns", id="transposed"),
        pytest.param(lambda x, y: (255 - x, y), "inverted", "light ↔ dark", id="inverted grey"),
        pytest.param(lambda x, y: (x, ORDER[y]), "class-order", "classes in another order", id="order of classes"),
        pytest.param(lambda x, y: (x, y + 1), "off-by-one", "labels − 1", id="labels from 1"),
        pytest.param(lambda x, y: (x, y - 1), "off-by-one", "labels + 1", id="labels from −1"),
    ],
)
def test_a_planted_mistake_is_named_first(plant, family, name, fashion_samples, data_folder, tmp_path):
    x, y = plant(*fashion_samples)
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    diagnosis = diagnose(data_folder / "fashion-mnist/fashion_dscnn.keras", data=str(tmp_path / "samples.npz"))
    best = diagnosis.tried[0]
    assert (best.family, best.name, best.named) == (family, name, True)
    assert diagnosis.headline.startswith(f"{best.cause[0].upper()}{best.cause[1:]}: ")
    assert best.score > 85
    assert diagnosis.score < 40


def test_right_samples_are_left_alone(fashion_samples, data_folder, tmp_path):
    x, y = fashion_samples
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    model = data_folder / "fashion-mnist/fashion_dscnn.keras"
    done = quantlab_in_process("diagnose", model, "--data", "samples.npz", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert done.status == 0
    assert found["headline"].startswith("No other convention makes more of the samples right beyond chance: ")
    assert [one["name"] for one in found["tried"] if one["named"]] == []
    assert {one["family"] for one in found["tried"]} == {
        "off-by-one",
        "double-rescaling",
        "scale",
        "mean-std",
        "transposed",
        "inverted",
    }


def test_without_labels_nothing_is_said(fashion_samples, data_folder, tmp_path):
    np.savez(tmp_path / "samples.npz", x=fashion_samples[0])
    data = str(tmp_path / "samples.npz")
    diagnosis = diagnose(
        data_folder / "fashion-mnist/fashion_dscnn.keras", data=data, options=DiagnoseOptions(limit=20)
    )
    assert diagnosis.headline == (
        f"'{data}' has no labels that the output 'output_0' can be compared with, so nothing tells whether the samples "
        f"are preprocessed as in training; give labels (y in a .npz, or --labels FILE), or the outputs of an app with "
        f"--app"
    )
    assert diagnosis.tried == ()
