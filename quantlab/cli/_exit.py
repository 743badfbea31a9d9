"""The exit statuses, for every command."""

__all__ = ["COULD_NOT_RUN", "OK", "STOPPED"]

OK = 0
COULD_NOT_RUN = 2
STOPPED = 130
