"""Reader for the parts that both tfjs formats share: `model.json`, and the weight shards listed in its manifest.

The format is defined by tfjs-core 4.22, `io/types.ts` (WeightsManifestConfig) and `io/io_utils.ts` (decodeWeights).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError
from quantlab.formats.contract import Contents
from quantlab.formats.finite import note_float_limits
from quantlab.types import Port, StoredWeight
from quantlab.types.executor_options import ExecutorOptions, ExternalFile

__all__ = [
    "LONG_SHARD",
    "contents",
    "decode",
    "document_file",
    "has_document",
    "is_layers_model",
    "options",
    "read_document",
    "recognizes_layers",
    "served",
    "served_files",
    "stored_weight",
    "stored_weights",
]

LONG_SHARD = "tfjs reads zeros from the last shard"
"""How the note of an artifact begins whose last shard is too long for tfjs."""

_USUAL = "model.json"

_LENGTH_BYTES = 4  # length prefix of each string in a shard


def served(path: Path) -> Path:
    """The artifact at the user's path: a folder with a `model.json`, or else the JSON file of another name.

    Both the folder and the JSON file may be given; one model has one path, and thus one hash.
    """
    if path.name == _USUAL and path.is_file():
        return path.parent
    return document_file(path) if path.is_dir() and not (path / _USUAL).is_file() and _documents(path) else path


def has_document(path: Path) -> bool:
    """Whether a path is a JSON file, or a folder with one that describes a tfjs model; what it says is not checked."""
    if path.is_dir():
        return (path / _USUAL).is_file() or bool(_documents(path))
    return path.is_file() and path.suffix == ".json"


def document_file(path: Path) -> Path:
    """The JSON file of an artifact: the path itself, or in a folder `model.json`, or else the only tfjs model there.

    Raises:
        ArtifactError: If a folder has no `model.json` and several other tfjs models.
    """
    if not path.is_dir() or (path / _USUAL).is_file():
        return path / _USUAL if path.is_dir() else path
    documents = _documents(path)
    if len(documents) > 1:
        names = ", ".join(file.name for file in documents)
        raise ArtifactError(f"'{path}' has {len(documents)} tfjs models ({names}); give the path of one of them")
    return documents[0] if documents else path / _USUAL


def _documents(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.json")) if file.is_file() and _has_manifest(file)]


def _has_manifest(file: Path) -> bool:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("weightsManifest"), list)


def served_files(path: Path) -> list[Path]:
    """The JSON file and the shards that it lists, sorted by name; other files of the folder do not belong to it.

    Raises:
        ArtifactError: As `read_document`, and as `stored_weights` for paths of shards.
    """
    return sorted([document_file(path), *_shards_of(path).values()])


def _shards_of(path: Path) -> dict[str, Path]:
    """Name of each shard in the manifest → its file."""
    folder, seen = document_file(path).parent, set[Path]()
    names = [name for group in read_document(path)["weightsManifest"] for name in group["paths"]]
    return {name: folder / name for name in names if _shard(folder, name, seen)}


def options(path: Path) -> ExecutorOptions:
    """The files by name, the JSON file first, if the artifact is that file and not a folder with a `model.json`."""
    if path.is_dir():
        return ExecutorOptions()
    files = {path.name: path, **_shards_of(path)}
    return ExecutorOptions(
        external_data=tuple(ExternalFile(name, str(file.absolute())) for name, file in files.items())
    )


def read_document(path: Path) -> dict[str, Any]:
    """Read the JSON file of either tfjs format, as `document_file` finds it.

    Raises:
        ArtifactError: If it is missing, not JSON, or has no weights manifest.
    """
    file = document_file(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"'{file}' could not be read as JSON ({error}); convert the model again") from error
    if not isinstance(document, dict) or not isinstance(document.get("weightsManifest"), list):
        raise ArtifactError(f"'{file}' has no weightsManifest, so it is not a tfjs model; convert the model again")
    if not isinstance(document.get("modelTopology", {}), dict | None):
        raise ArtifactError(f"the modelTopology of '{file}' is not a JSON object; convert the model again")
    return document


def is_layers_model(document: Mapping[str, Any]) -> bool:
    """Whether a `model.json` contains a Keras configuration instead of a graph; old files do not state their format."""
    return document.get("format") == "layers-model" or "node" not in (document.get("modelTopology") or {})


def recognizes_layers(path: Path) -> bool:
    """Whether an artifact is a layers-model; False if it cannot be read, so that the graph format reports why."""
    try:
        return has_document(path) and is_layers_model(read_document(path))
    except ArtifactError:
        return False


def stored_weights(path: Path) -> Iterator[tuple[Mapping[str, Any], npt.NDArray[Any]]]:
    """Each weight's manifest entry with its stored values, not decoded; strings as an array of bytes objects.

    Raises:
        ArtifactError: If a shard is outside the folder, is missing or listed twice, or has another length than the
            manifest states.
    """
    seen: set[Path] = set()
    folder = document_file(path).parent
    for group in read_document(path)["weightsManifest"]:
        # All of them first, so that nothing is read before it is known to be there once.
        files = [_shard(folder, path, seen) for path in group["paths"]]
        data = b"".join(file.read_bytes() for file in files)
        offset = 0
        for entry in group["weights"]:
            values, end = _read(entry, data, offset)
            if values is None:
                raise ArtifactError(
                    f"the shards of '{folder}' have {len(data):,} bytes, but the weight '{entry['name']}' ends at byte "
                    f"{end:,}; a shard is truncated, so copy or convert the model again"
                )
            yield entry, values.reshape(entry["shape"])
            offset = end
        if offset != len(data):
            raise ArtifactError(
                f"the shards of '{folder}' have {len(data):,} bytes, but the manifest describes {offset:,}; "
                f"they belong to another JSON file, so copy or convert the model again"
            )


def _read(entry: Mapping[str, Any], data: bytes, offset: int) -> tuple[npt.NDArray[Any] | None, int]:
    """A weight's values as a vector, and the offset of its end; values are None if the end is beyond the data."""
    count = int(np.prod(entry["shape"], dtype=np.int64))
    if entry["dtype"] == "string":
        return _read_strings(data, offset, count)
    dtype = np.dtype(entry.get("quantization", {}).get("dtype") or entry["dtype"])
    end = offset + count * dtype.itemsize
    return (np.frombuffer(data, dtype, count, offset) if end <= len(data) else None), end


def _read_strings(data: bytes, offset: int, count: int) -> tuple[npt.NDArray[Any] | None, int]:
    """Read strings, each stored as a four-byte length followed by its bytes."""
    values = np.empty(count, object)
    for place in range(count):
        begin = offset + _LENGTH_BYTES
        offset = begin + int.from_bytes(data[begin - _LENGTH_BYTES : begin], "little")
        values[place] = data[begin:offset]
        if offset > len(data):
            return None, offset
    return values, offset


def _shard(folder: Path, name: str, seen: set[Path]) -> Path:
    """The file of a shard; `seen` are those that were listed before: a manifest must not ask for one many times."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ArtifactError(f"the shard path '{name}' of '{folder}' points outside the folder; do not trust this model")
    if not file.is_file():
        raise ArtifactError(f"the shard '{name}' is missing in '{folder}'; copy it there or convert the model again")
    if file in seen:
        raise ArtifactError(
            f"the manifest of '{folder}' lists the shard '{name}' more than once, and the weights would take as many "
            f"times its size; convert the model again"
        )
    seen.add(file)
    return file


def contents(path: Path, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Contents:
    """Contents of an artifact with these ports: weight sizes from its shards, and remarks about non-finite weights."""
    weights: dict[str, int] = {}
    notes: list[str] = []
    for entry, values in stored_weights(path):
        dtype = _stored_dtype(entry, values)
        weights[dtype] = weights.get(dtype, 0) + _size_bytes(values)
        if values.dtype.kind == "f":
            notes += note_float_limits(entry["name"], values, values.dtype.name)
    notes += _note_long_shard([file.stat().st_size for file in _shards_of(path).values()])
    return Contents(inputs=inputs, outputs=outputs, weights=weights, notes=tuple(notes))


def _note_long_shard(sizes: Sequence[int]) -> list[str]:
    """A note if TensorFlow.js reads zeros for weights in the last shard, without an error.

    Its CompositeArrayBuffer (tfjs-core 4.22, io/composite_array_buffer.ts) finds the shard of a weight by division if
    all shards but the last have one size. It does not check that the last is not longer.

    Args:
        sizes: Bytes of all shards, of all groups, in the order of the manifest.
    """
    if len(sizes) < 2 or len(set(sizes[:-1])) > 1 or sizes[-1] <= sizes[0]:
        return []
    lengths = f"{sizes[-1]:,} bytes against {sizes[0]:,}"
    return [f"{LONG_SHARD}, because it is the longest ({lengths}); convert the model again"]


def decode(entry: Mapping[str, Any], stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values of a weight as tfjs has them after loading: float32, int32 or bool.

    Affine codes are decoded in float64 and rounded once to float32, as JavaScript does.
    """
    quantization = entry.get("quantization")
    if quantization is None:
        return stored
    if quantization["dtype"] == "float16":
        return stored.astype(np.float32)
    values: npt.NDArray[Any] = stored.astype(np.float64) * quantization["scale"] + quantization["min"]
    return np.round(values).astype(np.int32) if entry["dtype"] == "int32" else values.astype(np.float32)


def _stored_dtype(entry: Mapping[str, Any], stored: npt.NDArray[Any]) -> str:
    return "string" if entry["dtype"] == "string" else stored.dtype.name


def _size_bytes(stored: npt.NDArray[Any]) -> int:
    if stored.dtype == object:
        return sum(_LENGTH_BYTES + len(value) for value in stored.flat)
    return stored.nbytes


def stored_weight(entry: Mapping[str, Any], stored: npt.NDArray[Any], channel_axes: tuple[int, ...]) -> StoredWeight:
    """A weight with its values; `channel_axes` that its shape does not have are ignored."""
    quantization = entry.get("quantization", {})
    affine = "scale" in quantization
    return StoredWeight(
        name=entry["name"],
        keys=(entry["name"],),
        shape=stored.shape,
        dtype=_stored_dtype(entry, stored),
        size_bytes=_size_bytes(stored),
        stored=stored,
        values=decode(entry, stored),
        scales=(float(quantization["scale"]),) if affine else (),
        minimum=float(quantization["min"]) if affine else None,
        code_range=(0, int(np.iinfo(stored.dtype).max)) if affine else None,
        channel_axes=channel_axes if max(channel_axes, default=0) < stored.ndim else (),
    )
