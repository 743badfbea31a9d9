"""Identifies a model from its files, without importing the libraries that open it."""

import difflib
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from quantlab.errors import ArtifactError, ModelError
from quantlab.foreign import reading
from quantlab.formats import Format
from quantlab.formats.onnx.file import external_files
from quantlab.formats.onnx.floats import coded_weights
from quantlab.models.artifacts import as_artifact, narrow_dtypes, quantized_weights
from quantlab.models.keras_layers import refuse_acting_layers
from quantlab.models.not_models import refuse_not_a_model
from quantlab.processes import import_path
from quantlab.types import CODES

__all__ = [
    "KerasConfig",
    "ModelFile",
    "ModelOptions",
    "combined_sha256",
    "files_sha256",
    "identify",
    "is_keras_archive",
    "read_keras_config",
]

Kind = Literal["Keras 3", "Keras 2", "SavedModel", "ONNX", "TFLite", "graph-model", "layers-model"]

_ACCEPTED = (
    "a .keras file, an .h5 or .hdf5 file of a whole Keras model, a SavedModel folder, an .onnx or .tflite file, or the "
    "folder or model.json of a TensorFlow.js model"
)


_REMEDY = "it may be damaged, so copy or save it again"


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options for opening a model, where its file alone is not sufficient."""

    signature: str | None = None
    """Signature of a SavedModel; None selects the only one, or `serving_default`."""
    custom: tuple[str, ...] = ()
    """Modules to import before opening, because they register the model's custom layers."""
    unsafe: bool = False
    """Whether the model and given variants may do more than compute: execute code of Lambda layers, read or write
    files, call Python."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Input name of an ONNX model → its shape, batch first, for shapes that the file leaves open."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Path, kind and hash of a model; the kind determines which library opens it."""

    path: Path
    kind: Kind
    sha256: str
    narrow: tuple[str, ...] = ()
    """Data types narrower than float32 in which an artifact stores weights, those with most bytes first."""

    @property
    def quantized(self) -> str | None:
        """The data type of the codes in an artifact; None for a model, and for an artifact whose weights are floats."""
        return quantized_weights(self.narrow)


def identify(path: Path, options: ModelOptions) -> ModelFile:
    """Identify a model from its bytes, without TensorFlow.

    A `.keras` or `.h5` file is assigned to the Keras version that wrote it: many files of Keras 2 open only in
    `tf_keras`, and those of Keras 3 only in `keras`.

    Raises:
        ModelError: If the file is missing, truncated, or contains only weights; or if a layer does more than compute
            (see `quantlab.models.allowed`) and `options.unsafe` is False.
    """
    if not path.exists():
        raise ModelError(f"there is no model at '{path}'{_nearest(path)}; give {_ACCEPTED}")
    if path.suffix in {".npz", ".npy"}:
        raise ModelError(f"'{path}' contains arrays, not a model; give it with --data, and as the model {_ACCEPTED}")
    with reading(path, ModelError, _REMEDY):
        refuse_not_a_model(path)
    onnx = path.suffix.lower() == ".onnx" and path.is_file()
    if options.shapes and not onnx:
        raise ModelError(
            f"--shape is only for ONNX models with open sizes, and '{path}' is not one; its samples determine the "
            f"sizes, so leave --shape out"
        )
    if onnx:
        return ModelFile(path, "ONNX", _onnx_sha256(path), _onnx_codes(path))
    if (artifact := as_artifact(path)) is not None:
        return _artifact_file(path, *artifact)
    if path.is_dir():
        return ModelFile(path, _folder_kind(path), files_sha256(path))
    with reading(path, ModelError, _REMEDY):
        config = read_keras_config(path)
        if not options.unsafe:
            refuse_acting_layers(path, config.layers)
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
    return _read_keras_zip(path) if is_keras_archive(path) else _read_h5(path)


def is_keras_archive(path: Path) -> bool:
    """Whether a file is read as a `.keras` archive, and not as HDF5: because of its suffix, or else of its bytes.

    An HDF5 file may end with an archive. Keras reads it as HDF5 then, so what checks the file must do the same.
    """
    return path.suffix == ".keras" or (zipfile.is_zipfile(path) and not _is_hdf5(path))


_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def _is_hdf5(path: Path) -> bool:
    """Whether the signature of HDF5 is at byte 0, 512, 1024, 2048 or another doubling of these."""
    place, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            if file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE:
                return True
            place = max(512, 2 * place)
    return False


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    close = difflib.get_close_matches(path.name, [sibling.name for sibling in path.parent.iterdir()], n=1, cutoff=0.5)
    return f" (did you mean '{path.parent / close[0]}'?)" if close else ""


def _folder_kind(path: Path) -> Kind:
    if (path / "saved_model.pb").is_file():
        return "SavedModel"
    raise ModelError(f"the folder '{path}' has no saved_model.pb, so it is not a SavedModel; give {_ACCEPTED}")


def _read_keras_zip(path: Path) -> KerasConfig:
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_bomb(path, archive)
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


_LARGEST_CONFIG_BYTES = 64 << 20
"""Of a member that holds JSON; the configuration of a model with a thousand layers has some megabytes."""

_MOST_GROWTH = 100
"""How many times its size an archive may unpack to; Keras stores members without packing them."""


def _refuse_bomb(path: Path, archive: zipfile.ZipFile) -> None:
    """Check the sizes that an archive declares before anything is unpacked."""
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    whole, allowed = sum(sizes.values()), _MOST_GROWTH * path.stat().st_size
    large = max(sizes.get(name, 0) for name in ("metadata.json", "config.json"))
    if whole > allowed or large > _LARGEST_CONFIG_BYTES:
        raise ModelError(
            f"'{path}' has {path.stat().st_size / 1e6:,.1f} MB and would unpack to {whole / 1e6:,.0f} MB, "
            f"{large / 1e6:,.0f} MB of it in one description of layers; no Keras writes such a file, so save it again"
        )


def _read_h5(path: Path) -> KerasConfig:
    said = _ask_h5(path)
    if "error" in said:
        raise ModelError(
            f"'{path}' could not be read as HDF5; if it was truncated, save it again, otherwise give {_ACCEPTED}"
        )
    config, version = said["config"], said["version"]
    if config is None:
        raise ModelError(
            f"'{path}' contains only weights, and a model needs its layers too; "
            f"save the whole model with model.save('model.keras') and give that file"
        )
    return KerasConfig(str(version), json.loads(config))


_H5_SECONDS = 30
"""For the HDF5 library to read two attributes, which takes a tenth of a second."""


def _ask_h5(path: Path) -> dict[str, Any]:
    """Ask the process `quantlab.models.h5_config` for the attributes of a file."""
    command = [sys.executable, "-P", "-m", "quantlab.models.h5_config", str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(import_path())}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=_H5_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"'{path}' could not be read as HDF5 within {_H5_SECONDS} seconds, so it is damaged; save it again"
        ) from error
    if done.returncode:  # a damaged file has crashed the library
        return {"error": f"the HDF5 library ended with status {done.returncode}"}
    said: dict[str, Any] = json.loads(done.stdout)
    return said


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
    return combined_sha256(external_files(path, ModelError))


def _onnx_codes(path: Path) -> tuple[str, ...]:
    """Data types of the codes that a file stores as weights; half floats are computed with as they are."""
    try:
        return narrow_dtypes({dtype: size for dtype, size in coded_weights(path).items() if dtype in CODES})
    except ArtifactError as error:
        raise ModelError(str(error)) from error


def combined_sha256(files: Sequence[Path]) -> str:
    """SHA-256 of the bytes of the only file, or of the hashes of several in their order."""
    if len(files) == 1:
        return files_sha256(files[0])
    return hashlib.sha256("".join(map(files_sha256, files)).encode()).hexdigest()


def _artifact_file(path: Path, artifact: Path, format_: Format) -> ModelFile:
    """An artifact that is given as the model.

    Raises:
        ModelError: If it cannot be read.
    """
    try:
        return ModelFile(
            path,
            cast("Kind", format_.as_model),
            combined_sha256(format_.files(artifact)),
            narrow_dtypes(format_.inspect(artifact).weights),
        )
    except ArtifactError as error:
        raise ModelError(str(error)) from error
