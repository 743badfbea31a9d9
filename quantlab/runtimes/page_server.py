"""The server that a page in a browser gets one job from: on loopback, for whoever knows its token, and nothing else.

A page asks for what it is made of, the job, the artifact's files, ranges of its inputs' bytes, and what is to be done
next; it sends its outputs' bytes and its messages. All stand below `/<token>/`:

- `GET .`, `browser.js`, `litert/…`: what is bundled, by exact name; `blank` is an empty page;
- `GET job`: what is asked of a job, with names in place of paths (`artifact`, `input/0`, `output/0`, `scratch`);
- `GET artifact`, `artifact/<file>`: the variant's file, or one in its folder; `external/<n>`: the n-th of those that
  its job's `options` name as external data;
- `GET input/<n>` with a range: bytes of the job's input n;
- `POST output/<n>?at=<byte>`: bytes into the job's output n, within the file's size; `POST scratch?at=<byte>` as well,
  into the file for taps, which grows;
- `POST message`: a JSON object for the parent, or for its log (`type` is `log`, with `text`);
- `GET request`: what the parent asks next of the same job, 204 when it asks no more;
- `GET memory`: what the browser held in memory at most.

Whatever else is asked for is answered with 404 and nothing, the wrong token too.
"""

import contextlib
import hmac
import json
import os
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from quantlab.processes import Document
from quantlab.runtimes.exchange import TensorFile
from quantlab.runtimes.requests import Request, request_document

__all__ = ["Parent", "Served", "start_server"]

_LARGEST_MESSAGE_BYTES = 64 << 20

_STOP_SECONDS = 5.0
"""For a thread to end whose connection is closed; one that waits for the parent's next request does not."""

_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
}

_HEADERS: Mapping[str, str] = {
    # Isolated from all other pages: exact clocks, and memory that is its own.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The page runs what is bundled, WebAssembly included, and speaks to this server alone.
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
    """What the page may have from the process that serves it; called from several threads."""

    opened: Callable[[], None]
    """Told when the page asks for its job: it is loaded, and so are its modules."""
    say: Callable[[dict[str, Any]], None]
    """Takes a message of the page."""
    ask: Callable[[], Mapping[str, Any] | None]
    """Waits for the parent's next request; None when there are no more."""
    memory: Callable[[], Mapping[str, Any]]
    """`bytes`, null where not told, then with `reason`."""


@dataclass(frozen=True, slots=True)
class Served:
    """What is asked of a job, and its files by the names that a page has for them."""

    asked: Document
    """With those names in it."""
    whole: Mapping[str, Path]
    """Those that are read at once: what is bundled, and external data."""
    artifact: Path
    readable: Mapping[str, Path]
    writable: Mapping[str, Path]

    @classmethod
    def of(cls, request: Request, dist: Path) -> "Served":
        """A request about a job, and the folder of what is bundled."""
        job = request.job
        external = {f"external/{place}": Path(data.file) for place, data in enumerate(job.options.external_data)}
        options = replace(
            job.options,
            external_data=tuple(
                replace(data, file=name) for name, data in zip(external, job.options.external_data, strict=True)
            ),
        )
        inputs, readable = _named("input", job.inputs)
        outputs, writable = _named("output", job.outputs)
        taps = job.taps and replace(job.taps, file="scratch")
        if job.taps:
            writable["scratch"] = Path(job.taps.file)
        named = replace(job, artifact="artifact", inputs=inputs, outputs=outputs, options=options, taps=taps)
        asked = request_document(replace(request, job=named))
        return cls(asked, {**_bundled(dist), **external}, Path(job.artifact), readable, writable)

    def find(self, name: str) -> Path | None:
        """The file that a name means, where a page may read it whole."""
        if name in self.whole:
            return self.whole[name] if self.whole[name].is_file() else None
        if name == "artifact" and self.artifact.is_file():
            return self.artifact
        return self._in_artifact(name.removeprefix("artifact/")) if name.startswith("artifact/") else None

    def _in_artifact(self, name: str) -> Path | None:
        """A file that lies in the variant's folder, wherever links lead."""
        if "\0" in name or "\\" in name or any(part in {"", ".", ".."} for part in name.split("/")):
            return None
        try:
            folder, file = self.artifact.resolve(strict=True), (self.artifact / name).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return file if folder in file.parents and file.is_file() else None


def _named(kind: str, tensors: Sequence[TensorFile]) -> tuple[tuple[TensorFile, ...], dict[str, Path]]:
    """Tensors whose files have the page's names, and the files of these names."""
    named = tuple(replace(tensor, file=f"{kind}/{place}") for place, tensor in enumerate(tensors))
    return named, {name.file: Path(tensor.file) for name, tensor in zip(named, tensors, strict=True) if tensor.file}


def _bundled(dist: Path) -> dict[str, Path]:
    pages = {path.name: path for path in (dist / "browser").glob("*") if path.suffix in _TYPES}
    wasm = {path.relative_to(dist).as_posix(): path for path in (*dist.glob("*.wasm"), *dist.glob("litert/*"))}
    return {**pages, **wasm, "": dist / "browser" / "browser.html"}


class _Server(ThreadingHTTPServer):
    """One job's server; `address` holds its token."""

    def __init__(self, served: Served, parent: Parent) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served, self.parent = served, parent
        self._answering: dict[socket.socket, threading.Thread] = {}
        self.one_message = threading.Lock()
        self.token = secrets.token_urlsafe(32)
        self.host = f"127.0.0.1:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Bind without asking who the machine is, as the HTTP server would: a name server may be slow, or away."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, which `stop` knows."""
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._answering[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        super().shutdown_request(request)
        self._answering.pop(request, None)

    def stop(self) -> None:
        """Listen no more, close the connections that a page keeps open, and wait for the threads that answered them."""
        self.shutdown()
        self.server_close()
        for connection, thread in list(self._answering.items()):
            with contextlib.suppress(OSError):  # it was closed meanwhile
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_STOP_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Leave a page that went away in the middle without a word."""


@dataclass(frozen=True, slots=True)
class _Refused(Exception):  # it is an answer
    """What a request is answered with instead."""

    status: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer's body would wait for the page to confirm its head, which a system does after 40 ms.
    disable_nagle_algorithm = True
    server: _Server
    _SIMPLE: ClassVar[tuple[str, ...]] = ("job", "request", "memory", "blank")

    def do_GET(self) -> None:  # the library's name
        """Answer what a page asks for."""
        self._guarded(self._get)

    def do_POST(self) -> None:  # the library's name
        """Take what a page sends."""
        self._guarded(self._post)

    def _guarded(self, answer: Callable[[str], None]) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                answer(self._name())
            except _Refused as refused:
                self.close_connection = True  # what it sent was not read
                self._answer(b"", status=refused.status)

    def _name(self) -> str:
        """What stands behind the token; only the page's own server has both its token and its name."""
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
            self._answer(file.read_bytes(), kind=_TYPES.get(file.suffix, "application/octet-stream"))
        else:
            raise _Refused(404)

    def _get_simple(self, name: str) -> None:
        if name == "blank":
            self._answer(b"", kind=_TYPES[".html"])
        elif name == "job":
            self.server.parent.opened()
            self._answer_json(self.server.served.asked)
        elif name == "memory":
            self._answer_json(self.server.parent.memory())
        elif (request := self.server.parent.ask()) is not None:
            self._answer_json(request)
        else:
            self._answer(b"", status=204)

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
        elif name in self.server.served.writable:
            self._write(name, int(length))
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
        # Answered first, since the last message ends the browser; and passed on before the next one, which a page sends
        # once this one is answered, perhaps on another connection and so to another thread.
        with self.server.one_message:
            self._answer(b"", status=204)
            self.server.parent.say(message)

    def _write(self, name: str, length: int) -> None:
        at = parse_qs(urlsplit(self.path).query).get("at", [""])[0]
        if not at.isdecimal():
            raise _Refused(400)
        data = self.rfile.read(length)
        try:
            _write_at(self.server.served.writable[name], int(at), data, grows=name == "scratch")
        except ValueError as error:
            raise _Refused(416) from error
        except OSError as error:
            raise _Refused(507) from error
        self._answer(b"", status=204)

    def _answer_json(self, value: Mapping[str, Any]) -> None:
        self._answer(json.dumps(value, allow_nan=False).encode(), kind=_TYPES[".json"])

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
        """Refuse what is no request of a page without a word, where the library would explain itself."""
        self.close_connection = True
        self.request_version = self.protocol_version  # a line that could not be read has none
        self._answer(b"", status=404)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the library's names
        """Keep the log for what goes wrong."""


def _write_at(file: Path, position: int, data: bytes, *, grows: bool) -> None:
    """Write bytes where they belong.

    Raises:
        ValueError: If they would reach behind the end of a file that does not grow.
    """
    descriptor = os.open(file, os.O_RDWR | (os.O_CREAT if grows else 0), 0o666)
    try:
        if not grows and position + len(data) > os.fstat(descriptor).st_size:
            raise ValueError(f"{position + len(data)} bytes do not fit into '{file}'")
        # A disk that fills up takes the first part and tells only the second write.
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, position)
            view, position = view[written:], position + written
    finally:
        os.close(descriptor)


def start_server(served: Served, parent: Parent) -> tuple[str, Callable[[], None]]:
    """Serve a job from now on, on a port that the system chooses; the page's address, and what stops it.

    Once it is stopped, its port is free and its threads are gone.

    Raises:
        OSError: If there is no port on loopback to be had.
    """
    server = _Server(served, parent)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    serving.start()

    def stop() -> None:
        server.stop()
        serving.join()

    return f"http://{server.host}/{server.token}/", stop
