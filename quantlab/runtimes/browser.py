"""The runtimes in Chromium. A separate process drives the browser and removes all of its files afterwards.

A browser that has run a variant also runs the next one, in a new profile.
"""

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from quantlab.errors import RuntimeUnavailable
from quantlab.formats import Format
from quantlab.processes import Child, ChildPool, OwnFolder, import_path
from quantlab.runtimes.browser_tree import end_browser
from quantlab.runtimes.bundle import bundle_environment
from quantlab.runtimes.contract import Host
from quantlab.runtimes.exchange import Job

__all__ = [
    "HOST",
    "FoundBrowser",
    "environment",
    "environment_drawn",
    "find_browser",
    "graphics_cards",
    "notes",
    "start_seconds",
    "stores_half",
    "untimed",
]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OLDEST = 113
"""The oldest supported version: the first with WebGPU and `--headless=new`."""

_LIMIT_SECONDS = 27.0
"""For a browser to report its version and to start, and for a page to ask for its job: for all of it together.

With the process that drives the browser, a failure of any of them is reported within 30 s. On a machine that is busy
with other studies they take a few seconds."""

_REMEDY = (
    "install one ('apt-get install chromium' on Debian), name one with QUANTLAB_CHROME, "
    "or leave these runtimes out with --runtimes"
)


@dataclass(frozen=True, slots=True)
class FoundBrowser:
    """A browser that can be used."""

    program: str
    version: str
    seconds: float
    """Time that it took to report its version."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a program printed when it was asked for its version, or why it did not."""

    text: str
    error: str | None
    seconds: float


@functools.cache
def _asked(program: str, limit_seconds: float) -> _Answer:
    """Ask a browser for its version, once: nothing waits again for one that does not answer."""
    began = time.monotonic()
    try:
        text, error = _printed([program, "--version"], limit_seconds), None
    except (OSError, subprocess.SubprocessError) as problem:
        text, error = "", str(problem)
    return _Answer(text, error, time.monotonic() - began)


def _printed(command: Sequence[str], limit_seconds: float) -> str:
    """What a program prints; if it does not end in time, it is ended with all that it has started.

    Raises:
        OSError: If it cannot be started.
        SubprocessError: If it fails or does not end.
    """
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True
    ) as process:
        try:
            printed, _ = process.communicate(timeout=limit_seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return printed


def find_browser(limit_seconds: float = _LIMIT_SECONDS) -> FoundBrowser:
    """Return the browser: `QUANTLAB_CHROME`, or the first of the usual names on PATH.

    Args:
        limit_seconds: Time limit for it to report its version.

    Raises:
        RuntimeUnavailable: If there is none, it does not start, or it is older than version 113.
    """
    program = os.environ.get("QUANTLAB_CHROME") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        raise RuntimeUnavailable(f"the runtimes chromium-* need Chromium or Chrome, and none was found; {_REMEDY}")
    answer = _asked(program, limit_seconds)
    if answer.error is not None:
        raise RuntimeUnavailable(f"the browser at '{program}' does not start ({answer.error}); {_REMEDY}")
    match = re.search(r"(?:Chrom\w+) (?:for Testing )?((\d+)(?:\.\d+)+)", answer.text)
    if match is None:
        said = answer.text.strip()[:100]
        raise RuntimeUnavailable(f"'{program}' is neither Chromium nor Chrome: it reports '{said}'; {_REMEDY}")
    if int(match[2]) < _OLDEST:
        raise RuntimeUnavailable(
            f"the browser at '{program}' has version {match[1]}, and version {_OLDEST} or newer is required; {_REMEDY}"
        )
    return FoundBrowser(program, match[1], answer.seconds)


def _sandboxed() -> bool:
    # Chromium refuses to start its sandbox as root.
    return os.geteuid() != 0


def environment(format_: Format) -> dict[str, str]:
    """Versions and flags that the outputs of a format depend on."""
    if find_spec("playwright") is None:
        raise RuntimeUnavailable("the runtimes chromium-* need Playwright; install it with 'pip install playwright'")
    bundled = bundle_environment(format_.javascript)
    return {
        "chromium": find_browser().version,
        **bundled,
        "sandbox": "on" if _sandboxed() else "off, since quantlab runs as root",
    }


def environment_drawn(format_: Format) -> dict[str, str]:
    """The same for WebGL and WebGPU, whose outputs also depend on the graphics cards.

    Only a running browser can report which card and driver it uses (`renderer` in a trial's environment). A new driver
    of the same card is therefore not noticed here.
    """
    return {**environment(format_), "graphics": graphics_cards(Path("/"))}


def graphics_cards(root: Path) -> str:
    """The graphics cards listed in sysfs below `root`, for example `0x8086:0x5917 i915`, or `none`.

    Without a card, the browser's own software renderer is used; its version is that of the browser.
    """
    cards = []
    for card in sorted((root / "sys/class/drm").glob("renderD*")):
        with contextlib.suppress(OSError):  # not every driver reports it
            if os.access(root / "dev/dri" / card.name, os.R_OK | os.W_OK):
                vendor, device = ((card / "device" / fact).read_text().strip() for fact in ("vendor", "device"))
                cards.append(f"{vendor}:{device} {(card / 'device' / 'driver').resolve().name}")
    nvidia = root / "proc/driver/nvidia/version"
    with contextlib.suppress(OSError):
        cards.append(nvidia.read_text().splitlines()[0])
    return ", ".join(cards) or "none"


def start_seconds(browser: FoundBrowser, stall_seconds: float, limit_seconds: float = _LIMIT_SECONDS) -> int:
    """Time limit for a browser to start and for a page to load, together: what is left of the limit.

    Half of the time that a child may be silent, if that is less: it must report before it is ended.

    >>> start_seconds(FoundBrowser("chromium", "131.0.0.0", seconds=2.5), stall_seconds=600, limit_seconds=28)
    25
    """
    return max(1, int(min(limit_seconds - browser.seconds, stall_seconds / 2)))


def _kind(job: Job, pool: ChildPool) -> str:
    """Name of the kind of child: WebGPU needs other flags of the browser, and a driver has one time limit."""
    webgpu = " webgpu" if job.backend == "webgpu" else ""
    browser = find_browser()
    return f"chromium {browser.program}{webgpu}, {start_seconds(browser, pool.stall_seconds)} s"


def _start(_: Job, pool: ChildPool) -> Child:
    """Start the process that starts a browser when it gets its first job."""
    browser, folder = find_browser(), _own_folder()
    settings = [
        browser.program,
        str(start_seconds(browser, pool.stall_seconds)),
        *([] if _sandboxed() else ["--no-sandbox"]),
    ]
    return Child(
        [sys.executable, "-P", "-m", "quantlab.runtimes.chromium", *settings],
        log=pool.folder / "chromium.log",
        environment=_variables(folder.path),
        after=folder.close,
        own_log=True,
    )


_LONGEST = 35
"""Maximum length of the temporary folder's path, because the path of a socket in it may have only 107 characters."""


def _own_folder() -> OwnFolder:
    """A folder for all files of a browser; not in the pool's folder, because the path of its socket must be short."""
    usual = tempfile.gettempdir()
    within = Path(usual if len(usual) <= _LONGEST else "/tmp")  # noqa: S108  # the folder in it is private
    return OwnFolder("chromium", within, end_browser)


def _variables(folder: Path) -> dict[str, str]:
    """Variables that make the browser, its crash reporter and Playwright write only to the folder."""
    return {
        "TMPDIR": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NODE_OPTIONS": "",
        "PYTHONPATH": os.pathsep.join(import_path()),
        "PYTHONUNBUFFERED": "1",
    }


HOST = Host(
    _kind,
    _start,
    opens_many=False,
    starts_ahead=False,  # a browser keeps working for seconds after its start
    tries=True,
)
"""A browser, driven by a separate process; it has one page at a time."""


_SOFTWARE = re.compile(r"swiftshader|llvmpipe|softpipe|software|basic render", re.IGNORECASE)
"""Matches the names of software renderers."""


def untimed(environment: Mapping[str, str]) -> str | None:
    """Why times are not shown: WebGL or WebGPU used a software renderer, not a graphics card. None otherwise.

    >>> untimed({"renderer": "ANGLE (Intel, Mesa Intel(R) UHD Graphics 620 (KBL GT2), OpenGL 4.6)"})
    >>> untimed({"renderer": "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero)), SwiftShader driver)"})
    'no times: a software renderer was used (SwiftShader)'
    """
    match = _SOFTWARE.search(environment.get("renderer", ""))
    if match is None:
        return None
    # WebGPU and WebGL write this name differently; equal texts let their rows share one note.
    name = "SwiftShader" if match[0].lower() == "swiftshader" else match[0]
    return f"no times: a software renderer was used ({name})"


def stores_half(environment: Mapping[str, str]) -> bool:
    """Whether the browser stored tensors in half floats."""
    return bool(notes(environment))


def notes(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Notes on a row's arithmetic: half floats, emulated or because float32 is not supported."""
    if environment.get("webgl_half_float_textures") == "forced":
        return ("stores tensors in half floats as phones do, but computes in this machine's arithmetic, not a phone's",)
    if environment.get("webgl_render_float32") == "no":
        return ("this browser's WebGL does not support float32, so tensors are stored in half floats",)
    return ()
