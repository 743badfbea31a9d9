"""HTTP for pages that are not trusted: servers with time limits, and what they answer.

A connection is closed if a request does not arrive or its answer is not read within a time limit, and if no request is
made on it at all. Of a large body, each piece has this limit. A request that waits for something else, as for the
parent, ends when the server stops.
"""

import contextlib
import json
import os
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, ClassVar
from urllib.parse import parse_qs, urlsplit

from quantlab.runtimes.page_files import TYPES

__all__ = ["PIECE_BYTES", "Answering", "PageServer", "Refused"]

_STOP_SECONDS = 5.0
"""Time limit for threads to end after their connections are closed."""

_BYTES = "application/octet-stream"
PIECE_BYTES = 1 << 20
"""Most bytes of a file, or of a request, that are held in memory at once."""

_HEADERS: Mapping[str, str] = {
    # Isolated from all other pages, for exact clocks and its own memory.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(slots=True)
class _Connection:
    """A connection, and the time since which the page is expected to send or read."""

    thread: threading.Thread
    since: float | None
    """Monotonic clock; None between the requests of a page, and while a request waits for something else."""


class PageServer(ThreadingHTTPServer):
    """A server that ends connections beyond a time limit, and its threads when it stops.

    Args:
        place: Address and port; port 0 takes any that is free.
        handler: What answers.
        seconds: Time limit for a request to arrive, and for its answer to be read.

    Raises:
        OSError: If the port is not available.
    """

    daemon_threads = True
    request_queue_size = 64
    """Connections that wait to be accepted: of the library's five, a client repeats the seventh after a second."""

    def __init__(self, place: tuple[str, int], handler: type["Answering"], seconds: float) -> None:
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        super().__init__(place, handler)
        self.seconds = seconds
        self.stopping = False
        self.secured: ssl.SSLContext | None = None
        """How connections are encrypted; None if they are not."""
        self._answering: dict[socket.socket, _Connection] = {}

    def server_bind(self) -> None:
        """Bind without looking up the machine's name, as the base class does; a name server may be slow or absent."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def takes(self, request: socket.socket) -> bool:  # noqa: ARG002  (for servers that refuse some)
        """Whether a new connection is answered at all."""
        return True

    @property
    def connections(self) -> list[socket.socket]:
        """Open connections."""
        return list(self._answering)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a new thread, which `stop` will join."""
        if not self.takes(request):
            self.shutdown_request(request)
            return
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._answering[request] = _Connection(thread, time.monotonic())
        thread.start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer all requests of a connection, in its thread."""
        if self.secured is None:
            super().finish_request(request, client_address)
            return
        # A copy of the descriptor is encrypted: the connection itself stays known, and is closed when time is up.
        with self.secured.wrap_socket(request.dup(), server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)

    def await_page(self, request: socket.socket, awaited: bool) -> None:
        """Start or stop the time limit of a connection."""
        own = self._answering.get(request) or self._copied(request)
        if own is not None:
            own.since = time.monotonic() if awaited else None

    def _copied(self, request: socket.socket) -> _Connection | None:
        """The connection whose encrypted copy this is, known by the thread that answers it."""
        del request
        here = threading.current_thread()
        return next((one for one in list(self._answering.values()) if one.thread is here), None)

    def service_actions(self) -> None:
        """Close connections beyond their time limit; called by the loop that listens."""
        before = time.monotonic() - self.seconds
        for request, connection in list(self._answering.items()):
            if connection.since is not None and connection.since < before:
                _hang_up(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        super().shutdown_request(request)
        self._answering.pop(request, None)

    def begin(self) -> None:
        """Listen, in a thread."""
        self._serving = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._serving.start()

    def stop(self) -> None:
        """Stop listening, close open connections, and wait for their threads."""
        self.stopping = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)  # wakes the loop that listens, which would sleep until its next round
        self.shutdown()
        self.server_close()
        for request, connection in list(self._answering.items()):
            _hang_up(request)
            connection.thread.join(_STOP_SECONDS)
        self._serving.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore pages that disconnect during a request."""


def _hang_up(request: socket.socket) -> None:
    """End all reading from a connection and all writing to it."""
    with contextlib.suppress(OSError):  # it is already closed
        request.shutdown(socket.SHUT_RDWR)


@dataclass(eq=False)  # not frozen: a context manager that it leaves sets its traceback
class Refused(Exception):  # it becomes an HTTP answer
    """Raised to answer a request with an error status."""

    status: int
    sentence: str = ""
    """What a person is told; empty for no content."""


class Answering(BaseHTTPRequestHandler):
    """Answers the requests of one connection; a server says how, by `get` and `post`."""

    protocol_version = "HTTP/1.1"
    # Otherwise the body of an answer waits up to 40 ms until the page acknowledges the header.
    disable_nagle_algorithm = True
    server: PageServer
    more_headers: ClassVar[Mapping[str, str]] = {}
    """Further headers of every answer."""

    def get(self, path: str) -> None:
        """Answer a GET request for a path, with its token."""
        raise NotImplementedError

    def post(self, path: str) -> None:
        """Answer a POST request for a path, with its token."""
        raise NotImplementedError

    def handle_one_request(self) -> None:
        """Wait for the first byte of a request without a limit, and for the rest within the limit."""
        with contextlib.suppress(OSError):  # the connection is gone; the library notices when it reads
            self.rfile.peek(1)  # type: ignore[attr-defined]  # the library's is a BufferedReader
        self.server.await_page(self.connection, True)
        super().handle_one_request()
        self.server.await_page(self.connection, False)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """A time in which the page waits for us, and not we for the page."""
        self.server.await_page(self.connection, False)
        try:
            yield
        finally:
            self.server.await_page(self.connection, True)

    def do_GET(self) -> None:  # the library's name
        """Answer a GET request of the page."""
        self._guarded(self.get)

    def do_POST(self) -> None:  # the library's name
        """Answer a POST request of the page."""
        self._guarded(self.post)

    def _guarded(self, answer: Callable[[str], None]) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                answer(urlsplit(self.path).path)
            except Refused as refused:
                self.close_connection = True  # its body was not read
                self.answer(refused.sentence.encode(), status=refused.status, kind=TYPES[".txt"])

    def asked(self, name: str) -> str:
        """A value of the request's query; empty if there is none."""
        return parse_qs(urlsplit(self.path).query).get(name, [""])[0]

    @property
    def length(self) -> int:
        """Bytes of the request's body; raises Refused if the request does not say it."""
        length = self.headers.get("Content-Length") or ""
        if not (length.isascii() and length.isdecimal() and len(length) < _DIGITS):
            raise Refused(411)
        return int(length)

    def body(self, most: int) -> bytes:
        """The request's body; raises Refused before anything is read if it is longer than `most` bytes."""
        if self.length > most:
            raise Refused(413)
        return self.rfile.read(self.length)

    def answer_json(self, value: Mapping[str, Any]) -> None:
        """Answer a JSON object."""
        self.answer(json.dumps(value, allow_nan=False).encode(), kind=TYPES[".json"])

    def answer_file(self, file: Path, **headers: str) -> None:
        """Answer a whole file, in the type of its suffix."""
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            self._begin(200, TYPES.get(file.suffix, _BYTES), size, headers)
            self._send(stream, size)

    def answer_part(self, file: Path, first: int, last: int) -> None:
        """Answer the bytes of a file from the first to the last one, or to its end; raises Refused if it has none."""
        with file.open("rb") as stream:
            length = min(last + 1, os.fstat(stream.fileno()).st_size) - first
            if length <= 0:
                raise Refused(416)
            stream.seek(first)
            self._begin(206, _BYTES, length, {})
            self._send(stream, length)

    def _send(self, stream: BinaryIO, length: int) -> None:
        """Send bytes of a file in pieces, which a page may be slow to read; each has the time limit of an answer."""
        while length:
            piece = stream.read(min(length, PIECE_BYTES))
            if not piece:  # the file has become shorter
                self.close_connection = True
                return
            self.wfile.write(piece)
            self.renew()
            length -= len(piece)

    def renew(self) -> None:
        """Begin the time limit again, because the page has sent or read a part."""
        self.server.await_page(self.connection, True)

    def answer(self, body: bytes, *, status: int = 200, kind: str = _BYTES, headers: Mapping[str, str] = {}) -> None:
        """Answer bytes of a media type."""
        self._begin(status, kind, len(body), headers)
        self.wfile.write(body)

    def _begin(self, status: int, kind: str, length: int, headers: Mapping[str, str]) -> None:
        """Send status and headers of an answer with so many bytes."""
        self.send_response_only(status)
        for header, value in {**_HEADERS, **self.more_headers, **headers}.items():
            self.send_header(header, value)
        if status != _NO_CONTENT:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer invalid requests without the error text of the library."""
        self.close_connection = True
        self.request_version = self.protocol_version  # not set if the request line is invalid
        self.answer(b"", status=404)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


_NO_CONTENT = 204
_DIGITS = 16
"""Digits of a length that no body has."""
