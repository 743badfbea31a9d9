"""Brings the files of a study from an object store to a folder, and back; only those that are not the same."""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from quantlab.models import files_sha256
from quantlab.store import write_json
from quantlab.study.depot.names import part_of_study
from quantlab.study.depot.objects import DamagedObject, ObjectDepot, object_name
from quantlab.types import StoredFile, StoredStudy

__all__ = ["KnownHashes", "fetch_files", "files_of", "put_files", "remove_others"]

_AT_ONCE = 8
"""Requests to the store at the same time."""


@dataclass(slots=True)
class KnownHashes:
    """Hashes of files whose size and time of change are those of before, so that no file is read twice."""

    root: Path
    known: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """Path → bytes, time of change in nanoseconds, hash."""

    @classmethod
    def of(cls, root: Path) -> "KnownHashes":
        """Return what an earlier command has written down, if it can be read."""
        try:
            held = json.loads((root / _HASHES).read_bytes())
            return cls(root, {path: (int(size), int(time), str(sha)) for path, (size, time, sha) in held.items()})
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return cls(root)

    def sha256(self, path: str) -> str:
        """The hash of a file; raises OSError if there is none."""
        state = (self.root / path).stat()
        size, time, sha256 = self.known.get(path, (-1, -1, ""))
        if (size, time) != (state.st_size, state.st_mtime_ns):
            sha256 = files_sha256(self.root / path)
            self.known[path] = (state.st_size, state.st_mtime_ns, sha256)
        return sha256

    def write(self) -> None:
        """Write them down for the next command."""
        (self.root / _HASHES).parent.mkdir(exist_ok=True)
        write_json(self.root / _HASHES, {path: list(told) for path, told in sorted(self.known.items())})


_HASHES = "work/hashes.json"


def files_of(root: Path) -> Iterator[str]:
    """Yield the files that make a study, relative to its folder: neither logs nor what is not complete."""
    for file in sorted(root.rglob("*")):
        name = file.relative_to(root).as_posix()
        if part_of_study(name) and file.is_file():
            yield name


def fetch_files(depot: ObjectDepot, index: StoredStudy, hashes: KnownHashes) -> tuple[str, ...]:
    """Bring every file of the index that is another one here; the files that the store does not have any more.

    Raises:
        StudyError: If the store cannot be used.
    """
    lost: list[str] = []

    def fetch(path: str) -> None:
        target = hashes.root / path
        if target.is_file() and hashes.sha256(path) == index.files[path].sha256:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            depot.get_object(index.files[path].sha256, target)
        except DamagedObject:
            target.unlink(missing_ok=True)
            lost.append(path)

    # A folder with other files than these is taken for a stranger's, if this process is killed in between.
    first = [path for path in index.files if path.startswith("model/")]
    _all(fetch, first)
    _all(fetch, [path for path in index.files if path not in first])
    for path in _others_beside(hashes.root, index):
        path.unlink()
    return tuple(sorted(lost))


def _others_beside(root: Path, index: StoredStudy) -> list[Path]:
    """Records of the study's folder that the index does not have: of an analysis that did not end, or ended long ago.

    Files in folders are named by what they depend on, and may be used.
    """
    return [path for path in root.glob("*.json") if path.name not in index.files]


def put_files(depot: ObjectDepot, hashes: KnownHashes, *, again: frozenset[str] = frozenset()) -> StoredStudy:
    """Store every file of the folder whose object is not there whole, and return the new index, which is not written.

    Args:
        depot: Where they are stored.
        hashes: Those of the folder.
        again: Hashes of objects that are damaged, and are replaced.

    Raises:
        StudyError: If the store cannot be used.
    """
    # Not what the index says: an object that it names may have been lost since.
    there = depot.within("objects").sizes("")
    files: dict[str, StoredFile] = {}

    def put(path: str) -> None:
        file = hashes.root / path
        held = StoredFile(hashes.sha256(path), file.stat().st_size)
        if held.sha256 in again or there.get(held.sha256) != held.bytes:
            depot.put(object_name(held.sha256), file)
        files[path] = held

    _all(put, list(files_of(hashes.root)))
    return StoredStudy(files)


def remove_others(depot: ObjectDepot, *kept: StoredStudy | None) -> None:
    """Remove the objects that none of some indexes has.

    Raises:
        StudyError: If the store cannot be used.
    """
    used = {file.sha256 for index in kept if index is not None for file in index.files.values()}
    objects = depot.within("objects")
    _all(objects.remove, [name for name in objects.names("") if name not in used])


def _all(call: Callable[[str], None], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = [pool.submit(call, name) for name in names]
        try:
            for one in asked:
                one.result()
        except BaseException:
            # Each of the others would wait for a store that is away, too.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
