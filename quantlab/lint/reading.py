"""Opens a file for the checks: told by its bytes, read by the reader of its kind."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from quantlab.errors import ArtifactError, ModelError
from quantlab.foreign import reading
from quantlab.formats.onnx.artifact import recognizes as is_onnx
from quantlab.formats.savedmodel.artifact import recognizes as is_saved_model
from quantlab.formats.savedmodel.artifact import served as served_saved_model
from quantlab.formats.tfjs_manifest import has_document, recognizes_layers, served
from quantlab.formats.tflite.artifact import recognizes as is_tflite
from quantlab.lint.subject import Subject
from quantlab.models.files import is_keras_archive

__all__ = ["read_subject"]

_REMEDY = "it may be damaged or of another format, so copy, save or convert it again"


def read_subject(path: Path, signature: str | None = None) -> Subject:
    """Read a model or an artifact.

    Args:
        path: A file or folder; of a folder of `quantlab convert`, the artifact in it is read.
        signature: Of a SavedModel; None takes the one that a converter noted beside it, else the only one, else
            `serving_default`.

    Raises:
        ModelError: If there is no file, or it is no complete model.
        ArtifactError: If it is no complete artifact of its format.
    """
    if not path.exists():
        raise ModelError(f"there is no file or folder at '{path}'; give a model or an artifact")
    with reading(path, ArtifactError, _REMEDY):
        for name, recognizes in _RECOGNIZED.items():
            if recognizes(path):
                read: Callable[..., Subject] = import_module(f"quantlab.lint.readers.{name}").read
                named = {"signature": signature} if name in _WITH_SIGNATURES else {}
                return read(served(path) if name in _SERVED else path, **named)
        for made in (path / "model.tflite", path / "model.onnx", served_saved_model(path)):
            if made.exists():
                return replace(read_subject(made, signature), path=str(path), name=f"{path.name}/{made.name}")
    raise ModelError(
        f"'{path}' is no model and no artifact that quantlab knows; give a .keras or .h5 file of a whole model, a "
        f"SavedModel folder, an .onnx or .tflite file, or the folder or model.json of a tfjs model"
    )


def _is_keras(path: Path) -> bool:
    return path.is_file() and (path.suffix in {".keras", ".h5", ".hdf5"} or is_keras_archive(path))


_SERVED = frozenset({"layers_model", "graph_model"})
_WITH_SIGNATURES = frozenset({"saved_model"})

_RECOGNIZED: Mapping[str, Callable[[Path], bool]] = {
    "saved_model": is_saved_model,
    "tflite": is_tflite,
    "onnx": is_onnx,
    "layers_model": recognizes_layers,
    "graph_model": has_document,
    "keras": _is_keras,
}
"""Module of `readers` → whether it reads a path, the first that does."""
