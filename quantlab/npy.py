"""Thread-safe opening of `.npy` files and files of vectors, and selecting samples without holding them in memory."""

import json
import math
import os
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Vectors", "equal_bytes", "mapped", "room", "selected", "writable", "write_vectors"]

_lock = threading.Lock()


def mapped(path: Path) -> "np.memmap[Any, np.dtype[Any]]":
    """Memory-map a `.npy` file as a read-only array.

    A lock serializes calls: NumPy parses the header with `ast`, and Python tracks its recursion depth in a variable
    shared by all threads (python/cpython#106905: "AST constructor recursion depth mismatch").

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is not a `.npy` file, or contains Python objects.
    """
    with _lock:
        array: np.memmap[Any, np.dtype[Any]] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def writable(path: Path) -> "np.memmap[Any, np.dtype[Any]]":
    """Memory-map a `.npy` file that exists, to write into it; call `flush` at the end.

    Raises:
        OSError: If the file cannot be read and written.
        ValueError: If it is not a `.npy` file, or contains Python objects.
    """
    with _lock:
        array: np.memmap[Any, np.dtype[Any]] = np.load(path, mmap_mode="r+", allow_pickle=False)
    return array


_IN_MEMORY_BYTES = 2**20
_COPIED_BYTES = 16 * 2**20
_FIRST = 2**12
"""Rows that are looked at first, since what holds for an array nearly always holds, or does not, for its beginning."""


def room(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Room for an array, whose contents are of no meaning: in memory, or in an unnamed temporary file if it is large.

    So values of millions of samples do not fill the memory: the system keeps in it what is in use.

    Raises:
        OSError: If there is no space for temporary files; it names their folder.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= _IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="quantlab-") as file:
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            words = f"{error.strerror} for {size / 1e6:,.0f} MB of temporary files, whose folder TMPDIR names"
            raise OSError(error.errno, words, tempfile.gettempdir()) from error
        # Plain arrays: those of NumPy's own class for maps cost time in every slice.
        return np.asarray(np.memmap(file, dtype, "r+", shape=shape))


def _reserve(file: int, size: int) -> None:
    """Take space on the disk now, since a process that writes to a mapped file is killed if there is none left."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    for start in range(0, size, _COPIED_BYTES):
        os.pwrite(file, bytes(min(_COPIED_BYTES, size - start)), start)


def selected(array: npt.NDArray[Any], rows: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Copy some rows of a memory-mapped array to an unnamed temporary file, and map that.

    Indexing with `rows` would copy them into memory, which must not grow with the number of samples.

    Args:
        array: (n, …), any data type.
        rows: (n,), whether to keep a row; any other length is a ValueError.
    """
    if len(rows) != len(array):
        raise ValueError(f"there are {len(array)} rows to select from and {len(rows)} choices; give one for each row")
    if array.dtype.hasobject:  # labels of another shape for each sample, which are in memory already
        return array[rows]
    kept, row_bytes = int(np.count_nonzero(rows)), array[:1].nbytes
    if not kept or not row_bytes:
        return np.empty((kept, *array.shape[1:]), array.dtype)  # an empty file cannot be mapped
    step = max(1, _COPIED_BYTES // row_bytes)
    with tempfile.TemporaryFile(prefix="quantlab-") as file:
        for start in range(0, len(array), step):
            block = array[start : start + step][rows[start : start + step]]
            file.write(np.ascontiguousarray(block).data)
        file.flush()
        copied: npt.NDArray[Any] = np.memmap(file, array.dtype, "r", shape=(kept, *array.shape[1:]))
    return copied


def write_vectors(path: Path, vectors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays by name into one file, without loss and without Python objects; equal arrays give equal bytes.

    An array of equal rows is stored as one row, truth values as bits, integers and floats in the smallest type that
    holds them, and an array that equals another one only once.

    Args:
        path: The file, which is replaced.
        vectors: Arrays of booleans, integers or floats, each with at least one axis.
    """
    layout: dict[str, dict[str, Any]] = {}
    owners: dict[tuple[np.dtype[Any], tuple[int, ...]], list[str]] = {}
    members = 0
    partial = path.with_name(f"{path.name}.partial")
    # As np.savez writes it, but one array after the other: together they may be larger than the memory.
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, values in vectors.items():
            alike = owners.setdefault((values.dtype, values.shape), [])
            first = next((owner for owner in alike if equal_bytes(values, vectors[owner])), None)
            if first is not None:
                layout[name] = {"equals": first}
                continue
            alike.append(name)
            stored, layout[name] = _packed(np.ascontiguousarray(values))
            _add(archive, f"v{members}", stored)
            members += 1
        _add(archive, _LAYOUT, np.frombuffer(json.dumps(layout).encode(), np.uint8))
    partial.replace(path)


def _add(archive: zipfile.ZipFile, name: str, values: npt.NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, values, allow_pickle=False)  # type: ignore[no-untyped-call]


def equal_bytes(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether two arrays have the same dtype, shape and bytes; most that differ do so at their beginning.

    >>> equal_bytes(np.array([np.nan]), np.array([np.nan])), equal_bytes(np.array([0.0]), np.array([-0.0]))
    (True, False)
    """
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    parts = (slice(start, start + _FIRST) for start in range(0, len(one), _FIRST))
    return all(np.array_equal(_bytes(one[part]), _bytes(other[part])) for part in parts)


def _bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def _packed(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """An array as it is stored, and how."""
    how: dict[str, Any] = {"dtype": values.dtype.name, "shape": values.shape}
    if len(values) > 1 and values.nbytes:
        rows = values.view(np.uint8).reshape(len(values), -1)
        if (rows[:_FIRST] == rows[0]).all() and (rows == rows[0]).all():
            values = values[:1]
    if values.dtype.kind == "b":
        return np.packbits(values.reshape(-1)), {**how, "bits": values.size}
    if values.dtype.kind in "iu" and values.size:
        smallest = np.promote_types(np.min_scalar_type(values.min()), np.min_scalar_type(values.max()))
        # Below 0 and above 2⁶³, NumPy would choose floats.
        return values.astype(smallest) if smallest.kind in "iu" else values, how
    if values.dtype == np.float64 and _in_float32(values[:_FIRST]) is not None:
        narrow = _in_float32(values)
        return values if narrow is None else narrow, how
    return values, how


def _in_float32(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32] | None:
    """The same numbers in float32; None if one has other bits there."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return narrow if np.array_equal(narrow.astype(np.float64).view(np.uint64), values.view(np.uint64)) else None


class Vectors:
    """The arrays of a file of `write_vectors`, each read when it is asked for; large ones are no memory, see `room`."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: If it cannot be read.
            ValueError: If it is not such a file.
        """
        self._path = path
        self._layout: dict[str, dict[str, Any]] = json.loads(self._member(_LAYOUT).tobytes())
        owned = [name for name, how in self._layout.items() if "equals" not in how]
        self._members = {name: f"v{place}" for place, name in enumerate(owned)}

    def __contains__(self, name: object) -> bool:
        return name in self._layout

    def __iter__(self) -> Iterator[str]:
        return iter(self._layout)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """An array as it was written; KeyError if there is none of this name."""
        how = self._layout[name]
        if "equals" in how:
            return self[how["equals"]]
        values = self._member(self._members[name])
        if "bits" in how:
            values = np.unpackbits(values, count=how["bits"]).astype(np.bool_)
        shape, dtype = tuple(how["shape"]), np.dtype(how["dtype"])
        if dtype.kind not in "biuf":
            raise ValueError(f"'{name}' has the dtype {dtype}, which is none of numbers")
        held = room(values.shape, dtype)
        held[...] = values
        if held.size == math.prod(shape):
            return held.reshape(shape)
        return np.broadcast_to(held.reshape(1, *shape[1:]), shape)

    def _member(self, name: str) -> npt.NDArray[Any]:
        with _lock, np.load(self._path, allow_pickle=False) as file:
            values: npt.NDArray[Any] = file[name]
        return values


_LAYOUT = "layout"
