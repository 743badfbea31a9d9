"""A phone in Python for tests: it asks a phone's server what a page asks, honestly or not."""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from quantlab.formats import FORMATS
from quantlab.runtimes import Job, Taps
from quantlab.runtimes.exchange import TensorFile
from quantlab.runtimes.phone.desk import Desk
from quantlab.runtimes.phone.server import PhoneServer
from quantlab.runtimes.phone.tasks import Patience, Session
from quantlab.types.executor_options import ExecutorOptions

__all__ = ["FACTS", "FakePhone", "N", "Study", "serving", "small_job", "small_patience"]

N = 10
"""Samples of the small job, in batches of 4."""

FACTS = {
    "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 7) AppleWebKit/537.36 Chrome/141.0.0.0 Mobile Safari/537.36",
    "renderer": "Mali-G710",
    "renders_float32": True,
    "max_texture_size": 8192,
    "cores": 8,
    "secure": False,
}


def small_patience(**changed: float) -> Patience:
    """Limits that a test can wait for."""
    return Patience(**{"poll": 0.2, "sign": 0.1, "present": 0.3, "look": 0.05, "wait": 30.0, **changed})


def small_job(folder: Path, *, taps: bool = False) -> Job:
    """A job of N samples with one input and one output, and its files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text("{}")
    np.save(folder / "x.npy", np.arange(N * 4, dtype=np.float32).reshape(N, 4))
    np.save(folder / "y.npy", np.zeros((N, 2), np.float32))
    return Job(
        format="tfjs",
        artifact=str(folder),
        backend="wasm",
        batch_size=4,
        start=0,
        stop=N,
        inputs=(TensorFile("x", str(folder / "x.npy"), 128, (4,), "float32", "x", 0),),
        outputs=(TensorFile("y", str(folder / "y.npy"), 128, (2,), "float32", "y", 0),),
        options=ExecutorOptions(),
        python=FORMATS["tfjs"].python,
        taps=Taps(str(folder / "taps.bin"), ("a", "b")) if taps else None,
    )


class Study:
    """The side of the study: performs requests in threads, and takes down what it gets."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.said, self.ended = desk, [], False
        self.session = Session(self.said.append, lambda: self.ended)

    def ask(self, request: Any) -> threading.Thread:
        thread = threading.Thread(target=self._perform, args=(request,), daemon=True)
        thread.start()
        return thread

    def _perform(self, request: Any) -> None:
        try:
            self.desk.perform(self.session, request)
        except Exception as error:  # noqa: BLE001 (a test looks at it)
            self.said.append({"type": type(error).__name__})

    @property
    def kinds(self) -> list[str]:
        """Types of the messages, without signs of life."""
        return [one["type"] for one in self.said if one["type"] != "waiting"]

    @property
    def reason(self) -> str:
        return self.said[-1]["reason"]


@contextmanager
def serving(folder: Path, patience: Patience | None = None, **more: Any) -> Iterator[PhoneServer]:
    """A server on loopback with a small bundle."""
    dist = folder / "dist"
    (dist / "browser").mkdir(parents=True)
    (dist / "litert").mkdir()
    for name in ("phone.html", "phone-frame.html", "phone.js", "phone.css", "browser.js"):
        (dist / "browser" / name).write_text(name)
    (dist / "litert" / "runtime.wasm").write_bytes(b"\0asm")
    (dist / "stamp").write_text("nobody's business")
    server = PhoneServer(Desk(patience or small_patience()), dist, ("127.0.0.1", 0), hosts=("localhost",), **more)
    server.begin()
    try:
        yield server
    finally:
        server.stop()


class FakePhone:
    """A client that says what it likes.

    Args:
        address: Of the page.
        secured: How it trusts the server's certificate, for `https`.
    """

    def __init__(self, address: str, secured: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(address)
        self.host, self.token, self.origin = parts.netloc, parts.path.strip("/"), f"{parts.scheme}://{parts.netloc}"
        self.secured, self.cookie, self.page, self.seen = secured, "", -1, -1
        self.headers: Any = None

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, plain: bool = False, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of a path as it stands; `plain` leaves cookie and origin out."""
        if self.secured is None:
            connection = http.client.HTTPConnection(self.host, timeout=20)
        else:
            connection = http.client.HTTPSConnection(self.host, timeout=20, context=self.secured)
        if not plain:
            headers = {**({"Cookie": self.cookie} if self.cookie else {}), **headers}
            headers = {**({"Origin": self.origin} if method == "POST" else {}), **headers}
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None and "Content-Length" not in headers:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            self.headers = answer.headers
            return answer.status, answer.read()
        finally:
            connection.close()

    def own(self, name: str, **asked: Any) -> tuple[int, bytes]:
        """The same below the page's address."""
        return self.ask(f"/{self.token}/{name}", **asked)

    def post(self, name: str, body: bytes | str | dict[str, Any], **asked: Any) -> int:
        """Send a body, and return the status."""
        text = json.dumps(body) if isinstance(body, dict) else body
        return self.own(name, method="POST", body=text.encode() if isinstance(text, str) else text, **asked)[0]

    def hello(self, **facts: Any) -> int:
        """Open the page; returns the status."""
        told = json.dumps({**FACTS, **facts}).encode()
        status, body = self.own("hello", method="POST", body=told)
        if status == 200:
            self.page, self.seen = json.loads(body)["page"], -1
            self.cookie = self.headers["Set-Cookie"].partition(";")[0]
        return status

    def news(self) -> dict[str, Any]:
        """What the server wants, as soon as it is new or after its time."""
        status, body = self.own(f"news?page={self.page}&seen={self.seen}")
        assert status == 200, (status, body)
        told: dict[str, Any] = json.loads(body)
        self.seen = told["version"]
        return told

    def dispatch(self, other_than: str | None = None) -> str:
        """The dispatch to run, as soon as there is one."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            key = self.news()["run"]
            if key is not None and key != other_than:
                return str(key)
        raise TimeoutError("nothing to run")

    def job(self, key: str) -> dict[str, Any]:
        """The request of a dispatch."""
        status, body = self.own(f"run/{key}/job")
        assert status == 200
        told: dict[str, Any] = json.loads(body)
        return told

    def write(self, key: str, at: int, values: np.ndarray, name: str = "output/0") -> int:
        return self.post(f"run/{key}/{name}?at={at}", values.tobytes())

    def tell(self, key: str, message: dict[str, Any] | str, seq: int | None = None) -> int:
        return self.post(f"run/{key}/message{'' if seq is None else f'?seq={seq}'}", message)

    def run_batches(self, key: str, outputs: np.ndarray, most: int | None = None) -> int:
        """Send the outputs of a run batch by batch, at most so many; returns the number of samples that are done."""
        job = self.job(key)["job"]
        (output,) = job["outputs"]
        row = outputs[:1].nbytes
        self.tell(key, {"type": "ready", "ran_on": f"phone-{job['backend']}", "environment": {"told": "yes"}})
        done = job["start"]
        for first in range(job["start"], job["stop"], job["batch_size"]):
            if most is not None and first - job["start"] >= most * job["batch_size"]:
                return done
            last = min(first + job["batch_size"], job["stop"])
            assert self.write(key, output["offset"] + first * row, outputs[first:last]) == 204
            self.tell(key, {"type": "progress", "done": last, "batch": last - first, "seconds": 0.01})
            done = last
        first = min(job["batch_size"], job["stop"])
        same = {"way": "again", "samples": first, "differing": 0, "largest": 0.0, "scale": 1.0}
        self.tell(key, {"type": "repeated", **same})
        self.tell(key, {"type": "done"})
        return done


def obey(phone: FakePhone, answer: Callable[[FakePhone, str], None]) -> None:
    """Answer every dispatch until the server says that nothing follows."""
    last = None
    while (news := phone.news())["over"] is None:
        key = news["run"]
        if key is not None and key != last:
            last = key
            answer(phone, key)
