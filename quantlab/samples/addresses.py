"""Files of samples at addresses, read in parts by fsspec: `s3://`, `gs://`, `https://` and `http://`.

Credentials are those of the user's environment, as the libraries of each store find them. Messages hold the address as
the user wrote it, without a query, and codes of errors: texts of libraries may quote what a request was signed with.
"""

import glob
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from quantlab.errors import SamplesError, UsageError
from quantlab.names import excerpt
from quantlab.samples.shards import Shard

__all__ = [
    "PAUSES",
    "STUDY_SCHEMES",
    "Problem",
    "Store",
    "checked_scheme",
    "is_address",
    "parts_of",
    "refuse_secret",
    "store_of",
]

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt to read."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WEB = {"http", "https"}
_CONNECT_SECONDS, _READ_SECONDS = 10, 60
_NOT_ALLOWED, _ABSENT = {401, 403, 407}, {404, 410}
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_WITHOUT_CREDENTIALS = re.compile(r"Credential|ProfileNotFound|RefreshError|TokenRetrieval")
"""In the name of the class of an error: that of the libraries when there are no credentials, or none that hold."""
_NETWORK = re.compile(r"Timeout|Connect|Payload|Disconnect|IncompleteRead|HTTPClient")
"""In the name of the class of an error: that of a connection, which may hold the next time."""

_T = TypeVar("_T")


def _s3() -> dict[str, Any]:
    # One attempt for each of ours: both libraries would otherwise make five of their own, one within the other.
    retries = {"total_max_attempts": 1}
    limits = {"connect_timeout": _CONNECT_SECONDS, "read_timeout": _READ_SECONDS}
    return {"config_kwargs": {"retries": retries, **limits}, "use_listings_cache": False}


def _http() -> dict[str, Any]:
    timeout = import_module("aiohttp").ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
    # A server that compresses what it sends would answer another number of bytes than were asked for.
    headers = {"Accept-Encoding": "identity"}
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}, "headers": headers}


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How files of one scheme are reached."""

    module: str
    """The module that must be importable, besides fsspec."""
    package: str
    """What to install."""
    options: Callable[[], dict[str, Any]]
    """Function that gives the options of the file system."""
    remedy: str
    """What to do if reading is not allowed."""
    lists: bool
    """Whether names can be listed, for globs."""
    holds_studies: bool = False
    """Whether studies can lie there: `quantlab.study.depot` knows how the store creates a file that does not exist."""


_HTTP = _Scheme(
    "aiohttp", "quantlab[https]", _http, "name a signed address as 'files' in a file data.toml", lists=False
)
_SCHEMES: Mapping[str, _Scheme] = {
    "s3": _Scheme(
        "s3fs",
        "quantlab[s3]",
        _s3,
        "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket set FSSPEC_S3_ANON=true",
        lists=True,
        holds_studies=True,
    ),
    "gs": _Scheme(
        "gcsfs",
        "gcsfs",
        lambda: {"timeout": _READ_SECONDS, "use_listings_cache": False},
        "set GOOGLE_APPLICATION_CREDENTIALS, or run 'gcloud auth application-default login'",
        lists=True,
    ),
    "https": _HTTP,
    "http": _HTTP,
}


STUDY_SCHEMES = tuple(name for name, scheme in _SCHEMES.items() if scheme.holds_studies)
"""Schemes of the addresses where a study can lie."""


def is_address(text: str) -> bool:
    """Whether a text is an address and no path.

    >>> is_address("s3://bucket/x.csv"), is_address("module:function"), is_address("c:/x.csv")
    (True, False, False)
    """
    return _ADDRESS.match(text) is not None


def parts_of(address: str) -> SplitResult:
    """The parts of an address, which hold nothing secret but perhaps a query.

    Raises:
        UsageError: If it is malformed, or holds a name or a password.
    """
    begin = address.partition("://")[0]
    try:
        parts = urlsplit(address)
    except ValueError:
        # It may be malformed because of what a password holds, so it is not shown.
        raise UsageError(
            f"what follows '{begin}://' is no valid address; write for example s3://bucket/key or https://host/path"
        ) from None
    if "@" in parts.netloc or _is_cut(parts):
        _, at, rest = f"{parts.netloc}{parts.path}".rpartition("@")
        raise UsageError(
            f"the address '{parts.scheme}://…{at}{rest if at else ''}' holds a name or a password; credentials are "
            f"taken from the environment only"
        )
    return parts


def _is_cut(parts: SplitResult) -> bool:
    """Whether the name of a server or a bucket ends within a password, since that holds a slash or a mark."""
    _, colon, port = parts.netloc.rpartition("]")[2].partition(":")
    if parts.scheme in _WEB:
        return bool(port) and not port.isdecimal()
    return bool(colon) and not parts.netloc.startswith("arn:")  # the name of an access point, in place of a bucket's


def refuse_secret(text: str, remedy: str = "name the address as 'files' in a file data.toml") -> None:
    """Refuse a signed address where it would be written into records.

    Args:
        text: What the user named.
        remedy: What to do, as the end of a sentence.

    Raises:
        UsageError: If the address of a web server has a query, or see `parts_of`.
    """
    if is_address(text) and parts_of(text).query and _is_web(text):
        raise UsageError(
            f"'{_shown(text)}?…' has a query, which may be a signature, and records hold what --data names; {remedy}"
        )


def _is_web(text: str) -> bool:
    return text.partition("://")[0].lower() in _WEB


def _shown(text: str) -> str:
    """An address without what may be secret."""
    if not _is_web(text):
        return excerpt(text, most=200)
    parts = parts_of(text)
    return excerpt(f"{parts.scheme}://{parts.netloc}{parts.path}", most=200)


@dataclass(frozen=True, slots=True)
class Store:
    """The server, or the service, of addresses with one scheme."""

    scheme: _Scheme
    files: Any
    """The file system of fsspec."""
    pauses: tuple[float, ...] = PAUSES

    def shards(self, text: str) -> Iterator[Shard]:
        """The files that an address names; those of a glob are sorted.

        Raises:
            SamplesError: If a glob matches nothing, or the names cannot be listed.
            UsageError: If there are no globs for the scheme.
        """
        if not glob.has_magic(text) or _is_web(text):
            if "*" in parts_of(text).path:
                raise UsageError(
                    f"'{_shown(text)}' is a glob, and web servers list no files; write for example {{000..199}}"
                )
            yield self._shard(text)
            return
        begin = text[: text.index("://") + 3]
        found = sorted(self._reading(lambda: self.files.glob(text), _shown(text)))
        if not found:
            raise SamplesError(f"nothing matches '{_shown(text)}'; check the address")
        for name in found:
            yield self._shard(f"{begin}{name}")

    def _shard(self, text: str) -> Shard:
        name = _shown(text)

        def size() -> int:
            told = self._reading(lambda: self.files.info(text), name)
            if told.get("type") == "directory":
                raise SamplesError(f"'{name}' is a folder; name the files in it, for example '{name}/*.tar'")
            if told.get("size") is None:
                raise SamplesError(f"the server of '{name}' does not tell its size, so that it cannot be read in parts")
            return int(told["size"])

        def read(first: int, last: int) -> bytes:
            content: bytes = self._reading(lambda: self.files.cat_file(text, start=first, end=last), name)
            if len(content) > last - first:
                raise SamplesError(f"the server of '{name}' does not send parts of a file; copy it to this machine")
            return content

        return Shard(name, size, read)

    def _reading(self, call: Callable[[], _T], name: str) -> _T:
        """What a call gives, after a few attempts if the server is busy.

        Raises:
            SamplesError: In one sentence; the cause is dropped, because it may quote what a request was signed with.
        """
        for pause in (*self.pauses, None):
            try:
                return call()
            except Exception as error:  # noqa: BLE001 (whatever the libraries of three stores raise)
                problem = Problem.of(error)
            if problem.final or pause is None:
                break
            time.sleep(pause)
        raise SamplesError(self._words(problem, name)) from None

    def _words(self, problem: "Problem", name: str) -> str:
        if problem.kind == "refused":
            return (
                f"'{name}' may not be read with the credentials of this environment ({problem.code}); "
                f"{self.scheme.remedy}"
            )
        if problem.kind == "absent":
            return f"there is nothing at '{name}' ({problem.code}); check the address"
        if problem.final:
            return f"the server refuses to give '{name}' ({problem.code}); check the address"
        return (
            f"'{name}' could not be read in {len(self.pauses) + 1} attempts ({problem.code}); its server is busy or "
            f"cannot be reached, so run the command again later"
        )


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong with a request, without any text of a library."""

    kind: str
    """`refused`, `absent`, or `other`."""
    code: str
    """A code of the server, its status, or the name of an error."""
    final: bool
    """Whether another attempt is of no use."""

    @classmethod
    def of(cls, error: BaseException) -> "Problem":
        """By the first error of the chain that has a status, else by the kind of the error."""
        chain = list(_chain(error))
        status = next(filter(None, map(_status, chain)), None)
        code = next(filter(None, map(_code, chain)), None)
        named = code or (f"status {status}" if status is not None else _named(chain[-1]))
        if status in _NOT_ALLOWED or any(_WITHOUT_CREDENTIALS.search(type(one).__name__) for one in chain):
            return cls("refused", named, final=True)
        if status in _ABSENT:
            return cls("absent", named, final=True)
        if status is not None:
            return cls("other", named, final=status not in _BUSY)
        if isinstance(error, PermissionError):
            return cls("refused", named, final=True)
        if isinstance(error, FileNotFoundError) and len(chain) == 1:
            return cls("absent", named, final=True)
        return cls("other", named, final=not isinstance(error, OSError | EOFError) and not _of_network(chain))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _status(error: BaseException) -> int | None:
    """The status of the answer of a server, where each library keeps it."""
    response = getattr(error, "response", None)
    held: Any = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    for name in ("", "status", "code"):  # one after the other: aiohttp warns of its `code`
        value = getattr(error, name, None) if name else held
        if isinstance(value, int | str) and str(value).isdecimal() and 100 <= int(value) < 600:
            return int(value)
    return None


def _code(error: BaseException) -> str | None:
    """The code of an answer of S3, a word such as SlowDown."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return f"status {code}" if code and str(code).isdecimal() else (excerpt(str(code), most=40) if code else None)


def _named(error: BaseException) -> str:
    return "not found" if isinstance(error, FileNotFoundError) else type(error).__name__


def _of_network(chain: list[BaseException]) -> bool:
    """Whether an error is one of a connection, which may hold the next time."""
    return any(_NETWORK.search(type(one).__name__) for one in chain)


def checked_scheme(text: str) -> _Scheme:
    """How files at an address are reached; nothing is asked of a server.

    Raises:
        UsageError: If its scheme is unknown, a library for it is absent, or see `parts_of`.
    """
    scheme = _SCHEMES.get(parts_of(text).scheme)
    if scheme is None:
        known = ", ".join(f"{one}://" for one in _SCHEMES)
        raise UsageError(f"the address '{_shown(text)}' has an unknown beginning; it may be {known}")
    if any(find_spec(module) is None for module in ("fsspec", scheme.module)):
        raise UsageError(
            f"'{_shown(text)}' is an address, which needs the module '{scheme.module}'; run 'pip install "
            f"{scheme.package}'"
        )
    return scheme


def store_of(text: str, *, pauses: tuple[float, ...] = PAUSES) -> Store:
    """What reads the files of an address.

    Args:
        text: An address.
        pauses: Seconds before each further attempt.

    Raises:
        UsageError: See `checked_scheme`.
        SamplesError: If the library finds no credentials that it needs.
    """
    scheme, protocol = checked_scheme(text), parts_of(text).scheme
    try:
        files = import_module("fsspec").filesystem(protocol, skip_instance_cache=True, **scheme.options())
    except Exception as error:  # noqa: BLE001 (such as gcsfs without credentials)
        code = Problem.of(error).code
        raise SamplesError(f"'{_shown(text)}' cannot be read in this environment ({code}); {scheme.remedy}") from None
    if hasattr(files, "retries"):
        files.retries = 1
    return Store(scheme, files, pauses)
