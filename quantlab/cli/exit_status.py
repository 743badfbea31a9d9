"""The exit statuses of all commands."""

__all__ = ["BREAKS", "COULD_NOT_RUN", "INCONCLUSIVE", "OK", "STOPPED"]

OK = 0
BREAKS = 1
COULD_NOT_RUN = 2
INCONCLUSIVE = 3
STOPPED = 130
