"""Finds and ends the processes of a browser by its temporary folder.

A browser leaves the process group of the process that starts it, and its crash reporter leaves the browser's, so
neither group nor parent identifies all processes. The temporary folder does: it is in the command lines of the browser
and of the crash reporter, and all other processes are in the browser's session.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["browser_processes", "end_browser", "peak_memory_bytes"]

_OF_WINDOWS = "--top-chrome-webui"
"""Flag of the renderer of the browser's own windows, which can be larger than that of a page."""

_ENDING_SECONDS = 30.0
"""Time limit for killed processes to disappear; milliseconds are enough unless the system is overloaded."""


def browser_processes(folder: Path) -> dict[int, str]:
    """Process id → command line of all processes of the browser with this folder."""
    everything = {pid: (session, command) for pid, session, command in _processes()}
    named = {pid for pid, (_, command) in everything.items() if _is_given(folder, command)}
    # A session with another leader is not the browser's.
    sessions = {everything[pid][0] for pid in named} & named
    return {
        pid: " ".join(command) for pid, (session, command) in everything.items() if pid in named or session in sessions
    }


def _is_given(folder: Path, command: Iterable[str]) -> bool:
    # Joined, because a process that changes its title separates its arguments by blanks.
    text = " ".join(command)
    return any(f"--{option}={folder}/" in text for option in ("user-data-dir", "database"))


def _processes() -> Iterator[tuple[int, int, list[str]]]:
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):  # it ended in the meantime
            # After the name, which may contain anything: state, parent, group, session.
            session = int((place / "stat").read_text().rpartition(")")[2].split()[3])
            command = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            yield int(place.name), session, command


def end_browser(folder: Path) -> None:
    """Kill all processes of the browser with this folder, and remove the folder; does nothing if both are gone.

    Its driver is killed too, unless it is this process. A browser that the driver is starting has no command line of
    its own yet, and it would create the folder again.
    """
    until = time.monotonic() + _ENDING_SECONDS
    while folder.exists() and time.monotonic() < until:
        left = (set(browser_processes(folder)) | set(_using(folder))) - {os.getpid()}
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01 if folder.exists() else 0)


def _using(folder: Path) -> Iterator[int]:
    """Processes that have the folder as TMPDIR, as far as the system tells: browsers overwrite their environment."""
    variable = f"TMPDIR={folder}".encode()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked, or is another user's
            if variable in (place / "environ").read_bytes().split(b"\0"):
                yield int(place.name)


def peak_memory_bytes(folder: Path, kinds: Iterable[str]) -> int | None:
    """Sum of the peak memory of the largest process of each kind (`renderer`, `gpu-process`); None if unknown.

    The largest, because a browser keeps a smaller spare renderer for the next page.
    """
    processes = {pid: command for pid, command in browser_processes(folder).items() if _OF_WINDOWS not in command}
    peaks = [
        max((_peak(pid) for pid, command in processes.items() if f"--type={kind}" in command), default=0)
        for kind in kinds
    ]
    return sum(peaks) if all(peaks) else None


def _peak(pid: int) -> int:
    """Peak memory from `/proc/<pid>/status` in bytes; 0 if it is not there."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
