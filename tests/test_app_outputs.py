"""Files with the outputs of an app: what is wrong with a file is told in plain words, before the model is opened."""

import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from diagnosed_models import CLEAN, made

from quantlab.errors import SamplesError
from quantlab.study.app_outputs import read_app, shaped_as

OUTPUTS = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
SAVEZ = "write the outputs of the app with numpy.savez, an array of numbers for each output of the model"
COPY = "copy it again, or write it again with numpy.savez"


def saved(**arrays):
    def write(path):
        np.savez(path, **arrays)

    return write


def packed(path):
    np.savez_compressed(path, y=OUTPUTS)


def cut(share):
    def write(path):
        packed(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return write


def flipped(path):
    packed(path)
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(bytes(content))


def archive(**files):
    def write(path):
        with zipfile.ZipFile(path, "w") as target:
            for name, content in files.items():
                target.writestr(name.replace("_", "."), content)

    return write


def nothing(path):
    pass


def single(path):
    with path.open("wb") as file:
        np.save(file, OUTPUTS)


def holding(content):
    def write(path):
        path.write_bytes(content)

    return write


HEADER = b"\x93NUMPY\x03\x00" + struct.pack("<I", 0)
"""The begin of an array in version 3 of NumPy's format."""


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        pytest.param(nothing, "does not exist; give the .npz file with the outputs of the app", id="missing"),
        pytest.param(Path.mkdir, f"is a folder, and --app takes a .npz file; {SAVEZ}", id="a folder"),
        pytest.param(holding(b""), f"is no .npz file; {SAVEZ}", id="an empty file"),
        pytest.param(cut(0.6), f"is cut off or damaged; {COPY}", id="cut off"),
        pytest.param(cut(0.99), f"is cut off or damaged; {COPY}", id="cut off at its end"),
        pytest.param(flipped, f"is cut off or damaged; {COPY}", id="one byte is another"),
        pytest.param(archive(y_npy=b"no array"), f"is cut off or damaged; {COPY}", id="an array that is none"),
        pytest.param(
            archive(y_npy=HEADER),
            f"cannot be read, because the array 'y' has a header of version (3, 0), and only 1 and 2 are supported; "
            f"{SAVEZ}",
            id="a newer version of arrays",
        ),
        pytest.param(
            saved(y=np.array([{"class": 1}] * 4, object)),
            f"cannot be read, because the array 'y' holds Python objects, which are never unpickled; {SAVEZ}",
            id="an array of objects",
        ),
        pytest.param(holding(pickle.dumps(OUTPUTS)), f"is no .npz file; {SAVEZ}", id="a pickle"),
        pytest.param(single, f"is no .npz file; {SAVEZ}", id="a .npy file"),
        pytest.param(holding(json.dumps(OUTPUTS.tolist()).encode()), f"is no .npz file; {SAVEZ}", id="JSON"),
        pytest.param(holding(b'{"id": 1}\n{"id": 2}\n'), f"is no .npz file; {SAVEZ}", id="JSON lines of other things"),
        pytest.param(saved(), f"holds no arrays; {SAVEZ}", id="no arrays"),
        pytest.param(archive(readme_txt="hello"), f"holds no arrays; {SAVEZ}", id="an archive of other files"),
        pytest.param(
            saved(y=np.array(["rose"] * 4)),
            f"holds text for the output 'y', and outputs are real numbers; {SAVEZ}",
            id="names of classes",
        ),
        pytest.param(
            saved(y=OUTPUTS.astype(complex)),
            f"holds complex numbers for the output 'y', and outputs are real numbers; {SAVEZ}",
            id="complex numbers",
        ),
        pytest.param(
            saved(y=np.zeros(4, "datetime64[D]")),
            f"holds dates for the output 'y', and outputs are real numbers; {SAVEZ}",
            id="dates",
        ),
        pytest.param(
            saved(y=np.zeros(4, [("a", "f4")])),
            f"holds records for the output 'y', and outputs are real numbers; {SAVEZ}",
            id="records",
        ),
        pytest.param(
            saved(y=np.float32(1)),
            "holds float32 of shape () for the output 'y', and 'photos' has 4 samples; give one output for each "
            "sample, in their order",
            id="a number",
        ),
        pytest.param(
            saved(y=OUTPUTS[0]),
            "holds float32 of shape (6,) for the output 'y', and 'photos' has 4 samples; give one output for each "
            "sample, in their order",
            id="one sample without a batch dimension",
        ),
        pytest.param(
            saved(y=np.arange(4)),
            "holds outputs of shape (), and the output 'y' of the model has (6,); give the same output of the app",
            id="classes instead of scores",
        ),
        pytest.param(saved(y=OUTPUTS, other=OUTPUTS, y2=OUTPUTS[:1]), None, id="the right array among others"),
        pytest.param(saved(anything=OUTPUTS.reshape(4, 1, 6)), None, id="one array of any name, with another rank"),
        pytest.param(
            saved(boxes=OUTPUTS),
            "has no array 'y', but 'boxes'; name the arrays after the outputs of the model",
            id="the model's other output",
        ),
        pytest.param(saved(y=OUTPUTS > 0.5), None, id="truth values"),
    ],
)
def test_what_is_wrong_with_a_file(write, sentence, tmp_path):
    write(path := tmp_path / "app.npz")

    def read():
        values = read_app(path, "y", others=("boxes",), available=4, source="photos")
        return shaped_as(values, (6,), path=path, output="y")

    if sentence is None:
        assert read().shape == (4, 6)
        return
    with pytest.raises(SamplesError) as error:
        read()
    assert str(error.value) == f"'{path}' {sentence}"


def test_a_file_that_the_system_refuses(tmp_path):
    path = tmp_path / ("x" * 300)
    with pytest.raises(SamplesError) as error:
        read_app(path, "y", others=(), available=4, source="photos")
    assert str(error.value) == f"'{path}' cannot be read (File name too long); {SAVEZ}"


@pytest.mark.starts_children
def test_a_file_that_is_none_ends_the_command_before_the_model_is_opened(tmp_path):
    model, x, _ = made(tmp_path, CLEAN["pixels of 0…1"])
    np.savez(tmp_path / "samples.npz", x=x)
    (tmp_path / "app.npz").write_text("[1, 2]")
    done = quantlab_in_process("diagnose", model, "--data", "samples.npz", "--app", "app.npz", cwd=tmp_path)
    assert (done.status, done.last) == (2, f"quantlab: 'app.npz' is no .npz file; {SAVEZ}")
    assert "open " not in done.stderr
