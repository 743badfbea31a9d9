"""The server for the page of one phone.

All paths are below `/<token>/`. The token is in the QR code; the first device that opens the page gets a cookie, and
from then on only that is answered:

- `GET .`: the page; `phone.js`, `phone.css`, `browser.js`, `litert/…`: bundled files, by exact name;
- `POST hello`: what the browser says of itself, and a random `claim`; the answer has the page's number;
- `GET news?page=<n>&seen=<version>`: what the page should do, as soon as that changes;
- `GET run/<dispatch>/`: the frame of a job, below which are its paths (`quantlab.runtimes.page_job`);
- `POST run/<dispatch>/lost`: the frame cannot go on, and the job should be sent again.

Everything else, also under another host name, from another origin or with another token, is 404 without content. A
second device is told why it gets nothing.
"""

import hmac
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from quantlab.runtimes.page_files import bundled_files
from quantlab.runtimes.page_http import Answering, PageServer, Refused
from quantlab.runtimes.phone.desk import Desk
from quantlab.runtimes.phone.device import Device, plain
from quantlab.runtimes.phone.limits import Rate

__all__ = ["PhoneServer"]

_REQUEST_SECONDS = 120.0
"""Time limit for a request to arrive, and for its answer to be read, by a phone in a weak network."""
_HELLO_BYTES = 16 << 10
_CONNECTIONS, _CONNECTIONS_EACH = 48, 24
"""Most open connections, and of one address."""
_HTTP_PORT, _HTTPS_PORT = 80, 443
_SECOND = (
    "This address belongs to the browser that opened it first. Open it there again, or stop 'quantlab phone' on the "
    "computer and start it again for a new address."
)
_STATIC = "private, max-age=86400"
"""The address is new each time, so that a bundled file never changes there."""


class PhoneServer(PageServer):
    """The server.

    Args:
        desk: What has the jobs.
        dist: The folder of the bundle.
        place: Address and port; port 0 takes any that is free.
        hosts: Names under which the page may be opened, besides the address.
        secured: How connections are encrypted; None if they are not.

    Raises:
        OSError: If the port is not available.
    """

    def __init__(
        self,
        desk: Desk,
        dist: Path,
        place: tuple[str, int],
        *,
        hosts: Collection[str] = (),
        secured: ssl.SSLContext | None = None,
    ) -> None:
        self.bundled = bundled_files(dist)  # first, because what fails from here on would leave a port open
        super().__init__(place, _Answering, _REQUEST_SECONDS)
        self.desk, self.secured = desk, secured
        port = int(self.server_address[1])
        self.hosts = _known_hosts((place[0], *hosts), port, usual=_HTTPS_PORT if secured else _HTTP_PORT)
        self.port = port
        self.token, self.cookie = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        self.claimed, self.claim = False, ""
        self.claiming = threading.Lock()
        # Who does not know the token must not use up what a phone may ask before it has the cookie.
        self.rate, self.newcomers, self.strangers = Rate(200, 400), Rate(20, 60), Rate(20, 60)

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.secured else "http"

    def address(self, host: str) -> str:
        """The address of the page under a host name."""
        return f"{self.scheme}://{_in_address(host)}:{self.port}/{self.token}/"

    def takes(self, request: socket.socket) -> bool:
        """Whether there are not too many connections."""
        try:
            peer = request.getpeername()[0]
        except OSError:
            return False
        open_ = self.connections
        return len(open_) < _CONNECTIONS and sum(_peer(one) == peer for one in open_) < _CONNECTIONS_EACH


def _in_address(host: str) -> str:
    """A host name as browsers write it."""
    return f"[{host}]" if ":" in host else host.lower()


def _known_hosts(names: Collection[str], port: int, *, usual: int) -> frozenset[str]:
    """What browsers send as `Host`; they leave the usual port of the scheme out.

    >>> sorted(_known_hosts(("::1", "Desk"), 8080, usual=80)), sorted(_known_hosts(("::1", "Desk"), 80, usual=80))
    (['[::1]:8080', 'desk:8080'], ['[::1]', 'desk'])
    """
    return frozenset(_in_address(name) + (f":{port}" if port != usual else "") for name in names)


def _peer(connection: socket.socket) -> Any:
    try:
        return connection.getpeername()[0]
    except OSError:
        return None


class _Answering(Answering):
    server: PhoneServer
    more_headers: ClassVar[Mapping[str, str]] = {
        # The page may run only bundled code and WebAssembly, contact only this server, and hold only its own frames.
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; "
            "img-src 'self' data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        )
    }

    def get(self, path: str) -> None:
        """Answer a GET request."""
        name = self._name(path)
        if self.server.claimed:
            self._refuse_stranger()
        file = self.server.bundled.get(name or "phone.html")
        if file is not None:
            self.answer_file(file, **({"Cache-Control": _STATIC} if name else {}))
            return
        self._refuse_stranger()
        if name == "news":
            with self.waiting():
                news = self.server.desk.news(_number(self.asked("page")), _number(self.asked("seen")))
            self.answer_json(news)
            return
        key, rest = self._dispatch(name)
        if rest == "":
            self.answer_file(self.server.bundled["phone-frame.html"])
        else:
            self.server.desk.paths(key).get(rest, self)

    def post(self, path: str) -> None:
        """Answer a POST request."""
        name = self._name(path)
        if self.headers.get("Origin") not in {f"{self.server.scheme}://{host}" for host in self.server.hosts}:
            raise Refused(404)
        if name == "hello":
            self._hello()
            return
        self._refuse_stranger()
        key, rest = self._dispatch(name)
        if rest == "lost":
            self.server.desk.lost(key, self.body(_HELLO_BYTES).decode(errors="replace"))
            self.answer(b"", status=204)
        else:
            self.server.desk.paths(key).post(rest, self)

    def _name(self, path: str) -> str:
        """The path after the token; requests with another token, host name or from another site are refused."""
        _, token, *names = path.split("/") if path.startswith("/") else ("", "")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        site = self.headers.get("Sec-Fetch-Site", "none")
        if not known or not names or self.headers.get("Host") not in self.server.hosts:
            self._count(self.server.strangers)
            raise Refused(404)
        self._count(self.server.rate if self._ours else self.server.newcomers)
        if site not in {"none", "same-origin"} and names != [""]:
            raise Refused(404)
        return unquote("/".join(names))

    def _count(self, rate: Rate) -> None:
        if not rate.allows():
            raise Refused(429)

    @property
    def _ours(self) -> bool:
        """Whether the request has the cookie of the first device."""
        told = [part.strip().partition("=") for part in (self.headers.get("Cookie") or "").split(";")]
        values = [value for name, _, value in told if name == _COOKIE]
        return any(hmac.compare_digest(value.encode(), self.server.cookie.encode()) for value in values)

    def _refuse_stranger(self) -> None:
        if not self._ours:
            raise Refused(403, _SECOND if self.server.claimed else "")

    def _dispatch(self, name: str) -> tuple[str, str]:
        """Key of a dispatch, and the name behind it."""
        kind, _, rest = name.partition("/")
        key, slash, rest = rest.partition("/")
        if kind != "run" or not slash:
            raise Refused(404)
        return key, rest

    def _hello(self) -> None:
        """Take the first device as ours; its later pages have the cookie.

        A page that did not get the answer repeats its `claim`, a random text, because it has no cookie.
        """
        try:
            facts = json.loads(self.body(_HELLO_BYTES))
        except (ValueError, RecursionError):
            facts = None
        if not isinstance(facts, dict):
            raise Refused(400)
        device, claim = Device.of(facts), plain(facts.get("claim"))
        with self.server.claiming:
            if not self.server.claimed:
                self.server.claimed, self.server.claim = True, claim
            elif not (claim and hmac.compare_digest(claim.encode(), self.server.claim.encode())):
                self._refuse_stranger()
        page = self.server.desk.hello(device)
        secure = "; Secure" if self.server.secured else ""
        cookie = f"{_COOKIE}={self.server.cookie}; Path=/{self.server.token}/; HttpOnly; SameSite=Strict{secure}"
        body = json.dumps({"page": page, "device": device.name, "browser": device.browser}).encode()
        self.answer(body, kind="application/json", headers={"Set-Cookie": cookie})


_COOKIE = "quantlab"


def _number(text: str) -> int:
    """A number of a request; -1 for what is none."""
    return int(text) if text.isdecimal() and len(text) < _DIGITS else -1


_DIGITS = 16
