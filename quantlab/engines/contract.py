"""The contract of engines."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from quantlab.errors import QuantlabError
from quantlab.processes import Document

__all__ = ["Engine", "EngineRequest", "WorkerLost", "Workers"]


class WorkerLost(QuantlabError):
    """A worker ended before it answered, or the engine no longer reaches it."""


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What an engine is started with."""

    address: str | None
    """Address of a cluster; None starts workers on this machine."""
    workers: int | None
    """Number of workers on this machine; None for one per core."""
    work: Path
    """Folder for logs."""
    modules: tuple[str, ...] = ()
    """What workers will call: those of this machine may import it before the first document."""
    connect_seconds: float = 20
    """How long a Dask scheduler is asked to answer; Ray waits as long as it sees fit."""


class Workers(Protocol):
    """The workers of one study. Threads may share them."""

    @property
    def count(self) -> int:
        """Number of documents that are worked on at the same time, at least 1."""

    def submit(self, function: str, document: Document) -> "Future[Document]":
        """Call `module:function` with a document in some worker, and return what it returns.

        Documents with the same text as `affinity` go best to the worker that had the last of them, which has kept open
        what they need; an engine may ignore this.

        The future raises WorkerLost if the worker ended. The engine itself does not try again: a document that ends
        one worker after another must have a limit, which only the caller knows.
        """

    def close(self) -> None:
        """Cancel what has not begun, and release the workers; futures that are not done raise WorkerLost."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine."""

    name: str
    description: str
    start: Callable[[EngineRequest], Workers]
    """Raises RuntimeUnavailable if it is not installed or not reached, and UsageError if the address is none."""
    package: str | None = None
    """The package that it needs; None if it comes with quantlab."""
