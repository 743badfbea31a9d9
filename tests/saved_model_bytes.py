"""Writes the files of a SavedModel byte by byte: its signatures and variables, without any op."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["field", "index_of", "varint", "write_saved_model"]

DTYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bfloat16": 14, "float16": 19}
Ports = Mapping[str, tuple[str, Sequence[int]]]
"""Name of a port → its tensor, and the sizes of a sample."""


def varint(number: int) -> bytes:
    """An integer in as few bytes as it needs."""
    number &= (1 << 64) - 1
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def field(number: int, value: int | str | bytes) -> bytes:
    """A field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def _shape(sizes: Sequence[int]) -> bytes:
    return b"".join(field(2, field(1, size)) for size in sizes)


def _signature(inputs: Ports, outputs: Ports, dtype: str) -> bytes:
    def ports(number: int, some: Ports) -> bytes:
        return b"".join(
            field(
                number,
                field(1, name) + field(2, field(1, tensor) + field(2, DTYPES[dtype]) + field(3, _shape((-1, *sizes)))),
            )
            for name, (tensor, sizes) in some.items()
        )

    return ports(1, inputs) + ports(2, outputs) + field(3, "tensorflow/serving/predict")


def _block(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A block whose keys share what they have in common with the one before, as TensorFlow writes them."""
    data, before = b"", b""
    for key, value in entries:
        shared = 0
        while before[shared : shared + 1] == key[shared : shared + 1] != b"":
            shared += 1
        data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return data + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")


def index_of(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A sorted table of one block."""
    empty, block = _block([]), _block(entries)
    data = block + bytes(5)

    def handle(block: bytes) -> bytes:
        return varint(len(data)) + varint(len(block))

    metaindex = handle(empty)
    data += empty + bytes(5)
    index_block = _block([(entries[-1][0], varint(0) + varint(len(block)))])
    index = handle(index_block)
    data += index_block + bytes(5)
    return data + (metaindex + index).ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


def write_saved_model(
    folder: Path,
    weights: Sequence[tuple[str, npt.NDArray[Any]]] = (),
    *,
    inputs: Ports,
    outputs: Ports,
    signatures: Sequence[str] = ("serving_default",),
    tag: str = "serve",
    dtype: str = "float32",
) -> Path:
    """A SavedModel of ports and variables, in one shard.

    Args:
        folder: The new folder.
        weights: Names and values, in the order of the data; the index is sorted by name.
        inputs: Of every signature.
        outputs: Likewise.
        signatures: Names.
        tag: Of the graph.
        dtype: Of all ports.
    """
    (folder / "variables").mkdir(parents=True)
    signed = b"".join(field(5, field(1, name) + field(2, _signature(inputs, outputs, dtype))) for name in signatures)
    (folder / "saved_model.pb").write_bytes(field(1, 1) + field(2, field(1, field(4, tag)) + signed))
    place, entries = 0, []
    for name, values in weights:
        entry = (
            field(1, DTYPES[values.dtype.name])
            + field(2, _shape(values.shape))
            + field(4, place)
            + field(5, values.nbytes)
        )
        entries.append((f"{name}/.ATTRIBUTES/VARIABLE_VALUE".encode(), entry))
        place += values.nbytes
    header = (b"", field(1, 1))
    (folder / "variables" / "variables.index").write_bytes(index_of([header, *sorted(entries)]))
    data = b"".join(np.ascontiguousarray(values).tobytes() for _, values in weights)
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(data)
    return folder
