"""The program that runs jobs in Chromium: `python -m quantlab.runtimes.chromium BROWSER SECONDS [--no-sandbox]`.

It reads requests on standard input (see `quantlab.runtimes.requests`). It starts the browser for the first one, through
Playwright, and keeps it; SECONDS is how long the browser may take to start, and a page to load. Each job has a server
of its own for its page, and a browser context of its own: a fresh profile, and a fresh process for the page. What the
page says is passed on as JSON lines. A job that is read inside is the last one: the requests that follow are for its
page, which has the variant open.

After a job that failed, and where a part of the browser was lost, this process ends; where the job was done all the
same, `done` says so (`ending` is true). The browser's temporary files lie in TMPDIR, a folder of its own. When standard
input closes, the parent is gone, and so are the browser, its folder and this process; for a job that is read inside it
is the end of the requests.
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
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from quantlab.processes import Document
from quantlab.runtimes.browser_tree import end_browser, peak_memory_bytes
from quantlab.runtimes.bundle import DIST
from quantlab.runtimes.page_server import Parent, Served, start_server
from quantlab.runtimes.requests import Request, Tap, request_document, request_from

_CLOSE_SECONDS = 10.0
"""For a browser to close a page that has done its work."""

_FLAGS = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No name means anything but our own server's number: nothing is asked of any network.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # Where there is no graphics card, WebGL runs in software, and the row says so.
    "--enable-unsafe-swiftshader",
)
_WEBGPU = ("--enable-unsafe-webgpu",)
_SOFTWARE_WEBGPU = (*_WEBGPU, "--use-webgpu-adapter=swiftshader")

_CRASHED = (
    "the page crashed in the browser, as it does where memory runs out; "
    "run fewer samples at once with --batch-size, or leave this runtime out with --runtimes"
)
_GONE = "the browser ended in the middle of its work, which may be the system that ran out of memory"
_NOT_STARTED = (
    "the browser did not start within {:g} seconds; close programs that keep this machine busy, or name another "
    "browser with QUANTLAB_CHROME"
)
_NOT_LOADED = (
    "the page did not load in the browser within {:g} seconds; close programs that keep this machine busy, and if it "
    "still does not load, install quantlab again, since a file of it may be missing"
)
_NO_SANDBOX = (
    "the browser found no sandbox that it may use; allow user namespaces (on Debian and Ubuntu "
    "'sysctl kernel.unprivileged_userns_clone=1' or 'kernel.apparmor_restrict_unprivileged_userns=0'), "
    "or install its own with 'apt-get install chromium-sandbox'"
)


Requests = queue.Queue[Document | None]
"""What the parent asks of a page beside its job, None where it asks no more."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """Of the browser."""

    program: str
    seconds: float
    """For it to start, and for a page to load."""
    sandbox: bool


@dataclass(slots=True)
class _Talk:
    """Between the page of a job and the parent."""

    channel: BinaryIO
    loop: asyncio.AbstractEventLoop
    requests: Requests
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    last: Document | None = None
    """`done` or `failed`: the parent hears it when all that the job opened is closed."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, message: Document) -> None:
        """Pass a message on, and what is meant for the log to the log; after the last message nothing follows.

        What was read inside a variant is the end of a request, and not of the page's work.
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
        """Note that the page has loaded."""
        self.loop.call_soon_threadsafe(self.opened.set)

    def fail(self, reason: str) -> None:
        """Say why there is nothing more to come."""
        self.say({"type": "failed", "reason": reason})

    @property
    def done(self) -> bool:
        """Whether the job was done."""
        return self.last is not None and self.last["type"] == "done"

    def end(self, *, kept: bool) -> None:
        """Pass the last message on, and with `done` whether this process takes no other job."""
        assert self.last is not None  # noqa: S101 (whatever ends a job leaves one)
        self._write({**self.last, **({"ending": True} if self.done and not kept else {})})


def _end_all(folder: Path) -> NoReturn:
    end_browser(folder)
    os._exit(1)


def _listen(take: Callable[[Request, Requests], None], folder: Path) -> None:
    """Hand on each request with the queue of those that follow it, until standard input closes."""
    requests = (request_from(json.loads(line)) for line in sys.stdin.buffer)
    for request in requests:
        following: Requests = queue.Queue()
        take(request, following)
        if isinstance(request, Tap):
            for more in requests:
                following.put(request_document(more))
            following.put(None)
            return
    _end_all(folder)


async def _launch(chromium: BrowserType, settings: _Settings, extra: tuple[str, ...]) -> Browser:
    return await chromium.launch(
        executable_path=settings.program,
        headless=True,
        args=[*_FLAGS, *extra],
        chromium_sandbox=settings.sandbox,
        timeout=settings.seconds * 1000,
        # The parent decides when we end; nobody else's Ctrl-C does.
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
    )


async def _launch_for(chromium: BrowserType, settings: _Settings, backend: str, address: str) -> Browser:
    """A browser that has what a backend needs; WebGPU in software where no card has it."""
    if backend != "webgpu":
        return await _launch(chromium, settings, ())
    browser = await _launch(chromium, settings, _WEBGPU)
    page = await browser.new_page()
    await page.goto(f"{address}blank")
    if await page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
        await page.close()
        return browser
    await browser.close()
    return await _launch(chromium, settings, _SOFTWARE_WEBGPU)


@dataclass(slots=True)
class _Host:
    """The browser, once it runs, and the job that it has now."""

    folder: Path
    settings: _Settings
    browser: Browser | None = None
    graphics: set[int] = field(default_factory=set)
    """Its graphics processes. It replaces one that ends, but does not draw as before then."""
    talk: _Talk | None = None

    async def started(self, backend: str, address: str) -> Browser:
        """The browser, which the first job starts."""
        if self.browser is None:
            playwright = await async_playwright().start()
            self.browser = await _launch_for(playwright.chromium, self.settings, backend, address)
            self.browser.on("disconnected", lambda _: self._lose())
        return self.browser

    def _lose(self) -> None:
        if self.talk is None:
            _end_all(self.folder)
        self.talk.fail(_GONE)

    @property
    def connected(self) -> bool:
        """Whether there is a browser that runs."""
        return self.browser is not None and self.browser.is_connected()


async def _show(browser: Browser, address: str, host: _Host, talk: _Talk, seconds: float) -> bool:
    """Open the page, wait for its last message and close it; whether the browser is as it was before."""
    try:
        async with asyncio.timeout(seconds):
            devtools = await browser.new_browser_cdp_session()
            context = await _open(devtools, address, talk)
            await talk.opened.wait()
            host.graphics |= await _graphics(devtools)  # not before: a browser that has just started has none
    except TimeoutError:
        talk.fail(_NOT_LOADED.format(seconds))
    await talk.ended.wait()
    return talk.done and await _close(devtools, context) and host.graphics <= await _graphics(devtools)


async def _graphics(devtools: CDPSession) -> set[int]:
    processes = (await devtools.send("SystemInfo.getProcessInfo"))["processInfo"]
    return {process["id"] for process in processes if process["type"] == "GPU"}


async def _open(devtools: CDPSession, address: str, talk: _Talk) -> str:
    """Open the page in a context of its own, whose name is returned, and fail where it crashes.

    Not as a page of Playwright's, which would have the browser keep the bytes of every batch for its inspector.
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
    check()  # it may have crashed before we had its name
    return str(context)


async def _close(devtools: CDPSession, context: str) -> bool:
    """Close a context with its page and all that this has stored; whether the browser did so in time."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await devtools.send("Target.disposeBrowserContext", {"browserContextId": context})
    except TimeoutError:
        return False
    return True


def _why(error: Error, seconds: float) -> str:
    """What Playwright says when a browser does not start in time or at all, without the log that it adds."""
    if isinstance(error, PlaywrightTimeoutError):
        return _NOT_STARTED.format(seconds)
    text = str(error)
    if "No usable sandbox" in text or "sandbox_host_linux" in text:
        return _NO_SANDBOX
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "error while loading" in line]
    return f"the browser could not be started or left its work: {lines[0]}" + (f" ({errors[-1]})" if errors else "")


async def _run(request: Request, host: _Host, talk: _Talk) -> bool:
    """Work on a job until its last message, and close all that it opened; whether the browser can have another."""
    backend, seconds = request.job.backend, host.settings.seconds
    kinds = ("renderer", "gpu-process") if backend.startswith("webg") else ("renderer",)

    def memory() -> Document:
        peak = peak_memory_bytes(host.folder, kinds)
        told = {"reason": "this system does not tell how much memory the browser's processes held at most"}
        return {"bytes": peak, **({} if peak is not None else told)}

    try:
        parent = Parent(talk.hear_opened, talk.say, talk.requests.get, memory)
        address, stop = start_server(Served.of(request, DIST), parent)
    except OSError as error:
        talk.fail(f"no port on 127.0.0.1 could be had for the page ({error.strerror}); close programs that hold many")
        return False
    try:
        whole = await _show(await host.started(backend, address), address, host, talk, seconds)
    except Error as error:
        talk.fail(_why(error, seconds))
        return False
    if whole:
        await asyncio.to_thread(stop)
    return whole and host.connected


async def _serve(channel: BinaryIO, folder: Path, settings: _Settings) -> NoReturn:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[Request, Requests]] = asyncio.Queue()

    def take(request: Request, following: Requests) -> None:
        loop.call_soon_threadsafe(waiting.put_nowait, (request, following))

    threading.Thread(target=_listen, args=(take, folder), daemon=True).start()
    host = _Host(folder, settings)
    while True:
        request, following = await waiting.get()
        host.talk = talk = _Talk(channel, loop, following)
        whole = await _run(request, host, talk)
        host.talk = None
        if not whole or isinstance(request, Tap):
            end_browser(folder)
            talk.end(kept=False)
            _end_all(folder)
        talk.end(kept=True)


def main() -> None:
    """Answer the requests on standard input, and end with the browser when they end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--no-sandbox", dest="sandbox", action="store_false")
    settings = _Settings(**vars(parser.parse_args()))
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints from here on prints to the log
    asyncio.run(_serve(channel, Path(os.environ["TMPDIR"]), settings))


if __name__ == "__main__":
    main()
