"""Reads toy files: `.npz` archives under another name."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quantlab.errors import ArtifactError
from quantlab.formats import Contents
from quantlab.types import OpRow, Port, StoredWeight, TapSpec


def read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"'{path}' is no toy file ({error}); convert the model again") from error


def kernel_of(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return arrays["kernel"].astype(np.float32) * arrays["scale"]


def inspect(path: Path) -> Contents:
    arrays = read(path)
    size, classes = arrays["kernel"].shape
    return Contents(
        inputs=(Port("x", "x", 0, (None, size), "float32"),),
        outputs=(Port("y", "y", 0, (None, classes), "float32"),),
        weights={arrays["kernel"].dtype.name: arrays["kernel"].nbytes, "float32": arrays["bias"].nbytes}
        if arrays["kernel"].dtype != np.float32
        else {"float32": arrays["kernel"].nbytes + arrays["bias"].nbytes},
    )


def recognizes(path: Path) -> bool:
    return path.is_file() and path.suffix == ".toy"


def list_weights(path: Path) -> Iterator[StoredWeight]:
    arrays = read(path)
    yield _stored("kernel", arrays["kernel"], kernel_of(arrays))
    yield _stored("bias", arrays["bias"], arrays["bias"])


def list_taps(path: Path) -> tuple[TapSpec, ...]:
    classes = read(path)["bias"].size
    return tuple(TapSpec(name, (None, classes), "float32", op) for name, op in (("dense", "MatMul"), ("y", "Softmax")))


def list_ops(path: Path, setting: str) -> tuple[OpRow, ...]:
    stored = read(path)["kernel"].dtype.name
    return (
        OpRow(setting, 0, "MatMul", 1, "float", stored, "dense"),
        OpRow(setting, 1, "Softmax", 1, "float", "", "y"),
    )


def _stored(name: str, stored: np.ndarray, values: np.ndarray) -> StoredWeight:
    return StoredWeight(
        name=name,
        keys=(name,),
        shape=stored.shape,
        dtype=stored.dtype.name,
        size_bytes=stored.nbytes,
        stored=stored,
        values=values,
        channel_axes=(1,) if stored.ndim > 1 else (),
    )
