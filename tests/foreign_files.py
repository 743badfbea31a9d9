"""Good files of every kind that quantlab reads, small enough to be read thousands of times; some of them are changed.

Each function writes into an empty folder, and returns the file that is to be changed.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from record_files import WRITERS, digits
from saved_model_bytes import write_saved_model
from study_fixtures import a_study, a_variant
from verdict_fixtures import write_study

from quantlab.formats import artifact_sha256
from quantlab.gate import accepted_figures, attestation_of, gather, write_lock
from quantlab.samples import SampleOptions, open_samples
from quantlab.samples.source import HeldTensor, Source
from quantlab.seals import SEAL
from quantlab.statistics import PAIRED_METRICS
from quantlab.store import Store
from quantlab.study.keeping import KeptFacts, keep_scores, remove_outputs
from quantlab.study.reference import Probe
from quantlab.study.remote.index import index_bytes
from quantlab.types import (
    Budget,
    Cost,
    Costs,
    DownloadSize,
    Inside,
    KeptOutput,
    KeptOutputs,
    KeptScores,
    LayerRow,
    Machine,
    OpenedModel,
    OpRow,
    Scores,
    SplitRow,
    StoredFile,
    StoredStudy,
    TensorSpec,
    Timing,
    TrialLayers,
    TunedFormat,
    Tuning,
    WeightRow,
)
from quantlab_converters.tfjs_tuning import TunableGraph
from quantlab_reports.attestation import render_attestation

IMAGE = (TensorSpec("image", (None, 8, 8, 1), "float32"),)
"""The input that the samples below are for."""

BUDGET = Budget(max_accuracy_loss="5pt")
"""Which the studies below keep."""

_JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "fixtures"
TFLITE, ONNX = _JS / "two_ports.tflite", _JS / "onnx" / "taps.onnx"
EXTERNAL = _JS / "onnx" / "external.onnx", _JS / "onnx" / "external.bin"
"""A file, and another with its weights."""


def copied(*sources: Path, name: str) -> Callable[[Path], Path]:
    """The first file under another name, and the others beside it."""

    def make(folder: Path) -> Path:
        for source in sources[1:]:
            (folder / source.name).write_bytes(source.read_bytes())
        (folder / name).write_bytes(sources[0].read_bytes())
        return folder / name

    return make


def beside(make: Callable[[Path], Path], name: str) -> Callable[[Path], Path]:
    """What another function writes, with another of its files to be changed."""

    def change(folder: Path) -> Path:
        made = make(folder)
        return made.parent / name

    return change


# Samples and labels


def _arrays() -> dict[str, npt.NDArray[Any]]:
    return {"x": np.zeros((20, 8, 8, 1), np.float32), "y": np.arange(20) % 3}


def npz(folder: Path) -> Path:
    np.savez(folder / "x.npz", **_arrays())
    return folder / "x.npz"


def records(suffix: str) -> Callable[[Path], Path]:
    """A file of records with twenty digits."""

    def make(folder: Path) -> Path:
        WRITERS[suffix](folder / f"x{suffix}", *digits(20))
        return folder / f"x{suffix}"

    return make


def description(folder: Path) -> Path:
    """A description of a file beside it."""
    WRITERS[".csv"](folder / "rows.csv", *digits(20))
    (folder / "data.toml").write_text(
        'files = "rows.csv"\nlabels = "label"\nformat = "csv"\n'
        '[features.image]\ncolumns = "pixel*"\nshape = [8, 8, 1]\n'
    )
    return folder / "data.toml"


def compressed_npz(folder: Path) -> Path:
    np.savez_compressed(folder / "x.npz", **_arrays())
    return folder / "x.npz"


def npy(folder: Path) -> Path:
    np.save(folder / "x.npy", _arrays()["x"])
    return folder / "x.npy"


def image(suffix: str) -> Callable[[Path], Path]:
    """A folder of one class with one image."""

    def make(folder: Path) -> Path:
        place = folder / "photos" / "cat"
        place.mkdir(parents=True)
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(place / f"one{suffix}")
        return place / f"one{suffix}"

    return make


def labels(folder: Path) -> Path:
    (folder / "y.csv").write_text("".join(f"{number % 3}\n" for number in range(20)))
    return folder / "y.csv"


def table(folder: Path) -> Path:
    (folder / "meta.csv").write_text("id,site\n" + "".join(f'{number},"S{number % 3}"\n' for number in range(20)))
    return folder / "meta.csv"


def labels_npy(folder: Path) -> Path:
    np.save(folder / "y.npy", _arrays()["y"])
    return folder / "y.npy"


_BOX = {"bbox": [1, 2, 3, 4], "category_id": 1, "iscrowd": 0, "area": 12}

PHOTOS = Source(
    text="photos",
    n=3,
    tensors=(HeldTensor("image", (3, 8, 8, 1), np.dtype(np.float32)),),
    labels=None,
    read=lambda _: iter([]),
    files=("a.png", "b.png", "c.png"),
)
"""Images that the labels below are for."""


def json_lines(folder: Path) -> Path:
    (folder / "y.jsonl").write_text("".join(f"{json.dumps([_BOX] * count)}\n" for count in range(3)))
    return folder / "y.jsonl"


def coco(folder: Path) -> Path:
    images = [{"id": place, "file_name": name, "width": 16, "height": 16} for place, name in enumerate(PHOTOS.files)]
    boxes = [{"id": 7, "image_id": 0, **_BOX}, {"id": 8, "image_id": 2, **_BOX}]
    (folder / "y.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    return folder / "y.json"


def mask(folder: Path) -> Path:
    for name in PHOTOS.files:
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 3).save(folder / name)
    return folder / PHOTOS.files[1]


# Models and artifacts


def h5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "model.h5", "w") as file:
        layers = [{"class_name": "Dense", "config": {"name": "dense", "units": 3}}]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
        file.attrs["keras_version"] = "2.15.0"
        file["model_weights/dense/kernel"] = np.ones((8, 3), np.float32)
    return folder / "model.h5"


def saved_model(folder: Path) -> Path:
    """A SavedModel of ports and variables, without ops; its graph."""
    weights = [("dense/kernel", np.arange(12, dtype=np.float32).reshape(4, 3)), ("dense/bias", np.zeros(3, np.float16))]
    written = write_saved_model(folder / "served", weights, inputs={"x": ("x:0", (4,))}, outputs={"y": ("y:0", (3,))})
    return written / "saved_model.pb"


def graph_model(folder: Path) -> Path:
    """A tfjs graph-model that runs: y = x · w + b, with b in codes."""
    number = {"type": "DT_FLOAT"}
    rows, columns = {"size": "-1"}, {"size": "4"}
    shape = {"shape": {"dim": [rows, columns]}}
    no = {"b": False}
    nodes = [
        {"name": "x", "op": "Placeholder", "attr": {"dtype": number, "shape": shape}},
        {"name": "dense/w", "op": "Const", "attr": {"dtype": number}},
        {"name": "dense/b", "op": "Const", "attr": {"dtype": number}},
        {
            "name": "product",
            "op": "MatMul",
            "input": ["x", "dense/w"],
            "attr": {"T": number, "transpose_a": no, "transpose_b": no},
        },
        {"name": "y", "op": "BiasAdd", "input": ["product", "dense/b"], "attr": {"T": number}},
    ]
    weights = [
        {"name": "dense/w", "shape": [4, 3], "dtype": "float32"},
        {
            "name": "dense/b",
            "shape": [3],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.1, "min": -1.0, "original_dtype": "float32"},
        },
    ]
    signature = {
        "inputs": {"x": {"name": "x:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [rows, columns]}}},
        "outputs": {"y": {"name": "y:0", "dtype": "DT_FLOAT", "tensorShape": {"dim": [rows, {"size": "3"}]}}},
    }
    topology = {"node": nodes, "versions": {"producer": 1987}}
    return _tfjs_model(folder, {"format": "graph-model", "signature": signature, "modelTopology": topology}, weights)


def decisions(folder: Path) -> Path:
    """What a search decided about the weights of that graph-model, without a hash that would give each change away."""
    graph_model(folder)
    weights = TunableGraph.open(folder)
    option = weights.option("dense/w", None, weights.choice("dense/w", 4, "channel"))
    decided = TunedFormat((), "4.00 bits #1", weights.tuned({"dense/w": option}, ()))
    Store(folder).write(folder / "tune.json", Tuning("x.npz", 0, {"tfjs": decided}))
    record = json.loads((folder / "tune.json").read_text())
    del record[SEAL]
    (folder / "tune.json").write_text(json.dumps(record))
    return folder / "tune.json"


def layers_model(folder: Path) -> Path:
    """A tfjs layers-model that runs: a Dense layer."""
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 3, "batch_input_shape": [None, 4]}}
    topology = {
        "model_config": {"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}},
        "keras_version": "2.15.0",
    }
    weights = [
        {"name": "dense/kernel", "shape": [4, 3], "dtype": "float32"},
        {"name": "dense/bias", "shape": [3], "dtype": "float32"},
    ]
    return _tfjs_model(folder, {"format": "layers-model", "modelTopology": topology}, weights)


def _tfjs_model(folder: Path, document: dict[str, Any], weights: list[dict[str, Any]]) -> Path:
    codes = "quantization" in weights[-1]
    (folder / "shard.bin").write_bytes(np.ones(12 if codes else 15, np.float32).tobytes() + bytes(3 if codes else 0))
    manifest = [{"paths": ["shard.bin"], "weights": weights}]
    (folder / "model.json").write_text(json.dumps({**document, "weightsManifest": manifest}))
    return folder / "model.json"


# Studies and what lies in their folders


def study(folder: Path) -> Path:
    """A study of 60 samples in three classes, in which nothing is lost."""
    truth = np.arange(60) % 3
    right = np.eye(3, dtype=np.float32)[truth]
    write_study(folder, truth, right, {("tfjs-uint8", "python"): right})
    return folder / "study.json"


def study_of_scores(folder: Path) -> Path:
    """The same study, which keeps scores only."""
    record = study(folder)
    made = Store(folder).read_study()
    keep_scores(made, KeptFacts("r", None, None), PAIRED_METRICS)
    remove_outputs(made)
    Store(folder).write_study(replace(made, store="scores"))
    return record


def study_with_samples(folder: Path) -> Path:
    """A study whose samples are there; the file of the input is to be changed."""
    source = folder / "source"
    source.mkdir()
    samples, _ = open_samples(
        str(npz(source)),
        None,
        model_inputs=IMAGE,
        folder=folder / "samples",
        options=SampleOptions(),
        calibrate=0,
    )
    reference = replace(a_study(folder).reference, outputs={})
    Store(folder).write_study(a_study(folder, samples=samples, calibration=None, reference=reference, trials=()))
    return samples.input_file("image")


def lock(folder: Path) -> Path:
    judged = gather(Store(study(folder).parent).read_study(), BUDGET, name="study")
    write_lock(folder / "quantlab.lock", accepted_figures([judged], [["tfjs-uint8"]], {"max_accuracy_loss": "5pt"}))
    return folder / "quantlab.lock"


def statement(folder: Path) -> Path:
    record = Store(study(folder).parent).read_study()
    (folder / "shipped.bin").write_bytes(b"weights")
    judged = gather(record, BUDGET, name="study")
    variant = replace(a_variant(folder), sha256=artifact_sha256(folder / "shipped.bin"))
    trials = tuple(replace(row, trial=replace(row.trial, variant=variant)) for row in judged.trials)
    attestation = attestation_of(replace(judged, trials=trials), variant, folder / "shipped.bin")
    (folder / "statement.json").write_text(render_attestation(attestation))
    return folder / "statement.json"


TOML_KEYS = (
    *("max_accuracy_loss", "max_size", "confidence", "settings", "studies", "the size", "scale", "colour"),
    *("the budget", "a confidence"),
)
"""What sentences about the file below may begin with, beside the names of its tables."""


def toml(folder: Path) -> Path:
    (folder / "quantlab.toml").write_text(
        '[budget]\nmax_accuracy_loss = "0.5pt"\nmax_size = 500_000\nconfidence = 0.95\nsettings = ["tfjs-uint8"]\n'
        'studies = ["a.study"]\n[preprocessing]\nsize = [8, 8]\nscale = 0.0039\ncolour = "rgb"\n'
    )
    return folder / "quantlab.toml"


def models(folder: Path) -> Path:
    (folder / "quantlab.toml").write_text(
        '[analyze]\nruntimes = ["python"]\n[[model]]\nname = "a"\nmodel = "a.keras"\ndata = "a.npz"\nlimit = 500\n'
        'no_costs = true\nlayer_samples = 64\nvariant = "mine=m.tflite@python"\n[[model]]\nname = "b"\n'
        'model = "b.onnx"\ndata = "photos"\nsize = "8x8"\nscale = 0.5\nslices = ["meta.csv:site"]\n'
        'shape = ["x=1,3,8,8"]\n'
    )
    return folder / "quantlab.toml"


_MACHINE = Machine("a processor", 2, "Linux x86_64")
_COST = Cost("tfjs-uint8", "python", "c" * 64, _MACHINE, ran_on="python", load_ms=1.5, runs=20, steady_median_ms=0.5)
_LAYER = LayerRow(
    *("tfjs-uint8", "python", "dense", "dense/MatMul", "reference", True, None, 0, "MatMul", "float32"),
    count=60,
    max_abs=0.5,
    sqnr_db=float("inf"),
    error_quantiles={"50": 0.1},
)
_WEIGHT = WeightRow("tfjs-uint8", "dense/w", "dense/w", None, (4, 3), "uint8", 12, scale=0.1, scales=1)
_OP = OpRow("tfjs-uint8", 0, "MatMul", 1, "float", "uint8", "y")
_SPLIT = SplitRow("tfjs-uint8", "python", "points", None, 0.0, 0.5, 0.0, 0.5)


RECORDS: dict[str, Callable[[Path], object]] = {
    "outputs.json": lambda folder: KeptOutputs(
        {"y": folder / "y.npy"}, "python", {"threads": "1"}, Timing(60, 0.5), {"y": "a" * 64}
    ),
    "scores.json": lambda _: KeptScores("a" * 64, "b" * 16, 60, 60, {"y": KeptOutput((3,), "float32")}, Scores(60)),
    "opened.json": lambda folder: OpenedModel(a_study(folder).model, folder / "saved_model", None, "a" * 64),
    "variant.json": a_variant,
    "probe.json": lambda _: Probe((TensorSpec("y", (None, 3), "float32"),), 0.0, 1e-7),
    "cost.json": lambda _: _COST,
    "layers.json": lambda _: TrialLayers((_LAYER,), ("a remark",)),
    "transfer.json": lambda _: DownloadSize(6_900, "2.15"),
    "costs.json": lambda _: Costs((_COST,), _MACHINE, ("a remark",)),
    "inside.json": lambda _: Inside((_LAYER,), (_WEIGHT,), (_OP,), (_SPLIT,), 60, "all"),
}
"""Name → what a record of that kind holds, in a study's folder."""


def record(name: str) -> Callable[[Path], Path]:
    """One of `RECORDS`."""

    def make(folder: Path) -> Path:
        Store(folder).write(folder / name, RECORDS[name](folder))
        return folder / name

    return make


VERIFIED = {
    "probe.json": "model/key/probe.json",
    "opened.json": "model/key/opened.json",
    "variant.json": "variants/tfjs-uint8/key/variant.json",
    "outputs.json": "outputs/tfjs-uint8/python/key/outputs.json",
    "cost.json": "costs/tfjs-uint8/python/key.json",
    "layers.json": "inside/tfjs-uint8/python/key.json",
    "transfer.json": "transfer/key.json",
    "costs.json": "costs.json",
    "inside.json": "inside.json",
}
"""Name of a record → where it lies in a study's folder."""


def kept_record(name: str) -> Callable[[Path], Path]:
    """One of `RECORDS` where it lies in the folder of a study."""

    def make(folder: Path) -> Path:
        study_with_samples(folder)
        file = folder / VERIFIED[name]
        Store(folder).write(file, RECORDS[name](folder))
        return file

    return make


def index(folder: Path) -> Path:
    """The index of a study at an address."""
    held = StoredStudy(
        {name: StoredFile(f"{place:064x}", place) for place, name in enumerate(("study.json", "a/b.npy"))}
    )
    (folder / "index.json").write_bytes(index_bytes(held))
    return folder / "index.json"


def progress(folder: Path) -> Path:
    (folder / "progress.json").write_text(json.dumps({"done": 64, "timed": 32, "seconds": 0.5, "sha256": "0" * 64}))
    return folder / "progress.json"
