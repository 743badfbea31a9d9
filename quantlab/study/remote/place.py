"""The study of an address while a command uses it: its folder on this machine, and what is stored of it."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.names import address_of
from quantlab.progress import Progress
from quantlab.store import Store
from quantlab.study.depot.cache import user_cache
from quantlab.study.depot.damage import forget_damage, report_damage, reported_damage
from quantlab.study.depot.objects import ObjectDepot, refuse_no_bucket
from quantlab.study.remote.files import KnownHashes, fetch_files, put_files, remove_others
from quantlab.study.remote.index import read_index, write_index
from quantlab.study.remote.lock import HeldLock, locked_at
from quantlab.study.shards import JOINED, JOINED_KEYS, RESULTS
from quantlab.types import JoinedShards, StoredStudy

__all__ = ["StudyPlace", "folder_of", "judged_place", "read_place", "study_place"]

Opening = Callable[[str], ObjectDepot]
"""Gives the depot of an address."""


@dataclass(slots=True)
class StudyPlace:
    """Where a command works on a study."""

    folder: Path
    """The folder of the study on this machine."""
    depot: ObjectDepot | None = None
    """What stores the study; None if it is the folder alone."""
    lock: HeldLock | None = None
    index: StoredStudy | None = None
    """What was stored when it was fetched."""
    _damaged: frozenset[str] = field(default_factory=frozenset)
    """Hashes of objects that were missing or damaged."""

    def fetch(self, progress: Progress) -> None:
        """Bring the stored study into the folder, whose lock the caller has; what is damaged is made again.

        Raises:
            StudyError: If the store cannot be used.
        """
        if self.depot is None:
            return
        self.index = read_index(self.depot)
        if self.index is None:
            return
        step = f"fetch the study from {self.depot.address}"
        progress.begin(step)
        lost = _fetched(self.depot, self.index, self.folder)
        self._damaged = frozenset(self.index.files[path].sha256 for path in lost)
        for path in lost:
            progress.warn(f"'{path}' is damaged or missing at '{self.depot.address}', so it is made again")
        progress.end(step, "done")

    def store(self, progress: Progress) -> None:
        """Store the study as it is in the folder: its objects, then its index, then what is not needed is removed.

        Raises:
            StudyError: If the store cannot be used, or another process has taken over the study.
        """
        if self.depot is None or self.lock is None:
            return
        step = f"store the study at {self.depot.address}"
        progress.begin(step)
        hashes = KnownHashes.of(self.folder)
        reported = reported_damage(self.depot)
        index = put_files(self.depot, hashes, again=self._damaged | reported)
        hashes.write()
        self.lock.refuse_lost()
        write_index(self.depot, index)
        # Who reads the study right now has the index before this one.
        remove_others(self.depot, self.index, index)
        forget_damage(self.depot, reported)
        _forget_results(self.depot, self.folder)
        self.index, self._damaged = index, frozenset()
        progress.end(step, "done")


def folder_of(place: Path) -> Path:
    """The folder on this machine of a study's folder or address; nothing is asked of a store.

    Raises:
        UsageError: If no study can lie at the address.
    """
    address = address_of(place)
    if address is None:
        return place
    refuse_no_bucket(address)
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    name = hashlib.sha256(f"{server}\0{address.rstrip('/')}".encode()).hexdigest()[:12]
    return user_cache("studies") / name / address.rstrip("/").rpartition("/")[2]


@contextmanager
def study_place(place: Path, progress: Progress, opening: Opening = ObjectDepot.at) -> Iterator[StudyPlace]:
    """The place of a study that is made or changed; at an address it is locked while the block runs.

    Args:
        place: A folder, or an address as `quantlab.names.address_of` knows it.
        progress: Is told if the lock of another process is waited for.
        opening: See `Opening`.

    Raises:
        UsageError: If no study can lie at the address.
        StudyError: If another process works on it, or the store cannot be used.
    """
    address = address_of(place)
    if address is None:
        yield StudyPlace(place)
        return
    depot = opening(address)
    depot.tell = progress.warn
    with locked_at(depot, depot.address, progress.warn) as lock:
        yield StudyPlace(folder_of(place), depot, lock)


def read_place(place: Path, progress: Progress, opening: Opening = ObjectDepot.at) -> Path:
    """The folder of a study that is read: that of an address is brought here first, with all of its files.

    Args:
        place: See `study_place`.
        progress: Is told what is fetched.
        opening: See `Opening`.

    Raises:
        UsageError: If no study can lie at the address.
        StudyError: If there is none, a file of it is damaged, the store cannot be used, or an analysis of this machine
            works on it.
    """
    address = address_of(place)
    if address is None:
        return place
    depot, folder = opening(address), folder_of(place)
    depot.tell = progress.warn
    index = _index(depot)
    with _flocked(folder, fcntl.LOCK_SH) as free:
        if free:  # a command that judges it has just fetched it, and what it records is not to be replaced
            with Store(folder).locked():
                _fetch_whole(depot, index, folder, progress)
    return folder


@contextmanager
def judged_place(place: Path, progress: Progress, opening: Opening = ObjectDepot.at) -> Iterator[Path]:
    """The same for a study that is judged: if the block ends well, the record of its judgements is stored.

    Raises:
        UsageError: See `read_place`.
        StudyError: See `read_place`; also if another command works on the study.
    """
    with study_place(place, progress, opening) as held:
        if held.depot is None:
            yield held.folder
            return
        held.index = _index(held.depot)
        with ExitStack() as judging:
            with Store(held.folder).locked():
                _fetch_whole(held.depot, held.index, held.folder, progress)
                if not judging.enter_context(_flocked(held.folder, fcntl.LOCK_EX)):
                    raise StudyError(f"another quantlab is using the study at '{held.depot.address}'; wait for it")
            before = held.folder / "looks.json"
            known = before.read_bytes() if before.is_file() else None
            yield held.folder
            if before.is_file() and before.read_bytes() != known:
                with Store(held.folder).locked():
                    held.store(progress)


@contextmanager
def _flocked(folder: Path, how: int) -> Iterator[bool]:
    """Whether a lock could be had at once: alone by who judges the study, together by all who fetch it to read it."""
    lock = folder / "work" / "judged.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a")
    except OSError as error:
        raise StudyError(
            f"the study '{folder}' cannot be written ({error.strerror}); make room, or set XDG_CACHE_HOME to another "
            f"folder"
        ) from error
    with file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _index(depot: ObjectDepot) -> StoredStudy:
    """The index of a study that must be there."""
    index = read_index(depot)
    if index is None:
        raise StudyError(
            f"there is no study at '{depot.address}'; create it with 'quantlab analyze … --out {depot.address}', or "
            f"check the address"
        )
    return index


def _fetch_whole(depot: ObjectDepot, index: StoredStudy, folder: Path, progress: Progress) -> None:
    """Fetch a study that must be whole into its folder, whose lock the caller has."""
    step = f"fetch the study from {depot.address}"
    progress.begin(step)
    lost = _fetched(depot, index, folder)
    if lost:
        report_damage(depot, {index.files[path].sha256 for path in lost})
        raise StudyError(
            f"'{lost[0]}' of the study at '{depot.address}' is damaged or missing there; run the same 'quantlab "
            f"analyze' command again, which makes it again"
        )
    progress.end(step, "done")


def _fetched(depot: ObjectDepot, index: StoredStudy, folder: Path) -> tuple[str, ...]:
    hashes = KnownHashes.of(folder)
    lost = fetch_files(depot, index, hashes)
    hashes.write()
    # The record is that of a command that ended, whatever an analysis of this machine has left.
    with contextlib.suppress(OSError):
        (Store(folder).work / "unfinished").unlink()
    return lost


def _forget_results(depot: ObjectDepot, folder: Path) -> None:
    """Remove the results of shards that are joined and stored, and their claims."""
    store, results, joined = Store(folder), depot.within(RESULTS), folder / JOINED_KEYS
    keys = set(joined.read_text(encoding="ascii", errors="replace").split()) if joined.is_file() else set()
    for record in folder.glob(f"outputs/*/*/*/{JOINED}"):  # of another machine, too
        told = store.read(record, JoinedShards)
        keys |= {shard.key for shard in told.shards} if told is not None else set()
    for name in results.names(""):
        if name.partition(".")[0] in keys:
            results.remove(name)
    joined.unlink(missing_ok=True)
