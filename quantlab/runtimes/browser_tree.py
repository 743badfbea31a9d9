"""The processes of a browser, found and ended by the folder that is its own.

A browser leaves the process group of whoever starts it, and its crash reporter leaves the browser's: neither a group
nor a parent names them all. What does is the folder for temporary files that each of them was given: it stands in the
command line of the browser and of the reporter, and all others are of the browser's session.
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
"""Marks the renderer of the browser's own windows, which can be larger than a page's."""

_ENDING_SECONDS = 5.0
"""A process that was sent SIGKILL is gone in milliseconds, but where the system is out of breath."""


def browser_processes(folder: Path) -> dict[int, str]:
    """Process id → command line of all that belongs to the browser with that folder."""
    everything = {pid: (session, command) for pid, session, command in _processes()}
    named = {pid for pid, (_, command) in everything.items() if _is_given(folder, command)}
    # A session that is led by another is not the browser's.
    sessions = {everything[pid][0] for pid in named} & named
    return {
        pid: " ".join(command) for pid, (session, command) in everything.items() if pid in named or session in sessions
    }


def _is_given(folder: Path, command: Iterable[str]) -> bool:
    # Joined, since a process that names itself anew puts blanks between its arguments.
    text = " ".join(command)
    return any(f"--{option}={folder}/" in text for option in ("user-data-dir", "database"))


def _processes() -> Iterator[tuple[int, int, list[str]]]:
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):  # it ended while we looked
            # After the name, which may hold anything: state, parent, group, session.
            session = int((place / "stat").read_text().rpartition(")")[2].split()[3])
            command = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            yield int(place.name), session, command


def end_browser(folder: Path) -> None:
    """End the browser with that folder, at once and whole, and remove the folder; nothing happens where it is gone."""
    until = time.monotonic() + _ENDING_SECONDS
    while folder.exists() and time.monotonic() < until:
        left = set(browser_processes(folder)) - {os.getpid()}
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            time.sleep(0.01)


def peak_memory_bytes(folder: Path, kinds: Iterable[str]) -> int | None:
    """The most that the largest process of each kind (`renderer`, `gpu-process`) has held, added up; None if not told.

    A browser keeps a renderer ready for the next page, which is smaller than one that works.
    """
    processes = {pid: command for pid, command in browser_processes(folder).items() if _OF_WINDOWS not in command}
    peaks = [
        max((_peak(pid) for pid, command in processes.items() if f"--type={kind}" in command), default=0)
        for kind in kinds
    ]
    return sum(peaks) if all(peaks) else None


def _peak(pid: int) -> int:
    """As in `/proc/<pid>/status`; 0 where that does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
