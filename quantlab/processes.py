"""Child processes that answer in JSON lines: with a log, a time limit, and none left behind.

Converters and runtimes can abort, hang or eat memory; in a process of their own that costs one row. The parent
uses `Child`; a child written in Python calls `serve`. Standard output of a child carries messages only: whatever
libraries print goes to its log.
"""

import contextlib
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from quantlab.errors import QuantlabError

__all__ = [
    "Child",
    "ChildDied",
    "ChildStalled",
    "Emit",
    "Message",
    "describe",
    "import_modules",
    "python_environment",
    "serve",
]

Message = dict[str, Any]
Emit = Callable[[Message], None]

_LOG_TAIL_BYTES = 4000


class ChildDied(QuantlabError):
    """The child ended without saying that it was done."""


class ChildStalled(QuantlabError):
    """The child said nothing for longer than it may."""


def python_environment(*, onednn: bool) -> dict[str, str]:
    """Variables for a child that imports TensorFlow: quiet, on the CPU, our packages importable.

    Grappler with oneDNN on emits ops that the tfjs converter refuses, and inference is faster with it: hence a choice
    that only a process of its own can make.
    """
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "1" if onednn else "0",
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "TFDF_DISABLE_WELCOME_MESSAGE": "1",
        "TF_USE_LEGACY_KERAS": "",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONUNBUFFERED": "1",
    }


class Child:
    """A process that reads JSON lines and answers in JSON lines.

    Use it as a context manager: leaving it, by whatever way, ends the process and all that it started. `after` is
    called whenever that was done, for what the process started outside its group, and left behind.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._log, self._after = log, after
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stderr:
            self._log_start = stderr.tell()  # what stands before are the last words of others
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **environment},
                start_new_session=True,  # so that Ctrl-C reaches us alone, and we end the child's whole group
            )
        self._stopped = False
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (we asked for a pipe)
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def send(self, document: Mapping[str, Any]) -> None:
        """Write one request; a child that is gone already is noticed by the next `receive`."""
        assert self._process.stdin is not None  # noqa: S101 (we asked for a pipe)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(document, allow_nan=False).encode() + b"\n")
            self._process.stdin.flush()

    def receive(self, stall_seconds: float) -> Message:
        """The next message.

        Raises:
            ChildStalled: If none comes in time; the process is ended.
            ChildDied: If the process ended, or says what is no message; then it is ended.
        """
        try:
            line = self._lines.get(timeout=stall_seconds)
        except queue.Empty:
            self.close()
            raise ChildStalled(
                f"the process said nothing for {stall_seconds:g} seconds and was ended; "
                f"if it only needs longer, raise --time-limit"
            ) from None
        if line is None:
            raise ChildDied(self._obituary())
        return self._parsed(line)

    def _parsed(self, line: bytes) -> Message:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict) or "type" not in message:
            self.close()
            said = line[:200].decode(errors="replace").strip()
            raise ChildDied(f"the process was ended, since it said '{said}' where a message was expected")
        return message

    def messages(self, stall_seconds: float) -> Iterator[Message]:
        """Messages up to and including the one that ends a request: `done` or `failed`."""
        while True:
            message = self.receive(stall_seconds)
            yield message
            if message.get("type") in {"done", "failed"}:
                return

    def _obituary(self) -> str:
        code = self._process.wait()
        if self._stopped:
            return "the process was ended by SIGKILL, since its work was stopped"
        if code < 0:
            name = signal.Signals(-code).name
            memory = ", which may be the system that ran out of memory" if name == "SIGKILL" else ""
            how = f"was ended by {name}{memory}"
        else:
            how = f"exited with status {code}"
        last = last_line(self._log, since=self._log_start)
        return f"the process {how}" + (f"; its log ends with: {last}" if last else "")

    def close(self) -> None:
        """End the process and its group; does nothing where it has ended already."""
        self._stopped |= self.alive
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._after()


def last_line(log: Path, *, since: int) -> str:
    """The last line after a position of a log that says something, at most 300 characters; else empty."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(since, log.stat().st_size - _LOG_TAIL_BYTES))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    return next((line[:300] for line in reversed(lines) if line), "")


def serve(handle: Callable[[Message, Emit], None]) -> None:
    """Answer requests on standard input until it closes; the child's side of `Child`.

    Each request ends with a `done` message, or with `failed` where `handle` raised. When standard input closes, the
    parent is gone, and so is this process, in the middle of whatever it does.
    """
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints from here on, in Python or in C, prints to the log

    def emit(message: Message) -> None:
        channel.write(json.dumps(message, allow_nan=False).encode() + b"\n")

    for request in _requests():
        try:
            handle(request, emit)
        except Exception as error:  # noqa: BLE001 (whatever a library raises is this request's failure)
            traceback.print_exc()
            emit({"type": "failed", "reason": describe(error), "expected": isinstance(error, QuantlabError)})
        else:
            emit({"type": "done"})


def _requests() -> Iterator[Message]:
    """Requests in order; a thread of its own reads, since it must see the end of the input while we work."""
    waiting: queue.Queue[Message] = queue.Queue()

    def read() -> None:
        for line in sys.stdin.buffer:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def describe(error: BaseException) -> str:
    """An exception as one line: our own message as it is, anything else with its type before it."""
    text = " ".join(str(error).split())
    if isinstance(error, QuantlabError):
        return text
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__


def import_modules(names: Sequence[str]) -> None:
    """Import the modules that register a model's own layers; the current folder counts as a place to look.

    Raises:
        QuantlabError: If one cannot be imported.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # a user's module may raise anything
            raise QuantlabError(
                f"the module '{name}', named with --custom, could not be imported ({describe(error)}); "
                f"give the name of a module that Python finds from the current folder"
            ) from error
