"""Servers of files for tests: a web server, and a stand-in for the part of S3 that reads, lists and writes."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

__all__ = ["ACCESS_KEY", "SECRET_KEY", "StandIn", "s3_environment", "serving", "serving_s3"]

ACCESS_KEY, SECRET_KEY = "AKIAOFTHETESTS", "the-secret-of-the-tests"


@dataclass
class StandIn:
    """What a server holds, how it behaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path without the first slash → content; for S3 it begins with the bucket."""
    s3: bool = False
    """Whether it asks for `ACCESS_KEY`, lists, and answers errors as S3 does."""
    failures: list[int] = field(default_factory=list)
    """Statuses of the next answers; after them, it answers as it should."""
    ranges: bool = True
    """Whether it sends parts of files."""
    bucket: str = ""
    """The only bucket that can be written; any, if it is empty."""
    conditional: bool = True
    """Whether it knows If-None-Match, as not every store does."""
    away: bool = False
    """Whether it closes each connection without an answer."""
    lost: list[str] = field(default_factory=list)
    """Ends of the paths whose next writing is done and not answered."""
    writing: threading.Lock = field(default_factory=threading.Lock)
    asked: list[str] = field(default_factory=list)
    """Method and path of each request, in order."""
    address: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def log_message(self, *_: object) -> None:
        """Keep standard error clean."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        held = self.stand_in
        held.asked.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if held.away:
            self.close_connection = True
        elif held.failures:
            self._fail(held.failures.pop(0))
        elif held.s3 and f"Credential={ACCESS_KEY}/" not in self.headers.get("Authorization", ""):
            self._fail(403)
        elif self.command in {"PUT", "DELETE"}:
            self._write(unquote(parts.path[1:]), content)
        elif held.s3 and "list-type" in parts.query:
            self._list(parts.path.strip("/"), parse_qs(parts.query).get("prefix", [""])[0])
        elif held.s3 and "/" not in parts.path.strip("/"):
            self._send(200, b"")  # whether there is such a bucket
        elif (found := held.files.get(self.path[1:], held.files.get(unquote(parts.path.lstrip("/"))))) is None:
            self._fail(404)
        else:
            self._send_file(found)

    def _write(self, name: str, content: bytes) -> None:
        held = self.stand_in
        if held.bucket and name.partition("/")[0] != held.bucket:
            self._fail(404, "NoSuchBucket")
            return
        with held.writing:
            if self.command == "DELETE":
                held.files.pop(name, None)
            elif held.conditional and self.headers.get("If-None-Match") == "*" and name in held.files:
                self._fail(412)
                return
            else:
                held.files[name] = content
        if ends := [end for end in held.lost if name.endswith(end)]:
            held.lost.remove(ends[0])
            self.close_connection = True
            return
        self._send(204 if self.command == "DELETE" else 200, b"")

    def _send_file(self, content: bytes) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match is None or not self.stand_in.ranges:
            self._send(200, content)
            return
        first, last = int(match[1]), min(int(match[2]), len(content) - 1)
        part = content[first : last + 1]
        self._send(206, part, {"Content-Range": f"bytes {first}-{last}/{len(content)}"})

    def _list(self, bucket: str, prefix: str) -> None:
        names = sorted(name.removeprefix(f"{bucket}/") for name in self.stand_in.files if name.startswith(f"{bucket}/"))
        held = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(self.stand_in.files[f'{bucket}/{name}'])}</Size>"
            f"<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for name in names
            if name.startswith(prefix)
        )
        self._send(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{held}</ListBucketResult>".encode())

    def _fail(self, status: int, code: str = "") -> None:
        codes = {403: "InvalidAccessKeyId", 404: "NoSuchKey", 412: "PreconditionFailed", 503: "SlowDown"}
        text = (
            f"<Error><Code>{code or codes.get(status, 'InternalError')}</Code><Message>{ACCESS_KEY}</Message></Error>"
        )
        self._send(status, text.encode() if self.stand_in.s3 else b"")

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve on a free port of this machine, and set `address`."""
    handler = type("Handler", (_Handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    stand_in.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving_s3(bucket: str = "") -> Iterator[StandIn]:
    """Serve a stand-in for S3; skips the test if s3fs is not installed."""
    pytest.importorskip("s3fs", reason="needs s3fs, of the extra 's3'")
    _parse_models_once()
    with serving(StandIn(s3=True, bucket=bucket)) as stand_in:
        yield stand_in


@cache
def _parse_models_once() -> None:
    """Let all clients of this process share what botocore reads of its own files.

    Each test has clients of its own, with other credentials, and each would parse 3 MB of JSON.
    """
    loaders = import_module("botocore.loaders")
    read = cache(partial(loaders.JSONFileLoader._load_file, loaders.JSONFileLoader()))
    loaders.JSONFileLoader._load_file = lambda _, path, opened: read(path, opened)


def s3_environment(stand_in: StandIn) -> dict[str, str]:
    """The environment of a user who may use a stand-in for S3."""
    return {
        "AWS_ENDPOINT_URL": stand_in.address,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
