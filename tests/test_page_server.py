"""The server from which a page gets its job: what it answers, and that it refuses all other requests."""

import contextlib
import http.client
import itertools
import json
import queue
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

from quantlab.formats import FORMATS
from quantlab.runtimes import Job, Taps
from quantlab.runtimes.calls import Call, FedTensor
from quantlab.runtimes.exchange import TensorFile
from quantlab.runtimes.page_files import Served
from quantlab.runtimes.page_job import Parent
from quantlab.runtimes.page_server import start_server
from quantlab.runtimes.requests import Tap, Try
from quantlab.types.executor_options import ExecutorOptions, ExternalFile

SECRET = b"nobody's business"


class Page:
    """A job's server, and a client that says what it likes."""

    def __init__(self, folder: Path, **options: float) -> None:
        self.said, self.requests = queue.Queue(), iter([{"start": 0, "stop": 2}])
        artifact, dist = folder / "artifact", folder / "dist"
        (artifact / "deep").mkdir(parents=True)
        (dist / "browser").mkdir(parents=True)
        (dist / "litert").mkdir()
        (folder / "secret").write_bytes(SECRET)
        (folder / "artifact-too").mkdir()
        (folder / "artifact-too" / "secret").write_bytes(SECRET)
        (artifact / "model.json").write_text("{}")
        (artifact / "deep" / "shard 1%.bin").write_bytes(b"weights")
        (artifact / "inside").symlink_to(artifact / "model.json")
        (artifact / "out").symlink_to(folder / "secret")
        (artifact / "up").symlink_to(folder)
        (dist / "browser" / "browser.html").write_text("<!doctype html>")
        (dist / "browser" / "browser.js").write_text("main()")
        (dist / "litert" / "runtime.wasm").write_bytes(b"\0asm")
        (dist / "stamp").write_bytes(SECRET)
        for name in ("x", "y"):
            np.save(folder / f"{name}.npy", np.arange(4, dtype=np.float32))
        external = (
            ExternalFile("w.bin", str(artifact / "deep" / "shard 1%.bin")),
            ExternalFile("gone.bin", str(folder / "gone.bin")),
        )
        job = Job(
            format="tfjs",
            artifact=str(artifact),
            backend="wasm",
            batch_size=1,
            start=0,
            stop=1,
            inputs=(TensorFile("x", str(folder / "x.npy"), 0, (4,), "float32", "x", 0),),
            outputs=(TensorFile("y", str(folder / "y.npy"), 0, (4,), "float32", "y", 0),),
            options=ExecutorOptions(external_data=external),
            python=FORMATS["tfjs"].python,
            taps=Taps(str(folder / "taps.bin"), ("a",), (1,)),
        )
        self.opened = threading.Event()
        parent = Parent(self.opened.set, self.hear, self.next_request, lambda: {"bytes": 5})
        self.folder = folder
        self.address, self.stop = start_server(Served.of(Tap(job, 0, 2)), parent, dist, **options)
        self.host, self.token = urlsplit(self.address).netloc, urlsplit(self.address).path.strip("/")

    def next_request(self, seconds: float) -> dict | None:
        """What the parent asks; `queue.Empty` instead of a request stands for one that it is slow to ask."""
        request = next(self.requests, None)
        if request is queue.Empty:
            time.sleep(seconds)
            raise queue.Empty
        return request

    def hear(self, message: dict) -> None:
        """Slow to take the first message of several."""
        time.sleep(0.3 if message["type"] == "ready" else 0)
        self.said.put(message)

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body, of a path as it stands: no library between us and the server tidies it up."""
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            self.headers = answer.headers
            return answer.status, answer.read()
        finally:
            connection.close()

    def own(self, name: str, **asked) -> tuple[int, bytes]:
        """The same below the page's address."""
        return self.ask(f"/{self.token}/{name}", **asked)


@pytest.fixture
def page(tmp_path):
    made = Page(tmp_path)
    yield made
    made.stop()


def test_what_a_page_gets(page):
    assert page.own("") == (200, b"<!doctype html>")
    assert page.own("browser.js") == (200, b"main()")
    assert page.own("litert/runtime.wasm") == (200, b"\0asm")
    assert page.headers["Content-Type"] == "application/wasm"
    assert page.own("artifact/model.json") == (200, b"{}")
    assert page.own("artifact/inside") == (200, b"{}")
    assert page.own(quote("artifact/deep/shard 1%.bin")) == (200, b"weights")
    assert page.own("external/0") == (200, b"weights")
    assert page.own("memory") == (200, b'{"bytes": 5}')
    assert page.own("blank") == (200, b"")
    assert page.own("request") == (200, b'{"start": 0, "stop": 2}')
    assert page.own("request") == (204, b"")


def test_the_job_names_no_path(page):
    assert (page.own("browser.js")[0], page.opened.is_set()) == (200, False)
    status, body = page.own("job")
    assert page.opened.is_set()
    assert status == 200
    assert str(page.folder).encode() not in body
    asked = json.loads(body)
    job = asked.pop("job")
    assert asked == {"request": "tap", "start": 0, "stop": 2}
    assert (job["artifact"], job["taps"]) == ("artifact", {"file": "scratch", "names": ["a"], "positions": [1]})
    assert [tensor["file"] for tensor in (*job["inputs"], *job["outputs"])] == ["input/0", "output/0"]
    assert job["options"]["external_data"] == [
        {"path": "w.bin", "file": "external/0"},
        {"path": "gone.bin", "file": "external/1"},
    ]


def test_every_answer_is_isolated_and_fetches_from_nowhere_else(page):
    for path in (f"/{page.token}/", f"/{page.token}/gone", "/"):
        page.ask(path)
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        policy = page.headers["Content-Security-Policy"].split("; ")
        assert policy[:3] == ["default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "connect-src 'self'"]
        assert "Access-Control-Allow-Origin" not in page.headers


def test_bytes_go_where_they_belong(page):
    offset = np.load(page.folder / "x.npy", mmap_mode="r").offset
    status, body = page.own("input/0", Range=f"bytes={offset + 4}-{offset + 11}")
    assert (status, list(np.frombuffer(body, np.float32))) == (206, [1, 2])
    sent = np.float32([7, 8]).tobytes()
    assert page.own(f"output/0?at={offset + 8}", method="POST", body=sent) == (204, b"")
    assert list(np.load(page.folder / "y.npy")) == [0, 1, 7, 8]
    assert page.own("scratch?at=8", method="POST", body=sent) == (204, b"")
    assert (page.folder / "taps.bin").read_bytes() == bytes(8) + sent


def test_messages_reach_the_parent(page):
    assert page.own("message", method="POST", body=b'{"type": "done"}') == (204, b"")
    for body in (b"", b"[]", b"{}", b'{"type": 1}', b"\xff"):
        assert page.own("message", method="POST", body=body) == (400, b"")
    assert (page.said.get(timeout=20), page.said.empty()) == ({"type": "done"}, True)


def test_messages_arrive_in_the_order_in_which_they_were_sent(page):
    sent = [{"type": kind} for kind in ("ready", "progress", "done")]
    for message in sent:
        # Each on a connection of its own, the next one once the one before is answered, as a page may.
        assert page.own("message", method="POST", body=json.dumps(message).encode()) == (204, b"")
    assert [page.said.get(timeout=20) for _ in sent] == sent


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "artifact",
        "artifact/",
        "artifact/out",
        "artifact/up/secret",
        "artifact/up/artifact-too/secret",
        "artifact/../secret",
        "artifact/%2e%2e/secret",
        "artifact/..%2fsecret",
        "artifact/%2e%2e%2fsecret",
        "artifact/deep/../../secret",
        "artifact/../artifact-too/secret",
        "artifact/-too/secret",
        "artifact-too/secret",
        "artifact/..\\secret",
        "artifact/%00",
        "artifact/./model.json",
        "artifact//model.json",
        "artifact//etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "stamp",
        "browser/browser.js",
        "litert/../stamp",
        "litert/%2e%2e/stamp",
        "input/1",
        "external/1",
        "external/2",
        "external/w.bin",
        "external/../secret",
        "scratch",
        "message",
    ],
)
def test_nothing_outside_the_job_is_read(page, name):
    assert page.own(name) == (404, b"")


def test_an_absolute_path_is_not_read(page):
    assert page.own(f"artifact/{page.folder}/secret") == (404, b"")
    assert page.own(f"{page.folder}/secret") == (404, b"")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("output/0?at=1000", 416, id="behind the end"),
        pytest.param("output/0?at=140", 416, id="over the end"),
        pytest.param("output/0?at=-1", 400, id="before the beginning"),
        pytest.param("output/0", 400, id="anywhere"),
        pytest.param("input/0?at=0", 404, id="over the samples"),
        pytest.param("artifact/model.json?at=0", 404, id="over the variant"),
        pytest.param("artifact/out?at=0", 404, id="through a link"),
        pytest.param("job?at=0", 404, id="over the job"),
    ],
)
def test_nothing_else_is_written(page, name, status):
    before = {path: path.read_bytes() for path in page.folder.rglob("*") if path.is_file()}
    assert page.own(name, method="POST", body=b"12345678") == (status, b"")
    assert {path: path.read_bytes() for path in page.folder.rglob("*") if path.is_file()} == before


def test_a_range_is_asked_for(page):
    for text in ("", "bytes=5-2", "bytes=-5", "bytes=5-", "bytes=0-1,3-4", "bytes=100000-100001"):
        for name in ("input/0", "output/0"):
            assert page.own(name, **({"Range": text} if text else {})) == (416, b"")
    size = (page.folder / "x.npy").stat().st_size
    status, body = page.own("input/0", Range=f"bytes={size - 4}-{size + 100}")
    assert (status, list(np.frombuffer(body, np.float32))) == (206, [3])


NAMES = ["", "job", "browser.js", "artifact/model.json", "request", "memory", "blank", "input/0", "external/0"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_answered_without_the_token(page, name):
    wrong = page.token[:-1] + ("a" if page.token[-1] != "a" else "b")
    for path in (f"/{name}", f"//{name}", f"/{wrong}/{name}", f"/{page.token[:-1]}/{name}", f"/{page.token}x/{name}"):
        assert page.ask(path, Range="bytes=0-5") == (404, b"")
    assert page.ask(f"/{quote('ü')}/{name}") == (404, b"")
    assert page.ask(f"/{page.token}") == (404, b"")
    for path in (f"/{wrong}/message", "/message", f"/{wrong}/output/0?at=0"):
        assert page.ask(path, method="POST", body=b'{"type": "done"}') == (404, b"")
    assert page.said.empty()


def test_nothing_is_answered_under_another_name(page):
    """As when a page elsewhere has its own name point here."""
    port = page.host.split(":")[1]
    for host in ("example.org", f"example.org:{port}", f"localhost:{port}", "127.0.0.1", ""):
        assert page.own("job", Host=host) == (404, b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "PATCH", "CONNECT", "NONSENSE"])
def test_nothing_is_answered_to_other_methods(page, method):
    assert page.own("job", method=method) == (404, b"")


def test_what_is_no_request_is_not_answered_with_words(page):
    for line in (b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000 + b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", int(page.host.split(":")[1])), timeout=20) as connection:
            connection.sendall(line)
            said = connection.makefile("rb").read()
        assert said.partition(b"\r\n\r\n")[2] == b""
        assert b"python" not in said.lower()


def test_only_loopback_is_served(page):
    port = int(page.host.split(":")[1])
    assert page.host == f"127.0.0.1:{port}"
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in own - {"127.0.0.1"}:
        with pytest.raises(OSError):  # noqa: PT011  # refused or out of reach, as the system likes
            socket.create_connection((address, port), timeout=2).close()


def test_nothing_is_left_of_a_job_that_ended(tmp_path):
    before = set(threading.enumerate())
    page = Page(tmp_path)
    kept_open = http.client.HTTPConnection(page.host, timeout=20)
    kept_open.request("GET", f"/{page.token}/job")
    assert kept_open.getresponse().read()
    page.stop()
    assert set(threading.enumerate()) <= before
    kept_open.close()
    with pytest.raises(ConnectionRefusedError):
        page.own("job")


SOON = 20
"""Seconds for what takes one, on a busy machine."""


@pytest.fixture
def impatient(tmp_path):
    """A server whose pages may take half a second."""
    made = Page(tmp_path, seconds=0.5)
    yield made
    made.stop()


def ended(connection: socket.socket) -> bool:
    """Whether the other side ends a connection, instead of waiting for more."""
    connection.settimeout(SOON)
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def connected(page: Page) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(page.host.split(":")[1])), timeout=SOON)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("", id="nothing"),
        pytest.param("GET /{token}/jo", id="half a line"),
        pytest.param("GET /{token}/job HTTP/1.1\r\nHost: {host}\r\n", id="half a head"),
        pytest.param(
            "POST /{token}/message HTTP/1.1\r\nHost: {host}\r\nContent-Length: 40\r\n\r\n" + '{{"type": ',
            id="half a body",
        ),
    ],
)
def test_a_request_that_stops_in_the_middle_is_ended(sent, impatient):
    with connected(impatient) as connection:
        connection.sendall(sent.format(token=impatient.token, host=impatient.host).encode())
        assert ended(connection)
    assert impatient.said.empty()
    assert impatient.own("memory") == (200, b'{"bytes": 5}')


def test_a_request_that_drips_is_ended(impatient):
    """It never pauses for as long as a request may take."""
    request = f"GET /{impatient.token}/job HTTP/1.1\r\nHost: {impatient.host}\r\nX: {'a' * 10_000}".encode()
    began, sent = time.monotonic(), 0
    with connected(impatient) as connection, contextlib.suppress(ConnectionError):
        for sent in range(len(request)):
            connection.sendall(request[sent : sent + 1])
            time.sleep(0.01)
            if time.monotonic() - began > SOON:
                break
    assert 0 < sent < len(request) - 1
    assert time.monotonic() - began < SOON


def test_an_answer_that_nobody_takes_is_ended(impatient):
    (impatient.folder / "artifact" / "large").write_bytes(bytes(50_000_000))
    before = set(threading.enumerate())
    with connected(impatient) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"GET /{impatient.token}/artifact/large HTTP/1.1\r\nHost: {impatient.host}\r\n\r\n".encode())
        until = time.monotonic() + SOON
        time.sleep(0.2)
        while set(threading.enumerate()) - before and time.monotonic() < until:
            time.sleep(0.05)
        assert set(threading.enumerate()) <= before


def test_a_page_may_take_its_time_between_requests_and_for_the_parents(impatient):
    impatient.requests = iter([queue.Empty, queue.Empty, queue.Empty, {"start": 2, "stop": 3}])
    kept_open = http.client.HTTPConnection(impatient.host, timeout=SOON)
    for _ in range(2):
        kept_open.request("GET", f"/{impatient.token}/memory")
        assert kept_open.getresponse().read() == b'{"bytes": 5}'
        time.sleep(0.7)
    kept_open.request("GET", f"/{impatient.token}/request")
    assert kept_open.getresponse().read() == b'{"start": 2, "stop": 3}'
    kept_open.close()


def test_an_answer_may_take_longer_than_the_limit_if_it_is_read_all_the_while(tmp_path):
    made = Page(tmp_path, seconds=1)
    size = 24 << 20
    with (tmp_path / "artifact" / "large").open("wb") as file:
        file.truncate(size)
    connection = http.client.HTTPConnection(made.host, timeout=20)
    try:
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.request("GET", f"/{made.token}/artifact/large")
        answer, read = connection.getresponse(), 0
        assert answer.status == 200
        while block := answer.read(1 << 20):
            read += len(block)
            time.sleep(0.075)
        assert read == size
    finally:
        connection.close()
        made.stop()


def test_stopping_ends_what_waits_for_the_parent_and_closes_the_socket(tmp_path):
    before = set(threading.enumerate())
    page = Page(tmp_path)
    page.requests = itertools.repeat(queue.Empty)
    port = int(page.host.split(":")[1])
    with connected(page) as waiting, connected(page) as half:
        waiting.sendall(f"GET /{page.token}/request HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode())
        half.sendall(b"GET /")
        time.sleep(0.2)
        began = time.monotonic()
        page.stop()
        assert time.monotonic() - began < SOON
        assert set(threading.enumerate()) <= before
        assert ended(waiting)
        assert ended(half)
    with socket.socket() as other:  # the port is free for whoever listens next
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()


def test_two_jobs_have_nothing_in_common(tmp_path):
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pages.append(Page(tmp_path / name))
    one, two = pages
    assert one.token != two.token
    assert one.host != two.host
    assert two.ask(f"/{one.token}/job") == (404, b"")
    for page in pages:
        page.stop()


@pytest.fixture
def served_calls(tmp_path):
    """The files of two calls, each of one array."""
    job = Job("tfjs", str(tmp_path), "wasm", 1, 0, 0, (), (), ExecutorOptions(), FORMATS["tfjs"].python)
    calls = []
    for name in ("a", "b"):
        (tmp_path / f"{name}.bin").write_bytes(name.encode())
        fed = FedTensor("x", str(tmp_path / f"{name}.bin"), (1,), "uint8")
        calls.append(Call((fed,), "in order", str(tmp_path / f"{name}-output")))
    return Served.of(Try(job, "", tuple(calls)))


def test_the_files_of_calls_have_names_of_the_page(served_calls, tmp_path):
    assert str(tmp_path) not in json.dumps(served_calls.asked)
    assert [(call["inputs"][0]["file"], call["outputs"]) for call in served_calls.asked["calls"]] == [
        ("fed/0/0", "answer/0"),
        ("fed/1/0", "answer/1"),
    ]
    assert served_calls.find("fed/1/0") == tmp_path / "b.bin"
    assert served_calls.find("fed/2/0") is None
    assert served_calls.target("answer/1-3.bin") == tmp_path / "b-output-3.bin"
    assert served_calls.grows("answer/1-3.bin")


@pytest.mark.parametrize(
    "name",
    ["answer/2-0.bin", "answer/0", "answer/0-0", "answer/0-x.bin", "answer/0-0.bin/..", "answer/../a-0.bin", "fed/0/0"],
)
def test_nothing_else_is_written_for_calls(name, served_calls):
    assert served_calls.target(name) is None


def test_a_message_about_a_call_names_the_files(served_calls, tmp_path):
    output = {"name": "y", "shape": [1], "dtype": "float32"}
    told = {"type": "tried", "refused": None, "outputs": [{**output, "file": "answer/0-0.bin"}]}
    assert served_calls.told(told) == {**told, "outputs": [{**output, "file": str(tmp_path / "a-output-0.bin")}]}
    assert served_calls.told({"type": "done"}) == {"type": "done"}
