"""Describes exit statuses in words."""

import signal

__all__ = ["ending_of"]


def ending_of(status: int) -> str:
    """Describe how a process ended from its exit status, or the negative number of the signal that ended it.

    >>> ending_of(3), ending_of(-6)
    ('exited with status 3', 'was ended by SIGABRT')
    """
    if status >= 0:
        return f"exited with status {status}"
    name = signal.Signals(-status).name
    memory = ", perhaps because the system ran out of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{memory}"
