"""Engines for tests of shards: threads of this process, which do what is asked of them in between."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from quantlab.engines import Engine, EngineRequest, Workers
from quantlab.engines.calling import call
from quantlab.errors import QuantlabError
from quantlab.processes import Document
from quantlab.registries import REAL, Registries

__all__ = ["Carried", "elsewhere", "engine_of", "registries_with"]


@dataclass(slots=True)
class Carried:
    """What an engine was asked to carry, in order."""

    documents: list[Document] = field(default_factory=list)
    closed: int = 0

    @property
    def keys(self) -> list[str]:
        return [document["key"] for document in self.documents]


class _InThreads:
    """Workers that are threads of this process."""

    def __init__(self, count: int, carried: Carried, around: Callable[[Document, Callable[[], Document]], Document]):
        self.count = count
        self._carried, self._around = carried, around
        self._pool = ThreadPoolExecutor(count)

    def submit(self, function: str, document: Document) -> "Future[Document]":
        self._carried.documents.append(document)
        return self._pool.submit(self._around, document, lambda: call(function, document))

    def close(self) -> None:
        self._carried.closed += 1
        self._pool.shutdown(cancel_futures=True)


def engine_of(
    carried: Carried, around: Callable[[Document, Callable[[], Document]], Document] = lambda _, run: run()
) -> Engine:
    """An engine whose workers are threads.

    Args:
        carried: Is told what was submitted.
        around: Is given each document, and a function that runs it; it returns the answer.
    """

    def start(request: EngineRequest) -> Workers:
        return _InThreads(request.workers or 2, carried, around)

    return Engine("threads", "threads of this process", start)


def registries_with(engine: Engine) -> Registries:
    return replace(REAL, engines={**REAL.engines, engine.name: engine})


def elsewhere(folder: Path, function: str, document: Document) -> Document:
    """Call a function in a new process with another current folder, as a worker of another machine has."""
    program = (
        "import json, sys; from quantlab.engines.calling import call; print(json.dumps(call(*json.load(sys.stdin))))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        input=json.dumps([function, document]),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: Document = json.loads(done.stdout)
    return answer


def die(_: Document) -> Document:
    """End the worker process."""
    os._exit(3)


def raise_error(document: Document) -> Document:
    raise QuantlabError(f"refused {document['shard']}")


def process(document: Document) -> Document:
    """Tell which process has worked, after a moment."""
    time.sleep(document.get("seconds", 0))
    return {"process": os.getpid()}
