"""The engine `local`: worker processes on this machine."""

import contextlib
import math
import threading
from concurrent.futures import Future

from quantlab.engines.contract import Engine, EngineRequest, WorkerLost, Workers
from quantlab.engines.waiting import Asked, Waiting
from quantlab.errors import QuantlabError, UsageError
from quantlab.processes import (
    Child,
    ChildDied,
    Document,
    Preload,
    PythonModule,
    onednn,
    python_environment,
    usable_cores,
)

__all__ = ["ENGINE"]


class _LocalWorkers:
    """One thread for each worker process; it starts the process at once, and again if it has died.

    So workers import what they will call while the study reads its samples. Nothing is lost if one is not needed: the
    fork server of the program forks it after the imports.
    """

    def __init__(self, request: EngineRequest) -> None:
        self.count = count = request.workers or usable_cores()
        self._work = request.work
        self._program = PythonModule("quantlab.engines.local_worker", Preload(request.modules), forks=True)
        self._waiting = Waiting(count)
        self._children: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False
        for number in range(count):
            threading.Thread(target=self._serve, args=(number,), daemon=True).start()

    def submit(self, function: str, document: Document) -> "Future[Document]":
        answer: Future[Document] = Future()
        with self._lock:
            if self._closed:
                answer.set_exception(WorkerLost("the workers have been released"))
            else:
                self._waiting.put(Asked(function, document, answer))
        return answer

    def close(self) -> None:
        with self._lock:
            self._closed = True
            children = list(self._children)
        for asked in self._waiting.close():
            if asked.answer.set_running_or_notify_cancel():
                asked.answer.set_exception(WorkerLost("the study was stopped"))
        for child in children:
            child.close()

    def _serve(self, number: int) -> None:
        child: Child | None = None
        with contextlib.suppress(ChildDied):  # if it cannot be started now, the first document says why
            child = self._start(number)
        while (asked := self._waiting.take(number)) is not None:
            if not asked.answer.set_running_or_notify_cancel():
                continue
            try:
                if child is not None and not child.usable:  # it died while it had nothing to do
                    child.close()  # releases its pipes
                    child = None
                child = child or self._start(number)
                asked.answer.set_result(_answer(child, asked))
            except ChildDied as error:
                if child is not None:
                    child.close()  # the next document starts another
                child = None
                asked.answer.set_exception(WorkerLost(str(error)))
            except BaseException as error:  # noqa: BLE001 (whatever it is, the thread that waits must be told)
                asked.answer.set_exception(error)
        if child is not None:
            child.close()

    def _start(self, number: int) -> Child:
        child = Child(
            self._program,
            log=self._work / f"worker-{number}.log",
            environment=python_environment(onednn=onednn()),
            temporary=self._work / "temporary",
        )
        with self._lock:
            self._children = {other for other in self._children if other.alive} | {child}
            if self._closed:
                child.close()
        return child


def _answer(child: Child, asked: Asked) -> Document:
    child.send({"function": asked.function, "document": asked.document})
    answer: Document | None = None
    for message in child.messages(math.inf):  # a task has limits of its own
        if message["type"] == "failed":
            raise QuantlabError(str(message["reason"]))
        if message["type"] == "answer":
            answer = message["document"]
    if answer is None:
        raise ChildDied("the worker answered nothing")
    return answer


def _start(request: EngineRequest) -> Workers:
    if request.address is not None:
        raise UsageError(
            f"the engine 'local' has workers on this machine only, and --address is '{request.address}'; leave it out, "
            f"or choose another --engine"
        )
    return _LocalWorkers(request)


ENGINE = Engine("local", "worker processes on this machine", _start)
