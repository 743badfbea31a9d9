"""The program that runs jobs in Chromium: `python -m quantlab.runtimes.chromium BROWSER SECONDS [--no-sandbox]`.

It reads requests on standard input (see `quantlab.runtimes.requests`). It starts the browser with Playwright at the
first request, and keeps it. SECONDS is the time limit for the browser to start and a page to load. Each job has its own
server for its page and its own browser context, that is, a new profile and a new process for the page. Messages of
the page are passed on as JSON lines. A job with taps is the last one: the requests that follow are for its page, which
has the variant open.

This process ends after a job that failed, or if a part of the browser crashed; if the job was done nevertheless,
`ending` of its `done` is true. The browser's temporary files are in TMPDIR, which no other process uses. When standard
input closes, the parent is gone: the browser, its folder and this process end, whatever they are doing.
"""

import argparse
import asyncio
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from playwright.async_api import Browser, BrowserType, CDPSession, Error, async_playwright

from quantlab.processes import Document, hold
from quantlab.runtimes.browser_tree import end_browser, peak_memory_bytes
from quantlab.runtimes.bundle import DIST
from quantlab.runtimes.page_files import Served
from quantlab.runtimes.page_job import Parent
from quantlab.runtimes.page_server import start_server
from quantlab.runtimes.requests import Request, Tap, request_document, request_from

__all__ = ["NOT_LOADED", "NOT_STARTED", "Requests", "Settings", "Talk", "show"]

_CLOSE_SECONDS = 10.0
"""Time limit for a browser to close a page after its job."""

_FLAGS = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No host name resolves, so that the browser contacts no network, only the server on 127.0.0.1.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # Without a graphics card, WebGL uses software rendering, and the row says so.
    "--enable-unsafe-swiftshader",
)
_WEBGPU = ("--enable-unsafe-webgpu",)
_SOFTWARE_WEBGPU = (*_WEBGPU, "--use-webgpu-adapter=swiftshader")

_CRASHED = (
    "the page crashed in the browser, probably because memory ran out; "
    "run fewer samples at once with --batch-size, or leave this runtime out with --runtimes"
)
_GONE = "the browser ended during its work, perhaps because the system ran out of memory"
NOT_STARTED = (
    "the browser did not start within {:g} seconds; close programs that keep this machine busy, or name another "
    "browser with QUANTLAB_CHROME"
)
NOT_LOADED = (
    "the page did not load in the browser within {:g} seconds; close programs that keep this machine busy, and if it "
    "still does not load, install quantlab again, since a file of it may be missing"
)
_NO_SANDBOX = (
    "the browser found no sandbox that it may use; allow user namespaces (on Debian and Ubuntu "
    "'sysctl kernel.unprivileged_userns_clone=1' or 'kernel.apparmor_restrict_unprivileged_userns=0'), "
    "or install its own with 'apt-get install chromium-sandbox'"
)


Requests = queue.Queue[Document]
"""Further requests for a page."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the browser."""

    program: str
    seconds: float
    """Time limit for its start and for a page to load, together."""
    sandbox: bool


@dataclass(slots=True)
class Talk:
    """Passes messages from the page of a job to the parent."""

    channel: BinaryIO
    loop: asyncio.AbstractEventLoop
    requests: Requests
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last: Document | None = None
    """`done` or `failed`; sent to the parent after everything that the job opened is closed."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, message: Document) -> None:
        """Pass a message to the parent, or a log message to the log; nothing is passed on after the last message.

        The reply to a request for taps ends the request, but not the work of the page.
        """
        if message["type"] == "log":
            print(message["text"], file=sys.stderr)
            return
        with self._lock:
            if self.last is not None:
                return
            if message["type"] not in {"done", "failed"}:
                self._write(message)
                if message["type"] == "tapped":
                    self._write({"type": "done"})
                return
            self.last = message
        self.loop.call_soon_threadsafe(self.opened.set)
        self.loop.call_soon_threadsafe(self.ended.set)

    def _write(self, message: Document) -> None:
        self.channel.write(json.dumps(message, allow_nan=False).encode() + b"\n")

    def hear_opened(self) -> None:
        """Record that the page has loaded."""
        self.loop.call_soon_threadsafe(self.opened.set)

    def fail(self, reason: str) -> None:
        """Send a failure as the last message."""
        self.say({"type": "failed", "reason": reason})

    @property
    def done(self) -> bool:
        """Whether the job succeeded."""
        return self.last is not None and self.last["type"] == "done"

    def end(self, *, kept: bool) -> None:
        """Send the last message; `done` also says whether this process ends."""
        assert self.last is not None  # noqa: S101 (every job ends with a last message)
        self._write({**self.last, **({"ending": True} if self.done and not kept else {})})


def _end_all(folder: Path) -> NoReturn:
    end_browser(folder)
    os._exit(1)


def _listen(take: Callable[[Request, Requests], None], folder: Path) -> NoReturn:
    """Call `take` with each request and the queue of the requests that follow it, until standard input closes.

    Then the parent is gone. The last line of a parent that was killed may be incomplete.
    """
    try:
        requests = (request_from(json.loads(line)) for line in sys.stdin.buffer)
        for request in requests:
            following: Requests = queue.Queue()
            take(request, following)
            if isinstance(request, Tap):
                for more in requests:
                    following.put(request_document(more))
    finally:
        _end_all(folder)


async def _launch(chromium: BrowserType, settings: Settings, extra: tuple[str, ...]) -> Browser:
    return await chromium.launch(
        executable_path=settings.program,
        headless=True,
        args=[*_FLAGS, *extra],
        chromium_sandbox=settings.sandbox,
        timeout=0,  # the limit is that of the whole start, with the page
        # Only the parent ends this process, so Ctrl-C is ignored.
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
    )


async def _launch_for(chromium: BrowserType, settings: Settings, backend: str, address: str) -> Browser:
    """Start a browser with the flags of a backend; WebGPU uses software rendering if no card supports it."""
    if backend != "webgpu":
        return await _launch(chromium, settings, ())
    browser = await _launch(chromium, settings, _WEBGPU)
    page = await browser.new_page()
    await page.goto(f"{address}blank", timeout=0)
    if await page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
        await page.close()
        return browser
    await browser.close()
    return await _launch(chromium, settings, _SOFTWARE_WEBGPU)


@dataclass(slots=True)
class _Host:
    """The browser, once it runs, and its current job."""

    folder: Path
    settings: Settings
    channel: BinaryIO
    browser: Browser | None = None
    graphics: set[int] = field(default_factory=set)
    """Ids of its graphics processes. The browser replaces one that ends, but then renders differently."""
    talk: Talk | None = None

    async def started(self, backend: str, address: str) -> Browser:
        """Return the browser; the first job starts it."""
        if self.browser is None:
            playwright = await async_playwright().start()
            self.browser = await _launch_for(playwright.chromium, self.settings, backend, address)
            self.browser.on("disconnected", lambda _: self._lose())
        return self.browser

    def _lose(self) -> None:
        if self.talk is None:
            self.channel.close()  # first of all, so that the parent sends no other job
            _end_all(self.folder)
        self.talk.fail(_GONE)

    @property
    def connected(self) -> bool:
        """Whether the browser runs."""
        return self.browser is not None and self.browser.is_connected()


async def show(host: _Host, backend: str, address: str, talk: Talk) -> bool:
    """Open the page, wait for its last message and close it; return whether the browser is intact afterwards.

    One time limit is for the start of the browser, if it does not run yet, and for the page together.
    """
    seconds = host.settings.seconds
    try:
        async with asyncio.timeout(seconds):
            browser = await host.started(backend, address)
            devtools = await browser.new_browser_cdp_session()
            context = await _open(devtools, address, talk)
            await talk.opened.wait()
            host.graphics |= await _graphics(devtools)  # not earlier: a browser that has just started has none
    except TimeoutError:
        talk.fail((NOT_STARTED if host.browser is None else NOT_LOADED).format(seconds))
    await talk.ended.wait()
    return talk.done and await _close(devtools, context) and host.graphics <= await _graphics(devtools)


async def _graphics(devtools: CDPSession) -> set[int]:
    processes = (await devtools.send("SystemInfo.getProcessInfo"))["processInfo"]
    return {process["id"] for process in processes if process["type"] == "GPU"}


async def _open(devtools: CDPSession, address: str, talk: Talk) -> str:
    """Open the page in its own context and return the context's id; a crash of the page fails the job.

    This does not use Playwright's pages, for which the browser would keep the bytes of every batch for its inspector.
    """
    ours: set[str] = set()
    crashed: set[str] = set()

    def check() -> None:
        if ours & crashed:
            talk.fail(_CRASHED)

    def crash(event: Mapping[str, Any]) -> None:
        crashed.add(event["targetId"])
        check()

    devtools.on("Target.targetCrashed", crash)
    await devtools.send("Target.setDiscoverTargets", {"discover": True})
    context = (await devtools.send("Target.createBrowserContext", {"disposeOnDetach": True}))["browserContextId"]
    page = await devtools.send("Target.createTarget", {"url": address, "browserContextId": context})
    ours.add(page["targetId"])
    check()  # it may have crashed before its id was known
    return str(context)


async def _close(devtools: CDPSession, context: str) -> bool:
    """Close a context with its page and its data; return whether the browser did so in time."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await devtools.send("Target.disposeBrowserContext", {"browserContextId": context})
    except TimeoutError:
        return False
    return True


def _why(error: Error) -> str:
    """Playwright's error as a sentence, without its log, for a browser that does not start."""
    text = str(error)
    if "No usable sandbox" in text or "sandbox_host_linux" in text:
        return _NO_SANDBOX
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "error while loading" in line]
    return f"the browser could not be started or stopped working: {lines[0]}" + (f" ({errors[-1]})" if errors else "")


async def _run(request: Request, host: _Host, talk: Talk) -> bool:
    """Run a job until its last message, and close what it opened; return whether the browser can take another."""
    backend = request.job.backend
    kinds = ("renderer", "gpu-process") if backend.startswith("webg") else ("renderer",)

    def memory() -> Document:
        peak = peak_memory_bytes(host.folder, kinds)
        told = {"reason": "this system does not report the peak memory of the browser's processes"}
        return {"bytes": peak, **({} if peak is not None else told)}

    try:
        served = Served.of(request)
        parent = Parent(
            talk.hear_opened,
            lambda message: talk.say(served.told(message)),
            lambda wait: talk.requests.get(timeout=wait),
            memory,
        )
        address, stop = start_server(served, parent, DIST)
    except OSError as error:
        talk.fail(
            f"no port on 127.0.0.1 is available for the page ({error.strerror}); close programs that use many ports"
        )
        return False
    try:
        whole = await show(host, backend, address, talk)
    except Error as error:
        talk.fail(_why(error))
        return False
    if whole:
        await asyncio.to_thread(stop)
    return whole and host.connected


async def _serve(channel: BinaryIO, folder: Path, settings: Settings) -> NoReturn:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[Request, Requests]] = asyncio.Queue()

    def take(request: Request, following: Requests) -> None:
        loop.call_soon_threadsafe(waiting.put_nowait, (request, following))

    threading.Thread(target=_listen, args=(take, folder), daemon=True).start()
    host = _Host(folder, settings, channel)
    while True:
        request, following = await waiting.get()
        host.talk = talk = Talk(channel, loop, following)
        whole = await _run(request, host, talk)
        host.talk = None
        if not whole or isinstance(request, Tap):
            end_browser(folder)
            talk.end(kept=False)
            _end_all(folder)
        talk.end(kept=True)


def main() -> None:
    """Answer the requests on standard input; at their end, close the browser and exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--no-sandbox", dest="sandbox", action="store_false")
    settings = Settings(**vars(parser.parse_args()))
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # from here on, all prints go to the log
    folder = Path(os.environ["TMPDIR"])
    hold(folder)  # so that no other program considers it abandoned when the parent is gone
    asyncio.run(_serve(channel, folder, settings))


if __name__ == "__main__":
    main()
