"""What keeps a browser from running a job is reported in time: it does not start, a page hangs, a file is missing."""

import asyncio
import json
import selectors
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest
from command_line import PATIENCE, processes_marked, write_program

from quantlab.errors import RuntimeUnavailable
from quantlab.runtimes import chromium
from quantlab.runtimes.browser import FoundBrowser, find_browser, start_seconds
from quantlab.runtimes.bundle import refuse_incomplete

LIMIT = 28.0


class SkippingSelector(selectors.DefaultSelector):
    """Does not wait, and adds up how long it would have waited."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list:
        events = super().select(0)
        if not events:
            self.waited += timeout or 0.0
        return events


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next thing that is due."""

    def __init__(self) -> None:
        self.selector = SkippingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.waited


class Devtools:
    """A browser's, which opens every page at once; the page never asks for its job."""

    def on(self, event: str, call: object) -> None: ...

    async def send(self, method: str, parameters: object = None) -> dict[str, object]:  # noqa: ARG002 (as Playwright's)
        return {"browserContextId": "context", "targetId": "page", "processInfo": []}


class Browser:
    async def new_browser_cdp_session(self) -> Devtools:
        return Devtools()


@dataclass
class SlowHost:
    """A host whose browser takes so long to start."""

    takes: float
    settings: chromium.Settings = field(default_factory=lambda: chromium.Settings("chromium", LIMIT, sandbox=True))
    browser: Browser | None = None
    graphics: set[int] = field(default_factory=set)

    async def started(self, backend: str, address: str) -> Browser:  # noqa: ARG002 (as the host's)
        if self.browser is None:
            await asyncio.sleep(self.takes)
            self.browser = Browser()
        return self.browser


@pytest.mark.parametrize(
    ("takes", "reason"),
    [
        pytest.param(1e9, chromium.NOT_STARTED, id="a browser that does not start"),
        pytest.param(0.0, chromium.NOT_LOADED, id="a page that does not load"),
        pytest.param(LIMIT - 0.5, chromium.NOT_LOADED, id="a slow browser, and a page that does not load"),
    ],
)
def test_one_limit_is_for_the_browser_and_its_page(takes, reason):
    """Together they take no longer than either alone; the clock is not a real one."""
    loop, channel = SkippingLoop(), BytesIO()
    talk = chromium.Talk(channel, loop, chromium.Requests())
    try:
        whole = loop.run_until_complete(chromium.show(SlowHost(takes), "wasm", "http://127.0.0.1/", talk))
    finally:
        loop.close()
    talk.end(kept=False)
    assert not whole
    assert loop.time() == LIMIT
    assert json.loads(channel.getvalue()) == {"type": "failed", "reason": reason.format(LIMIT)}


def test_a_page_that_loads_has_no_limit_for_its_job():
    loop, channel = SkippingLoop(), BytesIO()
    talk = chromium.Talk(channel, loop, chromium.Requests())

    async def job() -> None:
        await asyncio.sleep(LIMIT - 1)
        talk.hear_opened()
        await asyncio.sleep(9 * LIMIT)
        talk.say({"type": "failed", "reason": "as the page said"})

    async def both() -> None:
        await asyncio.gather(chromium.show(SlowHost(LIMIT / 2), "wasm", "http://127.0.0.1/", talk), job())

    try:
        loop.run_until_complete(both())
    finally:
        loop.close()
    talk.end(kept=False)
    assert json.loads(channel.getvalue())["reason"] == "as the page said"


@pytest.mark.parametrize(
    ("took", "stall_seconds", "left"),
    [
        pytest.param(0.3, 600.0, 27, id="most of the limit"),
        pytest.param(20.0, 600.0, 8, id="a slow version counts"),
        pytest.param(0.3, 10.0, 5, id="a study of little patience"),
        pytest.param(0.3, 1e9, 27, id="a study of great patience"),
        pytest.param(27.9, 600.0, 1, id="never nothing"),
    ],
)
def test_what_the_version_took_is_not_had_again(took, stall_seconds, left):
    assert start_seconds(FoundBrowser("chromium", "131.0.0.0", took), stall_seconds, LIMIT) == left


def test_a_browser_that_hangs_is_asked_for_its_version_once(tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    program = write_program(tmp_path / "hangs", f"echo call >> '{calls}'\nsleep 3000")
    monkeypatch.setenv("QUANTLAB_CHROME", str(program))
    said = []
    for _ in range(3):
        with pytest.raises(RuntimeUnavailable) as refused:
            find_browser(limit_seconds=2.0)
        said.append(str(refused.value))
    assert calls.read_text() == "call\n"
    until = time.monotonic() + PATIENCE
    while processes_marked(str(program)) and time.monotonic() < until:  # a process that was ended takes a moment
        time.sleep(0.01)
    assert processes_marked(str(program)) == []  # what the program had started
    reason = (
        f"the browser at '{program}' does not start (Command '['{program}', '--version']' timed out after 2.0 "
        f"seconds); install one ('apt-get install chromium' on Debian), name one with QUANTLAB_CHROME, or leave these "
        f"runtimes out with --runtimes"
    )
    assert said == [reason] * 3


@pytest.fixture
def dist(tmp_path) -> Path:
    """A bundle of two files."""
    (tmp_path / "browser").mkdir()
    for name in ("node.cjs", "browser/browser.js"):
        (tmp_path / name).write_text("code")
    (tmp_path / "files.json").write_text('{"node.cjs": 4, "browser/browser.js": 4}')
    return tmp_path


def test_a_whole_bundle(dist):
    refuse_incomplete(dist)


def test_a_bundle_of_before_has_no_list(dist):
    (dist / "files.json").unlink()
    refuse_incomplete(dist)


AGAIN = "install quantlab again, with 'pip install --force-reinstall quantlab'"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(
            lambda dist: (dist / "browser" / "browser.js").unlink(),
            f"the file '{{dist}}/browser/browser.js' of quantlab's JavaScript is missing; {AGAIN}",
            id="a file is missing",
        ),
        pytest.param(
            lambda dist: (dist / "node.cjs").write_text("cod"),
            f"the file '{{dist}}/node.cjs' of quantlab's JavaScript has 3 bytes instead of 4; {AGAIN}",
            id="a file is cut short",
        ),
        pytest.param(
            lambda dist: (dist / "files.json").write_text("{"),
            f"'{{dist}}/files.json' cannot be read (Expecting property name enclosed in double quotes: line 1 column 2 "
            f"(char 1)); {AGAIN}",
            id="the list is damaged",
        ),
        pytest.param(
            lambda dist: [(dist / name).unlink() for name in ("files.json", "node.cjs")],
            "the JavaScript of quantlab is not bundled in this checkout; install it with 'pip install -e .'",
            id="there is none",
        ),
    ],
)
def test_a_bundle_that_is_not_whole(damage, reason, dist):
    damage(dist)
    with pytest.raises(RuntimeUnavailable) as refused:
        refuse_incomplete(dist)
    assert str(refused.value) == reason.format(dist=dist)
