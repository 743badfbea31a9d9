"""The runtime `serving-rest`: a server that speaks TensorFlow Serving's REST protocol, at an address of the user.

A child talks to the server, so that one that hangs or sends too much costs a row. The protocol is described at
https://www.tensorflow.org/tfx/serving/api_rest
"""

import json
import re
import tempfile
import threading
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from quantlab.errors import QuantlabError, RuntimeUnavailable, UsageError
from quantlab.formats import Format
from quantlab.processes import Child, ChildPool, PythonModule, messages_of, onednn, python_environment
from quantlab.processes.preload import WORKERS_WITHOUT_TENSORFLOW
from quantlab.runtimes.contract import Host, Runtime
from quantlab.runtimes.exchange import Job
from quantlab.types.messages import Failed, Message, Ready

__all__ = [
    "ADDRESS",
    "LIMITS",
    "MODEL_VERSION",
    "REST",
    "STATUS",
    "Address",
    "Limits",
    "ServedModel",
    "read_address",
    "rest_at",
]

ADDRESS, LIMITS = "QUANTLAB_SERVING_ADDRESS", "QUANTLAB_SERVING_LIMITS"
"""Environment variables of the child with its `Address` and `Limits`, as JSON."""
STATUS = {"request": "status"}
"""What the child is asked for the status of the model; it answers with `Ready`, whose environment has the version."""
MODEL_VERSION = "model_version"
_FORM = "http://HOST:PORT/v1/models/NAME"
_PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(?P<version>/versions/[0-9]{1,19}|/labels/[^/:]+)?(:predict|/)?")
_HOST = re.compile(r"[^\x00-\x20\x7f]+")
_IN_PATHS = "/:!$&'()*+,;=@~"
"""What stands in a path as it is, besides letters, digits and `_.-` (RFC 3986, section 3.3)."""
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_CHILD = "quantlab.worker.rest_main"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server may take; whatever exceeds it fails the row."""

    seconds: float = 60.0
    """For one request, from the connection to the last byte of the answer."""
    requests: int = 20_000
    """In one run of a variant."""
    response_bytes: int = 64 * 2**20
    """Of one answer; less if the outputs of a batch cannot take so many."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server has a model."""

    scheme: str
    """`http` or `https`."""
    host: str
    port: int
    path: str
    """`/v1/models/NAME`; characters that a path cannot have are percent-encoded, here and in `version`."""
    version: str = ""
    """`/versions/N` or `/labels/NAME`; empty for the newest version."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}{self.version}"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What a server says of a model."""

    version: str
    """The newest version that is available, or the one that the address names."""


def read_address(url: str) -> Address:
    """The parts of an address.

    >>> read_address("http://localhost:8501/v1/models/half_plus_two:predict").path
    '/v1/models/half_plus_two'
    >>> read_address("http://localhost:8501/v1/models/half plus%20two").path
    '/v1/models/half%20plus%20two'

    Raises:
        UsageError: If it is not the address of a model.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--serving {url} is no address ({error}); write {_FORM}") from error
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"--serving takes no user name or password; write {_FORM}, and let a proxy add them")
    match, host = _PATH.fullmatch(_quoted(parts.path)), parts.hostname or ""
    known = parts.scheme in {"http", "https"} and _HOST.fullmatch(host)
    if not known or match is None or parts.query or parts.fragment:
        raise UsageError(f"--serving {url} is not the address of a model of a server; write {_FORM}")
    usual = 443 if parts.scheme == "https" else 8501
    return Address(parts.scheme, host, port or usual, f"/v1/models/{match['name']}", match["version"] or "")


def _quoted(path: str) -> str:
    """A path in ASCII; what is percent-encoded already stays."""
    kept = _IN_PATHS if "%" in _ESCAPED.sub("", path) else f"%{_IN_PATHS}"
    return quote(path, safe=kept, errors="surrogateescape")


@dataclass(slots=True)
class _Server:
    """A server at an address, asked once for the version that it serves."""

    address: Address
    limits: Limits
    asked: str
    """When; outputs that were kept are not used again, since another model may have the same version by now."""
    _said: ServedModel | RuntimeUnavailable | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def environment(self, _: Format) -> dict[str, str]:
        """Address and version; raises RuntimeUnavailable if the server does not serve the model."""
        return {"server": str(self.address), MODEL_VERSION: self.model().version, "asked": self.asked}

    def model(self) -> ServedModel:
        """What the server says; it is asked in a process of its own."""
        with self._lock:
            if self._said is None:
                self._said = _ask(self.address, self.limits)
            if isinstance(self._said, RuntimeUnavailable):
                raise self._said
            return self._said

    def start(self, _: Job, pool: ChildPool) -> Child:
        """Start a child that asks for one version, even if the server loads a newer one meanwhile."""
        address = self.address
        if not address.version:
            address = replace(address, version=f"/versions/{self.model().version}")
        return Child(
            PythonModule(_CHILD, pool.preload),
            log=pool.folder / "serving.log",
            environment=_variables(address, self.limits),
            temporary=pool.folder / "temporary",
        )


def _variables(address: Address, limits: Limits) -> dict[str, str]:
    """Those of the Python worker, so that the child is a fork of the process that workers are forks of, and ours."""
    ours = {ADDRESS: json.dumps(asdict(address)), LIMITS: json.dumps(asdict(limits))}
    return {**python_environment(onednn=onednn()), **ours}


def _ask(address: Address, limits: Limits) -> ServedModel | RuntimeUnavailable:
    """What the server says of the model, or why nothing can be known."""
    said: Message | None = None
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            Child(
                PythonModule(_CHILD, WORKERS_WITHOUT_TENSORFLOW),
                log=Path(folder) / "serving.log",
                environment=_variables(address, limits),
            ) as child,
        ):
            child.send(STATUS)
            for said in messages_of(child, 2 * limits.seconds + _START_SECONDS):
                if isinstance(said, Ready):
                    return ServedModel(said.environment[MODEL_VERSION])
    except QuantlabError as error:
        return RuntimeUnavailable(f"the server at {address} could not be asked for its status: {error}")
    return RuntimeUnavailable(said.reason if isinstance(said, Failed) else f"{address} has no status")


_START_SECONDS = 60.0


def _without_address(_: Format) -> dict[str, str]:
    raise RuntimeUnavailable(f"serving-rest needs the address of a server; give it with --serving {_FORM}")


def _no_child(_: Job, __: ChildPool) -> Child:
    raise RuntimeUnavailable(f"serving-rest needs the address of a server; give it with --serving {_FORM}")


def rest_at(url: str, limits: Limits | None = None) -> Runtime:
    """The runtime of a server.

    Args:
        url: Address of the model, such as `http://localhost:8501/v1/models/NAME`, with or without a version.
        limits: What the server may take; None is the usual limits.

    Raises:
        UsageError: If it is not the address of a model.
    """
    server = _Server(read_address(url), limits or Limits(), datetime.now(UTC).isoformat(timespec="microseconds"))
    return replace(
        REST,
        environment=server.environment,
        host=Host(lambda *_: f"serving {server.address}", server.start, lasting=False, shows_inside=False),
        default=True,
        address=str(server.address),
    )


REST = Runtime(
    name="serving-rest",
    description="A server with TensorFlow Serving's REST protocol, at the address of --serving",
    runs=lambda format_: format_.served_by_signature,
    environment=_without_address,
    host=Host(lambda *_: "serving", _no_child, lasting=False, shows_inside=False),
    untimed=lambda _: "not timed: the times would be those of the server's machine and of the network",
    backend="rest",
    default=False,
    at=rest_at,
)
