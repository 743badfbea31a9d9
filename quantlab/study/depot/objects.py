"""A depot in an object store, reached by fsspec: `s3://`.

Credentials are those of the user's environment. Messages hold the address and codes of errors: texts of libraries may
quote what a request was signed with.
"""

import contextlib
import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from quantlab.errors import SamplesError, StudyError, UsageError
from quantlab.samples.addresses import STUDY_SCHEMES, Problem, parts_of, store_of
from quantlab.study.depot.contract import Pace
from quantlab.study.depot.patience import ONCE, PATIENCE, Patience

__all__ = ["DamagedObject", "ObjectDepot", "object_name", "refuse_no_bucket"]

_PACE = Pace(touch_seconds=5.0, silent_seconds=60.0, look_seconds=2.0)
"""A minute, so that a store that is away for half of it makes nobody look dead."""

_CONFLICT = {"ConditionalRequestConflict", "status 409"}
"""Two created the same object at once, and the store wants to be asked again."""
_EXISTS = {"PreconditionFailed", "status 412"}
_OF_THIS_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE}
_QUIET_ATTEMPTS = 3
_READ_BYTES = 32 * 2**20
_SMALL_SECONDS = 20
"""For an attempt at a small request: the library itself waits for a minute, or for ever if it writes and the server
does not ask it to go on (100-continue)."""
_SLOWEST_BYTES = 250_000
"""Bytes in a second that are still waited for, besides."""

_T = TypeVar("_T")


class DamagedObject(StudyError):
    """An object has other bytes than its name says, or is missing though an index names it."""

    def __init__(self, message: str, *hashes: str) -> None:
        super().__init__(message)
        self.hashes = hashes
        """Those that name it, or several of which it may be any."""


@dataclass(slots=True)
class _Seen:
    """What was seen of a store, which the depots of one address share."""

    away: bool = False
    """Whether it did not answer for as long as there is patience: then it is asked only once, until it answers."""
    exclusive: bool = False
    """Whether it refused to create an object that exists."""
    told: bool = False
    """Whether it was told that the store does not answer, since it answered last."""


def object_name(sha256: str) -> str:
    """The name of an object with these bytes."""
    return f"objects/{sha256}"


@dataclass(slots=True)
class ObjectDepot:
    """See `Depot`; besides, it holds objects of any size, which are there as a whole or not at all.

    Every method raises StudyError if the store refuses, or does not answer for as long as there is patience.
    """

    address: str
    """Such as `s3://bucket/study`, without a slash at its end."""
    files: Any
    """The file system of fsspec."""
    remedy: str
    """What to do if access is not allowed."""
    pace: Pace = _PACE
    patience: Patience = PATIENCE
    tell: Callable[[str], None] = lambda _: None
    """Is told once if the store does not answer, and is asked again."""
    _seen: _Seen = field(default_factory=_Seen)
    _touched: dict[str, bytes] = field(default_factory=dict)
    """Name → content of a file that was created here, as it was touched last."""

    @classmethod
    def at(cls, address: str, *, pace: Pace = _PACE, patience: Patience = PATIENCE) -> "ObjectDepot":
        """Return the depot at an address; nothing is asked of the store.

        Raises:
            UsageError: If no study can lie there, it holds a password, or a library is absent.
            StudyError: If the library finds no credentials that it needs.
        """
        refuse_no_bucket(address)
        try:
            store = store_of(address)
        except SamplesError as error:
            raise StudyError(str(error)) from None
        return cls(address.rstrip("/"), store.files, store.scheme.remedy, pace, patience)

    def within(self, folder: str) -> "ObjectDepot":
        """Return a depot for the names that begin with a folder."""
        address = f"{self.address}/{folder}"
        return ObjectDepot(address, self.files, self.remedy, self.pace, self.patience, self.tell, self._seen)

    def create(self, name: str, content: bytes) -> bool:
        """See `Depot`; the store is asked once whether it really refuses what exists."""
        if not self._created(name, content):
            return False
        self._touched[name] = content
        if not self._seen.exclusive:
            try:
                self._try_exclusion(name, content + b"\n")
            except BaseException:  # nobody learns that it was created
                with contextlib.suppress(StudyError):
                    self.remove(name)
                raise
            self._seen.exclusive = True
        return True

    def _try_exclusion(self, name: str, content: bytes) -> None:
        """Create an object that exists.

        Raises:
            StudyError: If that succeeds, or the store cannot be asked.
        """
        if self._created(name, content, mine=False):
            raise StudyError(
                f"the store of '{self.address}' overwrites an object though it is asked to create it only (S3's "
                f"If-None-Match), so two workers could take the same task; use a store that knows such writes, and "
                f"s3fs 2025.2 with botocore 1.36 or newer"
            )

    def _created(self, name: str, content: bytes, *, mine: bool = True) -> bool:
        def put() -> bool:
            try:
                self.files.pipe_file(self._path(name), content, IfNoneMatch="*", timeout=_SMALL_SECONDS)
            except FileExistsError:
                return False
            except Exception as error:
                if Problem.of(error).code in _EXISTS:
                    return False
                raise
            return True

        created = self._asking(put, name)
        if not created and mine:  # it may be there since an attempt whose answer was lost, also to the library
            with contextlib.suppress(FileNotFoundError):
                return self.read(name) == content
        return created

    def read(self, name: str) -> bytes:
        """See `Depot`."""
        content: bytes = self._asking(
            lambda: self.files.cat_file(self._path(name), timeout=_SMALL_SECONDS), name, absent=True
        )
        return content

    def state(self, name: str) -> bytes:
        """See `Depot`: its content, which is another one after each touch."""
        return self.read(name)

    def touch(self, name: str) -> None:
        """See `Depot`: a space more at its end, where JSON ignores it."""
        content = self._touched[name] + b" "
        # One that hangs must not keep the next one from showing in time that its owner lives.
        self._write(name, content, patience=ONCE, seconds=2 * self.pace.touch_seconds)
        self._touched[name] = content

    def remove(self, name: str) -> None:
        """See `Depot`."""
        self._touched.pop(name, None)
        with contextlib.suppress(FileNotFoundError):
            self._asking(lambda: self.files.rm_file(self._path(name), timeout=_SMALL_SECONDS), name, absent=True)

    def names(self, beginning: str) -> Sequence[str]:
        """See `Depot`."""
        return list(self.sizes(beginning))

    def sizes(self, beginning: str) -> Mapping[str, int]:
        """The bytes of all objects whose names begin like this, by their names."""
        root = self._path("")
        try:
            found = self._asking(
                lambda: self.files.find(root, prefix=beginning, detail=True, timeout=_SMALL_SECONDS),
                "",
                absent=True,
            )
        except FileNotFoundError:
            return {}
        begin = len(root.partition("://")[2])
        return {path[begin:]: int(told["size"]) for path, told in found.items()}

    def size(self, name: str) -> int | None:
        """Bytes of an object; None if there is none."""
        path = self._path(name)
        try:
            told = self._asking(lambda: self.files.info(path, timeout=_SMALL_SECONDS), name, absent=True)
        except FileNotFoundError:
            return None
        return int(told["size"])

    def put(self, name: str, file: Path) -> None:
        """Put an object whole, replacing another one."""
        seconds = _enough(file.stat().st_size)
        self._asking(lambda: self.files.put_file(str(file), self._path(name), timeout=seconds), name)

    def put_bytes(self, name: str, content: bytes) -> None:
        """Put a small object whole, replacing another one."""
        self._write(name, content)

    def put_object(self, sha256: str, file: Path) -> bool:
        """Put a file by the hash of its bytes, unless it is there; whether it was put."""
        name = object_name(sha256)
        if self.size(name) == file.stat().st_size:
            return False
        self.put(name, file)
        return True

    def begin(self, name: str, count: int) -> bytes:
        """The first bytes of an object; raises FileNotFoundError if there is none."""
        return self._range(name, 0, count)

    def get(self, name: str, target: Path) -> None:
        """Write an object to a file, which appears whole; raises FileNotFoundError if there is none."""
        with _part_of(target) as part:
            self._asking(lambda: self.files.get_file(self._path(name), str(part)), name, absent=True)

    def get_object(self, sha256: str, target: Path) -> None:
        """Write the object with this hash to a file, which appears whole.

        Raises:
            DamagedObject: If it is missing, or has other bytes.
        """
        name = object_name(sha256)
        with _part_of(target) as part:
            try:
                self._asking(lambda: self.files.get_file(self._path(name), str(part)), name, absent=True)
            except FileNotFoundError:
                raise DamagedObject(f"'{self._path(name)}' is missing, though the study names it", sha256) from None
            with part.open("rb") as file:
                seen = hashlib.file_digest(file, "sha256").hexdigest()
            if seen != sha256:
                raise DamagedObject(f"'{self._path(name)}' is damaged: its bytes have the SHA-256 {seen[:12]}…", sha256)

    def get_range(self, name: str, start: int, stop: int, target: Path) -> None:
        """Write a range of an object to a file; raises FileNotFoundError if there is none."""
        with target.open("wb") as file:
            for first in range(start, stop, _READ_BYTES):
                last = min(first + _READ_BYTES, stop)
                file.write(self._range(name, first, last))

    def _range(self, name: str, first: int, last: int) -> bytes:
        part: bytes = self._asking(
            lambda: self.files.cat_file(self._path(name), start=first, end=last), name, absent=True
        )
        return part

    def _write(
        self, name: str, content: bytes, *, patience: Patience | None = None, seconds: float | None = None
    ) -> None:
        path, enough = self._path(name), seconds or _enough(len(content))
        self._asking(lambda: self.files.pipe_file(path, content, timeout=enough), name, patience=patience)

    def _path(self, name: str) -> str:
        return f"{self.address}/{name}"

    def _asking(
        self, call: Callable[[], _T], name: str, *, absent: bool = False, patience: Patience | None = None
    ) -> _T:
        """What a call gives, after further attempts if the store is busy or away.

        Raises:
            FileNotFoundError: If there is no such object, and `absent` says that the caller can tell why.
            StudyError: In one sentence; the cause is dropped, because it may quote what a request was signed with.
        """
        own = patience or (ONCE if self._seen.away else self.patience)
        pauses, attempts = own.before(), 0
        while True:
            attempts += 1
            try:
                given = call()
            except Exception as error:  # noqa: BLE001 (whatever the libraries raise)
                self._refuse_own(error)
                problem = Problem.of(TimeoutError() if isinstance(error, TimeoutError) else error)
            else:
                self._seen.away = self._seen.told = False
                return given
            if absent and problem.kind == "absent":
                raise FileNotFoundError(self._path(name)) from None
            final = problem.final and problem.code not in _CONFLICT
            pause = None if final else next(pauses, None)
            if pause is None:
                break
            self._tell_once(problem, attempts, own)
            time.sleep(pause)
        # Who has little patience, as a sign of life, does not take it from others.
        self._seen.away |= not final and patience is None
        raise StudyError(self._words(problem, name, attempts, final=final)) from None

    def _tell_once(self, problem: Problem, attempts: int, patience: Patience) -> None:
        """Say what is waited for, if several attempts failed; a store that is busy now and then is no news."""
        if attempts == _QUIET_ATTEMPTS and not self._seen.told:
            self._seen.told = True
            longest = f"{patience.seconds:.0f} s"
            self.tell(f"'{self.address}' is busy or away ({problem.code}); it is asked again for up to {longest}")

    def _refuse_own(self, error: Exception) -> None:
        """Refuse an error of this machine, for which the store is not to blame.

        Raises:
            StudyError: If it is one.
        """
        if isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE:
            raise StudyError(
                f"what is fetched from '{self.address}' cannot be written ({error.strerror}); make room, or set "
                f"XDG_CACHE_HOME to another folder"
            ) from None

    def _words(self, problem: Problem, name: str, attempts: int, *, final: bool) -> str:
        path = self._path(name) if name else self.address  # of what is listed, the names are not known
        if problem.kind == "refused":
            return (
                f"'{self.address}' may not be used with the credentials of this environment ({problem.code}); "
                f"{self.remedy}"
            )
        if problem.kind == "absent":
            return (
                f"'{path}' cannot be written ({problem.code}); check that its bucket exists, and create it if need be"
            )
        if final:
            server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            remedy = "check the address" if server is None else "check the address, and that of AWS_ENDPOINT_URL"
            return f"the store refuses '{path}' ({problem.code}); {remedy}"
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        return (
            f"'{path}' was not reached in {times} ({problem.code}); the store is busy or away, so run the same command "
            f"again later, which goes on from here"
        )


def _enough(size: int) -> float:
    """Seconds for an attempt to write so many bytes."""
    return _SMALL_SECONDS + size / _SLOWEST_BYTES


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """A file beside another one, which takes its name when the block ends well, and is removed otherwise."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        yield Path(name)
        Path(name).rename(target)
    finally:
        Path(name).unlink(missing_ok=True)


def refuse_no_bucket(address: str) -> None:
    """Refuse an address where no study can lie.

    Raises:
        UsageError: If its scheme is another one, it names no folder in a bucket, or holds a name or a password.
    """
    parts = parts_of(address)
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if parts.scheme not in STUDY_SCHEMES:
        places = " or at ".join(f"{scheme}://BUCKET/NAME" for scheme in STUDY_SCHEMES)
        raise UsageError(f"a study cannot lie at '{shown}', only in a folder or at {places}; choose one of them")
    if not parts.netloc or not parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(f"'{shown}' names no place in a bucket; write {parts.scheme}://BUCKET/NAME")
