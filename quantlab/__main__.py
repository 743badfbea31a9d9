"""`python -m quantlab`, and the program `quantlab`."""

import gc
import os
import sys


def _start_again_safely() -> None:
    """Start this program again with `python -P`, if `python -m` has put the current folder first on the import path.

    A `keras.py` or `numpy.py` there would run instead of the library, and a clone of quantlab instead of the installed
    package. Does nothing if quantlab is found in the current folder only, which is then the one that is meant.
    """
    command = ["-m", "quantlab", *sys.argv[1:]]
    started = sys.orig_argv[-len(command) :] == command  # not by another program, which has its own import path
    if not started or sys.flags.safe_path or not sys.executable:
        return
    folder = sys.path.pop(0)  # where `python -m` puts it
    if any(finder.find_spec("quantlab", None) for finder in sys.meta_path):
        os.execv(sys.executable, [sys.executable, "-P", *sys.orig_argv[1:]])  # noqa: S606 (the same program)
    sys.path.insert(0, folder)


if __name__ == "__main__":
    _start_again_safely()

from quantlab.cli import run  # noqa: E402 (the current folder is searched for nothing that this imports)

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit status."""
    status = run(sys.argv[1:])
    gc.freeze()  # Python's last look for garbage takes longer than all else that it does at the end
    sys.exit(status)


if __name__ == "__main__":
    main()
