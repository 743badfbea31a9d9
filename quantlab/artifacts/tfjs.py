"""Reads tfjs graph-models: `model.json` and the weight shards that its manifest names.

The format is that of tfjs-core's `io/types.ts` (WeightsManifestConfig) and `io/io_utils.ts` (decodeWeights), 4.22.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.artifacts._kind import ArtifactKind, Contents
from quantlab.artifacts._tfjs_channels import find_channel_axes
from quantlab.errors import ArtifactError
from quantlab.types import Port, StoredWeight

__all__ = ["KIND", "decode", "read_model_json", "stored_weights"]

_NUMPY_DTYPES = {
    "DT_FLOAT": "float32",
    "DT_INT32": "int32",
    "DT_INT64": "int32",
    "DT_BOOL": "bool",
    "DT_UINT8": "int32",
}
"""What tfjs makes of a graph's dtype: it has float32, int32 and bool only."""

_LENGTH_BYTES = 4  # before each string of a shard


def read_model_json(folder: Path) -> dict[str, Any]:
    """A graph-model's `model.json`.

    Raises:
        ArtifactError: If it is missing, no JSON, or another format of tfjs.
    """
    file = folder / "model.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"'{file}' could not be read as JSON ({error}); convert the model again") from error
    if not isinstance(document, dict) or not isinstance(document.get("weightsManifest"), list):
        raise ArtifactError(f"'{file}' has no weightsManifest, so it is no tfjs model; convert the model again")
    kind = document.get("format")
    if kind == "layers-model" or "node" not in (document.get("modelTopology") or {}):
        raise ArtifactError(
            f"'{file}' is a {kind or 'layers-model'}, and only graph-models are run; "
            f"convert with --output_format=tfjs_graph_model"
        )
    return document


def stored_weights(folder: Path) -> Iterator[tuple[Mapping[str, Any], npt.NDArray[Any]]]:
    """Each weight's manifest entry and its values as stored, not decoded; strings as an array of bytes objects.

    Raises:
        ArtifactError: If a shard lies outside the folder, is missing, or is not as long as the manifest says.
    """
    for group in read_model_json(folder)["weightsManifest"]:
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


def _inspect(folder: Path) -> Contents:
    document = read_model_json(folder)
    signature = document.get("signature") or document.get("userDefinedMetadata", {}).get("signature") or {}
    weights: dict[str, int] = {}
    notes = []
    for entry, values in stored_weights(folder):
        dtype = _stored_dtype(entry, values)
        weights[dtype] = weights.get(dtype, 0) + _size_bytes(values)
        if values.dtype.kind == "f" and (wrong := int(values.size - np.isfinite(values).sum())):
            notes.append(f"weight '{entry['name']}' holds {wrong:,} values that are not finite in {values.dtype.name}")
    return Contents(
        inputs=_ports(signature.get("inputs", {})),
        outputs=_ports(signature.get("outputs", {})),
        weights=weights,
        notes=tuple(notes),
    )


def _ports(tensors: Mapping[str, Any]) -> tuple[Port, ...]:
    ports = []
    for place, (key, info) in enumerate(tensors.items()):
        sizes = [int(size["size"]) for size in info.get("tensorShape", {}).get("dim", [])]
        ports.append(
            Port(
                name=key.removesuffix(":0"),
                tensor=info["name"],
                position=_position(info["name"], place),
                shape=tuple(None if size < 0 else size for size in sizes),
                dtype=_NUMPY_DTYPES.get(info.get("dtype", "DT_FLOAT"), "float32"),
            )
        )
    return tuple(sorted(ports, key=lambda port: port.position))


def _position(tensor: str, place: int) -> int:
    """Where the converter lost an output's name (two of one shape), its graph node still counts it.

    A signature's results are flattened in order of their names, and `Identity`, `Identity_1`, … number them.
    """
    node = tensor.partition(":")[0]
    if node == "Identity":
        return 0
    number = node.removeprefix("Identity_")
    return int(number) if number.isdigit() and node != number else place


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


def _list_weights(folder: Path) -> Iterator[StoredWeight]:
    axes = find_channel_axes(read_model_json(folder)["modelTopology"])
    return (_weight(entry, stored, axes.get(entry["name"], ())) for entry, stored in stored_weights(folder))


def _weight(entry: Mapping[str, Any], stored: npt.NDArray[Any], channel_axes: tuple[int, ...]) -> StoredWeight:
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


KIND = ArtifactKind(
    inspect=_inspect,
    recognizes=lambda path: (path / "model.json").is_file(),
    served=lambda folder: folder,
    weights=_list_weights,
    ops=lambda folder, setting: (),  # noqa: ARG005  # tfjs computes in float32 whatever is stored
    minimum_runtime=lambda folder: None,  # noqa: ARG005  # a graph-model tells of no version of tfjs
)
