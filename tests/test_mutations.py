"""Malformed files: each reader of foreign bytes gives what it reads, or a sentence of ours, in the memory it may take.

Here a few of each kind, the same in every run; MUTATIONS is how many of each where one likes more.
"""

import json
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mutations import mutated
from PIL import Image
from verdict_fixtures import write_study

from quantlab.cli.config import read_table
from quantlab.demo import MODEL
from quantlab.errors import QuantlabError
from quantlab.formats import FORMATS
from quantlab.gate import accepted_figures, gather, read_lock, write_lock
from quantlab.models import ModelOptions, identify
from quantlab.samples import SampleOptions, open_samples
from quantlab.samples.labels import read_labels
from quantlab.store import Store
from quantlab.types import Budget, TensorSpec

JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "fixtures"
EACH = int(os.environ.get("MUTATIONS", "30"))
"""Files of each kind."""

IMAGE = (TensorSpec("image", (None, 8, 8, 1), "float32"),)


@dataclass(frozen=True)
class Reader:
    """A good file, and what reads one."""

    make: Callable[[Path], Path]
    """Into an empty folder: the file that is to be changed."""
    read: Callable[[Path], object]


def samples(path: Path) -> object:
    return open_samples(
        str(path), None, model_inputs=IMAGE, folder=path.parent / "out", options=SampleOptions(), calibrate=0
    )


def artifact(name: str) -> Callable[[Path], object]:
    format_ = FORMATS[name]

    def read_all(path: Path) -> object:
        served = path.parent if path.name != f"model.{name}" and path.suffix not in {".tflite", ".onnx"} else path
        parts = [format_.inspect(served), format_.files(served), list(format_.weights(served))]
        parts += [format_.ops(served, "given"), format_.options(served), format_.minimum_runtime(served)]
        return [*parts, format_.taps(served) if format_.taps else ()]

    return read_all


def npz(folder: Path) -> Path:
    np.savez(folder / "x.npz", x=np.zeros((20, 8, 8, 1), np.float32), y=np.arange(20) % 3)
    return folder / "x.npz"


def compressed(folder: Path) -> Path:
    np.savez_compressed(folder / "x.npz", x=np.zeros((20, 8, 8, 1), np.float32), y=np.arange(20) % 3)
    return folder / "x.npz"


def npy(folder: Path) -> Path:
    np.save(folder / "x.npy", np.zeros((20, 8, 8, 1), np.float32))
    return folder / "x.npy"


def labels(folder: Path) -> Path:
    (folder / "y.csv").write_text("".join(f"{number % 3}\n" for number in range(20)))
    return folder / "y.csv"


def png(folder: Path) -> Path:
    place = folder / "photos" / "cat"
    place.mkdir(parents=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(place / "one.png")
    return place / "one.png"


def copied(source: Path, name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(source.read_bytes())
        return folder / name

    return make


def h5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "model.h5", "w") as file:
        layers = [{"class_name": "Dense", "config": {"name": "dense", "units": 3}}]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        file.attrs["keras_version"] = "2.15.0"
        file["model_weights/dense/kernel"] = np.ones((8, 3), np.float32)
    return folder / "model.h5"


def graph_model(folder: Path) -> Path:
    dense = {"name": "dense/w", "shape": [4, 3], "dtype": "float32"}
    small = {
        "name": "dense/b",
        "shape": [3],
        "dtype": "float32",
        "quantization": {"dtype": "uint8", "scale": 0.1, "min": -1.0},
    }
    tensor = {"dtype": {"type": "DT_FLOAT"}, "shape": {"shape": {"dim": [{"size": "-1"}, {"size": "4"}]}}}
    nodes = [
        {"name": "x", "op": "Placeholder", "attr": tensor},
        {"name": "dense/w", "op": "Const", "attr": {"dtype": {"type": "DT_FLOAT"}}},
        {"name": "y", "op": "MatMul", "input": ["x", "dense/w"]},
    ]
    signature = {
        "inputs": {"x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}, {"size": "4"}]}}},
        "outputs": {"y": {"name": "y:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}, {"size": "3"}]}}},
    }
    (folder / "shard.bin").write_bytes(np.ones(12, np.float32).tobytes() + bytes(3))
    document = {
        "format": "graph-model",
        "signature": signature,
        "modelTopology": {"node": nodes, "versions": {}},
        "weightsManifest": [{"paths": ["shard.bin"], "weights": [dense, small]}],
    }
    (folder / "model.json").write_text(json.dumps(document))
    return folder / "model.json"


def layers_model(folder: Path) -> Path:
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 3, "batch_input_shape": [None, 4]}}
    topology = {
        "model_config": {"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}},
        "keras_version": "2.15.0",
    }
    weights = [
        {"name": "dense/kernel", "shape": [4, 3], "dtype": "float32"},
        {"name": "dense/bias", "shape": [3], "dtype": "float32"},
    ]
    (folder / "shard.bin").write_bytes(np.ones(15, np.float32).tobytes())
    manifest = [{"paths": ["shard.bin"], "weights": weights}]
    document = {"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest}
    (folder / "model.json").write_text(json.dumps(document))
    return folder / "model.json"


def record(folder: Path) -> Path:
    truth = np.arange(60) % 3
    right = np.eye(3, dtype=np.float32)[truth]
    write_study(folder, truth, right, {("tfjs-uint8", "python"): right})
    return folder / "study.json"


def lock(folder: Path) -> Path:
    judged = gather(Store(record(folder).parent).read_study(), Budget(max_accuracy_loss="5pt"), name="study")
    write_lock(folder / "quantlab.lock", accepted_figures([judged], [["tfjs-uint8"]], {"max_accuracy_loss": "5pt"}))
    return folder / "quantlab.lock"


def toml(folder: Path) -> Path:
    (folder / "quantlab.toml").write_text('[budget]\nmax_accuracy_loss = "0.5pt"\nsettings = ["tfjs-uint8"]\n')
    return folder / "quantlab.toml"


READERS = {
    "npz": Reader(npz, samples),
    "compressed npz": Reader(compressed, samples),
    "npy": Reader(npy, samples),
    "image": Reader(png, lambda path: samples(path.parent.parent)),
    "labels": Reader(labels, read_labels),
    "keras": Reader(copied(MODEL, "model.keras"), lambda path: identify(path, ModelOptions())),
    "h5": Reader(h5, lambda path: identify(path, ModelOptions())),
    "tflite": Reader(copied(JS / "two_ports.tflite", "model.tflite"), artifact("tflite")),
    "onnx": Reader(copied(JS / "onnx" / "taps.onnx", "model.onnx"), artifact("onnx")),
    "onnx model": Reader(copied(JS / "onnx" / "taps.onnx", "model.onnx"), lambda path: identify(path, ModelOptions())),
    "tfjs": Reader(graph_model, artifact("tfjs")),
    "tfjs-layers": Reader(layers_model, artifact("tfjs-layers")),
    "study": Reader(record, lambda path: Store(path.parent).read_study()),
    "lock": Reader(lock, read_lock),
    "toml": Reader(toml, lambda path: read_table("budget", path)),
}


def surprise(reader: Reader, folder: Path, seed: int, count: int) -> list[str]:
    """What malformed files did that none may: raise what is not ours, or take more memory than allowed."""
    file = reader.make(folder)
    good, problems = file.read_bytes(), []
    reader.read(file)  # a good one is read, and what it imports is imported
    for number, bad in mutated(good, seed, count):
        file.write_bytes(bad)
        tracemalloc.start()
        try:
            reader.read(file)
        except QuantlabError as error:
            if str(file.name) not in str(error) and str(folder) not in str(error):
                problems.append(f"{number}: names no file: {error}")
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is what we look for)
            problems.append(f"{number}: {type(error).__name__}: {str(error)[:150]}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if peak > 4 * len(bad) + 64e6:
            problems.append(f"{number}: {peak / 1e6:.0f} MB for {len(bad):,} bytes")
    return problems


@pytest.mark.parametrize("name", READERS)
def test_malformed(name, tmp_path):
    count = EACH // 10 if name == "h5" else EACH  # which starts a process for each
    assert surprise(READERS[name], tmp_path, 1, count) == []
