"""Writes the files of a tfjs model: `model.json` and one shard with its weights, as they were stored."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.tfjs_manifest import stored_weights

__all__ = ["write_part"]

_SHARD = "group1-shard1of1.bin"


def write_part(path: Path, target: Path, document: Mapping[str, Any], weights: Collection[str]) -> None:
    """Write a model with some of the weights of another.

    Args:
        path: The artifact that has the weights.
        target: The folder to write.
        document: What `model.json` says, without its manifest.
        weights: Names of weights; their bytes and entries of the manifest stay as they are.

    Raises:
        ArtifactError: As `stored_weights`.
    """
    entries, shard = [], bytearray()
    for entry, stored in stored_weights(path):
        if entry["name"] in weights:
            entries.append(entry)
            shard += _bytes_of(stored)
    target.mkdir(parents=True, exist_ok=True)
    manifest = [{"paths": [_SHARD], "weights": entries}] if entries else []
    if entries:
        (target / _SHARD).write_bytes(shard)
    text = json.dumps({**document, "weightsManifest": manifest}, indent=1)
    (target / "model.json").write_text(text + "\n", encoding="utf-8")


def _bytes_of(stored: npt.NDArray[Any]) -> bytes:
    """A weight as a shard has it: strings with their length before them."""
    if stored.dtype == np.dtype(object):
        return b"".join(len(value).to_bytes(4, "little") + value for value in stored.flat)
    return stored.tobytes()
