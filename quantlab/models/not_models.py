"""Tells what a file or folder is that is not a model, but near to one: only weights, only layers, already converted."""

import json
import zipfile
from pathlib import Path
from typing import Any

from quantlab.errors import ModelError

__all__ = ["refuse_not_a_model"]

_WHOLE = "save the whole with model.save('model.keras'), and give that file"

_LARGEST_JSON_BYTES = 64 << 20


def refuse_not_a_model(path: Path) -> None:
    """Refuse what is recognized from its name or first bytes; everything else is left to the readers of models.

    Raises:
        ModelError: With what it is, and what to give instead.
    """
    what = _folder(path) if path.is_dir() else _file(path)
    if what is not None:
        raise ModelError(f"'{path}' {what}")


def _folder(path: Path) -> str | None:
    if (path / "saved_model.pb").is_file():
        return None
    index = next((file for file in sorted(path.glob("*.index")) if _is_checkpoint(file)), None)
    return None if index is None else _checkpoint(index)


def _is_checkpoint(file: Path) -> bool:
    """Whether a file is the index of a checkpoint, or a part of it: `ckpt.index` and `ckpt.data-00000-of-00001`."""
    name, _, kind = file.name.rpartition(".")
    if kind == "index":
        return any(file.parent.glob(f"{_escaped(name)}.data-*"))
    return kind.startswith("data-") and (file.parent / f"{name}.index").is_file()


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _checkpoint(file: Path) -> str:
    prefix = file.with_name(file.name.rpartition(".")[0])
    return (
        f"is a TensorFlow checkpoint, which contains only weights, and a model needs its layers too; load it into the "
        f"model with model.load_weights('{prefix}') and {_WHOLE}"
    )


def _file(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(64)
    if _is_checkpoint(path):
        return _checkpoint(path)
    if start.lstrip()[:1] == b"{":
        return _json(path)
    if path.suffix in {".pb", ".pbtxt"}:
        return _graph(path)
    if zipfile.is_zipfile(path) and path.suffix != ".keras":
        return _archive(path)
    return None


def _json(path: Path) -> str | None:
    document: Any = None
    if path.stat().st_size <= _LARGEST_JSON_BYTES:
        try:
            document = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return None
    if not isinstance(document, dict):
        return None
    if "weightsManifest" in document:
        return None
    if "modelTopology" in document:
        return (
            "is the description of a model for TensorFlow.js without its weights; give one with a weightsManifest, and "
            "the files that it lists beside it"
        )
    if {"class_name", "config"} <= set(document):
        return f"contains only the layers of a Keras model, without weights; load its weights and {_WHOLE}"
    return "is a JSON file without the layers of a model; give the file or folder of the model"


def _graph(path: Path) -> str:
    if path.name == "saved_model.pb":
        return f"is the graph of a SavedModel; give its folder, '{path.parent}'"
    return (
        "is a frozen graph of TensorFlow, which does not tell its inputs and outputs; give the model that it was made "
        "from, or load it with tf.compat.v1.wrap_function and save it with tf.saved_model.save and a signature"
    )


def _archive(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError):
        return None
    if "metadata.json" in names:
        return None
    if any(name.endswith("data.pkl") for name in names):
        return "is a file of PyTorch; export the model to ONNX with torch.onnx.export and give that file"
    return "is an archive, and not that of a Keras model; unpack it and give the file or folder of the model in it"
