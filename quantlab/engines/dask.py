"""The engine `dask`: workers of a Dask cluster, or of one that is started on this machine."""

import contextlib
from concurrent.futures import CancelledError, Future
from typing import Any

from quantlab.engines.answers import not_sent, pass_on
from quantlab.engines.calling import call
from quantlab.engines.contract import Engine, EngineRequest, WorkerLost, Workers
from quantlab.errors import RuntimeUnavailable
from quantlab.processes import Document, describe

__all__ = ["ENGINE"]

_GONE = ("closing", "closed")
"""States of a client that did not find its scheduler again. While it closes, it takes documents and never answers."""


class _DaskWorkers:
    """The workers that a client reaches, one task per thread of a worker."""

    def __init__(self, client: Any, cluster: Any) -> None:
        self._client, self._cluster = client, cluster

    @property
    def count(self) -> int:
        return max(1, int(sum(self._client.nthreads().values())))

    def submit(self, function: str, document: Document) -> "Future[Document]":
        answer: Future[Document] = Future()
        if self._client.status in _GONE:
            answer.set_exception(WorkerLost("the scheduler was not reached (its client has given it up)"))
            return answer
        try:
            # Not pure: the same document may be sent again after its worker was lost.
            sent = self._client.submit(call, function, document, pure=False, retries=0)
        except Exception as error:  # noqa: BLE001 (a closed client, or a scheduler that is gone)
            return not_sent(answer, "the scheduler", error)
        sent.add_done_callback(lambda done: pass_on(answer, done.result, _told))
        answer.add_done_callback(lambda asked: _cancel(sent) if asked.cancelled() else None)
        return answer

    def close(self) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone must not hide why the study ends
            self._client.close()
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close()


def _cancel(sent: Any) -> None:
    with contextlib.suppress(Exception):  # a client that is closed cannot tell the scheduler, and need not
        sent.cancel()


def _told(error: BaseException) -> Exception:
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return WorkerLost("a Dask worker ended before it answered")
    if isinstance(error, CancelledError | OSError):
        return WorkerLost("the Dask scheduler was lost before it brought an answer")
    if isinstance(error, ModuleNotFoundError):
        missing = f"a Dask worker lacks the package '{error.name}'"
        return RuntimeUnavailable(f"{missing}; install quantlab there: pip install 'quantlab[dask]'")
    return WorkerLost(f"a Dask worker failed ({describe(error)})")


def _start(request: EngineRequest) -> Workers:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise RuntimeUnavailable(
            "the engine 'dask' needs the package distributed; install it with: pip install 'quantlab[dask]'"
        ) from error
    if request.address is None:
        try:
            # Any port, because another cluster on this machine has the usual one.
            cluster = LocalCluster(n_workers=request.workers, threads_per_worker=1, dashboard_address=":0")
            return _DaskWorkers(Client(cluster, set_as_default=False), cluster)
        except (OSError, ValueError, RuntimeError) as error:
            raise RuntimeUnavailable(
                f"a Dask cluster could not be started on this machine ({describe(error)}); leave --engine out"
            ) from error
    try:
        client = Client(request.address, timeout=request.connect_seconds, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RuntimeUnavailable(
            f"no Dask scheduler answers at '{request.address}' ({describe(error)}); start one with 'dask scheduler', "
            f"and name it as --address tcp://HOST:8786"
        ) from error
    return _DaskWorkers(client, None)


ENGINE = Engine("dask", "workers of a Dask cluster (--address tcp://HOST:8786)", _start, "distributed")
