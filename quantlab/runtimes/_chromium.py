"""The program that runs one job in Chromium: `python -m quantlab.runtimes._chromium JOB.json`.

It serves the page, opens it in a browser through Playwright, and passes on what the page says as JSON lines; what the
parent asks on standard input goes to the page. The browser's temporary files lie in TMPDIR, a folder of its own. When
standard input closes before the work is done, the parent is gone, and so are the browser, its folder and this process.
"""

import asyncio
import json
import os
import queue
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from playwright.async_api import Browser, BrowserType, Error, async_playwright

from quantlab.processes import Message
from quantlab.runtimes._browser_tree import end_browser, peak_memory_bytes
from quantlab.runtimes._bundle import DIST
from quantlab.runtimes._page_server import Parent, Served, start_server

_LAUNCH_MS = 120_000.0
"""A machine that is busy with other studies takes seconds; a browser that does not start at all says so at once."""

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
_NO_SANDBOX = (
    "the browser found no sandbox that it may use; allow user namespaces (on Debian and Ubuntu "
    "'sysctl kernel.unprivileged_userns_clone=1' or 'kernel.apparmor_restrict_unprivileged_userns=0'), "
    "or install its own with 'apt-get install chromium-sandbox'"
)


@dataclass(slots=True)
class _Talk:
    """Between the page and the parent."""

    channel: BinaryIO
    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    requests: queue.Queue[Message | None] = field(default_factory=queue.Queue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: bool = False

    def say(self, message: Mapping[str, Any]) -> None:
        """Pass a message on, and what is meant for the log to the log; after the last message nothing follows."""
        if message["type"] == "log":
            print(message["text"], file=sys.stderr)
            return
        with self._lock:
            if self._over:
                return
            self._over = message["type"] in {"done", "failed"}
            self.channel.write(json.dumps(message, allow_nan=False).encode() + b"\n")
        if self._over:
            self.loop.call_soon_threadsafe(self.ended.set)

    def fail(self, reason: str) -> None:
        """Say why there is nothing more to come."""
        self.say({"type": "failed", "reason": reason})

    def listen(self, folder: Path, *, asked: bool) -> None:
        """Hear the parent out: for a job with taps its end is the end of the requests, and else the end of all."""
        for line in sys.stdin.buffer:
            self.requests.put(json.loads(line))
        if asked:
            self.requests.put(None)
        else:
            _end_all(folder)


def _end_all(folder: Path) -> None:
    end_browser(folder)
    os._exit(1)


async def _launch(chromium: BrowserType, wanted: Mapping[str, Any], extra: tuple[str, ...]) -> Browser:
    return await chromium.launch(
        executable_path=wanted["program"],
        headless=True,
        args=[*_FLAGS, *extra],
        chromium_sandbox=wanted["sandbox"],
        timeout=_LAUNCH_MS,
        # The parent decides when we end; nobody else's Ctrl-C does.
        handle_sigint=False,
        handle_sigterm=False,
        handle_sighup=False,
    )


async def _launch_for(chromium: BrowserType, job: Message, address: str) -> Browser:
    """A browser that has what the job's backend needs; WebGPU in software where no card has it."""
    if job["backend"] != "webgpu":
        return await _launch(chromium, job["browser"], ())
    browser = await _launch(chromium, job["browser"], _WEBGPU)
    page = await browser.new_page()
    await page.goto(f"{address}blank")
    if await page.evaluate("async () => Boolean(await navigator.gpu?.requestAdapter())"):
        await page.close()
        return browser
    await browser.close()
    return await _launch(chromium, job["browser"], _SOFTWARE_WEBGPU)


async def _open(browser: Browser, address: str, talk: _Talk) -> None:
    """Open the page, and fail where it or the browser goes away.

    Not as a page of Playwright's, which would have the browser keep the bytes of every batch for its inspector.
    """
    browser.on("disconnected", lambda _: talk.fail(_GONE))
    devtools = await browser.new_browser_cdp_session()
    devtools.on("Target.targetCrashed", lambda _: talk.fail(_CRASHED))
    await devtools.send("Target.setDiscoverTargets", {"discover": True})
    await devtools.send("Target.createTarget", {"url": address})


async def _drive(job: Message, talk: _Talk, address: str) -> None:
    async with async_playwright() as playwright:
        browser = await _launch_for(playwright.chromium, job, address)
        await _open(browser, address, talk)
        await talk.ended.wait()


def _why(error: Error) -> str:
    """What Playwright says when a browser does not start, without the log that it adds."""
    text = str(error)
    if "No usable sandbox" in text or "sandbox_host_linux" in text:
        return _NO_SANDBOX
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "error while loading" in line]
    return f"the browser could not be started or left its work: {lines[0]}" + (f" ({errors[-1]})" if errors else "")


async def _run(job: Message, channel: BinaryIO) -> None:
    folder = Path(os.environ["TMPDIR"])
    talk = _Talk(channel, asyncio.get_running_loop())
    threading.Thread(target=talk.listen, args=(folder,), kwargs={"asked": bool(job.get("taps"))}, daemon=True).start()
    kinds = ("renderer", "gpu-process") if job["backend"].startswith("webg") else ("renderer",)

    def memory() -> Message:
        peak = peak_memory_bytes(folder, kinds)
        told = {"reason": "this system does not tell how much memory the browser's processes held at most"}
        return {"bytes": peak, **({} if peak is not None else told)}

    try:
        address, _ = start_server(Served.of(job, DIST), Parent(talk.say, talk.requests.get, memory))
    except OSError as error:
        talk.fail(f"no port on 127.0.0.1 could be had for the page ({error.strerror}); close programs that hold many")
        return
    try:
        await _drive(job, talk, address)
    except Error as error:
        talk.fail(_why(error))


def main() -> None:
    """Run the job that the first argument names, and wait for the parent to end us once all is said."""
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints from here on prints to the log
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    asyncio.run(_run(job, channel))
    _end_all(Path(os.environ["TMPDIR"]))


if __name__ == "__main__":
    main()
