"""Workers that several studies share: each study has a queue of its own, and none waits until another one has ended."""

import contextlib
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from quantlab.engines.answers import not_sent
from quantlab.engines.contract import Engine, EngineRequest, WorkerLost, Workers
from quantlab.errors import QuantlabError
from quantlab.processes import Document

__all__ = ["SharedWorkers", "shared_engines"]

_WORKERS_FOR_ONE_AHEAD = 4
"""For so many workers, one document more is at the engine than they work on, so that none waits for the next one."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A document of a study."""

    function: str
    document: Document
    answer: "Future[Document]" = field(default_factory=Future)
    sent: "Future[Document] | None" = None
    """The answer of the engine; None while the document waits."""
    _told: threading.Lock = field(default_factory=threading.Lock)

    def withdraw(self) -> None:
        """Tell the engine that nobody waits for its answer any more, if the document is there."""
        if self.sent is not None and self.answer.done():
            self.sent.cancel()

    def tell(self, done: "Future[Document]") -> None:
        """Pass on what the engine answered."""
        if done.cancelled():
            self.fail(WorkerLost("the engine has dropped the task"))
        elif (error := done.exception()) is not None:
            self.fail(error)
        elif self._first():
            self.answer.set_result(done.result())

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless there is an answer."""
        if self._first():
            self.answer.set_exception(error)

    def _first(self) -> bool:
        """Whether the caller is the one to answer: the engine and the end of the study may come at the same time."""
        return self._told.acquire(blocking=False) and self.answer.set_running_or_notify_cancel()


@dataclass(slots=True, eq=False)
class _Study:
    """The workers as one study sees them."""

    shared: "SharedWorkers"
    count: int
    waiting: "deque[_Asked]" = field(default_factory=deque)
    sent: "set[_Asked]" = field(default_factory=set)
    """What is at the engine."""
    ended: bool = False

    def submit(self, function: str, document: Document) -> "Future[Document]":
        """See `Workers.submit`."""
        return self.shared.submit(self, _Asked(function, document))

    def close(self) -> None:
        """Cancel what this study has asked for, and nothing else; the workers go on."""
        self.shared.end(self)


class SharedWorkers:
    """Workers of an engine that several studies use at the same time.

    The engine is handed little more than the workers can do, so that a study that begins later soon has its turn. The
    next document is that of the study with the fewest at the engine, and of those in turn: so studies share the workers
    equally, however many tasks each has and however long these take.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._studies: list[_Study] = []
        """In the order of their turns."""
        self._count = 1
        self._handing_over = False

    def view(self) -> Workers:
        """Return the workers for one more study; closing it ends what this study has asked for."""
        with contextlib.suppress(Exception):  # of a cluster that is gone: what is asked of it says so
            self._count = self._workers.count  # asked anew for each study, since a cluster may have grown
        study = _Study(self, self._count)
        with self._lock:
            self._studies.append(study)
        self._hand_over()
        return study

    def close(self) -> None:
        """End all studies, and release the workers."""
        with self._lock:
            studies = list(self._studies)
        for study in studies:
            self.end(study)
        self._workers.close()

    def submit(self, study: _Study, asked: _Asked) -> "Future[Document]":
        """Put a document behind the others of its study."""
        asked.answer.add_done_callback(lambda _: asked.withdraw())
        with self._lock:
            ended = study.ended
            if not ended:
                study.waiting.append(asked)
        if ended:
            asked.fail(WorkerLost(_ENDED))
        self._hand_over()
        return asked.answer

    def end(self, study: _Study) -> None:
        """Cancel what a study has asked for."""
        with self._lock:
            study.ended = True
            left = [*study.waiting, *study.sent]
            study.waiting.clear()
            if study in self._studies and not study.sent:
                self._studies.remove(study)
        for asked in left:
            asked.fail(WorkerLost(_ENDED))
        self._hand_over()

    def _hand_over(self) -> None:
        """Hand documents to the engine, as many as may be there.

        An engine may answer at once, which leads here again: one call at a time does the work, in a loop.
        """
        with self._lock:
            if self._handing_over:
                return
            self._handing_over = True
        try:
            while (chosen := self._next()) is not None:
                self._send(*chosen)
        except BaseException:
            self._handing_over = False  # Ctrl-C between two documents must not keep the others for ever
            raise

    def _next(self) -> tuple[_Study, _Asked] | None:
        """The next document; None if there is none or no room, and the call that hands over is at its end."""
        with self._lock:
            ready = [study for study in self._studies if _has_waiting(study)]
            most = self._count + max(1, self._count // _WORKERS_FOR_ONE_AHEAD)
            if not ready or sum(len(study.sent) for study in self._studies) >= most:
                self._handing_over = False
                return None
            study = min(ready, key=lambda one: len(one.sent))
            self._studies.remove(study)
            self._studies.append(study)
            asked = study.waiting.popleft()
            study.sent.add(asked)
            return study, asked

    def _send(self, study: _Study, asked: _Asked) -> None:
        try:
            asked.sent = self._workers.submit(asked.function, asked.document)
        except Exception as error:  # noqa: BLE001 (whoever waits must be told, and the place at the engine is free again)
            asked.sent = not_sent(Future(), "the engine", error)
        asked.withdraw()  # if it was cancelled, or its study ended, in between
        asked.sent.add_done_callback(partial(self._answered, study, asked))

    def _answered(self, study: _Study, asked: _Asked, done: "Future[Document]") -> None:
        with self._lock:
            study.sent.discard(asked)
            if study.ended and not study.sent and study in self._studies:
                self._studies.remove(study)
        asked.tell(done)
        self._hand_over()


_ENDED = "the study has ended"


def _has_waiting(study: _Study) -> bool:
    """Whether a document waits that is still wanted."""
    while study.waiting and study.waiting[0].answer.cancelled():
        study.waiting.popleft()
    return bool(study.waiting)


@contextmanager
def shared_engines(engines: Mapping[str, Engine]) -> Iterator[dict[str, Engine]]:
    """Engines whose workers all studies of the block share.

    They are started for the first study that asks for them, one set for each address and number, and released at the
    end of the block. An engine that cannot be started is not asked again: each study gets the same error.
    """
    with ExitStack() as stack:
        started = _Started(stack)
        yield {name: replace(engine, start=partial(started.view, engine)) for name, engine in engines.items()}


@dataclass(slots=True)
class _Started:
    """The workers of a batch."""

    stack: ExitStack
    known: "dict[tuple[str, str | None, int | None], SharedWorkers | QuantlabError]" = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while an engine starts: other studies need the same workers."""

    def view(self, engine: Engine, request: EngineRequest) -> Workers:
        """The workers for one more study; raises like `Engine.start`."""
        place = (engine.name, request.address, request.workers)
        with self.lock:
            if place not in self.known:
                self.known[place] = self._start(engine.start, request)
            known = self.known[place]
        if isinstance(known, QuantlabError):
            raise known
        return known.view()

    def _start(
        self, start: Callable[[EngineRequest], Workers], request: EngineRequest
    ) -> SharedWorkers | QuantlabError:
        # Not in the folder of the first study, which may end before the others.
        work = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="quantlab-batch-")))
        try:
            workers = SharedWorkers(start(replace(request, work=work)))
        except QuantlabError as error:
            return error
        self.stack.callback(workers.close)
        return workers
