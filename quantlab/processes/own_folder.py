"""Folders for temporary files that go with their owner, however it ends.

A program that is killed removes nothing. Therefore its children hold a lock on such a folder too, or are told of it,
and remove it when they notice; and where all of them were killed, the next program that makes a folder of the same kind
removes it. The lock is that of flock(2) on the folder itself: the system releases it with the process, and it holds
between containers that share a disk.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

__all__ = ["OwnFolder", "hold"]


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


class OwnFolder:
    """A new folder for temporary files, for this user alone.

    Args:
        kind: Begins its name, after `quantlab-`. Folders of the same kind that nobody holds any more are removed first.
        within: The folder that it lies in; None for the system's folder for temporary files.
        remove: Ends what works in it, if need be, and removes it.

    Raises:
        OSError: If it cannot be made.
    """

    def __init__(self, kind: str, within: Path | None = None, remove: Callable[[Path], None] = _remove) -> None:
        within = Path(tempfile.gettempdir()) if within is None else within
        _remove_abandoned(kind, within, remove)
        self._remove = remove
        self.path, held = _made(kind, within)
        self._held: int | None = held

    def close(self) -> None:
        """Remove the folder; nothing happens where that was done."""
        held, self._held = self._held, None
        if held is not None:
            self._remove(self.path)
            os.close(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hold(folder: Path) -> int | None:
    """Hold a folder for as long as this process lives, or until the descriptor is closed; None where it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), os.lstat(folder)):
            return descriptor
    os.close(descriptor)
    return None


def _made(kind: str, within: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_prefix(kind), dir=within))
        # Another program may take it for abandoned between these two lines.
        if (held := hold(path)) is not None:
            return path, held
        if path.exists():  # then something else is wrong, such as too many open files, and would be so again
            path.rmdir()
            raise OSError(f"the temporary folder '{path}' cannot be opened")


def _prefix(kind: str) -> str:
    return f"quantlab-{kind}-"


def _remove_abandoned(kind: str, within: Path, remove: Callable[[Path], None]) -> None:
    for path in within.glob(f"{_prefix(kind)}*"):
        with _alone_in(path) as abandoned:
            if abandoned:
                remove(path)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Whether a folder is this user's, and no process holds it; none can as long as the block runs."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        yield os.fstat(descriptor).st_uid == os.geteuid() and _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
