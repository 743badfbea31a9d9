"""The command line: it parses options, calls the Python API, prints the result and sets the exit status.

| exit status | means |
|---|---|
| 0 | success: every trial was measured; for `gate`, the budget is kept; for `recommend`, a setting fits |
| 1 | `gate`: the budget is broken; `recommend`: every setting breaks the budget |
| 2 | something could not be run; the message or the rows of the table say why and what to do |
| 3 | `gate`, `recommend`: too few samples to decide; the message says how many are needed |
| 130 | stopped with Ctrl-C; the same command continues the work |

Standard output carries only the result; progress, warnings and errors go to standard error.
"""

import os
import sys
import traceback
from collections.abc import Sequence

from quantlab.cli.exit_status import COULD_NOT_RUN, OK, STOPPED
from quantlab.cli.output import open_closed_streams, say
from quantlab.errors import QuantlabError

__all__ = ["run"]

_STOPPED_SENTENCE = "quantlab: stopped; run the same command again to continue"
"""Printed after Ctrl-C. Newer versions of typer return the exit status 130, older ones raise an exception."""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; `--debug` anywhere prints tracebacks."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:  # typer handles Ctrl-C itself, but only once it is imported
        say(_STOPPED_SENTENCE)
        return STOPPED


def _run(arguments: Sequence[str]) -> int:
    open_closed_streams()
    from quantlab.cli.app import program

    # A user's loader may import TensorFlow in this process; children set their own environment.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

    debug = "--debug" in arguments
    words = [word for word in arguments if word != "--debug"]
    try:
        result = program()(args=words, prog_name="quantlab", standalone_mode=False)
        sys.stdout.flush()  # a closed pipe must raise here, not when Python exits
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # typer would exit with 1
            return _reader_gone()
        raise
    except Exception as error:  # noqa: BLE001 (the last place that can turn it into a message)
        return _failed(error, debug=debug)
    if result == STOPPED:
        say(_STOPPED_SENTENCE)
    return result if isinstance(result, int) else OK


def _reader_gone() -> int:
    # Python flushes at exit and would print a second error; `sys.stdout` may be a wrapper of typer by now.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return OK


def _failed(error: Exception, *, debug: bool) -> int:
    if debug:
        say("".join(traceback.format_exception(error)).rstrip())
    if type(error).__name__ == "Abort":  # typer bundles its own click, whose classes cannot be imported
        say(_STOPPED_SENTENCE)
        return STOPPED
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error)
        return COULD_NOT_RUN
    explain = getattr(error, "format_message", None)
    if explain is not None:
        say(f"quantlab: {_clause(explain())}{_hint(error)}; see 'quantlab --help'")
        return COULD_NOT_RUN
    if isinstance(error, QuantlabError):
        say(f"quantlab: {error}")
        return COULD_NOT_RUN
    if isinstance(error, OSError):
        say(f"quantlab: {error.strerror or error}{_at(error)}; fix this and run the same command again to continue")
        return COULD_NOT_RUN
    say(
        f"quantlab: internal error ({type(error).__name__}: {error}); "
        f"run the command again with --debug and report its output"
    )
    return COULD_NOT_RUN


def _clause(text: str) -> str:
    """Rewrite typer's "No such command 'a'. Did you mean 'b'?" in the form of our messages."""
    first, _, rest = text.rstrip(".").partition(". Did you mean ")
    return first[:1].lower() + first[1:] + (f" (did you mean {rest.rstrip('?')}?)" if rest else "")


def _hint(error: Exception) -> str:
    """What to write for an option that takes a file in some commands and nothing in others."""
    lacks_file = type(error).__name__ == "BadOptionUsage" and getattr(error, "option_name", "") == "--json"
    return " here; write --json - to print the figures, or --json FILE" if lacks_file else ""


def _at(error: OSError) -> str:
    return f": '{error.filename}'" if error.filename else ""
