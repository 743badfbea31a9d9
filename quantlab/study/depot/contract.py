"""The contract of depots: files with names, of which some can be created by one of all who try."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Depot", "Pace"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a depot is asked, which costs little for a folder and money for an object store."""

    touch_seconds: float
    """The owner of a file shows as often that it lives."""
    silent_seconds: float
    """The owner of a file that was not touched for so long is dead."""
    look_seconds: float
    """Who waits for another one looks as often."""


class Depot(Protocol):
    """Small files that workers create, watch and remove. Threads may share it.

    Every method raises OSError or a QuantlabError if the depot cannot be used.
    """

    @property
    def pace(self) -> Pace:
        """How often it is asked."""

    def create(self, name: str, content: bytes) -> bool:
        """Create a file whole, unless it exists; False if it does. Of all who try at once, one succeeds.

        The content must be the caller's own, since it tells whether a file whose answer was lost is that of the caller.
        """

    def read(self, name: str) -> bytes:
        """The content of a file; raises FileNotFoundError if there is none."""

    def state(self, name: str) -> Hashable:
        """A value that is another one whenever the file was touched; raises FileNotFoundError if there is none."""

    def touch(self, name: str) -> None:
        """Change the state of a file that this depot created; one attempt only, which may fail."""

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""

    def names(self, beginning: str) -> Sequence[str]:
        """The names of all files that begin like this, in any order."""
