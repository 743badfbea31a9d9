"""Reads what both of tfjs' formats share: `model.json` as JSON, and the weight shards that its manifest names.

The format is that of tfjs-core's `io/types.ts` (WeightsManifestConfig) and `io/io_utils.ts` (decodeWeights), 4.22.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError
from quantlab.formats.contract import Contents
from quantlab.formats.finite import note_non_finite
from quantlab.types import Port, StoredWeight

__all__ = [
    "contents",
    "decode",
    "is_layers_model",
    "read_document",
    "recognizes_layers",
    "stored_weight",
    "stored_weights",
]

_LENGTH_BYTES = 4  # before each string of a shard


def read_document(folder: Path) -> dict[str, Any]:
    """A `model.json`, of either format.

    Raises:
        ArtifactError: If it is missing, no JSON, or without a manifest of weights.
    """
    file = folder / "model.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"'{file}' could not be read as JSON ({error}); convert the model again") from error
    if not isinstance(document, dict) or not isinstance(document.get("weightsManifest"), list):
        raise ArtifactError(f"'{file}' has no weightsManifest, so it is no tfjs model; convert the model again")
    if not isinstance(document.get("modelTopology", {}), dict | None):
        raise ArtifactError(f"'{file}' has a modelTopology that is no object; convert the model again")
    return document


def is_layers_model(document: Mapping[str, Any]) -> bool:
    """Whether a `model.json` holds a configuration of Keras and not a graph; old ones do not say their format."""
    return document.get("format") == "layers-model" or "node" not in (document.get("modelTopology") or {})


def recognizes_layers(path: Path) -> bool:
    """Whether a folder holds a layers-model; what cannot be read is none, and is left to the other format to refuse."""
    try:
        return is_layers_model(read_document(path))
    except ArtifactError:
        return False


def stored_weights(folder: Path) -> Iterator[tuple[Mapping[str, Any], npt.NDArray[Any]]]:
    """Each weight's manifest entry and its values as stored, not decoded; strings as an array of bytes objects.

    Raises:
        ArtifactError: If a shard lies outside the folder, is missing, or is not as long as the manifest says.
    """
    for group in read_document(folder)["weightsManifest"]:
        data = b"".join(_shard(folder, path) for path in group["paths"])
        offset = 0
        for entry in group["weights"]:
            values, end = _read(entry, data, offset)
            if values is None:
                raise ArtifactError(
                    f"the shards of '{folder}' hold {len(data):,} bytes and the weight '{entry['name']}' would end at "
                    f"{end:,}; a shard is cut short, so copy or convert the model again"
                )
            yield entry, values.reshape(entry["shape"])
            offset = end
        if offset != len(data):
            raise ArtifactError(
                f"the shards of '{folder}' hold {len(data):,} bytes but the manifest accounts for {offset:,}; "
                f"they belong to another model.json, so copy or convert the model again"
            )


def _read(entry: Mapping[str, Any], data: bytes, offset: int) -> tuple[npt.NDArray[Any] | None, int]:
    """A weight's values in one dimension and where its bytes end; None where that lies beyond the data."""
    count = int(np.prod(entry["shape"], dtype=np.int64))
    if entry["dtype"] == "string":
        return _read_strings(data, offset, count)
    dtype = np.dtype(entry.get("quantization", {}).get("dtype") or entry["dtype"])
    end = offset + count * dtype.itemsize
    return (np.frombuffer(data, dtype, count, offset) if end <= len(data) else None), end


def _read_strings(data: bytes, offset: int, count: int) -> tuple[npt.NDArray[Any] | None, int]:
    """Each is its length in four bytes and as many bytes."""
    values = np.empty(count, object)
    for place in range(count):
        begin = offset + _LENGTH_BYTES
        offset = begin + int.from_bytes(data[begin - _LENGTH_BYTES : begin], "little")
        values[place] = data[begin:offset]
        if offset > len(data):
            return None, offset
    return values, offset


def _shard(folder: Path, name: str) -> bytes:
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ArtifactError(f"the shard path '{name}' of '{folder}' leads out of the folder; do not trust this model")
    if not file.is_file():
        raise ArtifactError(f"the shard '{name}' is not in '{folder}'; copy it there or convert the model again")
    return file.read_bytes()


def contents(folder: Path, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Contents:
    """The contents of an artifact with these ports: what its shards hold, and which weights are not finite."""
    weights: dict[str, int] = {}
    notes: list[str] = []
    for entry, values in stored_weights(folder):
        dtype = _stored_dtype(entry, values)
        weights[dtype] = weights.get(dtype, 0) + _size_bytes(values)
        if values.dtype.kind == "f":
            notes += note_non_finite(entry["name"], values, values.dtype.name)
    return Contents(inputs=inputs, outputs=outputs, weights=weights, notes=tuple(notes))


def decode(entry: Mapping[str, Any], stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A weight's values as tfjs has them after loading: float32, int32 or bool.

    Affine codes are multiplied and shifted in float64 and then rounded to float32 once, as JavaScript does.
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
    """A weight with its values; axes that it does not have are those of another kernel."""
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
