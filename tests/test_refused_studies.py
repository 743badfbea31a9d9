"""A study that is refused: nothing is left of a new folder in which nothing was run, and nothing else is touched."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from PIL import Image
from toy_format.study import write_model

from quantlab.errors import StudyError
from quantlab.store import Store
from quantlab.study.refused import locked_or_removed

pytestmark = pytest.mark.starts_children

N, INPUTS = 40, 12


@pytest.fixture
def place(tmp_path) -> Path:
    write_model(tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(size=(N, INPUTS)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(N) % 3)
    np.savez(tmp_path / "narrow.npz", x=x[:, :5])
    np.savez(tmp_path / "classes.npz", x=x, y=np.arange(N) % 5)
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "photos" / "a.png")
    return tmp_path


ANALYZE = "analyze m.onnx --settings onnx-dynamic --no-costs --no-layers"

REFUSED = [
    pytest.param(
        f"{ANALYZE} --data photos --pipeline canvsa",
        "there is no pipeline 'canvsa'; did you mean 'canvas'?",
        id="an unknown pipeline",
    ),
    pytest.param(
        f"{ANALYZE} --data photos --pipeline tfjs-node*",
        "the variants are fed by one pipeline, and 'tfjs-node*' names 'tfjs-node', 'tfjs-node-half-pixel' and "
        "'tfjs-node-align-corners'; name one of them",
        id="several pipelines",
    ),
    pytest.param(
        f"{ANALYZE} --data x.npz --pipeline canvas",
        "a pipeline makes samples of photos, and 'x.npz' is no folder; leave --pipeline out",
        id="a pipeline for arrays",
    ),
    pytest.param(
        f"{ANALYZE} --data x.npz --calibration ./x.npz",
        "'x.npz' is given both as samples and as calibration samples, but calibration samples must not be scored; "
        "leave --calibration out, and quantlab sets a part of the samples aside",
        id="calibration samples that are scored",
    ),
    pytest.param(
        f"{ANALYZE} --data x.npz --calibration narrow.npz",
        "the input 'x' expects samples of shape (12,), but those of 'narrow.npz' have shape (5,); give samples of "
        "the shape that the model was trained on",
        id="calibration samples of another shape",
    ),
    pytest.param(
        f"{ANALYZE} --data classes.npz --limit 20",
        "the labels go from 0 to 4, but the output 'y' has 3 classes; number the classes from 0 to 2",
        id="labels that no class has",
    ),
    pytest.param(
        f"{ANALYZE} --data x.npz --runtimes python,serving-rest",
        "serving-rest needs the address of a server; give it with --serving http://HOST:PORT/v1/models/NAME, or leave "
        "serving-rest out of --runtimes",
        id="a server without an address",
    ),
    pytest.param(
        f"{ANALYZE} --data x.npz --runtimes python,serving-signature",
        "the runtime 'serving-signature' runs 'savedmodel-float32' only, which cannot be made from ONNX; leave "
        "serving-signature out of --runtimes, or analyze the model from which the file was made",
        id="a signature that there is not",
    ),
    pytest.param(
        f"{ANALYZE} --data x.npz --serving http://localhost:8501/v1/models/m",
        "the runtime 'serving-rest' runs 'savedmodel-float32' only, which cannot be made from ONNX; leave --serving "
        "out, or analyze the model from which the file was made",
        id="a server of a model that it cannot have",
    ),
    pytest.param(
        "tune m.onnx --data x.npz --settings onnx-dynamic --max-accuracy-loss 5pt --calibration narrow.npz",
        "the input 'x' expects samples of shape (12,), but those of 'narrow.npz' have shape (5,); give samples of "
        "the shape that the model was trained on",
        id="calibration samples of another shape for a search",
    ),
]


@pytest.mark.parametrize(("command", "message"), REFUSED)
def test_nothing_is_left_of_a_study_that_is_refused(command, message, place):
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    done = quantlab_in_process(*command.split(), "--out", "deep/er/m.study", cwd=place)
    assert (done.last, done.status, done.stdout) == (f"quantlab: {message}", 2, "")
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_a_folder_that_was_there_stays_and_so_does_a_study(place):
    command = [*ANALYZE.split(), "--data", "x.npz", "--out", "m.study"]
    (place / "m.study").mkdir()
    assert quantlab_in_process(*command, "--calibration", "narrow.npz", cwd=place).status == 2
    assert (place / "m.study").is_dir()
    assert quantlab_in_process(*command, "--runtimes", "python", cwd=place).status == 0
    before = json.loads((place / "m.study" / "study.json").read_text())
    assert quantlab_in_process(*command, "--calibration", "narrow.npz", cwd=place).status == 2
    assert json.loads((place / "m.study" / "study.json").read_text()) == before


@pytest.mark.parametrize(
    ("made", "error", "left"),
    [
        pytest.param("model/a/opened.json", StudyError, False, id="an opened model"),
        pytest.param("samples/data/a/x.npy", StudyError, False, id="samples"),
        pytest.param("outputs/reference/python/a/y.npy", StudyError, True, id="outputs"),
        pytest.param("variants/s/a/artifact/m.onnx", StudyError, True, id="an artifact"),
        pytest.param("model/a/opened.json", KeyboardInterrupt, True, id="interrupted"),
        pytest.param("model/a/opened.json", OSError, True, id="a full disk"),
    ],
)
def test_work_is_kept_and_the_rest_is_removed(made, error, left, tmp_path):
    folder = tmp_path / "new" / "m.study"

    def write_and_fail() -> None:
        with locked_or_removed(Store(folder)):
            (folder / made).parent.mkdir(parents=True)
            (folder / made).write_text("{}")
            raise error("refused")

    with pytest.raises(error):
        write_and_fail()
    assert ((folder / made).is_file(), (tmp_path / "new").is_dir()) == (left, left)
