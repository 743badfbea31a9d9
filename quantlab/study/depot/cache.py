"""Files of a machine that can be fetched again: what its workers fetched from an object store.

An entry is a folder named by a hash. All workers of a machine share them. Who uses an entry holds a lock on it, so that
it is neither removed nor filled twice. Entries that were not used for the longest time are removed first.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["MOST_BYTES", "Cache", "user_cache"]

MOST_BYTES = 10 * 10**9
"""Bytes that entries which nobody uses may take together."""

_ABANDONED_SECONDS = 24 * 3600
"""An entry that has been filled for so long is of a worker that was killed."""

_MOST_FILLINGS = 5
_LOOK_SECONDS = 0.02
_PART = ".part-"
"""Beginning of the names of folders that are no entry, yet or any more."""


def user_cache(name: str) -> Path:
    """The folder of this user for files that can be made or fetched again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quantlab" / name


class Cache:
    """Entries in one folder.

    Args:
        folder: Where they lie.
        most_bytes: See `MOST_BYTES`.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most_bytes = folder, most_bytes

    @contextmanager
    def entry(self, name: str, fill: Callable[[Path], None], whole: Callable[[Path], bool]) -> Iterator[Path]:
        """Hold an entry while the block runs, and fill it first if there is none, or none that is whole.

        Args:
            name: A hash of what is in it.
            fill: Writes its files into an empty folder; the entry appears when it returns.
            whole: Whether the entry in a folder has what it should have; asked at each use.

        Raises:
            OSError: If it cannot be written, or has never what was written.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        place, lock = self._folder / name, self._folder / f"{name}.lock"
        fillings = 0
        while fillings < _MOST_FILLINGS:  # another worker may make room before it is used
            with _locked(lock, fcntl.LOCK_SH):  # of all who use it at the same time
                if _is_whole(place, whole):
                    os.utime(place)
                    yield place
                    return
            with contextlib.ExitStack() as held:
                try:
                    held.enter_context(_locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB))
                except BlockingIOError:
                    # Somebody fills it, or uses it already: to wait for this lock would be to wait until they are done.
                    time.sleep(_LOOK_SECONDS)
                    continue
                fillings += 1
                if not _is_whole(place, whole):
                    self._drop(place)
                    self._make_room()
                    self._fill(place, fill)
        raise OSError(errno.EIO, f"it is not there as it was written, {_MOST_FILLINGS} times", str(place))

    def _fill(self, place: Path, fill: Callable[[Path], None]) -> None:
        part = Path(tempfile.mkdtemp(dir=self._folder, prefix=_PART))
        try:
            fill(part)
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _drop(self, place: Path) -> None:
        """Remove an entry, whose lock the caller has: as a whole, even if this process is killed here."""
        part = Path(tempfile.mkdtemp(dir=self._folder, prefix=_PART))
        with contextlib.suppress(FileNotFoundError):
            place.rename(part)
        shutil.rmtree(part, ignore_errors=True)

    def _make_room(self) -> None:
        """Remove the entries that were not used for the longest time, as long as all together are too large."""
        entries = []
        for place in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if place.name.startswith(_PART) and time.time() - place.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(place, ignore_errors=True)
                elif place.is_dir() and not place.name.startswith("."):
                    entries.append((place.stat().st_mtime, _bytes(place), place))
        whole = sum(size for _, size, _ in entries)
        for _, size, place in sorted(entries):
            if whole <= self._most_bytes:
                return
            with contextlib.suppress(BlockingIOError), _locked(_lock_of(place), fcntl.LOCK_EX | fcntl.LOCK_NB):
                self._drop(place)
                _lock_of(place).unlink(missing_ok=True)
                whole -= size


def _is_whole(place: Path, whole: Callable[[Path], bool]) -> bool:
    try:
        return place.is_dir() and whole(place)
    except FileNotFoundError:
        return False


def _lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@contextmanager
def _locked(lock: Path, how: int) -> Iterator[None]:
    """Hold a lock on a file that may be removed while others wait for it; raises BlockingIOError if LOCK_NB says so."""
    while (handle := _opened(lock, how)) is None:
        pass
    try:
        yield
    finally:
        os.close(handle)


def _opened(lock: Path, how: int) -> int | None:
    """A descriptor that holds the lock; None if the file was removed in the meantime."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None
