"""The engine `ray`: workers of a Ray cluster, or of one that is started on this machine."""

import contextlib
import warnings
from concurrent.futures import Future
from typing import Any

from quantlab.engines.answers import not_sent, pass_on
from quantlab.engines.calling import call
from quantlab.engines.contract import Engine, EngineRequest, WorkerLost, Workers
from quantlab.errors import RuntimeUnavailable
from quantlab.processes import Document, describe

__all__ = ["ENGINE"]


class _RayWorkers:
    """The workers of a cluster, one task per core."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        # Ray itself would run a task again whose worker ended, and so end one worker after another.
        self._call = ray.remote(num_cpus=1, max_retries=0)(call)

    @property
    def count(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, function: str, document: Document) -> "Future[Document]":
        answer: Future[Document] = Future()
        try:
            sent = self._call.remote(function, document)
            told = sent.future()
        except Exception as error:  # noqa: BLE001 (a cluster that is gone)
            return not_sent(answer, "the Ray cluster", error)
        told.add_done_callback(lambda done: pass_on(answer, done.result, _told))
        answer.add_done_callback(lambda asked: self._cancel(sent) if asked.cancelled() else None)
        return answer

    def _cancel(self, sent: Any) -> None:
        with contextlib.suppress(Exception):  # a cluster that is gone cannot be told, and need not
            self._ray.cancel(sent)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # a cluster that is gone must not hide why the study ends
            self._ray.shutdown()


def _told(error: BaseException) -> Exception:
    if (raised := getattr(error, "cause", None)) is not None:  # by the function; the worker lives
        return WorkerLost(f"a Ray worker failed ({describe(raised)})")
    return WorkerLost(f"a Ray worker ended before it answered ({type(error).__name__})")


def _start(request: EngineRequest) -> Workers:
    try:
        import ray
    except ImportError as error:
        raise RuntimeUnavailable(
            "the engine 'ray' needs the package ray; install it with: pip install 'quantlab[ray]'"
        ) from error
    own: dict[str, Any] = {"num_cpus": request.workers, "include_dashboard": False}
    if request.address is not None:
        own = {"address": request.address}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about graphics cards, which no task uses
            ray.init(log_to_driver=False, **own)
    except (OSError, ValueError, RuntimeError) as error:
        if request.address is None:
            raise RuntimeUnavailable(
                f"Ray could not be started on this machine ({describe(error)}); end other Ray programs, or leave "
                f"--engine out"
            ) from error
        raise RuntimeUnavailable(
            f"no Ray cluster answers at '{request.address}' ({describe(error)}); start one with 'ray start --head', "
            f"and name it as --address ray://HOST:10001"
        ) from error
    return _RayWorkers(ray)


ENGINE = Engine("ray", "workers of a Ray cluster (--address ray://HOST:10001)", _start, "ray")
