"""All readers of bytes that come from outside, by name: a good file for each, and what reads it in the product.

Those that open models with TensorFlow and other libraries (`Reader.opens`) do so in workers, and are tried in forks of
one that has imported them. The others are tried in forks of a process of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import foreign_files as files
from record_files import WRITERS

from quantlab.cli.config import read_preprocessing
from quantlab.cli.model_tables import models_of
from quantlab.cli.policy import read_policy
from quantlab.demo import MODEL
from quantlab.formats import FORMATS
from quantlab.gate import RowScores, gather, read_attestation, read_lock
from quantlab.lint import HAZARDS, examine_file
from quantlab.models import ModelOptions, identify
from quantlab.runtimes import Job, python
from quantlab.runtimes.exchange import TensorFile
from quantlab.samples import SampleOptions, open_samples
from quantlab.samples.beside import labels_beside
from quantlab.samples.columns import read_column
from quantlab.samples.labels import read_labels, to_labels
from quantlab.samples.tables import format_of
from quantlab.store import Store
from quantlab.study import read_tuning, verify
from quantlab.study.remote.index import index_of
from quantlab.study.unfinished import read_progress
from quantlab.types import Study
from quantlab.types.executor_options import ExecutorOptions, ModelRequest
from quantlab_converters.tfjs_tuned import write_tuned

__all__ = ["READERS", "Reader"]


@dataclass(frozen=True)
class Reader:
    """A good file, and what reads one."""

    read: Callable[[Path], object]
    make: Callable[[Path], Path] | None = None
    """Into an empty folder: the file that is to be changed. None where it is one of the small models."""
    model: str = ""
    """The name of a small model (`small_models`), and in `file` which of its files is to be changed."""
    file: str = ""
    share: int = 4
    """Of the malformed files: how many, where another reader has so many."""
    opens: bool = False
    """Whether it opens a model, with libraries that a worker has imported."""
    seconds: float = 20
    """For one file, on a machine that does other things too."""
    says: tuple[str, ...] = ()
    """What a sentence may name instead of the file."""
    crashes: bool = False
    """Whether the library may crash, which costs the row of the worker that it runs in."""


def _samples(path: Path) -> object:
    return open_samples(
        str(path), None, model_inputs=files.IMAGE, folder=path.parent / "out", options=SampleOptions(), calibrate=0
    )


def _reads(suffix: str) -> bool:
    """Whether what reads files of records with a suffix is installed."""
    format_ = format_of(suffix)
    return format_ is not None and (format_.module is None or find_spec(format_.module) is not None)


def _labels(path: Path) -> object:
    return to_labels(read_labels(path), n=20, text=str(path))


def _column(path: Path) -> object:
    return read_column(path, "site", n=20, files=(), samples="x.npz")


def _truth(path: Path) -> object:
    return labels_beside(path, files.PHOTOS)


def _artifact(name: str, *, up: int = 0) -> Callable[[Path], object]:
    """Everything that is read from an artifact: the file itself, or a folder so far above its own folder."""
    format_ = FORMATS[name]

    def read_all(path: Path) -> object:
        served = path if path.suffix in {".tflite", ".onnx"} else path.parents[up]
        parts = [format_.inspect(served), format_.files(served), list(format_.weights(served))]
        parts += [format_.ops(served, "given"), format_.options(served), format_.minimum_runtime(served)]
        parts.append(format_.drawn(served) if format_.drawn else None)
        parts.append(format_.cut_graph(served) if format_.cut_graph else None)
        return [*parts, format_.taps(served) if format_.taps else ()]

    return read_all


def _external_onnx(path: Path) -> object:
    return _artifact("onnx")(path.with_name("model.onnx"))


def _model(path: Path) -> object:
    return identify(path, ModelOptions())


def _examined(path: Path) -> object:
    served = path if path.suffix in {".tflite", ".onnx", ".keras"} else path.parent
    return examine_file(served, tuple(HAZARDS.values()))


def _judged(path: Path) -> object:
    return gather(Store(path.parent).read_study(), files.BUDGET)


@cache
def _study(folder: Path) -> Study:
    """A good study; forks have it from the process that they are forks of, which has read it from the same folder."""
    return Store(folder).read_study()


def _judged_by(up: int) -> Callable[[Path], object]:
    """What the gate reads beside the record of a study, whose folder is so far above the file."""
    return lambda path: gather(_study(path.parents[up]), files.BUDGET)


def _scores(path: Path) -> object:
    row = RowScores.read(path.parent, "a row")
    reference = RowScores.read(path.parents[3] / "reference" / "python" / "key", "the model")
    return row.candidate(), row.sums("output_0"), row.error_rows("output_0", reference), row.listed()


def _record(path: Path) -> object:
    return Store(path.parent).read(path, type(files.RECORDS[path.name](path.parent)))


def _verified(up: int) -> Callable[[Path], object]:
    """What `quantlab verify` reads in the folder of a study, which is so far above the file."""
    return lambda path: verify(path.parents[up])


def _decisions(path: Path) -> object:
    """What a search decided, and the graph-model that is made of it."""
    decided = read_tuning(path).formats.get("tfjs")
    if decided is None or decided.weights is None:
        return decided
    (made := path.parent / "made").mkdir(exist_ok=True)
    return write_tuned(path.parent, made, decided.weights)


def _policy(path: Path) -> object:
    return read_policy(path, {}), read_preprocessing(path, {}, data=None)


# Models and artifacts as workers open them


def _opened(up: int = 0) -> Callable[[Path], object]:
    """A model as the reference; it is the file, or a folder so far above it."""

    def read(path: Path) -> object:
        from quantlab.worker.reference import open_once

        model = ([path, *path.parents])[up]
        request = ModelRequest(str(model), None, (), False, str(path.parent / "export" / "saved_model"))
        options = ExecutorOptions(model=request)
        return open_once(Job("", "", "", 1, 0, 0, (), (), options, python.REFERENCE))

    return read


def _tensor(tensor: str, shape: tuple[int, ...], position: int = 0) -> TensorFile:
    return TensorFile(tensor.partition(":")[0], "", 128, shape, "float32", tensor, position)


_PORTS: Mapping[str, tuple[tuple[TensorFile, ...], tuple[TensorFile, ...]]] = {
    "tfjs": ((_tensor("x:0", (4,)),), (_tensor("y:0", (3,)),)),
    "tfjs-layers": ((_tensor("dense_input", (4,)),), (_tensor("dense", (3,)),)),
    "tflite": ((_tensor("first", (3,)), _tensor("second", (3,), 1)), (_tensor("y", (3,)),)),
    "onnx": ((_tensor("x", (3,)),), (_tensor("y", (3,)),)),
}
"""Format → inputs and outputs of the file that is changed."""


def _executed(name: str) -> Callable[[Path], object]:
    """An artifact as a worker loads it to run it."""

    def read(path: Path) -> object:
        from quantlab.worker.execution import load_artifact

        served = path if path.suffix in {".tflite", ".onnx"} else path.parent
        inputs, outputs = _PORTS[name]
        executor = FORMATS[name].python
        return load_artifact(Job(name, str(served), "", 1, 0, 1, inputs, outputs, ExecutorOptions(), executor))

    return read


_STUDY = ("the study", "of the reference", "of the model itself", "samples", "setting", "runtime", "metric")
"""What sentences about the record of a study name: a part of it."""

_ROW = ("the manifest", "the weight", "the graph", "the model", "the layers-model", "tf_keras could not build")
"""What sentences name whose row names the artifact."""

_OPENS = {"opens": True, "share": 1, "seconds": 90.0}

READERS: Mapping[str, Reader] = {
    # Samples and labels
    "npz": Reader(_samples, files.npz),
    "compressed npz": Reader(_samples, files.compressed_npz),
    "npy": Reader(_samples, files.npy),
    **{
        f"{suffix} of records": Reader(_samples, files.records(suffix), share=2) for suffix in WRITERS if _reads(suffix)
    },
    "description of samples": Reader(_samples, files.description, says=("the range", "the address"), share=2),
    "png": Reader(lambda path: _samples(path.parents[1]), files.image(".png")),
    "jpeg": Reader(lambda path: _samples(path.parents[1]), files.image(".jpg")),
    "labels as text": Reader(_labels, files.labels),
    "labels as JSON lines": Reader(_truth, files.json_lines, share=2),
    "labels as a COCO file": Reader(_truth, files.coco, share=2),
    "labels as masks": Reader(lambda path: labels_beside(path.parent, files.PHOTOS), files.mask, share=2),
    "labels as npy": Reader(_labels, files.labels_npy),
    "table about samples": Reader(_column, files.table),
    # Models, as they are recognized
    "keras": Reader(_model, files.copied(MODEL, name="model.keras")),
    "h5": Reader(_model, files.h5, share=1, seconds=60),  # which starts a process for each
    "onnx model": Reader(_model, files.copied(files.ONNX, name="model.onnx")),
    # Artifacts
    "tflite": Reader(_artifact("tflite"), files.copied(files.TFLITE, name="model.tflite")),
    "onnx": Reader(_artifact("onnx"), files.copied(files.ONNX, name="model.onnx")),
    "external data of onnx": Reader(
        _external_onnx, files.beside(files.copied(*files.EXTERNAL, name="model.onnx"), files.EXTERNAL[1].name)
    ),
    "tfjs": Reader(_artifact("tfjs"), files.graph_model),
    "shard of tfjs": Reader(_artifact("tfjs"), files.beside(files.graph_model, "shard.bin"), share=2),
    "tfjs-layers": Reader(_artifact("tfjs-layers"), files.layers_model),
    "shard of tfjs-layers": Reader(_artifact("tfjs-layers"), files.beside(files.layers_model, "shard.bin"), share=2),
    # Models and artifacts, as lint examines them
    "tflite, examined": Reader(_examined, files.copied(files.TFLITE, name="model.tflite"), share=2),
    "onnx, examined": Reader(_examined, files.copied(files.ONNX, name="model.onnx"), share=2),
    "tfjs, examined": Reader(_examined, files.graph_model, share=2),
    "tfjs-layers, examined": Reader(_examined, files.layers_model, share=2),
    "keras, examined": Reader(_examined, files.copied(MODEL, name="model.keras"), share=1, seconds=60),
    "savedmodel": Reader(_artifact("savedmodel"), files.saved_model),
    "index of a savedmodel": Reader(
        _artifact("savedmodel", up=1), files.beside(files.saved_model, "variables/variables.index")
    ),
    "variables of a savedmodel": Reader(
        _artifact("savedmodel", up=1),
        files.beside(files.saved_model, "variables/variables.data-00000-of-00001"),
        share=1,
    ),
    # Studies, and what builds rely on
    "study": Reader(_judged, files.study, says=_STUDY),
    "outputs": Reader(_judged_by(4), files.beside(files.study, "outputs/tfjs-uint8/python/key/output_0.npy")),
    "outputs of the reference": Reader(
        _judged_by(4), files.beside(files.study, "outputs/reference/python/key/output_0.npy"), share=2
    ),
    "record of outputs": Reader(_judged_by(4), files.beside(files.study, "outputs/tfjs-uint8/python/key/outputs.json")),
    "scores of a row": Reader(_scores, files.beside(files.study_of_scores, "outputs/tfjs-uint8/python/key/scores.npz")),
    "scores, judged": Reader(
        _judged_by(4), files.beside(files.study_of_scores, "outputs/tfjs-uint8/python/key/scores.npz"), share=1
    ),
    "record of scores": Reader(
        _judged_by(4), files.beside(files.study_of_scores, "outputs/tfjs-uint8/python/key/scores.json"), share=2
    ),
    "labels of a study": Reader(_judged_by(1), files.beside(files.study, "samples/labels.npy"), share=2),
    "samples of a study": Reader(lambda path: verify(path.parents[3]), files.study_with_samples, share=2),
    **{name: Reader(_record, files.record(name), share=2) for name in files.RECORDS},
    **{
        f"{name}, verified": Reader(_verified(place.count("/")), files.kept_record(name), share=1)
        for name, place in files.VERIFIED.items()
    },
    "progress.json": Reader(read_progress, files.progress, share=2),
    "index of a study at an address": Reader(lambda path: index_of(path.read_bytes(), path), files.index, share=2),
    "lock": Reader(read_lock, files.lock),
    "statement": Reader(read_attestation, files.statement, share=2),
    "decisions of a search": Reader(_decisions, files.decisions, says=("the decisions",)),
    "models": Reader(models_of, files.models, says=("[[model]]", "[analyze]", "quantlab.toml", "--", "the name")),
    "toml": Reader(_policy, files.toml, says=("[budget]", "[preprocessing]", *files.TOML_KEYS)),
    # Models and artifacts, as workers open them
    "keras 3, opened": Reader(_opened(), model="sequential", **_OPENS),
    "keras 2, opened": Reader(_opened(), model="keras2_keras", **_OPENS),
    "h5 of keras 2, opened": Reader(_opened(), model="keras2_h5", **_OPENS),
    "h5 of keras 3, opened": Reader(_opened(), model="keras3_h5", **_OPENS),
    "saved model, opened": Reader(_opened(1), model="one_signature", file="saved_model.pb", **_OPENS),
    "index of variables, opened": Reader(_opened(2), model="one_signature", file="variables/variables.index", **_OPENS),
    "variables, opened": Reader(
        _opened(2), model="one_signature", file="variables/variables.data-00000-of-00001", **_OPENS
    ),
    "onnx model, opened": Reader(_opened(), files.copied(files.ONNX, name="model.onnx"), **_OPENS, crashes=True),
    "tfjs, loaded": Reader(_executed("tfjs"), files.graph_model, **_OPENS, says=_ROW),
    "tfjs-layers, loaded": Reader(_executed("tfjs-layers"), files.layers_model, **_OPENS, says=_ROW),
    "tflite, loaded": Reader(
        _executed("tflite"), files.copied(files.TFLITE, name="model.tflite"), **_OPENS, crashes=True
    ),
    "onnx, loaded": Reader(_executed("onnx"), files.copied(files.ONNX, name="model.onnx"), **_OPENS, crashes=True),
}
