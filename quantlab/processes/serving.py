"""The child's side of `Child`: requests on standard input, messages on the original standard output."""

import importlib
import json
import os
import queue
import re
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence

from quantlab.errors import QuantlabError
from quantlab.processes.documents import Document
from quantlab.user_modules import look_in_current_folder

__all__ = ["Emit", "describe", "import_modules", "serve"]

Emit = Callable[[Document], None]


def serve(handle: Callable[[Document, Emit], None], orphaned: Callable[[], None] = lambda: None) -> None:
    """Answer requests on standard input until it closes; the child's side of `Child`.

    Each request ends with a `done` message, or with `failed` if `handle` raised. When standard input closes, the parent
    is gone, and this process ends at once. A fork made in `handle` that returns here ends without a message.

    Args:
        handle: Answers one request.
        orphaned: Called in another thread when the parent is gone, to remove what the parent can no longer remove.
    """
    channel, own = os.fdopen(os.dup(1), "wb", buffering=0), os.getpid()
    os.dup2(2, 1)  # from here on, all prints of Python and C code go to the log

    def emit(message: Document) -> None:
        if os.getpid() != own:
            os._exit(0)  # two processes would answer each request twice
        channel.write(json.dumps(message, allow_nan=False).encode() + b"\n")

    for request in _requests(orphaned):
        try:
            handle(request, emit)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever it is, only this request fails)
            traceback.print_exc()
            emit({"type": "failed", "reason": describe(error), "expected": isinstance(error, QuantlabError)})
        else:
            emit({"type": "done"})


def _requests(orphaned: Callable[[], None]) -> Iterator[Document]:
    """Yield requests in order; a separate thread reads, so that the end of the input is noticed during work."""
    waiting: queue.Queue[Document] = queue.Queue()

    def read() -> None:
        # Not sys.stdin: this thread would hold its lock when Python exits and closes it, a fatal error (SIGABRT).
        try:
            for line in os.fdopen(os.dup(0), "rb"):
                waiting.put(json.loads(line))  # the last line of a parent that was killed may be incomplete
            orphaned()
        finally:
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


_STACK = re.compile(
    r"""
    ^[ \t]+File\ ".*\n (?:[ \t]{4,}(?!File\ ").*\n)?  # a line of Python, and what it holds
    | ^Traceback\ .*\n | \ defined\ at\ \(most\ recent\ call\ last\) | <stack\ traces\ unavailable>
    """,
    re.MULTILINE | re.VERBOSE,
)
"""The stack in a message of TensorFlow; it comes before the cause, which would be cut off."""


def describe(error: BaseException) -> str:
    """An exception as one line: the message of a QuantlabError unchanged, others with their type first."""
    if isinstance(error, QuantlabError):
        return " ".join(str(error).split())
    text = " ".join(_STACK.sub("", str(error)).split())
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__


def import_modules(names: Sequence[str]) -> None:
    """Import the modules that register custom layers; the current folder is searched last.

    If a module forks, the fork ends here; otherwise it would repeat all that follows, with the same files.

    Raises:
        QuantlabError: If a module cannot be imported.
    """
    look_in_current_folder(first=False)
    own = os.getpid()
    for name in names:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # a user's module may raise anything, and may call sys.exit
            raise QuantlabError(
                f"the module '{name}', named with --custom, could not be imported ({describe(error)}); "
                f"give the name of a module that Python finds from the current folder"
            ) from error
        finally:
            if os.getpid() != own:
                os._exit(0)
