"""A child that was forked by a server: its streams, its end, and what the server says of it."""

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from quantlab.processes.fork_server import ForkServer
from quantlab.processes.signals import ending_of

__all__ = ["Forked"]

_ENDING_SECONDS = 10.0
"""Time limit for a killed process to disappear; a server answers only after its current import."""

_SLICE_SECONDS = 0.05


class Forked:
    """A child that a fork server makes as soon as it has imported the modules that the child needs."""

    def __init__(self, server: ForkServer, control: socket.socket, stdin: BinaryIO, stdout: BinaryIO) -> None:
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
    def ask(cls, server: ForkServer, request: Mapping[str, Any], log: int) -> "Forked | None":
        """Request a child from a server; None if the server is gone."""
        their_stdin, our_stdin, our_stdout, their_stdout = pipes = _two_pipes()
        try:
            ours, theirs = socket.socketpair()
        except OSError:
            _close(pipes)
            raise
        asked = server.ask(request, [theirs.fileno(), their_stdin, their_stdout, log])
        _close((their_stdin, their_stdout))
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


def _two_pipes() -> tuple[int, int, int, int]:
    """Both ends of two pipes, or none of them."""
    first = os.pipe()
    try:
        return (*first, *os.pipe())
    except OSError:
        _close(first)
        raise


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _ready(descriptor: int, seconds: float) -> bool:
    """Whether a descriptor becomes readable within `seconds`."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(1000 * seconds))
