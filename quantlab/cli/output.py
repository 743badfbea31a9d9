"""Prints a result whose reader may be gone: a pipe that was closed, a disk that is full, no standard output at all."""

import contextlib
import os
import sys

__all__ = ["open_closed_streams", "print_result"]


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
    """Print text to standard output; where that fails, say so on standard error and continue.

    A command whose exit status is its result, as `quantlab gate`, must not lose it because nobody reads its text.
    """
    try:
        print(text)
        sys.stdout.flush()
    except (OSError, ValueError) as error:  # a closed stream is a ValueError
        # Python flushes at exit and would fail again; `sys.stdout` may be a wrapper of typer by now.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        with contextlib.suppress(OSError, ValueError):
            if not isinstance(error, BrokenPipeError):
                reason = error.strerror if isinstance(error, OSError) else error
                print(f"quantlab: the result could not be printed ({reason}); see the exit status", file=sys.stderr)
