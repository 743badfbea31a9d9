"""The documents that wait for workers of this machine, and which worker takes which."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass

from quantlab.processes import Document

__all__ = ["Asked", "Waiting"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A document that waits for a worker."""

    function: str
    document: Document
    answer: "Future[Document]"

    @property
    def affinity(self) -> str:
        """Name of what the worker opens for it; empty if it opens nothing."""
        return str(self.document.get("affinity", ""))


class Waiting:
    """Documents in the order in which they came. Threads may share it.

    A worker first takes the documents that need what it has open, then those that no other worker has begun with, and
    then the oldest: so nothing is opened twice until the others have nothing else to do.
    """

    def __init__(self, workers: int) -> None:
        self._documents: list[Asked] = []
        self._opened = [""] * workers
        """Affinity of the last document of each worker."""
        self._changed = threading.Condition()
        self._closed = False

    def put(self, asked: Asked) -> None:
        """Add a document."""
        with self._changed:
            self._documents.append(asked)
            self._changed.notify()

    def take(self, worker: int) -> Asked | None:
        """The next document for a worker, waited for; None once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._documents or self._closed)
            if self._closed:
                return None
            asked = min(self._documents, key=lambda asked: self._cost(asked, worker))
            self._documents.remove(asked)
            self._opened[worker] = asked.affinity
            return asked

    def _cost(self, asked: Asked, worker: int) -> int:
        """How much is opened once more if this worker takes it; of equal ones, `min` gives the oldest."""
        if asked.affinity == self._opened[worker]:
            return 0
        return 1 + (asked.affinity in self._opened)

    def close(self) -> list[Asked]:
        """End the waiting of all workers; return the documents that none has taken."""
        with self._changed:
            self._closed = True
            left, self._documents = self._documents, []
            self._changed.notify_all()
        return left
