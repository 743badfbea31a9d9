"""Reads malformed files, each in a fork of its own: one that hangs, crashes or fills the memory costs only itself.

`python -P -m mutation_child` serves (`quantlab.processes.serve`). A request names a reader of `foreign_readers`, and a
folder with a good file. The answer is a message for each file that was read, the good one first.
"""

import gc
import json
import os
import resource
import select
import shutil
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faulty_readers import FAULTY
from foreign_readers import READERS, Reader
from mutations import mutated

from quantlab.errors import QuantlabError
from quantlab.processes import Document, Emit, serve

__all__ = ["GOOD", "MOST_BYTES", "MOST_GROWTH", "Outcome", "known_reader"]

MOST_GROWTH, MOST_BYTES = 4, 64 * 10**6
"""What a malformed file may take: so many times its size, and so many bytes more; beside what a good one takes."""

GOOD = -1
"""The number of the file that nothing was changed in."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    number: int
    """Of the file: with the seed it makes the file again."""
    size_bytes: int
    """Of the file."""
    ended: str
    """`read`; `refused`, by an error of ours; `raised` another one; `killed`, by a signal; `hung`."""
    said: str = ""
    """The error, or the signal."""
    of_memory: bool = False
    """Whether the error, or one that it comes from, is that the system gives no more memory."""
    peak_bytes: int = 0
    """What reading it added to the memory at most."""


def known_reader(name: str) -> Reader:
    """One of `READERS` or of `FAULTY`."""
    return READERS[name] if name in READERS else FAULTY[name][0]


def _handle(request: Document, emit: Emit) -> None:
    reader, template = known_reader(request["reader"]), Path(request["template"])
    good = (template / request["file"]).read_bytes()
    work = Path(request["work"])
    if not reader.opens:
        _read_in(work, template, request["file"], good, reader)  # imports what it needs, once for all forks

    for number, content in ((GOOD, good), *mutated(good, request["seed"], request["count"])):
        _prepared(work, template, request["file"], content)
        emit({"type": "outcome", **asdict(_outcome(reader, work / request["file"], number, len(content)))})
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    emit({"type": "spent", "seconds": sum(used.ru_utime + used.ru_stime for used in (own, children))})


def _prepared(work: Path, template: Path, file: str, content: bytes) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(template, work)
    (work / file).write_bytes(content)


def _read_in(work: Path, template: Path, file: str, content: bytes, reader: Reader) -> None:
    _prepared(work, template, file, content)
    reader.read(work / file)


def _outcome(reader: Reader, file: Path, number: int, size_bytes: int) -> Outcome:
    """Read a file in a fork, and wait for what the fork says of it."""
    ear, mouth = os.pipe()
    pid = os.fork()
    if pid == 0:
        _read_and_tell(reader, file, mouth)
    os.close(mouth)
    try:
        said = _heard(ear, reader.seconds)
    finally:
        for end in (os.killpg, os.kill):  # its group holds what it started; it leads one only once it runs
            try:
                end(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        status = os.waitpid(pid, 0)[1]
        os.close(ear)
    if said is None:
        return Outcome(number, size_bytes, "hung", f"for {reader.seconds:g} seconds")
    if not said:
        return Outcome(number, size_bytes, "killed", f"status {os.waitstatus_to_exitcode(status)}")
    return Outcome(number, size_bytes, **json.loads(said))


def _heard(ear: int, seconds: float) -> bytes | None:
    """All that is said until the other end is closed; None if that takes too long."""
    until, parts = time.monotonic() + seconds, bytearray()
    waiting = select.poll()
    waiting.register(ear, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        if waiting.poll(left * 1000):
            part = os.read(ear, 65_536)
            if not part:
                return bytes(parts)
            parts += part
    return None


def _read_and_tell(reader: Reader, file: Path, mouth: int) -> None:
    """The fork's side; never comes back."""
    try:
        os.setpgid(0, 0)
        gc.disable()  # one less reason for memory to come and go
        said = json.dumps(_read(reader, file)).encode()
        while said:
            said = said[os.write(mouth, said) :]
    finally:
        os._exit(0)


def _read(reader: Reader, file: Path) -> dict[str, Any]:
    before = _reset_peak()
    # What is allocated and never touched is no memory of the system's yet, and shows here alone.
    room = MOST_GROWTH * file.stat().st_size + MOST_BYTES + (_ROOM_TO_OPEN if reader.opens else _ROOM)
    resource.setrlimit(resource.RLIMIT_AS, (_status_bytes("VmSize") + room,) * 2)
    said: dict[str, Any] = {"ended": "read"}
    try:
        reader.read(file)
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is what we look for)
        ours = isinstance(error, QuantlabError)
        text = " ".join(str(error).split())[:2000]
        said = {
            "ended": "refused" if ours else "raised",
            "said": text if ours else f"{type(error).__name__}: {text}",
            "of_memory": _is_of_memory(error),
        }
    return {**said, "peak_bytes": _status_bytes("VmHWM") - before}


_ROOM, _ROOM_TO_OPEN = 300 * 10**6, 4 * 10**9
"""Addresses for the stacks of threads and for what they may allocate from, which are mostly never touched."""


def _is_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reset_peak() -> int:
    """Let the system count the peak from here on: a fork begins with that of its parent. Gives what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status_bytes("VmRSS")


def _status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


if __name__ == "__main__":
    serve(_handle)
