"""A program that runs `quantlab gate` some times, each time in a fork of itself with the streams that it was given.

`python gate_in_forks.py JSON STATUSES`: the JSON is a list of [arguments, file of standard error, or null to leave it
where it is]; the exit statuses are written to a file as a JSON list. The process imports quantlab's code once for all
of them. Everything else happens in the fork as in a program of its own, from `main` to the end of the interpreter.
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from quantlab.__main__ import main
from quantlab.cli.app import program


def import_all(arguments: Sequence[str]) -> None:
    """Import what the gate imports when it runs; the streams of this process stay as they are."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        program()(args=arguments, prog_name="quantlab", standalone_mode=False)


def status_in_fork(arguments: Sequence[str], errors: str | None) -> int:
    """The exit status of one gate."""
    child = os.fork()
    if not child:
        if errors is not None:
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
        sys.argv[1:] = arguments
        main()  # and leaves
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    asked, statuses = json.loads(sys.argv[1]), Path(sys.argv[2])
    import_all(asked[0][0][:4])
    statuses.write_text(json.dumps([status_in_fork(arguments, errors) for arguments, errors in asked]))
