"""The runtimes in Chromium: browsers that are driven from a process of their own, and nothing of them left behind.

A browser that has run a variant runs the next one too, in a fresh profile.
"""

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from quantlab.errors import RuntimeUnavailable
from quantlab.formats import Format
from quantlab.processes import Child, ChildPool, import_path
from quantlab.runtimes.browser_tree import end_browser
from quantlab.runtimes.bundle import bundle_environment
from quantlab.runtimes.contract import Host
from quantlab.runtimes.exchange import Job

__all__ = ["HOST", "environment", "environment_drawn", "find_browser", "graphics_cards", "notes", "untimed"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OLDEST = 113
"""The first with WebGPU, and with `--headless=new`."""

_REMEDY = (
    "install one ('apt-get install chromium' on Debian), name one with QUANTLAB_CHROME, "
    "or leave these runtimes out with --runtimes"
)


@functools.cache
def find_browser() -> tuple[str, str]:
    """The browser to use, and its version: `QUANTLAB_CHROME`, else the first of the usual names on PATH.

    Raises:
        RuntimeUnavailable: If there is none, it does not start, or it is older than version 113.
    """
    program = os.environ.get("QUANTLAB_CHROME") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        raise RuntimeUnavailable(f"the runtimes chromium-* need Chromium or Chrome, and none was found; {_REMEDY}")
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeUnavailable(f"the browser at '{program}' does not start ({error}); {_REMEDY}") from error
    match = re.search(r"(?:Chrom\w+) (?:for Testing )?((\d+)(?:\.\d+)+)", answer.stdout)
    if match is None:
        said = answer.stdout.strip()[:100]
        raise RuntimeUnavailable(f"'{program}' is neither Chromium nor Chrome, since it says '{said}'; {_REMEDY}")
    if int(match[2]) < _OLDEST:
        raise RuntimeUnavailable(
            f"the browser at '{program}' is of version {match[1]}, and {_OLDEST} is the oldest "
            f"that runs these pages; {_REMEDY}"
        )
    return program, match[1]


def _sandboxed() -> bool:
    # Chromium refuses to start its sandbox as root.
    return os.geteuid() != 0


def environment(format_: Format) -> dict[str, str]:
    """Versions and flags that the outputs of a format depend on."""
    if find_spec("playwright") is None:
        raise RuntimeUnavailable("the runtimes chromium-* need Playwright; install it with 'pip install playwright'")
    bundled, (_, version) = bundle_environment(format_.javascript), find_browser()
    return {"chromium": version, **bundled, "sandbox": "on" if _sandboxed() else "off, since quantlab runs as root"}


def environment_drawn(format_: Format) -> dict[str, str]:
    """The same for WebGL and WebGPU: their outputs depend on the graphics cards too.

    Which of them draws, and with what driver, only a browser that runs can tell (`renderer` of a trial's environment):
    a new driver of the same card is not noticed here.
    """
    return {**environment(format_), "graphics": graphics_cards(Path("/"))}


def graphics_cards(root: Path) -> str:
    """The cards that a browser may use here, as the system below a root folder tells: `0x8086:0x5917 i915`, or `none`.

    With none a software renderer draws, which is a part of the browser and has its version.
    """
    cards = []
    for card in sorted((root / "sys/class/drm").glob("renderD*")):
        with contextlib.suppress(OSError):  # not every driver tells
            if os.access(root / "dev/dri" / card.name, os.R_OK | os.W_OK):
                vendor, device = ((card / "device" / fact).read_text().strip() for fact in ("vendor", "device"))
                cards.append(f"{vendor}:{device} {(card / 'device' / 'driver').resolve().name}")
    nvidia = root / "proc/driver/nvidia/version"
    with contextlib.suppress(OSError):
        cards.append(nvidia.read_text().splitlines()[0])
    return ", ".join(cards) or "none"


_START_SECONDS = 30.0
"""For a browser to start, and for a page to ask for its job: a machine that is busy with other studies takes a few."""


def _kind(job: Job) -> str:
    """WebGPU needs a browser that is started with other flags."""
    return f"chromium {find_browser()[0]}{' webgpu' if job.backend == 'webgpu' else ''}"


def _start(_: Job, pool: ChildPool) -> Child:
    """A process that starts a browser for the first job it is sent."""
    folder, (program, _version) = _own_folder(), find_browser()
    # The browser and then the page, or the driver would be ended before it can tell: it is silent meanwhile.
    seconds = min(_START_SECONDS, pool.stall_seconds / 4)
    settings = [program, f"{seconds:g}", *([] if _sandboxed() else ["--no-sandbox"])]
    return Child(
        [sys.executable, "-P", "-m", "quantlab.runtimes.chromium", *settings],
        log=pool.folder / "chromium.log",
        environment=_variables(folder),
        after=functools.partial(end_browser, folder),
        own_log=True,
    )


_LONGEST = 35
"""Characters of the folder for temporary files: with what follows, a socket's name may have 107."""


def _own_folder() -> Path:
    """A folder for all that a browser writes; not in the pool, since the name of its socket must be short."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="quantlab-chromium-", dir=usual if len(usual) <= _LONGEST else "/tmp"))  # noqa: S108  # mkdtemp makes it ours alone


def _variables(folder: Path) -> dict[str, str]:
    """So that whatever a browser, its crash reporter and Playwright leave lies in the folder."""
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
    starts_ahead=False,  # a browser goes on working for seconds after its start
)
"""A browser, driven from a process of its own: it has one page at a time."""


_SOFTWARE = re.compile(r"swiftshader|llvmpipe|softpipe|software|basic render", re.IGNORECASE)
"""In the names of renderers that are no graphics card."""


def untimed(environment: Mapping[str, str]) -> str | None:
    """Why a trial's times mean nothing: it ran on WebGL or WebGPU, and a processor played the graphics card.

    >>> untimed({"renderer": "ANGLE (Intel, Mesa Intel(R) UHD Graphics 620 (KBL GT2), OpenGL 4.6)"})
    >>> untimed({"renderer": "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero)), SwiftShader driver)"})
    'no times: a software renderer drew it (SwiftShader)'
    """
    match = _SOFTWARE.search(environment.get("renderer", ""))
    if match is None:
        return None
    # WebGPU writes it otherwise than WebGL, and the same words let their rows share one.
    name = "SwiftShader" if match[0].lower() == "swiftshader" else match[0]
    return f"no times: a software renderer drew it ({name})"


def notes(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What the reader of a row must know of the arithmetic: half floats, emulated or for want of float32."""
    if environment.get("webgl_half_float_textures") == "forced":
        return ("stores tensors in half floats as phones do, but computes in this machine's arithmetic, not a phone's",)
    if environment.get("webgl_render_float32") == "no":
        return ("this browser's WebGL renders no float32, so that tensors are stored in half floats",)
    return ()
