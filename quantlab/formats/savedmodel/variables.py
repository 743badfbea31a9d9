"""Reads the variables of a SavedModel: `variables/variables.index`, a sorted table of LevelDB, and its data files.

Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.h, tensorflow/core/protobuf/tensor_bundle.proto and
https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError
from quantlab.formats.wire import Fields, read_varint

__all__ = ["DTYPES", "StoredVariable", "decoded", "list_variables", "read_variable"]

_FOOTER_BYTES, _HANDLES_BYTES = 48, 40
_MAGIC = 0xDB4775248B80FB57
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_BFLOAT16 = "bfloat16"

DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    14: _BFLOAT16,
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
"""Number in TensorFlow's `DataType` → NumPy's name; types that no variable of a served model has are left out."""

_ITEM_BYTES = {_BFLOAT16: 2}


@dataclass(frozen=True, slots=True)
class StoredVariable:
    """A variable, and where its bytes are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    size_bytes: int


def list_variables(folder: Path) -> list[StoredVariable]:
    """The variables of a SavedModel, sorted by name; none if it has no variables. Strings are left out.

    Raises:
        ArtifactError: If the table is compressed, which TensorFlow does not do, or an entry does not fit its shape.
        ValueError: If the file is damaged.
    """
    index = folder / "variables" / "variables.index"
    if not index.is_file():
        return []
    found = []
    header = Fields(b"")
    for key, value in _table(index.read_bytes(), index):
        if not key:
            header = Fields(value)
            continue
        variable = _variable(index, key.decode(errors="replace"), Fields(value), header.number(1, 1))
        if variable.dtype != "string":
            found.append(variable)
    return found


def _variable(index: Path, name: str, entry: Fields, shards: int) -> StoredVariable:
    dtype = DTYPES.get(entry.number(1), f"type {entry.number(1)}")
    shape = tuple(size.number(1) for size in entry.message(2).messages(2))
    file = index.with_name(f"variables.data-{entry.number(3):05d}-of-{shards:05d}")
    variable = StoredVariable(name.removesuffix(_SUFFIX), dtype, shape, file, entry.number(4), entry.number(5))
    known = dtype in DTYPES.values() and dtype != "string"
    if known and variable.size_bytes != math.prod(shape) * _item_bytes(dtype):
        raise ArtifactError(
            f"the variable '{variable.name}' in '{index}' has {variable.size_bytes:,} bytes, and its shape {shape} "
            f"needs {math.prod(shape) * _item_bytes(dtype):,}; export the model again"
        )
    return variable


def _item_bytes(dtype: str) -> int:
    return _ITEM_BYTES.get(dtype) or np.dtype(dtype).itemsize


def read_variable(variable: StoredVariable) -> npt.NDArray[Any]:
    """The values as they are stored; bfloat16 as uint16.

    Raises:
        ArtifactError: If the data file ends too early, or the data type is not one of `DTYPES`.
        OSError: If it cannot be read.
    """
    if variable.dtype not in DTYPES.values():
        raise ArtifactError(f"the variable '{variable.name}' is of {variable.dtype}, which quantlab does not read")
    end = variable.file.stat().st_size
    if variable.offset + variable.size_bytes > end:
        raise ArtifactError(
            f"the variable '{variable.name}' ends at byte {variable.offset + variable.size_bytes:,} of "
            f"'{variable.file}', which has {end:,}; copy or export the model again"
        )
    with variable.file.open("rb") as file:
        file.seek(variable.offset)
        data = file.read(variable.size_bytes)
    dtype = np.dtype("uint16" if variable.dtype == _BFLOAT16 else variable.dtype).newbyteorder("<")
    return np.frombuffer(data, dtype).reshape(variable.shape)


def decoded(variable: StoredVariable, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values as floats: float32 for float16 and bfloat16, others as stored."""
    if variable.dtype == _BFLOAT16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32) if variable.dtype == "float16" else stored


def _table(data: bytes, file: Path) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a sorted table."""
    footer = data[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or int.from_bytes(footer[_HANDLES_BYTES:], "little") != _MAGIC:
        raise ArtifactError(f"'{file}' does not end as an index of variables does; copy or export the model again")
    _, place = _handle(footer, 0)
    (offset, size), _ = _handle(footer, place)
    for _, handle in _block(data, offset, size, file):
        (first, length), _ = _handle(handle, 0)
        yield from _block(data, first, length, file)


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and the position after them."""
    offset, place = read_varint(data, place)
    size, place = read_varint(data, place)
    return (offset, size), place


def _block(data: bytes, offset: int, size: int, file: Path) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block; each key is written as what it adds to the one before."""
    block = data[offset : offset + size + 1]
    if len(block) != size + 1 or size < 4:
        raise ValueError(f"a block of {size} bytes at byte {offset} goes beyond the end")
    if block[-1] != 0:
        raise ArtifactError(f"'{file}' is compressed, which TensorFlow does not do; export the model again")
    restarts = int.from_bytes(block[size - 4 : size], "little")
    end, place, key = size - 4 * (restarts + 1), 0, b""
    if end < 0 or any(block[end : end + 4]):  # the first restart is the first entry
        raise ValueError(f"a block of {size:,} bytes at byte {offset:,} cannot have {restarts:,} restarts")
    while place < end:
        shared, place = read_varint(block, place)
        own, place = read_varint(block, place)
        length, place = read_varint(block, place)
        if shared > len(key) or place + own + length > end:
            raise ValueError(f"an entry at byte {offset + place} goes beyond its block")
        key = key[:shared] + block[place : place + own]
        yield key, block[place + own : place + own + length]
        place += own + length
