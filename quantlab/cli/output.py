"""Prints to readers who may be gone: a pipe that was closed, a disk that is full, no standard output at all."""

import contextlib
import os
import sys

from quantlab.names import without_controls

__all__ = ["open_closed_streams", "print_result", "say"]


def open_closed_streams() -> None:
    """Connect standard streams that the program was started without to nothing.

    Otherwise `sys.stdout` is None, and the next file that is opened takes its number: whatever a child prints would be
    written into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (a descriptor)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (a descriptor)


_STANDARD_ERROR = 2
"""Its number, the highest of the standard streams."""


def print_result(text: str) -> None:
    """Print text without control characters to standard output; where that fails, say so and continue.

    A command whose exit status is its result, as `quantlab gate`, must not lose it because nobody reads its text.
    """
    try:
        print(without_controls(text))
        sys.stdout.flush()
    except (OSError, ValueError) as error:  # a closed stream is a ValueError
        _print_to_nobody(1)
        if not isinstance(error, BrokenPipeError):
            reason = error.strerror if isinstance(error, OSError) else error
            say(f"quantlab: the result could not be printed ({reason}); see the exit status")


def say(text: object) -> None:
    """Print a message without control characters to standard error.

    Where nobody can read it, the exit status says all there is to say.
    """
    try:
        # Half a character of UTF-16, which JSON can hold, cannot be encoded as it is.
        line = without_controls(str(text)).encode(errors="backslashreplace").decode()
        # In one piece with its end, since other threads print, too.
        print(f"{line}\n", end="", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _print_to_nobody(_STANDARD_ERROR)


def _print_to_nobody(descriptor: int) -> None:
    """Let a stream that failed write to nothing: Python flushes it at exit, and would change the exit status.

    By its descriptor, since `sys.stdout` may be a wrapper of typer by now.
    """
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
