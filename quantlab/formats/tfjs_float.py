"""Writes a tfjs model with the values of its weights in float32, which TensorFlow.js has after loading it."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.formats.tfjs_manifest import decode, read_document, stored_weights

__all__ = ["write_float"]

_SHARD_BYTES = 4 << 20
"""As in the files of the official converter."""

_LENGTH_BYTES = 4


def write_float(path: Path, folder: Path) -> None:
    """Write the model into a new folder, as `model.json` and shards.

    Codes are decoded, and half floats become float32; what is neither is copied.

    Raises:
        ArtifactError: If the model cannot be read.
    """
    folder.mkdir(parents=True)
    document = read_document(path)
    sizes = [len(group["weights"]) for group in document["weightsManifest"]]
    decoded = [(_plain(entry), _bytes(decode(entry, stored))) for entry, stored in stored_weights(path)]
    places = pairwise([sum(sizes[:place]) for place in range(len(sizes) + 1)])
    groups = [decoded[start:stop] for start, stop in places]
    document["weightsManifest"] = [
        {
            "paths": _write_shards(folder, place, b"".join(data for _, data in group)),
            "weights": [entry for entry, _ in group],
        }
        for place, group in enumerate(groups, start=1)
    ]
    (folder / "model.json").write_text(json.dumps(document))


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of the manifest for values that are not coded."""
    return {key: value for key, value in entry.items() if key != "quantization"}


def _bytes(values: npt.NDArray[Any]) -> bytes:
    if values.dtype != object:
        return values.tobytes()
    return b"".join(len(text).to_bytes(_LENGTH_BYTES, "little") + text for text in values.flat)


def _write_shards(folder: Path, group: int, data: bytes) -> list[str]:
    parts = [data[start : start + _SHARD_BYTES] for start in range(0, len(data), _SHARD_BYTES)] or [b""]
    names = [f"group{group}-shard{place}of{len(parts)}.bin" for place in range(1, len(parts) + 1)]
    for name, part in zip(names, parts, strict=True):
        (folder / name).write_bytes(part)
    return names
