"""Opens `.npy` files from several threads."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["mapped"]

_lock = threading.Lock()


def mapped(path: Path) -> "np.memmap[Any, np.dtype[Any]]":
    """A `.npy` file as a read-only array that stays on disk.

    One at a time: NumPy parses a file's header with `ast`, and Python counts the depth of that once for all threads
    (python/cpython#106905: "AST constructor recursion depth mismatch").

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no `.npy` file, or holds Python's objects.
    """
    with _lock:
        array: np.memmap[Any, np.dtype[Any]] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
