"""What a started process is, whichever way it was started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

__all__ = ["Preload", "Process", "Surroundings"]


class Process(Protocol):
    """A started process, with pipes to its standard input and output."""

    @property
    def stdin(self) -> BinaryIO:
        """Where requests are written."""

    @property
    def stdout(self) -> BinaryIO:
        """Where messages are read."""

    @property
    def pid(self) -> int | None:
        """Its number; None as long as it has none, or where it could not be started."""

    @property
    def alive(self) -> bool:
        """Whether it runs, or is about to."""

    def ending(self) -> str:
        """How it ended, as what follows 'the process …'; waits for its end."""

    def end(self) -> None:
        """End it and its process group, and wait until it is gone; nothing happens where it has ended."""


@dataclass(frozen=True, slots=True)
class Preload:
    """What a fork server imports before it forks: slow, and the same for every child."""

    modules: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Optional libraries that these modules must not import; a child may still import them."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process is started in."""

    environment: Mapping[str, str]
    """All of it."""
    log: int
    """The descriptor that becomes its standard error."""
    temporary: Path | None
    """A folder of its own for temporary files: made by whoever starts it, and removed when it has ended."""
