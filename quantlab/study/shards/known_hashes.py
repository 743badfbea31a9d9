"""Hashes that this process has computed of files that have not changed since: each shard asks for the same ones."""

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path

__all__ = ["known_hash"]

_MOST = 4096
"""Number of hashes that are remembered, the last ones."""

_known: dict[Hashable, str] = {}
_lock = threading.Lock()


def known_hash(files: Iterable[Path], of: Hashable, compute: Callable[[], str]) -> str:
    """The hash of something that is made of files or folders, computed only if a file has changed.

    A file has changed if it is another one (its inode), or has another size or time of change.

    Args:
        files: What is read; all files of a folder count.
        of: What the hash depends on besides, such as a range.
        compute: Computes the hash.

    Raises:
        OSError: If a file is missing.
    """
    key = (of, tuple(_states(files)))
    with _lock:
        known = _known.get(key)
    if known is not None:
        return known
    computed = compute()
    with _lock:
        _known[key] = computed
        while len(_known) > _MOST:
            del _known[next(iter(_known))]
    return computed


def _states(files: Iterable[Path]) -> Iterator[tuple[str, int, int, int, int]]:
    for path in files:
        within = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in within:
            state = file.stat()
            yield str(file), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
