"""Runs a command, and watches the time and the memory of its processes."""

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Watched", "adopt_orphans", "children", "family", "watch"]

EVERY_SECONDS = 0.1
DISK_EVERY_SECONDS = 1.0
_BECOME_SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER` of prctl(2): processes whose parent has ended become children of this one."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A command that has ended, and all processes that it has started."""

    seconds: float
    processor: float
    """Seconds of the processor."""
    largest: int = 0
    """Bytes of the largest process at any moment."""
    disk: int = 0
    """Most bytes on the disk below the folder that was watched."""


def adopt_orphans() -> None:
    """Become the parent of processes whose own has ended, so that their processor time counts; once for a program."""
    ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1, 0, 0, 0)


def watch(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, folder: Path | None = None
) -> Watched:
    """Run a command in a folder, which is watched too; end the program with what it printed if it fails."""
    largest, disk, looked, began, used = 0, 0, 0.0, time.perf_counter(), _processor()
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment, cwd=folder) as process:
            while process.poll() is None:
                largest = max([largest, *map(_anonymous, family(process.pid))])
                if folder is not None and time.perf_counter() - looked > DISK_EVERY_SECONDS:
                    disk, looked = max(disk, _on_disk(folder)), time.perf_counter()
                time.sleep(EVERY_SECONDS)
        said.seek(0)
        if process.returncode:
            sys.exit(f"{command[1]} exited with {process.returncode}:\n{said.read()[-2000:]}")
    seconds = time.perf_counter() - began
    with contextlib.suppress(ChildProcessError):  # until there is none left
        while True:
            os.waitpid(-1, 0)
    return Watched(seconds, _processor() - used, largest, disk)


def _processor() -> float:
    """Seconds of the processor of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def children(process: int) -> list[int]:
    """The processes that a process has started; none if it has ended."""
    found: list[int] = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def family(process: int) -> Iterator[int]:
    """A process, and all that it and its children have started."""
    yield process
    for child in children(process):
        yield from family(child)


def _on_disk(folder: Path) -> int:
    size = 0
    for path, _, names in os.walk(folder):  # which passes over folders that are removed meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                size += 512 * Path(path, name).stat().st_blocks
    return size


def _anonymous(process: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    return 0
