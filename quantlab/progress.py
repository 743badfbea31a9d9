"""How long work says where it is, to whoever wants to show it."""

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Hears what a study does. Threads may call it at once."""

    def plan(self, samples: int) -> None:
        """A phase starts that comes to so many samples, kept ones included: all trials, or the look inside them."""

    def begin(self, step: str, samples: int = 0) -> None:
        """A step starts: opening, a conversion, or a trial of so many samples."""

    def advance(self, step: str, samples: int) -> None:
        """So many more samples of a trial are done."""

    def end(self, step: str, outcome: str) -> None:
        """A step is over; `outcome` is `done`, `kept`, or why it failed."""

    def warn(self, text: str) -> None:
        """Something the user should know at once."""


class Silent:
    """Shows nothing."""

    def plan(self, samples: int) -> None:
        """Do nothing."""

    def begin(self, step: str, samples: int = 0) -> None:
        """Do nothing."""

    def advance(self, step: str, samples: int) -> None:
        """Do nothing."""

    def end(self, step: str, outcome: str) -> None:
        """Do nothing."""

    def warn(self, text: str) -> None:
        """Do nothing."""
