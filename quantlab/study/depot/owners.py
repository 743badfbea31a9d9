"""Who made a file in a depot, and whether that process still lives."""

import json
import os
import secrets
import socket
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from quantlab.study.depot.contract import Depot

__all__ = ["Watch", "gone", "held_here", "owned"]


@dataclass(slots=True)
class Watch:
    """What one observer saw of files of other machines, by its own clock."""

    depot: Depot
    seen: dict[str, tuple[Hashable, float, float]] = field(default_factory=dict)
    """Name → its state, since when that has not changed, and when it was looked at last."""

    @property
    def _longest_look(self) -> float:
        pace = self.depot.pace
        return max(pace.silent_seconds / 4, 10 * pace.look_seconds)

    def silent(self, name: str) -> bool:
        """Whether a file has not been touched for long; raises FileNotFoundError if it is gone."""
        state, now = self.depot.state(name), time.monotonic()
        known = self.seen.get(name)
        # While the depot itself was away, an owner that lives could not touch it either.
        away = known is not None and now - known[2] > self._longest_look
        if known is None or known[0] != state or away:
            self.seen[name] = (state, now, now)
            return False
        self.seen[name] = (state, known[1], now)
        return now - known[1] > self.depot.pace.silent_seconds


@contextmanager
def owned() -> Iterator[bytes]:
    """Give the content of a file that this process makes, and has until the block ends.

    A process may live longer than its files are needed: a file that could not be removed is not held any more then.
    """
    process = os.getpid()
    # Threads of one process are told apart, and a file whose answer was lost is known again.
    nonce = secrets.token_hex(8)
    told = {
        "host": socket.gethostname(),
        "machine": _machine(),
        "process": process,
        "started": _started(process) or 0,
        "nonce": nonce,
    }
    _held.add(nonce)
    try:
        yield json.dumps(told).encode()
    finally:
        _held.discard(nonce)


_held: set[str] = set()
"""Those of the files that this process has."""


def held_here(content: bytes) -> bool:
    """Whether a file with this content is one that this process has, in whichever thread."""
    try:
        told = json.loads(content)
        return bool(told["machine"] == _machine() and told["process"] == os.getpid() and told["nonce"] in _held)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def gone(depot: Depot, name: str, watch: Watch) -> bool:
    """Whether the owner of a file has ended, or has it no more; raises FileNotFoundError if the file is gone."""
    content = depot.read(name)
    try:
        told = json.loads(content)
        machine, process, started = str(told["machine"]), int(told["process"]), int(told["started"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return watch.silent(name)
    if machine != _machine():
        return watch.silent(name)
    if process == os.getpid():
        return not held_here(content)
    # A process that lives may have left the file behind, as one whose store was away when it wanted to remove it.
    return _started(process) != started or watch.silent(name)


def _machine() -> str:
    """What tells apart where process ids have a meaning: a boot of a machine, and a container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(process: int) -> int | None:
    """When a process of this machine began, in ticks since the boot; None if it has ended.

    0 where there is no `/proc`, as on macOS, if the process exists.
    """
    if not (_PROC / "self").exists():
        return 0 if _exists(process) else None
    try:
        fields = (_PROC / f"{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


_PROC = Path("/proc")


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return True
