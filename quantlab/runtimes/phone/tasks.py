"""What the desk of a phone knows of a request and of the times that it was sent."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from quantlab.processes import Document
from quantlab.runtimes.page_job import JobPaths
from quantlab.runtimes.phone.heard import Hearing
from quantlab.runtimes.requests import Request
from quantlab.types.messages import Message

__all__ = ["Dispatch", "Patience", "Session", "Task"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a phone may be silent, in seconds."""

    wait: float = 600.0
    """Until a row fails, if the phone does not answer: its screen is locked, or the network is lost."""
    present: float = 20.0
    """After its last request, a phone counts as away."""
    sign: float = 5.0
    """Time between two signs of life for the parent, while a phone is away or runs something else."""
    load: float = 120.0
    """For a frame to ask for its job."""
    poll: float = 8.0
    """For an answer to a page that asks what is new."""
    look: float = 0.5
    """Between two looks at whether the study still waits, while nothing arrives."""
    restarts: int = 6
    """Times that a job is sent again without a new sample after which its row fails: memory runs out."""


@dataclass(slots=True)
class Session:
    """One child of the study, and its way back.

    A child that does not read keeps who sends to it waiting, so the desk puts messages down under its lock, and sends
    them without it: `put`, then `flush`.
    """

    send: Callable[[Document], None]
    gone: Callable[[], bool]
    """Whether the child has ended."""
    task: "Task | None" = None
    _unsent: "deque[Document]" = field(default_factory=deque)
    _sending: threading.Lock = field(default_factory=threading.Lock)

    def put(self, document: Document) -> None:
        """Take a message to be sent after those before it."""
        self._unsent.append(document)

    def flush(self) -> None:
        """Send all that was put, in order; while there is more, wait for another thread that sends."""
        while self._unsent:
            with self._sending:
                if self._unsent:
                    self.send(self._unsent.popleft())


@dataclass(slots=True)
class Task:
    """A request, and what has become of it so far."""

    request: Request
    session: Session
    done: int
    """Samples that are done."""
    outcome: Message | None = None
    """The last message, if the request is answered."""
    dispatch: "Dispatch | None" = None
    barren: int = 0
    """Dispatches since the last new sample."""


@dataclass(slots=True)
class Dispatch:
    """A task as it was sent to a page."""

    key: str
    page: int
    start: int
    hearing: Hearing
    paths: JobPaths
    made: float
    following: "queue.Queue[Document]" = field(default_factory=queue.Queue)
    """Further requests for the same variant."""
    opened: bool = False
    logged: int = 0
