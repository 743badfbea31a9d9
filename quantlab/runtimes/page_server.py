"""The server from which a page in a browser gets one job. It listens on loopback and requires a token.

All paths are below `/<token>/`:

- `GET .`, `browser.js`, `litert/…`: bundled files, by exact name; `blank` is an empty page;
- the paths of the job (`quantlab.runtimes.page_job`).

The answer to everything else, including a wrong token, is 404 without content.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from quantlab.runtimes.page_files import TYPES, Served, bundled_files
from quantlab.runtimes.page_http import Answering, PageServer, Refused
from quantlab.runtimes.page_job import JobPaths, Parent

__all__ = ["start_server"]

_REQUEST_SECONDS = 60.0
"""Time limit for a request to arrive, and for its answer to be read: on loopback, by a page on a busy machine."""


class _Server(PageServer):
    """One job's server; its address holds a token."""

    def __init__(self, paths: JobPaths, bundled: Mapping[str, Path], seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Answering, seconds)
        self.paths, self.bundled = paths, bundled
        self.token = secrets.token_urlsafe(32)
        self.host = f"127.0.0.1:{self.server_address[1]}"


class _Answering(Answering):
    server: _Server
    more_headers: ClassVar[Mapping[str, str]] = {
        # The page may run only bundled code and WebAssembly, and may contact only this server.
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    }

    def get(self, path: str) -> None:
        """Answer a GET request of the page."""
        name = self._name(path)
        if name == "blank":
            self.answer(b"", kind=TYPES[".html"])
        elif (file := self.server.bundled.get(name or "browser.html")) is not None:
            self.answer_file(file)
        else:
            self.server.paths.get(name, self)

    def post(self, path: str) -> None:
        """Answer a POST request of the page."""
        self.server.paths.post(self._name(path), self)

    def _name(self, path: str) -> str:
        """The path after the token; requests with another token or host name are refused."""
        _, token, *names = path.split("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        if not known or not names or self.headers.get("Host") != self.server.host:
            raise Refused(404)
        return unquote("/".join(names))


def start_server(
    served: Served, parent: Parent, dist: Path, *, seconds: float = _REQUEST_SECONDS
) -> tuple[str, Callable[[], None]]:
    """Start serving a job on a free port; return the page's address and a function that stops the server.

    After that function returns, the port is free and the threads have ended.

    Args:
        served: The job and its files.
        parent: Callbacks of this process.
        dist: The folder of the bundle.
        seconds: Time limit for a request to arrive, and for its answer to be read.

    Raises:
        OSError: If no port on loopback is available.
    """
    server = _Server(JobPaths(served, parent), bundled_files(dist), seconds)
    server.begin()
    return f"http://{server.host}/{server.token}/", server.stop
