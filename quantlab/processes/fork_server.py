"""One fork server of this program: how it is started, asked and ended (see `quantlab.worker.fork_server`)."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from quantlab.processes.environment import import_path

__all__ = ["ForkServer"]


class _Child(Protocol):
    """What a server must know of a child that it has forked."""

    @property
    def alive(self) -> bool: ...


@dataclass(slots=True, weakref_slot=True, eq=False)
class ForkServer:
    """A fork server, and this program's end of the socket pair."""

    process: subprocess.Popen[bytes] | None
    """None if it is the server of the program that started this one."""
    channel: socket.socket
    log: IO[bytes] | None
    """A file without a name; messages quote it if the server has ended."""
    children: weakref.WeakSet[_Child] = field(default_factory=weakref.WeakSet)
    hung_up: bool = False
    """Whether it has closed its socket, which means that it has ended even if the system does not report it yet."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, environment: Mapping[str, str]) -> "ForkServer":
        """Start a server whose libraries read these variables.

        Raises:
            OSError: If the system starts no process.
        """
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

    @classmethod
    def inherited(cls, descriptor: int) -> "ForkServer":
        """The server that forked this process, which may ask it on a socket with this descriptor."""
        return cls(None, socket.socket(fileno=descriptor), None)

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return (self.process is None or self.process.poll() is None) and not self.hung_up

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
        if self.log is None:
            return ""
        size = os.fstat(self.log.fileno()).st_size
        lines = os.pread(self.log.fileno(), size, 0).decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """End the server and its children; one that is inherited only cannot be asked any more."""
        self.channel.close()
        if self.process is None:
            return
        try:
            self.process.wait(0.2)  # it ends its children first, unless it is in an import
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
