"""Thread-safe opening of `.npy` files."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["mapped"]

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
