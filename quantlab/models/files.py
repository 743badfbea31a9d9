"""Identifies a model from its files, without importing the libraries that open it."""

import difflib
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from quantlab.errors import ModelError
from quantlab.formats.onnx.file import external_files

__all__ = ["KerasConfig", "ModelFile", "ModelOptions", "files_sha256", "identify", "read_keras_config"]

Kind = Literal["Keras 3", "Keras 2", "SavedModel", "ONNX"]

_ACCEPTED = "a .keras file, an .h5 or .hdf5 file of a whole Keras model, a SavedModel folder, or an .onnx file"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options for opening a model, where its file alone is not sufficient."""

    signature: str | None = None
    """Signature of a SavedModel; None selects the only one, or `serving_default`."""
    custom: tuple[str, ...] = ()
    """Modules to import before opening, because they register the model's custom layers."""
    unsafe: bool = False
    """Whether code of Lambda layers stored in the file may be executed."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Input name of an ONNX model → its shape, batch first, for shapes that the file leaves open."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Path, kind and hash of a model; the kind determines which library opens it."""

    path: Path
    kind: Kind
    sha256: str


def identify(path: Path, options: ModelOptions) -> ModelFile:
    """Identify a model from its bytes, without TensorFlow.

    A `.keras` or `.h5` file is assigned to the Keras version that wrote it: many files of Keras 2 open only in
    `tf_keras`, and those of Keras 3 only in `keras`.

    Raises:
        ModelError: If the file is missing, truncated, or contains only weights; or if it contains a Lambda layer and
            `options.unsafe` is False.
    """
    if not path.exists():
        raise ModelError(f"there is no model at '{path}'{_nearest(path)}; give {_ACCEPTED}")
    if path.suffix in {".npz", ".npy"}:
        raise ModelError(f"'{path}' contains arrays, not a model; give it with --data, and as the model {_ACCEPTED}")
    onnx = path.suffix.lower() == ".onnx" and path.is_file()
    if options.shapes and not onnx:
        raise ModelError(
            f"--shape is only for ONNX models with open sizes, and '{path}' is not one; its samples determine the "
            f"sizes, so leave --shape out"
        )
    if path.is_dir():
        return ModelFile(path, _folder_kind(path), files_sha256(path))
    if onnx:
        return ModelFile(path, "ONNX", _onnx_sha256(path))
    config = read_keras_config(path)
    _refuse_lambda(path, config.layers, options)
    return ModelFile(path, "Keras 3" if config.of_keras_3 else "Keras 2", files_sha256(path))


@dataclass(frozen=True, slots=True)
class KerasConfig:
    """The metadata of a Keras file."""

    version: str
    """Version of the Keras that wrote the file, for example `2.19.0`."""
    layers: Any
    """The model's configuration: its `class_name` and `config`."""

    @property
    def of_keras_3(self) -> bool:
        """Whether Keras 3 wrote the file, so that `tf_keras` may be unable to open it."""
        return self.version.startswith("3")


def read_keras_config(path: Path) -> KerasConfig:
    """Read the configuration in a `.keras` or `.h5` file.

    Raises:
        ModelError: If the file is truncated, or contains only weights.
    """
    return _read_keras_zip(path) if zipfile.is_zipfile(path) or path.suffix == ".keras" else _read_h5(path)


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    close = difflib.get_close_matches(path.name, [sibling.name for sibling in path.parent.iterdir()], n=1, cutoff=0.5)
    return f" (did you mean '{path.parent / close[0]}'?)" if close else ""


def _folder_kind(path: Path) -> Kind:
    if (path / "saved_model.pb").is_file():
        return "SavedModel"
    if (path / "model.json").is_file():
        raise ModelError(
            f"'{path}' is already converted for TensorFlow.js; "
            f"give the model it was made from, and this folder with --variant NAME={path}"
        )
    raise ModelError(f"the folder '{path}' has no saved_model.pb, so it is not a SavedModel; give {_ACCEPTED}")


def _read_keras_zip(path: Path) -> KerasConfig:
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read("metadata.json"))
            layers = json.loads(archive.read("config.json"))
            archive.getinfo("model.weights.h5")
            broken = archive.testzip()
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise ModelError(
            f"'{path}' is not a complete .keras file ({error}); if it was truncated, copy or save it again"
        ) from error
    if broken:
        raise ModelError(f"'{path}' is damaged at '{broken}'; copy or save it again")
    return KerasConfig(str(metadata.get("keras_version", "3")), layers)


def _read_h5(path: Path) -> KerasConfig:
    import h5py

    if path.suffix == ".tflite":
        raise ModelError(
            f"'{path}' is a TFLite file, so it is already converted; "
            f"give the model it was made from, and this file with --variant NAME={path}"
        )
    try:
        with h5py.File(path, "r") as file:
            config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "2")
    except OSError as error:
        raise ModelError(
            f"'{path}' could not be read as HDF5; if it was truncated, save it again, otherwise give {_ACCEPTED}"
        ) from error
    if config is None:
        raise ModelError(
            f"'{path}' contains only weights, and a model needs its layers too; "
            f"save the whole model with model.save('model.keras') and give that file"
        )
    return KerasConfig(str(version), json.loads(config))


def _classes(config: Any) -> Iterator[tuple[str, str]]:
    """Every (class name, layer name) in a Keras configuration, at any depth."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            inner = config.get("config")
            yield config["class_name"], str(inner.get("name", "?")) if isinstance(inner, dict) else "?"
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)


def _refuse_lambda(path: Path, config: Any, options: ModelOptions) -> None:
    """Refuse a Lambda layer, because opening it executes Python byte code from the file."""
    layer = next((name for kind, name in _classes(config) if kind == "Lambda"), None)
    if layer is not None and not options.unsafe:
        raise ModelError(
            f"the Lambda layer '{layer}' of '{path}' contains Python code that runs when the model is opened; "
            f"if you trust the file, allow it with --unsafe"
        )


def files_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, or of a folder's relative file names and bytes, sorted by name."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        if path.is_dir():
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)  # continues the given digest
    return digest.hexdigest()


def _onnx_sha256(path: Path) -> str:
    """SHA-256 of the file and of the external files with its weights."""
    files = external_files(path, ModelError)
    if files == [path]:
        return files_sha256(path)
    return hashlib.sha256("".join(map(files_sha256, files)).encode()).hexdigest()
