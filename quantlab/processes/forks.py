"""The fork servers of this program, and the children that they fork (see `quantlab.worker.fork_server`).

There is one server for each set of variables that libraries read at import, such as oneDNN's switch. A server ends
together with the program that started it, and so do its children. If a server is killed, a new one is started for the
next child; existing children continue.
"""

import atexit
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache

from quantlab.processes.environment import import_path
from quantlab.processes.fork_server import ForkServer
from quantlab.processes.forked import Forked
from quantlab.processes.process import Preload, Surroundings

__all__ = ["Forked", "end_fork_servers", "fork", "fork_servers", "inherit_fork_server", "wait_for_preload", "warm_up"]

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

_servers: dict[tuple[tuple[str, str], ...], ForkServer] = {}
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


def _server(environment: Mapping[str, str]) -> ForkServer | None:
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
            server = server or ForkServer.start(environment)
        except OSError:
            return None
        ended = _superfluous()
        _servers[key] = server
    for superfluous in ended:
        superfluous.close()
    return server


def _superfluous() -> list[ForkServer]:
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


def inherit_fork_server() -> None:
    """Let the server that forked this process fork its children, too, if it was asked to (`PythonModule.forks`).

    Then the slow modules are imported once for this process and the one that started it.
    """
    descriptor = os.environ.pop("QUANTLAB_FORK_SERVER", None)
    if descriptor is not None:
        with _lock:
            _servers[_key(os.environ)] = ForkServer.inherited(int(descriptor))


def fork(module: str, preload: Preload, surroundings: Surroundings, *, forks: bool = False) -> Forked | None:
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
            "forks": forks,
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
        return {server.process.pid for server in _servers.values() if server.process is not None and server.alive}
