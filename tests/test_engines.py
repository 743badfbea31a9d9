"""Engines carry a document to a worker and its answer back, tell of lost workers, and end with the study."""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from types import SimpleNamespace

import pytest

from quantlab.engines import ENGINES, EngineRequest, WorkerLost, Workers
from quantlab.engines.dask import _DaskWorkers
from quantlab.engines.ray import _RayWorkers
from quantlab.errors import QuantlabError, RuntimeUnavailable, UsageError
from quantlab.processes import living_children

_SECONDS = 120


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Two worker processes of this machine."""
    started = ENGINES["local"].start(EngineRequest(None, 2, tmp_path))
    yield started
    started.close()


@pytest.mark.starts_children
def test_documents_are_answered_by_processes_that_last(workers):
    assert workers.count == 2
    asked = [workers.submit("quantlab.engines.calling:echo", {"shard": place}) for place in range(9)]
    assert [answer.result(_SECONDS) for answer in asked] == [{"shard": place} for place in range(9)]
    processes = [workers.submit("shard_engines:process", {"seconds": 0.05}) for _ in range(9)]
    assert len({answer.result(_SECONDS)["process"] for answer in processes} - {os.getpid()}) == 2


@pytest.mark.starts_children
def test_a_worker_that_ends_is_told_and_replaced(workers):
    with pytest.raises(WorkerLost, match="the process exited with status 3"):
        workers.submit("shard_engines:die", {}).result(_SECONDS)
    assert workers.submit("quantlab.engines.calling:echo", {"shard": 1}).result(_SECONDS) == {"shard": 1}


@pytest.mark.starts_children
def test_a_worker_that_is_killed_in_the_middle_is_told(workers):
    process = workers.submit("shard_engines:process", {}).result(_SECONDS)["process"]
    others = [workers.submit("shard_engines:process", {"seconds": 30}) for _ in range(2)]
    os.kill(process, signal.SIGKILL)
    (lost,) = wait(others, _SECONDS, FIRST_COMPLETED).done  # the other one still works
    with pytest.raises(WorkerLost, match="the process was ended by SIGKILL"):
        lost.result()


@pytest.mark.starts_children
def test_a_worker_that_is_killed_while_it_has_nothing_to_do_is_replaced_and_closed(tmp_path):
    workers = ENGINES["local"].start(EngineRequest(None, 1, tmp_path))
    try:
        process = workers.submit("shard_engines:process", {}).result(_SECONDS)["process"]
        before = living_children()
        os.kill(process, signal.SIGKILL)
        until = time.monotonic() + _SECONDS
        while process in living_children() and time.monotonic() < until:
            time.sleep(0.01)
        # pytest makes an error of a pipe that is not closed when its child is forgotten.
        assert workers.submit("shard_engines:process", {}).result(_SECONDS)["process"] not in before
        gc.collect()
    finally:
        workers.close()


@pytest.mark.starts_children
def test_an_error_of_the_function_is_raised_here(workers):
    with pytest.raises(QuantlabError, match=r"^refused 4$"):
        workers.submit("shard_engines:raise_error", {"shard": 4}).result(_SECONDS)


@pytest.mark.starts_children
def test_what_waits_is_told_when_the_study_ends(tmp_path):
    workers = ENGINES["local"].start(EngineRequest(None, 1, tmp_path))
    asked = [workers.submit("shard_engines:process", {"seconds": 30}) for _ in range(3)]
    workers.close()
    for answer in [*asked, workers.submit("quantlab.engines.calling:echo", {})]:
        with pytest.raises(WorkerLost):
            answer.result(_SECONDS)


@pytest.mark.starts_children
def test_what_is_cancelled_is_not_run(workers):
    working = [workers.submit("shard_engines:process", {"seconds": 0.5}) for _ in range(2)]
    waiting = workers.submit("shard_engines:die", {})
    assert waiting.cancel()
    assert len({answer.result(_SECONDS)["process"] for answer in working}) == 2
    after = [workers.submit("shard_engines:process", {}) for _ in range(4)]
    assert {answer.result(_SECONDS)["process"] for answer in after} <= {
        answer.result()["process"] for answer in working
    }


@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.package is not None])
def test_an_engine_that_is_not_installed_says_how_to_get_it(name, tmp_path, monkeypatch):
    package = ENGINES[name].package
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RuntimeUnavailable) as error:
        ENGINES[name].start(EngineRequest(None, 1, tmp_path))
    assert str(error.value) == (
        f"the engine '{name}' needs the package {package}; install it with: pip install 'quantlab[{name}]'"
    )


def test_local_workers_have_no_address(tmp_path):
    with pytest.raises(UsageError, match="the engine 'local' has workers on this machine only"):
        ENGINES["local"].start(EngineRequest("tcp://other:8786", None, tmp_path))


@pytest.mark.starts_children
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # Ray's own
@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.package is not None])
def test_an_engine_that_is_installed(name, tmp_path):
    pytest.importorskip(ENGINES[name].package, reason=f"needs the extra '{name}'")
    workers = ENGINES[name].start(EngineRequest(None, 2, tmp_path))
    try:
        assert workers.count == 2
        asked = [workers.submit("quantlab.engines.calling:echo", {"shard": place}) for place in range(9)]
        assert [answer.result(_SECONDS) for answer in asked] == [{"shard": place} for place in range(9)]
    finally:
        workers.close()


@pytest.mark.starts_children
@pytest.mark.parametrize("address", ["nonsense", "tcp://nowhere:1"])
def test_a_dask_scheduler_that_is_not_there(address, tmp_path):
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    with pytest.raises(RuntimeUnavailable, match=rf"^no Dask scheduler answers at '{address}'"):
        ENGINES["dask"].start(EngineRequest(address, None, tmp_path, connect_seconds=0.5))


def refusing(*_: object, **__: object) -> None:
    raise RuntimeError("there is one already")


@pytest.mark.parametrize(
    ("name", "names", "message"),
    [
        pytest.param(
            "ray",
            {"init": refusing},
            "Ray could not be started on this machine (RuntimeError: there is one already); end other Ray programs, or "
            "leave --engine out",
            id="ray",
        ),
        pytest.param(
            "distributed",
            {"LocalCluster": refusing, "Client": refusing},
            "a Dask cluster could not be started on this machine (RuntimeError: there is one already); leave --engine "
            "out",
            id="dask",
        ),
    ],
)
def test_workers_of_this_machine_that_cannot_be_started(name, names, message, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(**names))
    engine = next(engine for engine in ENGINES.values() if engine.package == name)
    with pytest.raises(RuntimeUnavailable) as refused:
        engine.start(EngineRequest(None, 2, tmp_path))
    assert str(refused.value) == message


class _GoneRay:
    """Ray whose cluster went away after a task was sent."""

    def remote(self, **_: object) -> Callable[..., object]:
        return lambda function: SimpleNamespace(
            remote=lambda *given: SimpleNamespace(future=Future, of=(function, given))
        )

    def cancel(self, _: object) -> None:
        raise RuntimeError("the cluster is gone")


def test_what_a_ray_cluster_that_is_gone_cannot_cancel_is_cancelled_here(caplog):
    assert _RayWorkers(_GoneRay()).submit("quantlab.engines.calling:echo", {}).cancel()
    assert not caplog.records


class _ClosingClient:
    """A Dask client that has given its scheduler up: it takes tasks, never answers, and cannot cancel.

    So does Client of distributed between two states, for some milliseconds after 20 seconds without a scheduler.
    """

    def __init__(self, status: str) -> None:
        self.status = status
        self.asked = 0

    def submit(self, *_: object, **__: object) -> "_ClosingClient":
        self.asked += 1
        return self

    def add_done_callback(self, told: object) -> None:
        """Never call it."""

    def cancel(self) -> None:
        raise ConnectionError("the client is closed")


@pytest.mark.parametrize("status", ["closing", "closed"])
def test_a_dask_client_that_has_given_its_scheduler_up_is_asked_nothing(status):
    client = _ClosingClient(status)
    answer = _DaskWorkers(client, None).submit("quantlab.engines.calling:echo", {})
    with pytest.raises(WorkerLost, match=r"^the scheduler was not reached \(its client has given it up\)$"):
        answer.result(0)
    assert client.asked == 0


def test_what_a_closed_dask_client_cannot_cancel_is_cancelled_here(caplog):
    client = _ClosingClient("running")
    answer = _DaskWorkers(client, None).submit("quantlab.engines.calling:echo", {})
    client.status = "closed"
    assert answer.cancel()
    assert client.asked == 1
    assert not caplog.records  # concurrent.futures logs a traceback of what a callback raises
