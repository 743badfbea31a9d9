"""`quantlab phone` with Chromium as the phone: it emulates one, and comes over another network."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process, write_program
from playwright.sync_api import BrowserContext, Error, Page, sync_playwright
from study_fixtures import outputs_of, read_study

from quantlab.errors import QuantlabError
from quantlab.runtimes.browser import find_browser
from quantlab.runtimes.phone import local_addresses
from quantlab.store import Store

SETTINGS = ("tfjs-uint8", "tflite-dynamic")
SEED = 7
CLOSINGS = 5


def _browser_program() -> str:
    try:
        return find_browser().program
    except QuantlabError as error:
        if os.environ.get("QUANTLAB_NOTHING_ABSENT"):
            raise
        pytest.skip(str(error))


@dataclass(frozen=True, slots=True)
class Network:
    """Where the server listens, and a program that starts Chromium where the phone is."""

    host: str
    program: str


@pytest.fixture
def network(tmp_path) -> Iterator[Network]:
    """A network namespace with a cable to this one; without the right to make one, this machine's own address."""
    program, name = _browser_program(), f"quantlab{os.getpid()}"
    ends = [f"qp{os.getpid() % 100_000}{side}" for side in "ab"]
    here, there = "10.213.7.1", "10.213.7.2"
    made = _IP and not os.geteuid() and _ip("netns", "add", name)
    if not made:
        addresses = local_addresses()
        if not addresses:
            pytest.skip("this machine may make no network namespace, and has no address but loopback")
        yield Network(addresses[0], program)
        return
    try:
        assert _ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", name)
        assert _ip("addr", "add", f"{here}/30", "dev", ends[0])
        assert _ip("link", "set", ends[0], "up")
        for words in (("addr", "add", f"{there}/30", "dev", ends[1]), ("link", "set", ends[1], "up")):
            assert _ip("-n", name, *words)
        body = f'#!/bin/sh\nexec {_IP} netns exec {name} {program} "$@"\n'
        yield Network(here, str(write_program(tmp_path / "chromium-there", body)))
    finally:
        _ip("netns", "del", name)
        _ip("link", "del", ends[0])


_IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def _ip(*words: str) -> bool:
    return subprocess.run([_IP, *words], capture_output=True, check=False).returncode == 0


@dataclass(slots=True)
class Command:
    """`quantlab phone`, as it runs."""

    process: "subprocess.Popen[str]"
    lines: list[str] = field(default_factory=list)
    address: str = ""
    _told: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if not self.address and (match := re.search(r"(https?://\S+/)$", line.strip())):
                self.address = match[1]
                self._told.set()
        self._told.set()

    def await_address(self) -> str:
        assert self._told.wait(60)
        assert self.address, self.lines
        return self.address


@contextlib.contextmanager
def phone_command(folder: Path, *words: str) -> Iterator[Command]:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "quantlab", "phone", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as process:
        command = Command(process)
        listening = threading.Thread(target=command.listen, daemon=True)
        listening.start()
        try:
            yield command
        finally:
            if process.poll() is None:
                process.kill()
            listening.join(20)


@contextlib.contextmanager
def a_phone(network: Network) -> Iterator[BrowserContext]:
    """A profile of a browser that calls itself a phone."""
    with sync_playwright() as playwright:
        told = {key: value for key, value in playwright.devices["Pixel 7"].items() if key != "default_browser_type"}
        flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        sandboxed = os.geteuid() != 0
        with playwright.chromium.launch(executable_path=network.program, args=flags, chromium_sandbox=sandboxed) as it:
            yield it.new_context(**{**told, "viewport": {"width": 390, "height": 844}})


def await_end(command: Command, page: Page, seconds: float = 400) -> str:
    """The table, once the command has ended; the page works meanwhile."""
    until = time.monotonic() + seconds
    while command.process.poll() is None:
        assert time.monotonic() < until, command.lines
        page.wait_for_timeout(200)
    return command.process.stdout.read()


def test_a_phone_in_another_network_that_closes_the_page_five_times(place, network):
    study, moments = place / "digits.study", random.Random(SEED)  # noqa: S311 (moments)
    words = ["digits.study", "--host", network.host, "--settings", ",".join(SETTINGS), "--timing-rounds", "1"]
    with phone_command(place, *words, "--layer-samples", "48") as command, a_phone(network) as context:
        address = command.await_address()
        assert address.startswith(f"http://{network.host}:")
        _refuse_wrong_token(context.new_page(), address)
        page = context.new_page()
        for number in range(CLOSINGS):
            page.goto(address)
            page.wait_for_timeout(moments.uniform(300, 2500))
            assert command.process.poll() is None, command.lines
            if number == CLOSINGS // 2:  # as if memory ran out
                _kill_pages(context)
            page.close()
            page = context.new_page()
        page.goto(address)
        _refuse_second_device(context, address)
        _disturb(context, page)
        page.wait_for_selector("#state[data-kind=running]", timeout=60_000)
        text = page.inner_text("body")
        assert re.search(r"Step \d+ of 7", text)
        assert "The model and the samples cross the network unencrypted" in text
        assert "Pixel 7, Android 14" in text
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        table = await_end(command, page)
        assert page.inner_text("#state") == "Done"
    assert command.process.returncode == 0, command.lines
    assert "phone-wasm: run on Pixel 7, Android 14; Chrome" in table.replace("phone-wasm and phone-webgl", "phone-wasm")
    _check_rows(study)
    _check_inside(place)
    again = _run_again(place, network)
    _check_later_analysis(place)
    assert sum("in phone-" in line and line.endswith("kept (0.0 s)") for line in again) >= len(SETTINGS)


def _kill_pages(context: BrowserContext) -> None:
    devtools = context.browser.new_browser_cdp_session()
    for process in devtools.send("SystemInfo.getProcessInfo")["processInfo"]:
        if process["type"] == "renderer":
            os.kill(process["id"], signal.SIGKILL)


def _disturb(context: BrowserContext, page: Page) -> None:
    """Lose the network for a while, and then freeze the page, as a phone does with one that is behind others."""
    context.set_offline(True)
    time.sleep(2)
    context.set_offline(False)
    devtools = context.new_cdp_session(page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    time.sleep(2)
    devtools.send("Page.setWebLifecycleState", {"state": "active"})


def _refuse_wrong_token(page: Page, address: str) -> None:
    with pytest.raises(Error, match="ERR_HTTP_RESPONSE_CODE_FAILURE"):  # 404 without content
        page.goto(f"{address[:-3]}xx/")
    page.close()


def _refuse_second_device(context: BrowserContext, address: str) -> None:
    other = context.browser.new_context()
    page = other.new_page()
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 403
    assert "belongs to the browser that opened it first" in page.inner_text("body")
    other.close()


def _check_rows(study: Path, *, compared: bool = True) -> None:
    record = read_study(study)
    rows = {(trial.setting, trial.runtime): trial for trial in record.trials if trial.runtime.startswith("phone-")}
    assert set(rows) == {("tfjs-uint8", "phone-wasm"), ("tfjs-uint8", "phone-webgl"), ("tflite-dynamic", "phone-wasm")}
    for (setting, runtime), row in rows.items():
        assert row.failure is None
        assert (row.ran_on, row.imported) == (runtime, True)
        assert row.flips_from_python == 0
        if (
            compared and runtime == "phone-wasm"
        ):  # the same bytes of WebAssembly as in Node.js: the same outputs to the last bit
            np.testing.assert_array_equal(
                outputs_of(record, setting, runtime), outputs_of(record, setting, "node-wasm")
            )
    assert "SwiftShader" in rows["tfjs-uint8", "phone-webgl"].environment["renderer"]


def _check_inside(place: Path) -> None:
    inside = Store(place / "digits.study").read_inside()
    told = {(row.setting, row.runtime) for row in inside.layers if row.aligned and row.sqnr_db is not None}
    assert {("tfjs-uint8", "phone-wasm"), ("tfjs-uint8", "phone-webgl"), ("tflite-dynamic", "phone-wasm")} <= told
    shown = quantlab_in_process("show", "layers", "digits.study", "--runtime", "phone-webgl", cwd=place)
    assert shown.status == 0
    assert "phone-webgl" in shown.stdout
    costs = quantlab_in_process("show", "costs", "digits.study", cwd=place)
    assert "measured on phone: Pixel 7, Android 14, " in costs.stdout
    assert "these are times of that device, and may rank it" in costs.stdout


def _check_later_analysis(place: Path) -> None:
    """The rows of the phone stay when the others are measured again, with their layers and times."""
    store = Store(place / "digits.study")
    before = [row for row in store.read_inside().layers if row.runtime.startswith("phone-")]
    words = ["--settings", ",".join(SETTINGS), "--runtimes", "python", "--layer-samples", "48", "--timing-rounds", "1"]
    done = quantlab_in_process("analyze", "digits.keras", "--data", "digits.npz", *words, cwd=place)
    assert done.status == 0, done.stderr
    _check_rows(place / "digits.study", compared=False)
    after = store.read_inside()
    assert [row for row in after.layers if row.runtime.startswith("phone-")] == before
    assert {row.runtime for row in after.layers} == {"python", "phone-wasm", "phone-webgl"}
    timed = {row.runtime for row in store.read_costs().rows if row.steady_median_ms is not None}
    assert timed == {"python", "phone-wasm"}


def _run_again(place: Path, network: Network) -> list[str]:
    """What the command says if the same phone comes again: everything is kept."""
    words = ["digits.study", "--host", network.host, "--settings", ",".join(SETTINGS), *("--no-layers", "--no-costs")]
    with phone_command(place, *words) as command, a_phone(network) as context:
        page = context.new_page()
        page.goto(command.await_address())
        await_end(command, page)
    assert command.process.returncode == 0, command.lines
    return command.lines
