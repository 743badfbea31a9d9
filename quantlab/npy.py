"""Thread-safe opening of `.npy` files, and selecting samples without holding them in memory."""

import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["mapped", "selected", "writable"]

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


_COPIED_BYTES = 16 * 2**20


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
