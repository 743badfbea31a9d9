"""The fork servers of this program, and the children that they fork (see `quantlab.worker.fork_server`).

There is one server for each set of variables that libraries read at import, such as oneDNN's switch. A server ends
together with the program that started it, and so do its children. If a server is killed, a new one is started for the
next child; existing children continue.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import IO, Any, BinaryIO

from quantlab.processes.environment import import_path
from quantlab.processes.process import Preload, Surroundings
from quantlab.processes.signals import ending_of

__all__ = ["Forked", "end_fork_servers", "fork", "fork_servers", "wait_for_preload", "warm_up"]

_READ_AT_IMPORT = (
    *("CUDA_", "DNNL_", "GLIBC_", "HOME", "KERAS_", "LD_", "MALLOC_", "MKL_", "NUMBA_", "OMP_", "ONEDNN_"),
    *("OPENBLAS_", "PYTHON", "TFDF_", "TF_", "XLA_"),
)
"""Prefixes of variables that libraries, Python or the loader read only once."""

_READ_LATER = {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_CPP_MIN_LOG_LEVEL", "OMP_NUM_THREADS"}
"""Exceptions: variables that TensorFlow reads only before its first op, that is, in the child, or that all servers
share.
"""

_MOST_SERVERS = 4
"""Maximum number of servers. Each holds about 300 MB, and a program may change its variables repeatedly.

There are more only while all have children."""

_ENDING_SECONDS = 10.0
"""Time limit for a killed process to disappear; a server answers only after its current import."""

_SLICE_SECONDS = 0.05


@dataclass(slots=True, weakref_slot=True, eq=False)
class _ForkServer:
    """A fork server, and this program's end of the socket pair."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    log: IO[bytes]
    """A file without a name; messages quote it if the server has ended."""
    children: "weakref.WeakSet[Forked]" = field(default_factory=weakref.WeakSet)
    hung_up: bool = False
    """Whether it has closed its socket, which means that it has ended even if the system does not report it yet."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, environment: Mapping[str, str]) -> "_ForkServer":
        ours, theirs = socket.socketpair()
        log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the server)
        # One thread, because forks would lack the threads of OpenBLAS. Children get their intended value.
        quiet = {**environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(import_path())}
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "quantlab.worker.fork_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=quiet,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            log.close()
            raise
        finally:
            theirs.close()
        server = cls(process, ours, log)
        weakref.finalize(server, log.close).atexit = False  # not in `close`, because children quote the log after it
        return server

    @property
    def alive(self) -> bool:
        return self.process.poll() is None and not self.hung_up

    @property
    def busy(self) -> bool:
        """Whether it has a living child, which would end with it."""
        return any(child.alive for child in list(self.children))

    def ask(self, request: Mapping[str, Any], descriptors: Sequence[int] = ()) -> bool:
        """Send a request; return False if the server is gone."""
        document = json.dumps(request).encode()
        head = len(document).to_bytes(4, "big")
        with self.lock:
            try:
                socket.send_fds(self.channel, [head], list(descriptors))
                self.channel.sendall(document)
            except OSError as error:
                self.hung_up |= isinstance(error, ConnectionError)
                return False
        return True

    def last_words(self) -> str:
        """The last line that it printed, or an empty text."""
        size = os.fstat(self.log.fileno()).st_size
        lines = os.pread(self.log.fileno(), size, 0).decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """End the server and its children."""
        self.channel.close()
        try:
            self.process.wait(0.2)  # it ends its children first, unless it is in an import
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_servers: dict[tuple[tuple[str, str], ...], _ForkServer] = {}
"""Servers by their variables, most recently used last."""

_lock = threading.Lock()


def _forget() -> None:
    """In a fork of this program: forget the servers, which belong to the parent, and replace the lock."""
    global _lock  # noqa: PLW0603 (a lock can only be replaced)
    _lock = threading.Lock()
    for server in _servers.values():
        server.channel.close()
    _servers.clear()


os.register_at_fork(after_in_child=_forget)


@cache
def _possible() -> bool:
    """Whether children can be forked: on Linux, if processes can be waited for by descriptor.

    The system libraries of macOS do not support forking. `QUANTLAB_FORK=0` turns it off.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _key(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    read = {name: value for name, value in environment.items() if name.startswith(_READ_AT_IMPORT)}
    kept = {name: value for name, value in read.items() if name not in _READ_LATER and name != "PYTHONPATH"}
    return (("executable", sys.executable), ("path", os.pathsep.join(import_path())), *sorted(kept.items()))


def _server(environment: Mapping[str, str]) -> _ForkServer | None:
    """Return the server for these variables, or start one; None if that fails."""
    if os.environ.get("QUANTLAB_FORK") == "0" or not _possible():
        return None
    key = _key(environment)
    with _lock:
        server = _servers.pop(key, None)
        if server is not None and not server.alive:
            server.close()
            server = None
        try:
            server = server or _ForkServer.start(environment)
        except OSError:
            return None
        ended = _superfluous()
        _servers[key] = server
    for superfluous in ended:
        superfluous.close()
    return server


def _superfluous() -> list[_ForkServer]:
    """Remove dead servers and, if there are too many, the least recently used without children."""
    ended = [key for key, server in _servers.items() if not server.alive]
    idle = [key for key, server in _servers.items() if key not in ended and not server.busy]
    excess = len(_servers) - len(ended) + 1 - _MOST_SERVERS
    return [_servers.pop(key) for key in (*ended, *idle[: max(0, excess)])]


def warm_up(environment: Mapping[str, str], preload: Preload, descriptors: Sequence[int] = ()) -> None:
    """Start importing modules in the server for these variables; descriptors are closed there when it is done."""
    server = _server({**os.environ, **environment})
    if server is not None:
        server.ask({"preload": asdict(preload)}, descriptors)


def wait_for_preload(environment: Mapping[str, str], preload: Preload) -> None:
    """Import modules in the server, and wait until it has; return at once if there is no server, or it ends."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as end:
        try:
            warm_up(environment, preload, [theirs])
        finally:
            os.close(theirs)
        end.read()


def fork(module: str, preload: Preload, surroundings: Surroundings) -> "Forked | None":
    """Fork a child that runs a module; None if forking is impossible and a new process must be started."""
    for _ in range(2):  # if the server was killed, try again with a new one
        server = _server(surroundings.environment)
        if server is None:
            return None
        request = {
            "preload": asdict(preload),
            "module": module,
            "environment": dict(surroundings.environment),
            "folder": os.getcwd(),  # noqa: PTH109 (as a text)
            "import_path": import_path(),
            "temporary": str(surroundings.temporary) if surroundings.temporary else None,
        }
        forked = Forked.ask(server, request, surroundings.log)
        if forked is not None:
            return forked
    return None


def end_fork_servers() -> None:
    """End this program's fork servers and their children; the next child starts another."""
    with _lock:
        servers = list(_servers.values())
        _servers.clear()
    for server in servers:
        server.channel.close()  # so that all end at the same time
    for server in servers:
        server.close()


atexit.register(end_fork_servers)  # a server in an import would notice the end of this program only later


def fork_servers() -> set[int]:
    """The process ids of this program's living fork servers."""
    with _lock:
        return {server.process.pid for server in _servers.values() if server.alive}


class Forked:
    """A child that a fork server makes as soon as it has imported the modules that the child needs."""

    def __init__(self, server: _ForkServer, control: socket.socket, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._server, self._control = server, control
        weakref.finalize(self, control.close).atexit = False  # not in `end`, because the status arrives after it
        self.stdin, self.stdout = stdin, stdout
        self._pid: int | None = None
        self._descriptor: int | None = None
        self._status: int | None = None
        self._refusal: str | None = None
        self._server_gone = False
        self._let_go = False
        self._heard = b""
        self._lock = threading.RLock()

    @classmethod
    def ask(cls, server: _ForkServer, request: Mapping[str, Any], log: int) -> "Forked | None":
        """Request a child from a server; None if the server is gone."""
        their_stdin, our_stdin = os.pipe()
        our_stdout, their_stdout = os.pipe()
        ours, theirs = socket.socketpair()
        asked = server.ask(request, [theirs.fileno(), their_stdin, their_stdout, log])
        for descriptor in (their_stdin, their_stdout):
            os.close(descriptor)
        theirs.close()
        forked = cls(server, ours, os.fdopen(our_stdin, "wb"), os.fdopen(our_stdout, "rb"))
        if asked:
            server.children.add(forked)
            return forked
        forked.close()
        return None

    def close(self) -> None:
        """Close this program's descriptors of the child."""
        for stream in (self.stdin, self.stdout, self._control):
            with contextlib.suppress(OSError):
                stream.close()

    @property
    def pid(self) -> int | None:
        """Its process id; None until the server has answered, or if it could not be started."""
        with self._lock:
            self._listen(0)
            return self._pid

    @property
    def alive(self) -> bool:
        """Whether it runs, or will start."""
        with self._lock:
            self._listen(0)
            if self._status is not None or self._refusal is not None:
                return False
            # Ask the system first: a server in an import reports the end of a child only later.
            if self._descriptor is not None:
                return not _ready(self._descriptor, 0)
            return not (self._server_gone or self._let_go)

    def ending(self) -> str:
        """Wait for its end, and return how it ended."""
        self._wait_for_news()
        if self._status is not None:
            return ending_of(self._status)
        if self._refusal is not None:
            return f"could not be started ({self._refusal})"
        if self.alive:
            return "closed its standard output"
        if not self._server_gone:
            return "ended, and the fork server is too busy to report how"
        said = self._server.last_words()
        when = "before it" if self.pid is None else "too, so its exit status is not known"
        return f"ended: the fork server ended {when}" + (f"; its log ends with: {said}" if said else "")

    def _wait_for_news(self) -> None:
        """Wait until the server has reported how it ended, or has ended itself."""
        until = time.monotonic() + _ENDING_SECONDS
        while (self._status, self._refusal) == (None, None) and time.monotonic() < until:
            with self._lock:
                self._listen(_SLICE_SECONDS)
            if self._server_gone and (self._descriptor is None or _ready(self._descriptor, _SLICE_SECONDS)):
                return

    def end(self) -> None:
        """End it and its process group, and wait until it is gone."""
        with self._lock:
            self._listen(0)
            if self._let_go:
                return
            self._let_go = True
            if self._pid is not None and (not self._server_gone or self.alive):
                # The server keeps a dead child's id reserved until the socket is closed, so it is not reused.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)
        self._wait_until_gone()

    def _wait_until_gone(self) -> None:
        until = time.monotonic() + _ENDING_SECONDS
        if self._descriptor is not None:
            _ready(self._descriptor, _ENDING_SECONDS)
            return
        while not self._server_gone and time.monotonic() < until:
            # A server in an import has not read the request yet: it will see the closed socket, and not fork.
            if not _ready(self._control.fileno(), _SLICE_SECONDS):
                return
            with self._lock:
                self._listen(0)

    def _listen(self, seconds: float) -> None:
        """Read messages of the child and of the server about it; there are none after its end."""
        while not self._server_gone and _ready(self._control.fileno(), seconds):
            try:
                part = self._control.recv(4096)
            except OSError:
                part = b""
            if not part:
                self._server_gone = True
                self._server.hung_up |= not self._let_go and self._refusal is None
                return
            *lines, self._heard = (self._heard + part).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            seconds = 0

    def _take(self, message: Mapping[str, Any]) -> None:
        if "pid" in message:
            self._pid = int(message["pid"])
            if self._let_go:  # the id may belong to another process by now
                return
            with contextlib.suppress(OSError):
                self._descriptor = os.pidfd_open(self._pid)
        elif "status" in message:
            self._status = int(message["status"])
        elif "error" in message:
            self._refusal = str(message["error"])

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def _ready(descriptor: int, seconds: float) -> bool:
    """Whether a descriptor becomes readable within `seconds`."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * seconds))
