"""The interface of a started process, however it was started."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

__all__ = ["Preload", "Process", "Surroundings"]


class Process(Protocol):
    """A started process, with pipes to its standard input and output."""

    @property
    def stdin(self) -> BinaryIO:
        """The stream to which requests are written."""

    @property
    def stdout(self) -> BinaryIO:
        """The stream from which messages are read."""

    @property
    def pid(self) -> int | None:
        """Its process id; None if it has none yet, or if it could not be started."""

    @property
    def alive(self) -> bool:
        """Whether it runs, or will start."""

    def ending(self) -> str:
        """Wait for its end, and return how it ended, as the text after 'the process'."""

    def end(self) -> None:
        """End it and its process group, and wait until it is gone; does nothing if it has ended."""


@dataclass(frozen=True, slots=True)
class Preload:
    """Slow modules that a fork server imports before it forks, because every child needs them."""

    modules: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """Optional libraries that these modules must not import; a child may still import them."""
    unused: tuple[str, ...] = ()
    """Modules that these import in any case and do not use: stand-ins replace them during the import."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment in which a process is started."""

    environment: Mapping[str, str]
    """All variables of the process."""
    log: int
    """Descriptor that becomes its standard error."""
    temporary: Path | None
    """Its private folder for temporary files, created if missing by the code that starts it, and removed at its end."""
