"""The server from which a page in a browser gets one job. It listens on loopback and requires a token.

A page requests its own files, the job, the artifact's files, ranges of the inputs' bytes, and the next request of the
parent. It sends the bytes of its outputs, and messages. All paths are below `/<token>/`:

- `GET .`, `browser.js`, `litert/…`: bundled files, by exact name; `blank` is an empty page;
- `GET job`: the request with its job, with names instead of paths (`artifact`, `input/0`, `output/0`, `scratch`);
- `GET artifact`, `artifact/<file>`: the variant's file, or a file in its folder; `external/<n>`: the n-th file of
external data in the job's `options`;
- `GET input/<n>` and `GET output/<n>` with a range: bytes of the job's input n, or of the output n that the page wrote;
- `POST output/<n>?at=<byte>`: bytes into the job's output n, within the file's size; `POST scratch?at=<byte>` as well,
  into the file for taps, which grows;
- `GET fed/<call>/<n>`: the n-th array of a call that may be wrong; `POST answer/<call>-<n>.bin?at=<byte>`: bytes of its
output n;
- `POST message`: a JSON object for the parent, or for its log (`type` is `log`, with `text`);
- `GET request`: the parent's next request for the same job; 204 if there is none;
- `GET memory`: the browser's peak memory.

The answer to everything else, including a wrong token, is 404 without content.

A connection is closed if a request does not arrive or its answer is not read within a time limit, and if no request is
made on it at all. A request that waits for the parent ends when the server stops.
"""

import contextlib
import hmac
import json
import os
import queue
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from quantlab.runtimes.page_files import TYPES, Served

__all__ = ["Parent", "start_server"]

_LARGEST_MESSAGE_BYTES = 64 << 20

_STOP_SECONDS = 5.0
"""Time limit for threads to end after their connections are closed."""

_REQUEST_SECONDS = 60.0
"""Time limit for a request to arrive, and for its answer to be read: on loopback, by a page on a busy machine."""

_SLICE_SECONDS = 0.25
"""How often a thread that waits for the parent's next request checks whether the server stops."""

_HEADERS: Mapping[str, str] = {
    # Isolated from all other pages, for exact clocks and its own memory.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The page may run only bundled code and WebAssembly, and may contact only this server.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Parent:
    """Callbacks of the process that serves the page; called from several threads."""

    opened: Callable[[], None]
    """Called when the page asks for its job, that is, when it and its modules have loaded."""
    say: Callable[[dict[str, Any]], None]
    """Called with each message of the page."""
    ask: Callable[[float], Mapping[str, Any] | None]
    """Waits at most so many seconds for the parent's next request, and raises `queue.Empty` then; None at the end."""
    memory: Callable[[], Mapping[str, Any]]
    """Returns peak memory as `bytes`, or null with a `reason`."""


@dataclass(slots=True)
class _Connection:
    """A connection, and the time since which the page is expected to send or read."""

    thread: threading.Thread
    since: float | None
    """Monotonic clock; None between the requests of a page, and while a request waits for the parent."""


class _Server(ThreadingHTTPServer):
    """One job's server; `address` holds its token."""

    def __init__(self, served: Served, parent: Parent, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served, self.parent, self.seconds = served, parent, seconds
        self.stopping = False
        self._answering: dict[socket.socket, _Connection] = {}
        self.one_message = threading.Lock()
        self.token = secrets.token_urlsafe(32)
        self.host = f"127.0.0.1:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Bind without looking up the machine's name, as the base class does; a name server may be slow or absent."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a new thread, which `stop` will join."""
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._answering[request] = _Connection(thread, time.monotonic())
        thread.start()

    def await_page(self, request: socket.socket, awaited: bool) -> None:
        """Start or stop the time limit of a connection."""
        if (connection := self._answering.get(request)) is not None:
            connection.since = time.monotonic() if awaited else None

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

    def stop(self) -> None:
        """Stop listening, close open connections, and wait for their threads."""
        self.stopping = True
        self.shutdown()
        self.server_close()
        for request, connection in list(self._answering.items()):
            _hang_up(request)
            connection.thread.join(_STOP_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore pages that disconnect during a request."""


def _hang_up(request: socket.socket) -> None:
    """End all reading from a connection and all writing to it."""
    with contextlib.suppress(OSError):  # it is already closed
        request.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class _Refused(Exception):  # it becomes an HTTP answer
    """Raised to answer a request with an error status."""

    status: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise the body of an answer waits up to 40 ms until the page acknowledges the header.
    disable_nagle_algorithm = True
    server: _Server
    _SIMPLE: ClassVar[tuple[str, ...]] = ("job", "request", "memory", "blank")

    def handle_one_request(self) -> None:
        """Wait for the first byte of a request without a limit, and for the rest within the limit."""
        with contextlib.suppress(OSError):  # the connection is gone; the library notices when it reads
            self.rfile.peek(1)  # type: ignore[attr-defined]  # the library's is a BufferedReader
        self.server.await_page(self.connection, True)
        super().handle_one_request()
        self.server.await_page(self.connection, False)

    def do_GET(self) -> None:  # the library's name
        """Answer a GET request of the page."""
        self._guarded(self._get)

    def do_POST(self) -> None:  # the library's name
        """Answer a POST request of the page."""
        self._guarded(self._post)

    def _guarded(self, answer: Callable[[str], None]) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                answer(self._name())
            except _Refused as refused:
                self.close_connection = True  # its body was not read
                self._answer(b"", status=refused.status)

    def _name(self) -> str:
        """The path after the token; requests with another token or host name are refused."""
        _, token, *names = urlsplit(self.path).path.split("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        if not known or not names or self.headers.get("Host") != self.server.host:
            raise _Refused(404)
        return unquote("/".join(names))

    def _get(self, name: str) -> None:
        if name in self._SIMPLE:
            self._get_simple(name)
        elif name in self.server.served.readable:
            self._send_range(self.server.served.readable[name])
        elif (file := self.server.served.find(name)) is not None:
            self._answer(file.read_bytes(), kind=TYPES.get(file.suffix, "application/octet-stream"))
        else:
            raise _Refused(404)

    def _get_simple(self, name: str) -> None:
        if name == "blank":
            self._answer(b"", kind=TYPES[".html"])
        elif name == "job":
            self.server.parent.opened()
            self._answer_json(self.server.served.asked)
        elif name == "memory":
            self._answer_json(self.server.parent.memory())
        elif (request := self._next_request()) is not None:
            self._answer_json(request)
        else:
            self._answer(b"", status=204)

    def _next_request(self) -> Mapping[str, Any] | None:
        """Wait for the parent's next request; None at the end, or if the server stops."""
        self.server.await_page(self.connection, False)
        try:
            while not self.server.stopping:
                with contextlib.suppress(queue.Empty):
                    return self.server.parent.ask(_SLICE_SECONDS)
            return None
        finally:
            self.server.await_page(self.connection, True)

    def _send_range(self, file: Path) -> None:
        first, _, last = (self.headers.get("Range") or "").removeprefix("bytes=").partition("-")
        if not (first.isdecimal() and last.isdecimal()):
            raise _Refused(416)
        with file.open("rb") as stream:
            length = min(int(last) + 1, os.fstat(stream.fileno()).st_size) - int(first)
            if length <= 0:
                raise _Refused(416)
            stream.seek(int(first))
            data = stream.read(length)
        self._answer(data, status=206)

    def _post(self, name: str) -> None:
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal():
            raise _Refused(411)
        if name == "message":
            self._take_message(int(length))
        elif (file := self.server.served.target(name)) is not None:
            self._write(name, file, int(length))
        else:
            raise _Refused(404)

    def _take_message(self, length: int) -> None:
        if length > _LARGEST_MESSAGE_BYTES:
            raise _Refused(413)
        try:
            message = json.loads(self.rfile.read(length))
        except ValueError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise _Refused(400)
        # Answered first, because the last message ends the browser. Passed on before the next message, which a page
        # sends after this answer, perhaps on another connection and so to another thread.
        with self.server.one_message:
            self._answer(b"", status=204)
            self.server.parent.say(message)

    def _write(self, name: str, file: Path, length: int) -> None:
        at = parse_qs(urlsplit(self.path).query).get("at", [""])[0]
        if not at.isdecimal():
            raise _Refused(400)
        data = self.rfile.read(length)
        try:
            _write_at(file, int(at), data, grows=self.server.served.grows(name))
        except ValueError as error:
            raise _Refused(416) from error
        except OSError as error:
            raise _Refused(507) from error
        self._answer(b"", status=204)

    def _answer_json(self, value: Mapping[str, Any]) -> None:
        self._answer(json.dumps(value, allow_nan=False).encode(), kind=TYPES[".json"])

    def _answer(self, body: bytes, *, status: int = 200, kind: str = "application/octet-stream") -> None:
        self.send_response_only(status)
        for header, value in _HEADERS.items():
            self.send_header(header, value)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer invalid requests without the error text of the library."""
        self.close_connection = True
        self.request_version = self.protocol_version  # not set if the request line is invalid
        self._answer(b"", status=404)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the library's names
        """Log nothing for normal requests."""


def _write_at(file: Path, position: int, data: bytes, *, grows: bool) -> None:
    """Write bytes at a position.

    Raises:
        ValueError: If they would go beyond the end of a file that must not grow.
    """
    descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if grows else 0), 0o666)
    try:
        if not grows and position + len(data) > os.fstat(descriptor).st_size:
            raise ValueError(f"{position + len(data)} bytes do not fit into '{file}'")
        # If the disk fills up, the first write is partial and only the second one raises.
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, position)
            view, position = view[written:], position + written
    finally:
        os.close(descriptor)


def start_server(
    served: Served, parent: Parent, *, seconds: float = _REQUEST_SECONDS
) -> tuple[str, Callable[[], None]]:
    """Start serving a job on a free port; return the page's address and a function that stops the server.

    After that function returns, the port is free and the threads have ended.

    Args:
        served: The job and its files.
        parent: Callbacks of this process.
        seconds: Time limit for a request to arrive, and for its answer to be read.

    Raises:
        OSError: If no port on loopback is available.
    """
    server = _Server(served, parent, seconds)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    serving.start()

    def stop() -> None:
        server.stop()
        serving.join()

    return f"http://{server.host}/{server.token}/", stop
