"""The parent's side: a process that reads JSON lines and answers in JSON lines."""

import contextlib
import json
import os
import queue
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from quantlab.errors import QuantlabError
from quantlab.processes.documents import Document
from quantlab.processes.own_folder import OwnFolder
from quantlab.processes.process import Process, Surroundings
from quantlab.processes.start import PythonModule, start

__all__ = ["LONGEST_WAIT_SECONDS", "Child", "ChildDied", "ChildStalled", "living_children"]

_LOG_TAIL_BYTES = 4000

LONGEST_WAIT_SECONDS = 1.0
"""A main thread waits for others in steps of this length, since Python handles a signal between two steps at the
latest. In one long wait it would not notice a Ctrl-C that arrives just before the wait begins, or that the system
delivers to another thread."""

_SHORT_BYTES = 4096
"""Length of a line that certainly fits into an empty pipe; pipes hold 64 KB on Linux, and 16 KB on macOS."""


class ChildDied(QuantlabError):
    """The child could not be started, or ended before its last message."""


class ChildStalled(QuantlabError):
    """The child sent nothing for longer than the time limit."""


_children: "weakref.WeakSet[Child]" = weakref.WeakSet()
_children_lock = threading.Lock()


def _forget() -> None:
    """In a fork of this program: replace the lock, which a thread may have held that the fork does not have."""
    global _children_lock  # noqa: PLW0603 (a lock can only be replaced)
    _children_lock = threading.Lock()
    _children.clear()


os.register_at_fork(after_in_child=_forget)


def living_children() -> set[int]:
    """The process ids of this program's running children, including forked ones, oldest first."""
    with _children_lock:
        children = list(_children)
    return {pid for child in children if child.alive and (pid := child.pid) is not None}


class Child:
    """A process that reads JSON lines and answers in JSON lines.

    Use it as a context manager: leaving it in any way ends the process and everything that it started.

    Args:
        program: A command, or a Python module, which is forked from this program's fork server if possible.
        log: The file to which its standard error is appended.
        environment: Variables in addition to those of this program.
        after: Called after it was ended, to clean up what it started outside of its process group.
        temporary: A folder in which the child gets a private folder as TMPDIR, which is removed at its end. An
            `OwnFolder` is used as TMPDIR itself; its owner closes it.
        own_log: Whether it may serve several jobs or studies. Then it writes to a file without a name, which is
            appended to the current `log` when the child is given back or ended.

    Raises:
        ChildDied: If the system refuses to start it.
    """

    def __init__(
        self,
        program: Sequence[str] | PythonModule,
        *,
        log: Path,
        environment: Mapping[str, str],
        after: Callable[[], None] = lambda: None,
        temporary: Path | OwnFolder | None = None,
        own_log: bool = False,
    ) -> None:
        self.log, self._after = log, after
        self.opened = ""  # the name of the variant that is open in it between two requests
        self._own_log: IO[bytes] | None = None
        if isinstance(temporary, OwnFolder):
            self._temporary: Path | None = temporary.path
        else:
            self._temporary = temporary.absolute() / uuid.uuid4().hex if temporary else None
        self._copied = 0
        self._log_start: int | None = None  # where its own output begins in the log; None if it has printed nothing
        self._stopped = False
        self.closed = False  # whether it was ended and tidied up
        self._hung_up = False
        self._outbox: queue.Queue[bytes] | None = None
        """Queue of lines that may be too long for the pipe; None until there is one."""
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        try:
            if own_log:
                self._own_log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the child)
                # Not closed in `close`, because other threads may copy the log after it.
                weakref.finalize(self, self._own_log.close).atexit = False
            self._process = self._start(program, environment)
            threading.Thread(target=self._read, daemon=True).start()
        except (OSError, RuntimeError) as error:  # a thread that cannot be started raises RuntimeError
            if hasattr(self, "_process"):
                self._process.end()
            self._tidy()
            raise ChildDied(_not_started(error)) from error
        with _children_lock:
            _children.add(self)

    def _start(self, program: Sequence[str] | PythonModule, environment: Mapping[str, str]) -> Process:
        own = {"TMPDIR": str(self._temporary)} if self._temporary else {}
        variables = {**os.environ, **environment, **own}
        if self._own_log is not None:
            return start(program, Surroundings(variables, self._own_log.fileno(), self._temporary))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as stderr:
            self._log_start = stderr.tell()  # earlier lines of the log are from other processes
            return start(program, Surroundings(variables, stderr.fileno(), self._temporary))

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError), self._process.stdout as messages:
            for line in messages:
                self._lines.put(line)
        self._hung_up = True
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs, or is about to."""
        return self._process.alive

    @property
    def usable(self) -> bool:
        """Whether it can take another request: it runs, and has not closed its standard output."""
        return self.alive and not self._hung_up

    @property
    def pid(self) -> int | None:
        """Its process id; None until the fork server has answered."""
        return self._process.pid

    def send(self, document: Mapping[str, Any]) -> None:
        """Send one request. If the child is gone, closed or does not read, the next `receive` reports it.

        Raises:
            ChildDied: If a long request needs a thread and the system refuses it.
        """
        line = json.dumps(document, allow_nan=False).encode() + b"\n"
        if self._outbox is None and len(line) <= _SHORT_BYTES:
            self._write(line)
            return
        if self._outbox is None:  # from now on in a thread: a child that never reads must not block this process
            self._outbox = queue.Queue()
            try:
                threading.Thread(target=self._write_all, args=(self._outbox,), daemon=True).start()
            except RuntimeError as error:
                raise ChildDied(_not_started(error)) from error
        self._outbox.put(line)

    def _write_all(self, lines: "queue.Queue[bytes]") -> None:
        while self.alive:
            self._write(lines.get())

    def _write(self, line: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):  # writing to a closed file raises ValueError
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def receive(self, stall_seconds: float) -> Document:
        """The next message.

        Raises:
            ChildStalled: If none comes in time; the process is ended.
            ChildDied: If the process ended or sent an invalid message; in the latter case it is ended.
        """
        try:
            line = self._next_line(stall_seconds)
        except queue.Empty:
            self.close()
            raise ChildStalled(
                f"the process sent nothing for {stall_seconds:g} seconds and was ended; "
                f"if it only needs more time, raise --time-limit"
            ) from None
        if line is None:
            raise ChildDied(self._obituary())
        return self._parsed(line)

    def _next_line(self, seconds: float) -> bytes | None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > LONGEST_WAIT_SECONDS:
            with contextlib.suppress(queue.Empty):
                return self._lines.get(timeout=LONGEST_WAIT_SECONDS)
        return self._lines.get(timeout=max(left, 0))

    def _parsed(self, line: bytes) -> Document:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict) or "type" not in message:
            self.close()
            said = line[:200].decode(errors="replace").strip()
            raise ChildDied(f"the process was ended because it sent '{said}' where a message was expected")
        return message

    def messages(self, stall_seconds: float) -> Iterator[Document]:
        """Messages up to and including the one that ends a request: `done` or `failed`."""
        while True:
            message = self.receive(stall_seconds)
            yield message
            if message.get("type") in {"done", "failed"}:
                return

    def _obituary(self) -> str:
        self._lines.put(None)  # a further call reports the same
        if self._stopped:
            return "the process was ended by SIGKILL, since its work was stopped"
        how = self._process.ending()
        self.copy_log()
        last = "" if self._log_start is None else last_line(self.log, since=self._log_start)
        return f"the process {how}" + (f"; its log ends with: {last}" if last else "")

    def close(self) -> None:
        """End the process and its group; does nothing if it has already ended."""
        self._stopped |= self.alive
        self._process.end()
        if self._outbox is not None:
            self._outbox.put(b"")  # the writing thread notices that the child is gone
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self.copy_log()
        self._tidy()
        self.closed = True

    def end_of_request(self) -> None:
        """Copy the output of a finished request to the log; it must not be quoted as the cause of a later failure."""
        if self._own_log is not None:
            self.copy_log()
            self._log_start = None

    def copy_log(self) -> None:
        """Append to the log what a child with its own log has printed since the last call."""
        if self._own_log is None:
            return
        printed = os.pread(self._own_log.fileno(), os.fstat(self._own_log.fileno()).st_size, self._copied)
        self._copied += len(printed)
        if printed:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as file:
                self._log_start = file.tell()
                file.write(printed)

    def _tidy(self) -> None:
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._after()


def _not_started(error: OSError | RuntimeError) -> str:
    return (
        f"a process could not be started ({describe_refusal(error)}); close programs, or raise the limit of "
        f"processes and memory (ulimit -a shows them)"
    )


def describe_refusal(error: OSError | RuntimeError) -> str:
    """Why the system did not start a process or a thread, without the error number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def last_line(log: Path, *, since: int) -> str:
    """The last non-empty line of a log after a position, at most 300 characters; empty if there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(since, log.stat().st_size - _LOG_TAIL_BYTES))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    return next((line[:300] for line in reversed(lines) if line), "")
