"""The socket by which the children of a study reach the phone."""

import contextlib
import json
import select
import socket
import threading
from pathlib import Path

from quantlab.processes import Document, OwnFolder
from quantlab.runtimes.phone.desk import Desk, Gone
from quantlab.runtimes.phone.tasks import Session
from quantlab.runtimes.requests import request_from

__all__ = ["Channel"]


class Channel:
    """Listens on a Unix socket in a private folder, and passes requests to the desk, each connection in a thread.

    Raises:
        OSError: If the system refuses a socket.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        # Not in the study's folder, because the path of a socket must be short.
        self._folder = OwnFolder("phone", Path("/tmp"))  # noqa: S108 (the folder in it is private)
        self.path = self._folder.path / "socket"
        try:
            self._listening = _listening(self.path)
        except BaseException:
            self._folder.close()
            raise
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening, and remove the socket; connections end when their children do."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._folder.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        session = Session(lambda document: _send(connection, document), lambda: _gone(connection))
        with contextlib.suppress(OSError, Gone, ValueError), connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    self._desk.perform(session, request_from(json.loads(line)))
            finally:
                self._desk.leave(session)


def _listening(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        made.listen()
    except BaseException:
        made.close()
        raise
    return made


def _send(connection: socket.socket, document: Document) -> None:
    with contextlib.suppress(OSError):  # the child is gone, which the desk notices
        connection.sendall(json.dumps(document, allow_nan=False).encode() + b"\n")


def _gone(connection: socket.socket) -> bool:
    """Whether the other side has closed; it sends nothing while it waits for an answer."""
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True
