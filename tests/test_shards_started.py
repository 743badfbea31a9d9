"""The workers of a study are released with it, whatever happens in between."""

from concurrent.futures import Future
from pathlib import Path

import pytest

from quantlab.engines import Engine, EngineRequest
from quantlab.processes import Document
from quantlab.store import Store
from quantlab.study.shards import ShardOptions, started_workers


class Gone:
    """Workers of a cluster that went away after it had answered."""

    def __init__(self) -> None:
        self.closed = 0

    @property
    def count(self) -> int:
        raise OSError("no connection")

    def submit(self, function: str, document: Document) -> "Future[Document]":
        raise AssertionError((function, document))

    def close(self) -> None:
        self.closed += 1


def test_workers_that_cannot_be_counted_are_released(tmp_path: Path):
    workers, requests = Gone(), list[EngineRequest]()

    def start(request: EngineRequest) -> Gone:
        requests.append(request)
        return workers

    engines = {"gone": Engine("gone", "a cluster that went away", start)}
    with (
        pytest.raises(OSError, match="no connection"),
        started_workers(Store(tmp_path), ShardOptions(engine="gone"), engines, batch_size=32, time_limit=60),
    ):
        pass
    assert (len(requests), workers.closed) == (1, 1)
